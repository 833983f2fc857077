//! Grouped streams, and one file for each of their aggregations.

mod aggregate;
mod cogroup;
mod count;
mod emit;
mod reduce;
mod session;
mod session_aggregate;
mod sliding;
mod window_aggregate;
mod windowed;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::processor::Data;

pub use cogroup::{
    CogroupedKStream, SessionWindowedCogroupedKStream, TimeWindowedCogroupedKStream,
};
pub use emit::EmitStrategy;
pub use session::SessionWindowedKStream;
pub use windowed::TimeWindowedKStream;

use crate::builder::required;
use crate::plan::{NodeId, Plan, Repartition, SharedPlan};
use crate::serdes::{Choice, SerdeOf};

/// A stream grouped by key, to be aggregated (`KGroupedStream`).
///
/// # Differs from Kafka Streams
/// Records without a key, and those whose value is null, are skipped and counted as there; what is
/// null is what the serde says.
pub struct KGroupedStream<K, V> {
    pub(crate) plan: SharedPlan,
    pub(crate) node: NodeId,
    pub(crate) sources: Rc<[NodeId]>,
    pub(crate) rekeyed: bool,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) key: Option<SerdeOf<K>>,
    pub(crate) value: Option<SerdeOf<V>>,
    /// The repartitioning that all aggregations share if it has a name.
    pub(crate) repartitioned: Rc<RefCell<Option<NodeId>>>,
}

impl<K: Data, V: Data> KGroupedStream<K, V> {
    /// What an aggregation stands behind: the stream, or its repartitioning, and its sources.
    pub(crate) fn parent(
        &self,
        plan: &mut Plan,
        store: &Arc<str>,
        store_is_named: bool,
    ) -> (NodeId, Rc<[NodeId]>) {
        let (true, Some(key)) = (self.rekeyed, &self.key) else {
            return (self.node, Rc::clone(&self.sources));
        };
        let prefix = self.name.as_ref().unwrap_or(store);
        let choice = Choice::Inherit;
        let value = required(plan, prefix, "value", &choice, self.value.as_ref());
        let Some(value) = value else { return (self.node, Rc::clone(&self.sources)) };
        let earlier = self.repartitioned.borrow().filter(|_| self.name.is_some());
        let node = match earlier {
            Some(node) => {
                plan.take_numbers_of_repartition();
                // Kafka Streams adds it to its graph once more.
                plan.plan_again(node);
                node
            }
            None => plan.repartition(
                self.node,
                Repartition {
                    prefix: Arc::clone(prefix),
                    is_named: self.name.is_some() || store_is_named,
                    key: key.clone(),
                    value,
                    partitions: None,
                    partitioner: None,
                    can_be_shared: true,
                },
            ),
        };
        *self.repartitioned.borrow_mut() = Some(node);
        (node, Rc::new([node]))
    }
}

impl<K, V> Clone for KGroupedStream<K, V> {
    fn clone(&self) -> Self {
        Self {
            plan: Rc::clone(&self.plan),
            node: self.node,
            sources: Rc::clone(&self.sources),
            rekeyed: self.rekeyed,
            name: self.name.clone(),
            key: self.key.clone(),
            value: self.value.clone(),
            repartitioned: Rc::clone(&self.repartitioned),
        }
    }
}

impl<K, V> fmt::Debug for KGroupedStream<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KGroupedStream({})", self.plan.borrow().name(self.node))
    }
}
