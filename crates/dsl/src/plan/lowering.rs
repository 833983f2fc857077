//! From plan to topology: operators write their nodes in the order they were planned.
//!
//! Called by `StreamsBuilder::build`. The order decides the ids of sub-topologies, as in Kafka
//! Streams, so it is part of the contract with state that exists.

use std::collections::HashMap;
use std::sync::Arc;

use kstreams_core::flow::{NodeFactory, Stage};
use kstreams_core::processor::{Data, Processor};
use kstreams_topology::{ErasedStoreBuilder, Topics, Topology, TopologyBuilder};

use super::{BuildErrors, DslFault, Kind, NodeId, Plan};
use crate::cache;

/// The topology in the making.
pub(crate) struct Lowering<'a> {
    pub(crate) topology: &'a mut TopologyBuilder,
    pub(crate) reuse_source_topics: bool,
    /// What is found only now.
    pub(crate) faults: &'a mut Vec<DslFault>,
    /// How much each table's cache may hold, where tables are cached.
    cache_bytes: Option<usize>,
    /// The stores so far: what defined them, and what came of it.
    stores: &'a mut Made,
    names: Vec<Arc<str>>,
}

type Made = HashMap<Arc<str>, (Arc<dyn ErasedStoreBuilder>, Arc<dyn ErasedStoreBuilder>)>;

/// Where an operator stands.
#[derive(Debug)]
pub(crate) struct Site {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// The nodes its records come from.
    pub(crate) parents: Vec<Arc<str>>,
    /// True if records without a key must pass: a join further down keeps them.
    pub(crate) keeps_null_keys: bool,
}

/// A store that an operator brings along.
#[derive(Clone)]
pub(crate) struct StoreDef {
    pub(crate) name: Arc<str>,
    pub(crate) builder: Arc<dyn ErasedStoreBuilder>,
    /// There if it can have a cache.
    pub(crate) cached: Option<CachedDef>,
}

/// How a store gets a cache.
#[derive(Clone)]
pub(crate) struct CachedDef {
    /// What the store's user said, if anything.
    pub(crate) is_wanted: Option<bool>,
    /// Makes the store with a cache of so many bytes.
    pub(crate) make: Arc<dyn Fn(usize) -> Arc<dyn ErasedStoreBuilder> + Send + Sync>,
}

impl Lowering<'_> {
    /// The final name of an operator.
    pub(crate) fn name(&self, id: NodeId) -> Arc<str> {
        Arc::clone(&self.names[id.0])
    }

    /// Adds a processor and connects it to stores.
    pub(crate) fn processor<P, KIn, VIn, KOut, VOut>(
        &mut self,
        name: &str,
        parents: &[Arc<str>],
        stores: &[Arc<str>],
        supplier: impl Fn() -> P + Send + Sync + 'static,
    ) where
        P: Processor<KIn, VIn, KOut, VOut>,
        KIn: 'static,
        VIn: 'static,
        KOut: Data,
        VOut: Data,
    {
        self.topology.by_name().processor(name, parents, NodeFactory::processor(supplier));
        self.connect(name, stores);
    }

    /// Adds a node without state.
    pub(crate) fn stage<S, KIn, VIn, KOut, VOut>(
        &mut self,
        at: &Site,
        supplier: impl Fn() -> S + Send + Sync + 'static,
    ) where
        S: Stage<KIn, VIn, KOut, VOut>,
        KIn: 'static,
        VIn: 'static,
        KOut: Data,
        VOut: Data,
    {
        self.topology.by_name().processor(&at.name, &at.parents, NodeFactory::stage(supplier));
    }

    pub(crate) fn connect(&mut self, name: &str, stores: &[Arc<str>]) {
        if !stores.is_empty() {
            self.topology.connect(name, stores);
        }
    }

    /// Adds a store; the same definition twice is one store.
    pub(crate) fn store(&mut self, store: &StoreDef) {
        let cached = store.cached.as_ref().and_then(|cached| {
            let bytes = match cached.is_wanted {
                Some(false) => None,
                Some(true) => Some(self.cache_bytes.unwrap_or(cache::DEFAULT_BYTES)),
                None => self.cache_bytes,
            };
            bytes.map(|bytes| (cached.make)(bytes))
        });
        let made = cached.unwrap_or_else(|| Arc::clone(&store.builder));
        let builder = self
            .stores
            .entry(Arc::clone(&store.name))
            .or_insert((Arc::clone(&store.builder), made));
        // Another store of the same name is told as a fault.
        let builder = match Arc::ptr_eq(&builder.0, &store.builder) {
            true => Arc::clone(&builder.1),
            false => Arc::clone(&store.builder),
        };
        self.topology.by_name().store(builder);
    }
}

