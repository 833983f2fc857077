//! Make any number of records of each (`KStream.flatMap`, `flatMapValues`).

use std::sync::Arc;

use kstreams_core::flow::Next;
use kstreams_core::processor::Data;
use kstreams_core::record::Record;

use crate::KStream;
use crate::plan::Kind;

impl<K: Data, V: Data> KStream<K, V> {
    /// Makes any number of records of each; the stream is repartitioned before the next operator
    /// that needs its records by key.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// builder
    ///     .stream::<String, String>("lines")
    ///     .flat_map(|_, line| line.split(' ').map(|w| (w.to_owned(), 1_i64)).collect::<Vec<_>>())
    ///     .to("words");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("lines", Utf8, Utf8).pipe("k".into(), "a b".into())?;
    /// # assert_eq!(driver.output("words", Utf8, I64).read_keys()?, ["a", "b"]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn flat_map<K2, V2, I>(
        &self,
        mapper: impl Fn(K, V) -> I + Send + Sync + 'static,
    ) -> KStream<K2, V2>
    where
        K2: Data,
        V2: Data,
        I: IntoIterator<Item = (K2, V2)> + 'static,
    {
        let mapper = Arc::new(mapper);
        let node = self.stage("KSTREAM-FLATMAP-", move || {
            let mapper = Arc::clone(&mapper);
            move |record: Record<K, V>, next: &mut Next<'_, '_, K2, V2>| {
                let Record { key, value, timestamp, headers } = record;
                for (key, value) in mapper(key, value) {
                    next.pass(Record { key, value, timestamp, headers: headers.clone() })?;
                }
                Ok(())
            }
        });
        self.behind(node, Kind::ChangesKey, None, None)
    }

    /// Makes any number of values of each, with the same key.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// builder
    ///     .stream::<String, String>("lines")
    ///     .flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    ///     .to("words");
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn flat_map_values<V2, I>(
        &self,
        mapper: impl Fn(V) -> I + Send + Sync + 'static,
    ) -> KStream<K, V2>
    where
        V2: Data,
        I: IntoIterator<Item = V2> + 'static,
    {
        self.flat_map_values_with_key(move |_, value| mapper(value))
    }

    /// As [`flat_map_values`](Self::flat_map_values), with the key in sight.
    pub fn flat_map_values_with_key<V2, I>(
        &self,
        mapper: impl Fn(&K, V) -> I + Send + Sync + 'static,
    ) -> KStream<K, V2>
    where
        V2: Data,
        I: IntoIterator<Item = V2> + 'static,
    {
        let mapper = Arc::new(mapper);
        let node = self.stage("KSTREAM-FLATMAPVALUES-", move || {
            let mapper = Arc::clone(&mapper);
            move |record: Record<K, V>, next: &mut Next<'_, '_, K, V2>| {
                let Record { key, value, timestamp, headers } = record;
                for value in mapper(&key, value) {
                    let (key, headers) = (key.clone(), headers.clone());
                    next.pass(Record { key, value, timestamp, headers })?;
                }
                Ok(())
            }
        });
        self.behind(node, Kind::ChangesValue, self.key.clone(), None)
    }
}
