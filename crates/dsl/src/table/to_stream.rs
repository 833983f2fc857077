//! The changes of a table as a stream (`KTable.toStream`).

use std::rc::Rc;

use kstreams_core::flow::Next;
use kstreams_core::processor::Data;
use kstreams_core::record::Record;
use kstreams_core::serde::Nullable;

use super::{Change, KTable};
use crate::KStream;
use crate::serdes::SerdeOf;

impl<K: Data, V: Data> KTable<K, V> {
    /// The changes of the table; `None` where a value was deleted.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// let users = builder.table::<String, String>("users", ());
    /// users.to_stream().filter(|_, user| user.is_none()).to("deleted");
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn to_stream(&self) -> KStream<K, Option<V>> {
        let mut plan = self.plan.borrow_mut();
        let name = plan.new_name("KTABLE-TOSTREAM-");
        let node = plan.add(name, &[self.node], |to, at| {
            to.stage(at, || {
                |record: Record<K, Change<V>>, next: &mut Next<'_, '_, K, Option<V>>| {
                    next.pass(record.map_value(|change| change.new))
                }
            });
        });
        drop(plan);
        let value = self.value.clone().map(|value| SerdeOf::new(Nullable(value)));
        let sources = Rc::clone(&self.sources);
        KStream::new(&self.plan, node, sources, false, self.key.clone(), value)
    }
}
