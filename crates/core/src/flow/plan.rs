//! The plan of a task's graph: what a topology builder hands over, to be built once per task.

use std::fmt;
use std::sync::Arc;

use super::node::ProcessorNode;
use super::sink::Sink;
use super::slot::{Edges, Input, Slot};
use super::source::Source;
use super::stage::{ErasedStage, Stage, StageOf};
use crate::processor::{Data, FixedKey, FixedKeyProcessor, Processor};
use crate::record::TopicPartition;
use crate::serde::Serde;
use crate::sink::SinkSpec;
use crate::source::SourceSpec;

/// Makes the node of each task.
#[derive(Clone)]
pub struct NodeFactory {
    make: Arc<dyn Fn(Wiring) -> Slot + Send + Sync>,
    /// There if it may be one of a run.
    stage: Option<Arc<dyn ErasedStage>>,
}

/// The place of a node; only the flow can make one.
pub struct Wiring(Edges);

impl fmt::Debug for Wiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wiring").field(&self.0.names).finish()
    }
}

impl NodeFactory {
    fn new(make: Arc<dyn Fn(Wiring) -> Slot + Send + Sync>) -> Self {
        Self { make, stage: None }
    }

    /// A node without state. Where it follows another one, and nothing else is between or beside
    /// them, both run as one node.
    pub fn stage<S, KIn, VIn, KOut, VOut>(supplier: impl Fn() -> S + Send + Sync + 'static) -> Self
    where
        S: Stage<KIn, VIn, KOut, VOut>,
        KIn: 'static,
        VIn: 'static,
        KOut: Data,
        VOut: Data,
    {
        let stage: Arc<dyn ErasedStage> =
            Arc::new(StageOf::<_, KIn, VIn, KOut, VOut>::new(supplier));
        let alone = Arc::clone(&stage);
        let make = move |wiring: Wiring| {
            let first = alone.join(alone.end(), 0);
            first.and_then(|first| alone.slot(first, wiring.0)).unwrap_or_else(Slot::unreachable)
        };
        Self { make: Arc::new(make), stage: Some(stage) }
    }

    /// A node around a processor; `supplier` makes one for each task.
    pub fn processor<P, KIn, VIn, KOut, VOut>(
        supplier: impl Fn() -> P + Send + Sync + 'static,
    ) -> Self
    where
        P: Processor<KIn, VIn, KOut, VOut>,
        KIn: 'static,
        VIn: 'static,
        KOut: Data,
        VOut: Data,
    {
        Self::new(Arc::new(move |wiring| {
            let node = ProcessorNode::<P, KIn, VIn, KOut, VOut>::new(supplier(), wiring.0);
            Slot(Box::new(Input::<KIn, VIn>(Box::new(node))))
        }))
    }

    /// A node around a processor that cannot change the key.
    pub fn fixed_key<P, K, VIn, VOut>(supplier: impl Fn() -> P + Send + Sync + 'static) -> Self
    where
        P: FixedKeyProcessor<K, VIn, VOut>,
        K: Data,
        VIn: 'static,
        VOut: Data,
    {
        Self::processor::<FixedKey<P>, K, VIn, K, VOut>(move || FixedKey(supplier()))
    }

    /// A source.
    pub fn source<KS: Serde, VS: Serde>(spec: SourceSpec<KS, VS>) -> Self
    where
        KS::Item: Data,
        VS::Item: Data,
    {
        Self::new(Arc::new(move |wiring| {
            let node = Source::new(&spec, wiring.0);
            Slot(Box::new(Input::<KS::Item, VS::Item>(Box::new(node))))
        }))
    }

    /// A sink.
    pub fn sink<KS: Serde, VS: Serde>(spec: SinkSpec<KS, VS>) -> Self
    where
        KS::Item: Data,
        VS::Item: Data,
    {
        let spec = Arc::new(spec);
        Self::new(Arc::new(move |_| {
            Slot(Box::new(Input::<KS::Item, VS::Item>(Box::new(Sink::new(Arc::clone(&spec))))))
        }))
    }

    pub(super) fn make(&self, offsets: Vec<usize>, names: Vec<Arc<str>>) -> Slot {
        (self.make)(Wiring(Edges { offsets, names }))
    }

    /// The node of several stages that follow each other; `None` if one is no stage. `ways` are the
    /// offsets and names of the last one's children, seen from the first.
    pub(super) fn make_run(
        run: &[(&Self, usize)],
        ways: (Vec<usize>, Vec<Arc<str>>),
    ) -> Option<Slot> {
        let mut link = run.last()?.0.stage.as_ref()?.end();
        for (factory, at) in run.iter().rev() {
            link = factory.stage.as_ref()?.join(link, *at)?;
        }
        let edges = Edges { offsets: ways.0, names: ways.1 };
        run.first()?.0.stage.as_ref()?.slot(link, edges)
    }

    pub(super) fn is_stage(&self) -> bool {
        self.stage.is_some()
    }
}

impl fmt::Debug for NodeFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeFactory")
    }
}

/// One node of a plan.
#[derive(Clone, Debug)]
pub struct PlannedNode {
    /// Its name.
    pub name: Arc<str>,
    /// What makes it.
    pub factory: NodeFactory,
    /// The indices of its children in the plan, each larger than its own, in the order records
    /// are forwarded.
    pub children: Vec<usize>,
    /// The indices of its stores, in the list given to [`Flow::new`](super::Flow::new).
    pub stores: Vec<usize>,
}

/// The nodes of one sub-topology, in topological order.
#[derive(Clone, Debug, Default)]
pub struct FlowPlan {
    /// The nodes.
    pub nodes: Vec<PlannedNode>,
}

/// One partition that a task reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowInput {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The index of its source in the plan.
    pub node: usize,
}

impl FlowInput {
    /// Topic and partition alone.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition::new(Arc::clone(&self.topic), self.partition)
    }
}
