//! A sub-topology: nodes that share tasks, with all that an executor and the streams protocol need.
//!
//! [`Topology::subtopologies`](crate::Topology::subtopologies) gives them.

use std::sync::Arc;

use kstreams_core::flow::{FlowPlan, NodeFactory, PlannedNode};
use kstreams_core::source::OffsetReset;

use crate::copartition::CopartitionGroup;
use crate::draft::SinkMaker;
use crate::store::StoreSpec;
use crate::topics::{Topic, TopicPattern};

/// Nodes that edges and shared stores connect; one task of it runs for each partition.
///
/// ```
/// use kstreams_core::serde::Utf8;
/// use kstreams_topology::Topology;
///
/// let mut topology = Topology::builder();
/// let lines = topology.source("lines", "input", (Utf8, Utf8));
/// topology.sink("out", &[lines], "output", (Utf8, Utf8));
/// let topology = topology.build()?;
///
/// let [only] = topology.subtopologies() else { panic!() };
/// assert_eq!(only.sink_topics()[0].full_name("my-app").as_ref(), "output");
/// let plan = only.flow_plan("my-app");
/// assert_eq!(plan.nodes[0].children, [1]);
/// # Ok::<(), kstreams_topology::TopologyErrors>(())
/// ```
#[derive(Debug)]
pub struct SubTopology {
    pub(crate) id: u32,
    pub(crate) is_global: bool,
    pub(crate) nodes: Vec<PlannedPart>,
    pub(crate) sources: Vec<TopologySource>,
    pub(crate) repartition_sources: Vec<(Topic, Option<i32>)>,
    pub(crate) sink_topics: Vec<Topic>,
    pub(crate) stores: Vec<StoreSpec>,
    pub(crate) copartition_groups: Vec<CopartitionGroup>,
}

/// A node of the plan, but for what the application id decides.
#[derive(Debug)]
pub(crate) struct PlannedPart {
    pub(crate) name: Arc<str>,
    pub(crate) make: Make,
    pub(crate) children: Vec<usize>,
    pub(crate) stores: Vec<usize>,
}

pub(crate) enum Make {
    Ready(NodeFactory),
    /// A sink, once it knows the full name of its topic.
    Sink(SinkMaker, Topic),
}

impl std::fmt::Debug for Make {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready(factory) => factory.fmt(f),
            Self::Sink(_, topic) => f.debug_tuple("Sink").field(topic).finish(),
        }
    }
}

impl SubTopology {
    /// Its number, as in task ids.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// True if it keeps a global store: it has no tasks, every instance runs it over all
    /// partitions.
    pub fn is_global(&self) -> bool {
        self.is_global
    }

    /// The names of its nodes, in topological order.
    pub fn node_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.nodes.iter().map(|node| &*node.name)
    }

    /// Its sources, in the order they were added.
    pub fn sources(&self) -> &[TopologySource] {
        &self.sources
    }

    /// The topics its sources name, internal ones among them.
    pub fn source_topics(&self) -> impl Iterator<Item = &Topic> {
        self.sources.iter().flat_map(|source| match &source.topics {
            SourceTopics::Named(topics) => topics.as_slice(),
            SourceTopics::Matching(_) => &[],
        })
    }

    /// The patterns of its sources.
    pub fn source_patterns(&self) -> impl Iterator<Item = &TopicPattern> {
        self.sources.iter().filter_map(|source| match &source.topics {
            SourceTopics::Named(_) => None,
            SourceTopics::Matching(pattern) => Some(pattern),
        })
    }

    /// The internal topics it reads, with the partition count asked for.
    pub fn repartition_sources(&self) -> &[(Topic, Option<i32>)] {
        &self.repartition_sources
    }

    /// The topics its sinks write, each once; sinks that choose for each record are not among
    /// them.
    pub fn sink_topics(&self) -> &[Topic] {
        &self.sink_topics
    }

    /// Its stores, in the order they were added.
    pub fn stores(&self) -> &[StoreSpec] {
        &self.stores
    }

    /// The groups of its source topics that must have equal partition counts.
    pub fn copartition_groups(&self) -> &[CopartitionGroup] {
        &self.copartition_groups
    }

    /// Where the source at index `node` of the plan starts without a committed offset; `None`
    /// leaves it to the application's configuration.
    pub fn offset_reset(&self, node: usize) -> Option<OffsetReset> {
        self.sources.iter().find(|source| source.node == node)?.offset_reset
    }

    /// The plan of each of its tasks.
    ///
    /// The stores that nodes name by index are [`stores`](Self::stores), followed by readers of
    /// [`Topology::global_stores`](crate::Topology::global_stores), since every processor may read
    /// these. A global sub-topology has its own store alone.
    pub fn flow_plan(&self, application_id: &str) -> FlowPlan {
        let nodes = self.nodes.iter().map(|node| PlannedNode {
            name: Arc::clone(&node.name),
            factory: match &node.make {
                Make::Ready(factory) => factory.clone(),
                Make::Sink(make, topic) => make(&topic.full_name(application_id)),
            },
            children: node.children.clone(),
            stores: node.stores.clone(),
        });
        FlowPlan { nodes: nodes.collect() }
    }
}

/// A source of a sub-topology.
#[derive(Clone, Debug)]
pub struct TopologySource {
    pub(crate) name: Arc<str>,
    pub(crate) node: usize,
    pub(crate) topics: SourceTopics,
    pub(crate) offset_reset: Option<OffsetReset>,
}

impl TopologySource {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its index in the plan.
    pub fn node(&self) -> usize {
        self.node
    }

    /// What it reads.
    pub fn topics(&self) -> &SourceTopics {
        &self.topics
    }

    /// Where it starts without a committed offset; `None` leaves it to the configuration.
    pub fn offset_reset(&self) -> Option<OffsetReset> {
        self.offset_reset
    }
}

/// What a source of a sub-topology reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceTopics {
    /// These.
    Named(Vec<Topic>),
    /// All that match.
    Matching(TopicPattern),
}
