//! What can be wrong with a topology, and the error that lists all of it.
//!
//! `validate` finds them; [`TopologyBuilder::build`](crate::TopologyBuilder::build) returns them.

use std::error::Error as StdError;
use std::fmt;

use kstreams_core::error::{Error, ErrorKind};

/// One mistake in a topology, with the names it is about.
///
/// `Display` is a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// There is no source, so nothing could ever run.
    NoSource,
    /// A node has no name.
    EmptyNodeName,
    /// Two nodes have one name.
    DuplicateNode {
        /// The name.
        node: String,
    },
    /// A processor or sink has no parents.
    NoParents {
        /// The node.
        node: String,
    },
    /// A parent was never added.
    UnknownParent {
        /// The child.
        node: String,
        /// The parent's name.
        parent: String,
    },
    /// An edge was added to a node that was never added.
    UnknownChild {
        /// The child's name.
        node: String,
        /// The parent's name.
        parent: String,
    },
    /// A handle belongs to another builder.
    ForeignHandle {
        /// What it was given to: a node, or `copartition`, or `connect`.
        given_to: String,
    },
    /// A node is its own parent.
    SelfReference {
        /// The node.
        node: String,
    },
    /// A source has a parent.
    SourceWithParent {
        /// The source.
        source: String,
        /// The parent.
        parent: String,
    },
    /// A sink is used as a parent.
    SinkAsParent {
        /// The sink.
        sink: String,
        /// The child.
        node: String,
    },
    /// A node of a global store is used as a parent.
    GlobalAsParent {
        /// The node of the global store.
        global: String,
        /// The child.
        node: String,
    },
    /// Nodes are parents of each other in a circle.
    Cycle {
        /// The nodes, in the order they were added.
        nodes: Vec<String>,
    },
    /// A source reads no topic.
    NoTopics {
        /// The source.
        source: String,
    },
    /// Two sources read one topic, or one source names it twice.
    TopicTwice {
        /// The topic.
        topic: String,
        /// The source that came first.
        first: String,
        /// The other.
        second: String,
    },
    /// A source's topic matches the pattern of an earlier source.
    TopicMatchesPattern {
        /// The topic.
        topic: String,
        /// The source that reads it.
        source: String,
        /// The pattern.
        pattern: String,
        /// The source with the pattern.
        earlier: String,
    },
    /// A source's pattern matches the topic of an earlier source.
    PatternMatchesTopic {
        /// The pattern.
        pattern: String,
        /// The source with the pattern.
        source: String,
        /// The topic.
        topic: String,
        /// The source that reads it.
        earlier: String,
    },
    /// A topic or store has a name that no topic can have.
    IllegalName {
        /// `topic`, `store` or `repartition topic`.
        what: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A repartition topic was declared with two partition counts.
    TwoPartitionCounts {
        /// The topic.
        topic: String,
        /// The counts.
        counts: (i32, i32),
    },
    /// A repartition topic was declared with no partition.
    NoPartitions {
        /// The topic.
        topic: String,
        /// The count.
        count: i32,
    },
    /// A repartition topic is written but never read.
    NeverRead {
        /// The topic.
        topic: String,
    },
    /// A repartition topic is read and never written, and has no partition count of its own.
    NeverWritten {
        /// The topic.
        topic: String,
    },
    /// Two stores have one name.
    DuplicateStore {
        /// The name.
        store: String,
    },
    /// No processor is connected to a store.
    UnusedStore {
        /// The store.
        store: String,
    },
    /// A processor is connected to a store that was never added.
    UnknownStore {
        /// The store's name.
        store: String,
        /// Who wants it.
        wanted_by: String,
    },
    /// A store is connected to a node that was never added.
    UnknownProcessor {
        /// The node's name.
        processor: String,
        /// The stores.
        stores: Vec<String>,
    },
    /// A node is connected to an empty list of stores.
    NoStores {
        /// The node.
        node: String,
    },
    /// A store is connected to a source or sink.
    StoreOnWrongNode {
        /// The node.
        node: String,
        /// The store.
        store: String,
    },
    /// A global store is connected to a processor, which can read it anyway.
    GlobalStoreConnected {
        /// The store.
        store: String,
        /// The processor.
        processor: String,
    },
    /// A store other than its own is connected to the processor of a global store.
    StoreOnGlobalProcessor {
        /// The store.
        store: String,
        /// The processor.
        processor: String,
    },
    /// The source and the processor of a global or read-only store have one name.
    SameSourceAndProcessor {
        /// The name.
        node: String,
        /// The store.
        store: String,
    },
    /// A store is to be restored from two source topics.
    TwoSourceTopics {
        /// The store.
        store: String,
        /// The topics.
        topics: Vec<String>,
    },
    /// A store is to be restored from a topic that no source reads.
    RestoreTopicNotRead {
        /// The store.
        store: String,
        /// The topic.
        topic: String,
    },
    /// A node that is to be co-partitioned is unknown or no source.
    CopartitionOfNonSource {
        /// The node.
        node: String,
    },
    /// Repartition topics that must have equal partition counts were declared with different ones.
    DifferentPartitionCounts {
        /// The topics with their counts.
        topics: Vec<(String, i32)>,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSource => f.write_str("there is no source"),
            Self::EmptyNodeName => f.write_str("a node has an empty name"),
            Self::DuplicateNode { node } => write!(f, "node {node} is added twice"),
            Self::NoParents { node } => write!(f, "node {node} has no parents"),
            Self::UnknownParent { node, parent } => {
                write!(f, "parent {parent} of node {node} is unknown")
            }
            Self::UnknownChild { node, parent } => {
                write!(f, "node {node}, which is to be a child of {parent}, is unknown")
            }
            Self::ForeignHandle { given_to } => {
                write!(f, "a handle given to {given_to} belongs to another topology")
            }
            Self::SelfReference { node } => write!(f, "node {node} is its own parent"),
            Self::SourceWithParent { source, parent } => {
                write!(f, "source {source} cannot have a parent, but has {parent}")
            }
            Self::SinkAsParent { sink, node } => {
                write!(f, "sink {sink} cannot be the parent of node {node}")
            }
            Self::GlobalAsParent { global, node } => {
                write!(f, "node {global} of a global store cannot be the parent of node {node}")
            }
            Self::Cycle { nodes } => {
                write!(f, "nodes {} are parents of each other in a circle", nodes.join(", "))
            }
            Self::NoTopics { source } => write!(f, "source {source} reads no topic"),
            Self::TopicTwice { topic, first, second } => {
                write!(f, "topic {topic} is read by source {first} and by source {second}")
            }
            Self::TopicMatchesPattern { topic, source, pattern, earlier } => write!(
                f,
                "topic {topic} of source {source} matches the pattern {pattern} of source {earlier}"
            ),
            Self::PatternMatchesTopic { pattern, source, topic, earlier } => write!(
                f,
                "pattern {pattern} of source {source} matches the topic {topic} of source {earlier}"
            ),
            Self::IllegalName { what, name, why } => {
                write!(f, "{what} name `{name}` is illegal: {why}")
            }
            Self::TwoPartitionCounts { topic, counts: (first, second) } => write!(
                f,
                "repartition topic {topic} is declared with {first} and with {second} partitions"
            ),
            Self::NoPartitions { topic, count } => write!(
                f,
                "repartition topic {topic} is declared with {count} partitions; it needs at least 1"
            ),
            Self::NeverRead { topic } => {
                write!(f, "repartition topic {topic} is written but never read")
            }
            Self::NeverWritten { topic } => write!(
                f,
                "repartition topic {topic} is read but never written, and declares no partitions"
            ),
            Self::DuplicateStore { store } => write!(f, "store {store} is added twice"),
            Self::UnusedStore { store } => write!(f, "no processor is connected to store {store}"),
            Self::UnknownStore { store, wanted_by } => {
                write!(f, "store {store}, wanted by {wanted_by}, is unknown")
            }
            Self::UnknownProcessor { processor, stores } => write!(
                f,
                "processor {processor}, which is to use {}, is unknown",
                stores.join(", ")
            ),
            Self::NoStores { node } => write!(f, "node {node} is connected to no store"),
            Self::StoreOnWrongNode { node, store } => {
                write!(f, "store {store} cannot be connected to {node}: only processors use stores")
            }
            Self::GlobalStoreConnected { store, processor } => write!(
                f,
                "global store {store} is open to processor {processor} without being connected"
            ),
            Self::StoreOnGlobalProcessor { store, processor } => write!(
                f,
                "store {store} cannot be connected to processor {processor} of a global store"
            ),
            Self::SameSourceAndProcessor { node, store } => write!(
                f,
                "source and processor of store {store} must have different names, not both {node}"
            ),
            Self::TwoSourceTopics { store, topics } => {
                write!(f, "store {store} cannot be restored from all of {}", topics.join(", "))
            }
            Self::RestoreTopicNotRead { store, topic } => {
                write!(f, "topic {topic}, to restore store {store} from, is read by no source")
            }
            Self::CopartitionOfNonSource { node } => {
                write!(f, "node {node} cannot be co-partitioned: only sources can")
            }
            Self::DifferentPartitionCounts { topics } => {
                let counts: Vec<_> = topics.iter().map(|(t, n)| format!("{t}={n}")).collect();
                write!(
                    f,
                    "co-partitioned topics do not have the same number of partitions: {}",
                    counts.join(", ")
                )
            }
        }
    }
}

/// All that is wrong with a topology, at once.
///
/// It becomes a [`kstreams_core::Error`] of kind `Topology` by `?`.
///
/// ```
/// use kstreams_core::error::{Error, ErrorKind};
/// use kstreams_topology::{Fault, Topology};
///
/// let errors = Topology::builder().build().unwrap_err();
/// assert_eq!(errors.faults(), [Fault::NoSource]);
/// assert_eq!(Error::from(errors).kind(), ErrorKind::Topology);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyErrors(Vec<Fault>);

impl TopologyErrors {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        Self(faults)
    }

    /// The faults, rule by rule; at least one.
    pub fn faults(&self) -> &[Fault] {
        &self.0
    }
}

impl fmt::Display for TopologyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] => write!(f, "the topology has a fault: {only}"),
            faults => {
                write!(f, "the topology has {} faults:", faults.len())?;
                faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

impl StdError for TopologyErrors {}

impl From<TopologyErrors> for Error {
    fn from(errors: TopologyErrors) -> Self {
        Self::new(ErrorKind::Topology, errors.to_string()).with_source(errors)
    }
}