impl Plan {
    /// Writes everything into a topology.
    pub(crate) fn lower(&mut self) -> Result<Topology, BuildErrors> {
        self.check_naming();
        let same = self.merge_sources();
        if self.merge_repartition_topics {
            self.merge_repartitions();
        }
        if self.single_store_self_joins {
            self.merge_self_joins(|id| same.get(&id).copied().unwrap_or(id));
        }
        let order = self.order();
        let relaxed = self.relaxed(&order);
        let (reuse_source_topics, cache_bytes) = (self.reuse_source_topics, self.cache_bytes);
        let mut stores = Made::new();
        let mut faults = std::mem::take(&mut self.faults);
        let mut topology = Topology::builder();
        let meant = |id: &NodeId| same.get(id).copied().unwrap_or(*id);
        for NodeId(index) in order {
            if same.contains_key(&NodeId(index)) {
                continue;
            }
            let Some(write) = self.nodes[index].write.take() else { continue };
            let node = &self.nodes[index];
            let site = Site {
                name: Arc::clone(&node.name),
                parents: node.parents.iter().map(|parent| self.name(meant(parent))).collect(),
                keeps_null_keys: relaxed[index],
            };
            let names = self.nodes.iter().map(|node| Arc::clone(&node.name)).collect();
            let topology = &mut topology;
            let faults = &mut faults;
            let stores = &mut stores;
            let mut to =
                Lowering { topology, reuse_source_topics, faults, cache_bytes, stores, names };
            write(&mut to, &site);
        }
        for group in &self.copartitions {
            let sources = group.iter().map(|id| self.source_name(meant(id)));
            let mut sources: Vec<Arc<str>> = sources.collect();
            sources.dedup();
            topology.copartition(&sources);
        }
        match topology.build() {
            Ok(topology) if faults.is_empty() => Ok(topology),
            Ok(_) => Err(BuildErrors::new(faults, None)),
            Err(errors) => Err(BuildErrors::new(faults, Some(errors))),
        }
    }

    /// Streams of the same topics are read once: which source stands for which.
    fn merge_sources(&mut self) -> HashMap<NodeId, NodeId> {
        let mut same = HashMap::new();
        let mut faults = Vec::new();
        let mut kept: Vec<NodeId> = Vec::new();
        for id in (0..self.nodes.len()).map(NodeId) {
            let Kind::Source(source) = &self.nodes[id.0].kind else { continue };
            let other = kept.iter().find_map(|kept| match &self.nodes[kept.0].kind {
                Kind::Source(other) if overlap(&other.topics, &source.topics).is_some() => {
                    Some((*kept, other))
                }
                _ => None,
            });
            let Some((main, other)) = other else {
                kept.push(id);
                continue;
            };
            let nodes = (self.name(main).to_string(), self.name(id).to_string());
            if let Some(Some(topic)) = overlap(&other.topics, &source.topics) {
                faults.push(DslFault::OverlappingTopics { topic: topic.to_string(), nodes });
                kept.push(id);
                continue;
            }
            if other.reset != source.reset {
                faults.push(DslFault::DifferentOffsetResets { nodes: nodes.clone() });
            }
            if other.types != source.types {
                faults.push(DslFault::DifferentTypes { nodes });
            }
            same.insert(id, main);
        }
        self.faults.extend(faults);
        same
    }

    /// Which operators have a join below that keeps records without a key.
    fn relaxed(&self, order: &[NodeId]) -> Vec<bool> {
        let mut relaxed = vec![false; self.nodes.len()];
        for id in order.iter().rev() {
            let node = &self.nodes[id.0];
            if node.keeps_null_keys || relaxed[id.0] {
                node.parents.iter().for_each(|parent| relaxed[parent.0] = true);
            }
        }
        relaxed
    }
}

/// `None` if nothing is read by both; else a topic that one reads while they read different sets.
#[allow(clippy::option_option, reason = "none in common, the same, or something between")]
fn overlap<'a>(one: &'a Topics, two: &Topics) -> Option<Option<&'a Arc<str>>> {
    match (one, two) {
        (Topics::Named(one), Topics::Named(two)) => {
            let common = one.iter().find(|topic| two.contains(topic))?;
            let all = one.len() == two.len() && one.iter().all(|topic| two.contains(topic));
            Some(if all { None } else { Some(common) })
        }
        (Topics::Matching(one), Topics::Matching(two)) => (one == two).then_some(None),
        _ => None,
    }
}
