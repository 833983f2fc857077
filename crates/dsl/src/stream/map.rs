//! Make another record of each (`KStream.map`, `mapValues`).

use std::sync::Arc;

use kstreams_core::flow::Next;
use kstreams_core::processor::Data;
use kstreams_core::record::Record;

use crate::KStream;
use crate::plan::Kind;

impl<K: Data, V: Data> KStream<K, V> {
    /// Makes another key and value of each record; the stream is repartitioned before the next
    /// operator that needs its records by key.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<String, i64>("in").map(|key, n| (n, key.to_uppercase())).to("out");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("in", Utf8, I64).pipe("k".into(), 7)?;
    /// # assert_eq!(driver.output("out", I64, Utf8).read_pairs()?, [(7, "K".to_owned())]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn map<K2: Data, V2: Data>(
        &self,
        mapper: impl Fn(K, V) -> (K2, V2) + Send + Sync + 'static,
    ) -> KStream<K2, V2> {
        let mapper = Arc::new(mapper);
        let node = self.stage("KSTREAM-MAP-", move || {
            let mapper = Arc::clone(&mapper);
            move |record: Record<K, V>, next: &mut Next<'_, '_, K2, V2>| {
                let Record { key, value, timestamp, headers } = record;
                let (key, value) = mapper(key, value);
                next.pass(Record { key, value, timestamp, headers })
            }
        });
        self.behind(node, Kind::ChangesKey, None, None)
    }

    /// Makes another value of each record.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{U64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<String, String>("in").map_values(|text| text.len() as u64).to("out");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("in", Utf8, Utf8).pipe("k".into(), "four".into())?;
    /// # assert_eq!(driver.output("out", Utf8, U64).read_values()?, [4]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn map_values<V2: Data>(
        &self,
        mapper: impl Fn(V) -> V2 + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        self.map_values_with_key(move |_, value| mapper(value))
    }

    /// As [`map_values`](Self::map_values), with the key in sight.
    pub fn map_values_with_key<V2: Data>(
        &self,
        mapper: impl Fn(&K, V) -> V2 + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        let mapper = Arc::new(mapper);
        let node = self.stage("KSTREAM-MAPVALUES-", move || {
            let mapper = Arc::clone(&mapper);
            move |record: Record<K, V>, next: &mut Next<'_, '_, K, V2>| {
                let Record { key, value, timestamp, headers } = record;
                let value = mapper(&key, value);
                next.pass(Record { key, value, timestamp, headers })
            }
        });
        self.behind(node, Kind::ChangesValue, self.key.clone(), None)
    }
}
