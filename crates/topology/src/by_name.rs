//! The untyped door of the builder: nodes from factories, parents and stores by name.
//!
//! For layers that build topologies from other descriptions (a DSL, a file) and check the types
//! themselves: an edge between nodes of different types is found only when a record takes it.

use std::sync::Arc;

use kstreams_core::flow::NodeFactory;
use kstreams_core::source::OffsetReset;

use crate::draft::{Draft, NodeKind, SinkTo};
use crate::handle::NodeRef;
use crate::store::ErasedStoreBuilder;
use crate::topics::Topics;

/// Adds nodes by name; see [`TopologyBuilder::by_name`](crate::TopologyBuilder::by_name).
///
/// ```
/// use kstreams_core::context::Context;
/// use kstreams_core::flow::NodeFactory;
/// use kstreams_core::record::Record;
/// use kstreams_topology::Topology;
///
/// let pass = || |ctx: &mut Context<'_, (), ()>, record: Record<(), ()>| ctx.forward(record);
/// # use kstreams_core::serde::Unit;
/// let mut topology = Topology::builder();
/// topology.source("in", "input", (Unit, Unit));
/// topology.by_name().processor("pass", &["in"], NodeFactory::processor(pass));
/// assert_eq!(topology.build()?.subtopologies()[0].node_names().count(), 2);
/// # Ok::<(), kstreams_topology::TopologyErrors>(())
/// ```
///
/// # Differs from Kafka Streams
/// A parent may be named before it is added; who is unknown, and what goes in a circle, is told by
/// [`build`](crate::TopologyBuilder::build).
#[derive(Debug)]
pub struct ByName<'a> {
    draft: &'a mut Draft,
}

impl<'a> ByName<'a> {
    pub(crate) fn new(draft: &'a mut Draft) -> Self {
        Self { draft }
    }

    /// Adds a source; its rule for event time is in the factory, not the builder's default.
    pub fn source(
        &mut self,
        name: &str,
        topics: impl Into<Topics>,
        offset_reset: Option<OffsetReset>,
        factory: NodeFactory,
    ) -> &mut Self {
        let make = Box::new(move |_| factory.clone());
        let topics = topics.into();
        let kind = NodeKind::Source { topics, offset_reset, make, is_global: false };
        self.draft.node(name, Vec::new(), kind);
        self
    }

    /// Adds a processor.
    pub fn processor(
        &mut self,
        name: &str,
        parents: &[impl AsRef<str>],
        factory: NodeFactory,
    ) -> &mut Self {
        let kind = NodeKind::Processor { factory, is_global: false };
        self.draft.node(name, refs(parents), kind);
        self
    }

    /// Adds a sink to one topic; `make` is told the topic's full name, which for a repartition
    /// topic holds the application id.
    pub fn sink(
        &mut self,
        name: &str,
        parents: &[impl AsRef<str>],
        topic: &str,
        make: impl Fn(&Arc<str>) -> NodeFactory + Send + Sync + 'static,
    ) -> &mut Self {
        let kind = NodeKind::Sink { to: SinkTo::Topic(topic.into()), make: Arc::new(make) };
        self.draft.node(name, refs(parents), kind);
        self
    }

    /// Adds a sink that chooses the topic of each record; `label` is what `describe` prints.
    pub fn sink_per_record(
        &mut self,
        name: &str,
        parents: &[impl AsRef<str>],
        label: &str,
        factory: NodeFactory,
    ) -> &mut Self {
        let make = Arc::new(move |_: &Arc<str>| factory.clone());
        self.draft.node(
            name,
            refs(parents),
            NodeKind::Sink { to: SinkTo::PerRecord(label.into()), make },
        );
        self
    }

    /// Adds a parent to a node, behind those it has.
    pub fn edge(&mut self, parent: &str, child: &str) -> &mut Self {
        // A child that is not there yet cannot keep its parent: adding it later would drop it.
        match self.draft.nodes.iter_mut().find(|node| &*node.name == child) {
            Some(node) => node.parents.push(parent.into()),
            None => self.draft.lost_edges.push((parent.into(), child.into())),
        }
        self
    }

    /// Adds a store; the same object twice is one store, as in Java.
    pub fn store(&mut self, builder: Arc<dyn ErasedStoreBuilder>) -> &mut Self {
        self.draft.store(builder, false);
        self
    }

    /// Adds a global store with its two nodes; as
    /// [`TopologyBuilder::global_store`](crate::TopologyBuilder::global_store).
    pub fn global_store(
        &mut self,
        builder: Arc<dyn ErasedStoreBuilder>,
        (source_name, source): (&str, NodeFactory),
        topic: &str,
        (processor_name, processor): (&str, NodeFactory),
    ) -> &mut Self {
        let store: Arc<str> = builder.store_name().into();
        self.draft.store(builder, true);
        self.draft.restore_from(&store, topic.into());
        let make = Box::new(move |_| source.clone());
        let (topics, offset_reset) = (Topics::from(topic), None);
        let kind = NodeKind::Source { topics, offset_reset, make, is_global: true };
        self.draft.node(source_name, Vec::new(), kind);
        let kind = NodeKind::Processor { factory: processor, is_global: true };
        self.draft.node(processor_name, vec![source_name.into()], kind);
        self.draft.connect(processor_name.into(), vec![store], true);
        self
    }
}

fn refs(parents: &[impl AsRef<str>]) -> Vec<NodeRef> {
    parents.iter().map(|parent| parent.as_ref().into()).collect()
}
