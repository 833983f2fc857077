//! Count the records of each key (`KGroupedStream.count`).

use kstreams_core::processor::Data;

use crate::KGroupedStream;
use crate::options::Materialized;
use crate::table::KTable;

impl<K: Data, V: Data> KGroupedStream<K, V> {
    /// Counts the records of each key.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<String, String>("clicks").group_by_key().count("clicks-per-user");
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn count(&self, store: impl Into<Materialized<K, i64>>) -> KTable<K, i64> {
        let prefix = "KSTREAM-AGGREGATE-";
        self.aggregated(store.into(), prefix, None, |_, _, n| Some(n.unwrap_or(0) + 1))
    }
}
