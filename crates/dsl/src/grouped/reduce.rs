//! Combine the values of each key (`KGroupedStream.reduce`).

use kstreams_core::processor::Data;

use super::aggregate::reduction_of;
use crate::KGroupedStream;
use crate::options::Materialized;
use crate::table::KTable;

impl<K: Data, V: Data> KGroupedStream<K, V> {
    /// Combines the values of each key; the first one is the start.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// let amounts = builder.stream::<String, i64>("amounts").group_by_key();
    /// amounts.reduce(|largest, amount| largest.max(amount), "largest").to_stream().to("largest");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # for amount in [3, 9, 5] {
    /// #     driver.input("amounts", Utf8, I64).pipe("k".into(), amount)?;
    /// # }
    /// # assert_eq!(driver.output("largest", Utf8, I64).read_values()?, [3, 9, 9]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn reduce(
        &self,
        reducer: impl Fn(V, V) -> V + Send + Sync + 'static,
        store: impl Into<Materialized<K, V>>,
    ) -> KTable<K, V> {
        let value = self.value.as_ref();
        self.aggregated(store.into(), "KSTREAM-REDUCE-", value, None, reduction_of(reducer))
    }
}
