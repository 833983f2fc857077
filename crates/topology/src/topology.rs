//! A topology without faults: what runs and what is printed.
//!
//! Made by [`TopologyBuilder::build`]; the runtime, the test driver and people read it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::builder::TopologyBuilder;
use crate::copartition::{self, CopartitionGroup};
use crate::draft::{Draft, NodeKind, SinkTo};
use crate::graph::{self, Graph};
use crate::store::{Changelog, StoreSpec};
use crate::subtopology::{Make, PlannedPart, SourceTopics, SubTopology, TopologySource};
use crate::topics::{Topic, Topics};

/// A checked topology; nothing of it changes any more.
#[derive(Debug)]
pub struct Topology {
    pub(crate) nodes: Vec<DescribedNode>,
    /// Indices of nodes, parents before children.
    pub(crate) order: Vec<usize>,
    subtopologies: Vec<SubTopology>,
    copartition_groups: Vec<CopartitionGroup>,
}

/// A node as it is described; in the order of adding.
#[derive(Debug)]
pub(crate) struct DescribedNode {
    pub(crate) name: Arc<str>,
    pub(crate) subtopology: u32,
    /// Parents in the order given, twice if given twice.
    pub(crate) parents: Vec<usize>,
    pub(crate) kind: DescribedKind,
}

#[derive(Debug)]
pub(crate) enum DescribedKind {
    Source(Topics),
    /// With the names of its stores, in the order of connecting.
    Processor(Vec<Arc<str>>),
    Sink(SinkTo),
}

impl Topology {
    /// Starts a topology.
    pub fn builder() -> TopologyBuilder {
        TopologyBuilder::new()
    }

    /// The sub-topologies; the one with id `n` is at index `n`.
    pub fn subtopologies(&self) -> &[SubTopology] {
        &self.subtopologies
    }

    /// The sub-topology with this id.
    pub fn subtopology(&self, id: u32) -> Option<&SubTopology> {
        self.subtopologies.get(id as usize)
    }

    /// The global stores, in the order of their sub-topologies.
    pub fn global_stores(&self) -> impl Iterator<Item = &StoreSpec> {
        self.subtopologies.iter().filter(|sub| sub.is_global).flat_map(|sub| &sub.stores)
    }

    /// All groups of topics that must have equal partition counts.
    pub fn copartition_groups(&self) -> &[CopartitionGroup] {
        &self.copartition_groups
    }

    /// The full names of the topics of each group, in the order in which Kafka Streams sends them to
    /// a group of the streams protocol: brokers take another order for another topology
    /// (`InternalTopologyBuilder.copartitionGroups`).
    pub fn copartitioned_names(&self, application_id: &str) -> Vec<Vec<Arc<str>>> {
        copartition::in_javas_order(&self.copartition_groups, application_id)
    }

    /// From a draft without faults.
    pub(crate) fn new(draft: Draft) -> Self {
        let names = draft.names();
        let graph = graph::edges(&draft, &names);
        let stores_of = stores_by_node(&draft, &names);
        let users = users_by_store(&draft, &stores_of);
        let subtopology_of = graph::subtopologies(&graph, &users);
        let parts = Parts { draft: &draft, names: &names, graph: &graph, stores_of: &stores_of };
        let order = graph::order(&graph);
        let n_subtopologies = subtopology_of.iter().max().map_or(0, |last| last + 1);
        let subtopologies = (0..n_subtopologies).map(|id| {
            let mut order = order.clone();
            order.retain(|node| subtopology_of[*node] == id);
            parts.subtopology(id, &order, &users)
        });
        let subtopologies = subtopologies.collect();
        let copartition_groups = copartition::groups(&draft, &names);
        let nodes = (0..draft.nodes.len()).map(|node| parts.described(node, subtopology_of[node]));
        Self { nodes: nodes.collect(), order, subtopologies, copartition_groups }
    }
}

// Threads share it.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Topology>();
};

/// The draft and what was found out about it.
struct Parts<'a> {
    draft: &'a Draft,
    names: &'a HashMap<&'a str, usize>,
    graph: &'a Graph,
    stores_of: &'a [Vec<usize>],
}

