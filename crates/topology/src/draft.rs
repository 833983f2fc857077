//! What a builder has collected, right or wrong.
//!
//! The builder fills it, `validate` checks it, `graph` and `topology` turn it into a topology.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use kstreams_core::flow::NodeFactory;
use kstreams_core::source::OffsetReset;

use crate::handle::{NodeRef, Target};
use crate::spec::TimeRule;
use crate::store::ErasedStoreBuilder;
use crate::topics::{Topic, Topics};

#[derive(Debug)]
pub(crate) struct Draft {
    /// Tells handles of this builder from those of another.
    pub(crate) builder: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) stores: Vec<Store>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) internal_topics: Vec<InternalDraft>,
    pub(crate) copartitions: Vec<Vec<NodeRef>>,
    /// Parent and child of edges to nodes that were not there.
    pub(crate) lost_edges: Vec<(Arc<str>, Arc<str>)>,
    /// Stores said to be restored from a topic.
    pub(crate) restores: Vec<(Arc<str>, Arc<str>)>,
    pub(crate) time_rule: TimeRule,
    pub(crate) offset_reset: Option<OffsetReset>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: Arc<str>,
    pub(crate) parents: Vec<NodeRef>,
    pub(crate) kind: NodeKind,
}

pub(crate) enum NodeKind {
    Source {
        topics: Topics,
        offset_reset: Option<OffsetReset>,
        make: Box<dyn Fn(TimeRule) -> NodeFactory + Send + Sync>,
        is_global: bool,
    },
    Processor {
        factory: NodeFactory,
        is_global: bool,
    },
    Sink {
        to: SinkTo,
        make: SinkMaker,
    },
}

/// Makes a sink once the full name of its topic is known.
pub(crate) type SinkMaker = Arc<dyn Fn(&Arc<str>) -> NodeFactory + Send + Sync>;

#[derive(Clone, Debug)]
pub(crate) enum SinkTo {
    Topic(Arc<str>),
    /// With what `describe` prints.
    PerRecord(Arc<str>),
}

#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) name: Arc<str>,
    pub(crate) builder: Arc<dyn ErasedStoreBuilder>,
    pub(crate) is_global: bool,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) node: NodeRef,
    pub(crate) stores: Vec<Arc<str>>,
    /// Made by the builder itself, between a global store and its processor.
    pub(crate) of_global: bool,
}

#[derive(Debug)]
pub(crate) struct InternalDraft {
    pub(crate) name: Arc<str>,
    pub(crate) partitions: Option<i32>,
}

impl Draft {
    pub(crate) fn new(builder: u64) -> Self {
        Self {
            builder,
            nodes: Vec::new(),
            stores: Vec::new(),
            connections: Vec::new(),
            internal_topics: Vec::new(),
            copartitions: Vec::new(),
            lost_edges: Vec::new(),
            restores: Vec::new(),
            time_rule: TimeRule::default(),
            offset_reset: None,
        }
    }

    /// Adds a node; its index.
    pub(crate) fn node(&mut self, name: &str, parents: Vec<NodeRef>, kind: NodeKind) -> usize {
        self.nodes.push(Node { name: name.into(), parents, kind });
        self.nodes.len() - 1
    }

    pub(crate) fn store(&mut self, builder: Arc<dyn ErasedStoreBuilder>, is_global: bool) {
        // The same object twice is one store, as in Java.
        if !self.stores.iter().any(|store| Arc::ptr_eq(&store.builder, &builder)) {
            let name = builder.store_name().into();
            self.stores.push(Store { name, builder, is_global });
        }
    }

    pub(crate) fn connect(&mut self, node: NodeRef, stores: Vec<Arc<str>>, of_global: bool) {
        self.connections.push(Connection { node, stores, of_global });
    }

    /// The source topic `topic` doubles as the changelog of `store`.
    pub(crate) fn restore_from(&mut self, store: &Arc<str>, topic: Arc<str>) {
        self.restores.push((Arc::clone(store), topic));
    }

    /// The first node of each name.
    pub(crate) fn names(&self) -> HashMap<&str, usize> {
        let mut names = HashMap::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.iter().enumerate() {
            names.entry(&*node.name).or_insert(index);
        }
        names
    }

    /// The node meant, if there is one.
    pub(crate) fn find(&self, names: &HashMap<&str, usize>, node: &NodeRef) -> Option<usize> {
        match &node.0 {
            Target::Handle { builder, node } => {
                (*builder == self.builder && *node < self.nodes.len()).then_some(*node)
            }
            Target::Name(name) => names.get(&**name).copied(),
        }
    }

    pub(crate) fn store_named(&self, name: &str) -> Option<usize> {
        self.stores.iter().position(|store| &*store.name == name)
    }

    pub(crate) fn is_internal(&self, topic: &str) -> bool {
        self.internal_topics.iter().any(|internal| &*internal.name == topic)
    }

    pub(crate) fn topic(&self, name: &Arc<str>) -> Topic {
        Topic { name: Arc::clone(name), internal: self.is_internal(name) }
    }

    /// The partition count that was asked for an internal topic.
    pub(crate) fn partitions_of(&self, topic: &str) -> Option<i32> {
        let mut declared = self.internal_topics.iter().filter(|internal| &*internal.name == topic);
        declared.find_map(|internal| internal.partitions)
    }
}

impl Node {
    pub(crate) fn is_source(&self) -> bool {
        matches!(self.kind, NodeKind::Source { .. })
    }

    pub(crate) fn is_sink(&self) -> bool {
        matches!(self.kind, NodeKind::Sink { .. })
    }

    pub(crate) fn is_global(&self) -> bool {
        match self.kind {
            NodeKind::Source { is_global, .. } | NodeKind::Processor { is_global, .. } => is_global,
            NodeKind::Sink { .. } => false,
        }
    }

    /// The topics a source reads.
    pub(crate) fn topics(&self) -> Option<&Topics> {
        match &self.kind {
            NodeKind::Source { topics, .. } => Some(topics),
            _ => None,
        }
    }

    /// The one topic a sink writes.
    pub(crate) fn sink_topic(&self) -> Option<&Arc<str>> {
        match &self.kind {
            NodeKind::Sink { to: SinkTo::Topic(topic), .. } => Some(topic),
            _ => None,
        }
    }
}

impl fmt::Debug for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source { topics, .. } => f.debug_tuple("Source").field(topics).finish(),
            Self::Processor { .. } => f.write_str("Processor"),
            Self::Sink { to, .. } => f.debug_tuple("Sink").field(to).finish(),
        }
    }
}
