//! Count the records of each key (`KGroupedStream.count`).

use std::sync::Arc;

use kstreams_core::processor::Data;

use super::aggregate::{Initial, count_of};
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
        let (store, prefix) = (store.into(), "KSTREAM-AGGREGATE-");
        store.take_number_of_count(&mut self.plan.borrow_mut(), prefix);
        let initial: Initial<i64> = Arc::new(|| 0);
        self.aggregated(store, prefix, None, Some(initial), count_of())
    }
}