impl Parts<'_> {
    fn subtopology(&self, id: u32, order: &[usize], users: &[Vec<usize>]) -> SubTopology {
        let draft = self.draft;
        let is_global = order.iter().any(|node| draft.nodes[*node].is_global());
        let stores: Vec<usize> = (0..draft.stores.len())
            .filter(|store| users[*store].iter().any(|user| order.contains(user)))
            .collect();
        let sources = self.sources(order);
        let mut sink_topics: Vec<Topic> = Vec::new();
        for topic in order.iter().filter_map(|node| draft.nodes[*node].sink_topic()) {
            if !sink_topics.iter().any(|known| known.name == *topic) {
                sink_topics.push(draft.topic(topic));
            }
        }
        let mut subtopology = SubTopology {
            id,
            is_global,
            nodes: order.iter().map(|node| self.planned(*node, order, &stores)).collect(),
            sources,
            repartition_sources: Vec::new(),
            sink_topics,
            stores: stores.iter().map(|store| self.store(*store)).collect(),
            copartition_groups: copartition::groups_of(draft, self.names, |n| order.contains(&n)),
        };
        let internal = subtopology.source_topics().filter(|topic| topic.internal);
        subtopology.repartition_sources =
            internal.map(|topic| (topic.clone(), draft.partitions_of(&topic.name))).collect();
        subtopology
    }

    fn planned(&self, node: usize, order: &[usize], stores: &[usize]) -> PlannedPart {
        let place = |of: &usize, list: &[usize]| list.iter().position(|other| other == of);
        let draft = self.draft;
        let children = graph::children(self.graph, node);
        let mut own: Vec<usize> =
            self.stores_of[node].iter().filter_map(|store| place(store, stores)).collect();
        let of = &draft.nodes[node];
        let make = match &of.kind {
            NodeKind::Source { make, .. } => Make::Ready(make(draft.time_rule)),
            NodeKind::Processor { factory, is_global } => {
                let n_global = draft.stores.iter().filter(|store| store.is_global).count();
                if !is_global {
                    own.extend(stores.len()..stores.len() + n_global);
                }
                Make::Ready(factory.clone())
            }
            NodeKind::Sink { to: SinkTo::Topic(topic), make } => {
                Make::Sink(Arc::clone(make), draft.topic(topic))
            }
            NodeKind::Sink { to: SinkTo::PerRecord(_), make } => Make::Ready(make(&"".into())),
        };
        PlannedPart {
            name: Arc::clone(&of.name),
            make,
            children: children.iter().filter_map(|child| place(child, order)).collect(),
            stores: own,
        }
    }

    fn sources(&self, order: &[usize]) -> Vec<TopologySource> {
        let mut nodes: Vec<(usize, usize)> = order.iter().copied().enumerate().collect();
        nodes.sort_unstable_by_key(|(_, node)| *node);
        let sources = nodes.into_iter().filter_map(|(place, node)| {
            let node = &self.draft.nodes[node];
            let NodeKind::Source { topics, offset_reset, .. } = &node.kind else { return None };
            Some(TopologySource {
                name: Arc::clone(&node.name),
                node: place,
                topics: match topics {
                    Topics::Named(names) => SourceTopics::Named(
                        names.iter().map(|name| self.draft.topic(name)).collect(),
                    ),
                    Topics::Matching(pattern) => SourceTopics::Matching(pattern.clone()),
                },
                offset_reset: offset_reset.or(self.draft.offset_reset),
            })
        });
        sources.collect()
    }

    fn store(&self, store: usize) -> StoreSpec {
        let store = &self.draft.stores[store];
        let mut restores = self.draft.restores.iter();
        let source = restores.find(|(name, _)| *name == store.name).map(|(_, topic)| topic);
        let changelog = match (source, store.builder.changelog_config()) {
            (Some(topic), _) => Changelog::Source(self.draft.topic(topic)),
            (None, Some(config)) => Changelog::Own(config),
            (None, None) => Changelog::None,
        };
        StoreSpec { builder: Arc::clone(&store.builder), changelog }
    }

    fn described(&self, index: usize, subtopology: u32) -> DescribedNode {
        let node = &self.draft.nodes[index];
        let parents = node.parents.iter();
        DescribedNode {
            name: Arc::clone(&node.name),
            subtopology,
            parents: parents.filter_map(|parent| self.draft.find(self.names, parent)).collect(),
            kind: match &node.kind {
                NodeKind::Source { topics, .. } => DescribedKind::Source(topics.clone()),
                NodeKind::Processor { .. } => {
                    let stores = self.stores_of[index].iter();
                    let names = stores.map(|store| Arc::clone(&self.draft.stores[*store].name));
                    DescribedKind::Processor(names.collect())
                }
                NodeKind::Sink { to, .. } => DescribedKind::Sink(to.clone()),
            },
        }
    }
}

/// The stores of each node, each once, in the order of connecting.
fn stores_by_node(draft: &Draft, names: &HashMap<&str, usize>) -> Vec<Vec<usize>> {
    let mut stores_of = vec![Vec::new(); draft.nodes.len()];
    for connection in &draft.connections {
        let Some(node) = draft.find(names, &connection.node) else { continue };
        for store in connection.stores.iter().filter_map(|store| draft.store_named(store)) {
            if !stores_of[node].contains(&store) {
                stores_of[node].push(store);
            }
        }
    }
    stores_of
}

fn users_by_store(draft: &Draft, stores_of: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut users = vec![Vec::new(); draft.stores.len()];
    for (node, stores) in stores_of.iter().enumerate() {
        stores.iter().for_each(|store| users[*store].push(node));
    }
    users
}
