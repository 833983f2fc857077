//! Streams of records, and one file for each of their operators.

mod filter;
mod flat_map;
mod for_each;
mod global_join;
mod group;
mod map;
mod merge;
mod print;
mod process;
mod repartition;
mod select_key;
mod self_join;
mod split;
mod stream_join;
mod stream_join_side;
mod table_join;
mod table_join_wait;
mod to;
mod to_table;

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use kstreams_core::flow::Stage;
use kstreams_core::processor::{Data, Processor};

use crate::plan::{Kind, NodeId, SharedPlan};
use crate::serdes::SerdeOf;

pub use print::Printed;
pub use split::{Branches, Split};
pub(crate) use to_table::ToTable;

/// A stream of records `K, V` (`KStream`).
///
/// Operators take it by reference: a stream may be used several times, and each use sees every
/// record. `Option<V>` as value type carries tombstones, `Option<K>` as key type null keys.
///
/// Every operator has a name, by its position or by [`named`](Self::named).
///
/// # Differs from Kafka Streams
/// Java merges all kinds of joins under the name `join`; here `join_table` and `join_global` say
/// what a stream is joined with. Joiners get the key, too.
pub struct KStream<K, V> {
    pub(crate) plan: SharedPlan,
    pub(crate) node: NodeId,
    /// What the records came from since they were last repartitioned.
    pub(crate) sources: Rc<[NodeId]>,
    /// True if the key may have changed since then.
    pub(crate) rekeyed: bool,
    pub(crate) key: Option<SerdeOf<K>>,
    pub(crate) value: Option<SerdeOf<V>>,
    /// The latest repartitioning that a join planned behind it.
    repartitioned: Rc<Cell<Option<NodeId>>>,
}

impl<K, V> KStream<K, V> {
    pub(crate) fn new(
        plan: &SharedPlan,
        node: NodeId,
        sources: Rc<[NodeId]>,
        rekeyed: bool,
        key: Option<SerdeOf<K>>,
        value: Option<SerdeOf<V>>,
    ) -> Self {
        let (plan, repartitioned) = (Rc::clone(plan), Rc::default());
        Self { plan, node, sources, rekeyed, key, value, repartitioned }
    }

    /// Names the operator that made this stream.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// let lines = builder.stream::<String, String>("lines").named("lines");
    /// lines.map_values(|line| line.trim().to_owned()).named("trim").to("trimmed");
    /// assert!(builder.build()?.describe().contains("Processor: trim (stores: [])"));
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.plan.borrow_mut().rename(self.node, name);
        self
    }
}

impl<K: Data, V: Data> KStream<K, V> {
    /// Adds a node without state; `supplier` makes its code for each task.
    pub(crate) fn stage<S, K2: Data, V2: Data>(
        &self,
        prefix: &str,
        supplier: impl Fn() -> S + Send + Sync + 'static,
    ) -> NodeId
    where
        S: Stage<K, V, K2, V2>,
    {
        let mut plan = self.plan.borrow_mut();
        let name = plan.new_name(prefix);
        plan.add(name, &[self.node], move |to, at| to.stage(at, supplier))
    }

    /// Adds a node that needs more than its records; `supplier` makes its code for each task.
    pub(crate) fn node<P, K2: Data, V2: Data>(
        &self,
        prefix: &str,
        supplier: impl Fn() -> P + Send + Sync + 'static,
    ) -> NodeId
    where
        P: Processor<K, V, K2, V2>,
    {
        let mut plan = self.plan.borrow_mut();
        let name = plan.new_name(prefix);
        plan.add(name, &[self.node], move |to, at| {
            to.processor(&at.name, &at.parents, &[], supplier);
        })
    }

    /// The stream behind such a node, and what the node does to a record.
    pub(crate) fn behind<K2, V2>(
        &self,
        node: NodeId,
        kind: Kind,
        key: Option<SerdeOf<K2>>,
        value: Option<SerdeOf<V2>>,
    ) -> KStream<K2, V2> {
        let rekeyed = self.rekeyed || matches!(kind, Kind::ChangesKey | Kind::Processor);
        self.plan.borrow_mut().node(node).kind = kind;
        KStream::new(&self.plan, node, Rc::clone(&self.sources), rekeyed, key, value)
    }
}

impl<K, V> Clone for KStream<K, V> {
    fn clone(&self) -> Self {
        Self {
            plan: Rc::clone(&self.plan),
            node: self.node,
            sources: Rc::clone(&self.sources),
            rekeyed: self.rekeyed,
            key: self.key.clone(),
            value: self.value.clone(),
            repartitioned: Rc::clone(&self.repartitioned),
        }
    }
}

impl<K, V> fmt::Debug for KStream<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KStream({})", self.plan.borrow().name(self.node))
    }
}
