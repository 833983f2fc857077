//! The plan behind a `StreamsBuilder`: operators in the order they were written, until `build`
//! turns them into a topology.

mod fault;
mod lowering;
mod names;
mod optimize;
mod order;
mod repartition;

use std::any::TypeId;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub use fault::{BuildErrors, DslFault};
pub use names::Naming;

use kstreams_core::source::OffsetReset;
use kstreams_topology::Topics;

use crate::table::Flag;

pub(crate) use lowering::{CachedDef, Lowering, Site, StoreDef};
pub(crate) use names::check_name;
pub(crate) use repartition::{Repartition, RepartitionNames};

/// The plan, shared by the builder and all streams and tables made from it.
pub(crate) type SharedPlan = Rc<RefCell<Plan>>;

/// An operator of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) usize);

/// What is planned so far.
pub(crate) struct Plan {
    pub(crate) nodes: Vec<PlanNode>,
    pub(crate) faults: Vec<DslFault>,
    pub(crate) copartitions: Vec<Vec<NodeId>>,
    pub(crate) naming: Naming,
    /// Resources whose names were generated.
    pub(crate) unnamed: Vec<(String, Option<Flag>)>,
    pub(crate) reuse_source_topics: bool,
    pub(crate) merge_repartition_topics: bool,
    pub(crate) single_store_self_joins: bool,
    pub(crate) cache_bytes: Option<usize>,
    pub(crate) next_index: u64,
    n_turns: usize,
}

/// One operator; it may become several nodes of the topology.
pub(crate) struct PlanNode {
    /// The node its children are attached to.
    pub(crate) name: Arc<str>,
    pub(crate) parents: Vec<NodeId>,
    pub(crate) kind: Kind,
    /// A left or outer join that keeps records without a key: no repartitioning above it may drop
    /// them (KIP-962).
    pub(crate) keeps_null_keys: bool,
    /// How late the windows that it aggregates take records.
    pub(crate) grace: Option<Duration>,
    /// True if it takes no number where its user names it.
    pub(crate) numbered_if_unnamed: bool,
    /// Of operators that could be written next, the one with the lowest is.
    turn: usize,
    pub(crate) write: Option<Write>,
}

/// Writes an operator into the topology.
pub(crate) type Write = Box<dyn FnOnce(&mut Lowering<'_>, &Site)>;

pub(crate) enum Kind {
    /// A stream read from topics; two of the same topics become one.
    Source(StreamSource),
    /// Whatever reads a topic under another node's name.
    Reader {
        source: Arc<str>,
    },
    /// Passes records on as they are, or not.
    Same,
    ChangesValue,
    ChangesKey,
    /// A processor of the user's: it may change all.
    Processor,
    /// Of several streams.
    Merge,
    /// A repartitioning that an operator needs.
    Repartition(Rc<RepartitionNames>),
    /// Of two streams, behind the nodes that keep their records.
    StreamJoin,
    Other,
}

pub(crate) struct StreamSource {
    pub(crate) topics: Topics,
    pub(crate) reset: Option<OffsetReset>,
    pub(crate) types: TypeId,
}

impl Plan {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            faults: Vec::new(),
            copartitions: Vec::new(),
            naming: Naming::Warn,
            unnamed: Vec::new(),
            reuse_source_topics: false,
            merge_repartition_topics: false,
            single_store_self_joins: false,
            cache_bytes: None,
            next_index: 0,
            n_turns: 0,
        }
    }

    /// Adds an operator that becomes nodes through `write`.
    pub(crate) fn add(
        &mut self,
        name: Arc<str>,
        parents: &[NodeId],
        write: impl FnOnce(&mut Lowering<'_>, &Site) + 'static,
    ) -> NodeId {
        let turn = self.next_turn();
        self.nodes.push(PlanNode {
            name,
            parents: parents.to_vec(),
            kind: Kind::Other,
            keeps_null_keys: false,
            grace: None,
            numbered_if_unnamed: false,
            turn,
            write: Some(Box::new(write)),
        });
        NodeId(self.nodes.len() - 1)
    }

    pub(crate) fn node(&mut self, id: NodeId) -> &mut PlanNode {
        &mut self.nodes[id.0]
    }

    /// The name of the topology's node that reads topics for this operator.
    pub(crate) fn source_name(&self, id: NodeId) -> Arc<str> {
        match &self.nodes[id.0].kind {
            Kind::Reader { source } => Arc::clone(source),
            _ => Arc::clone(&self.nodes[id.0].name),
        }
    }

    pub(crate) fn name(&self, id: NodeId) -> Arc<str> {
        Arc::clone(&self.nodes[id.0].name)
    }

    /// The grace period of the windows that an operator's records lie in, if all they come from
    /// are windows; of several, the longest.
    pub(crate) fn window_grace(&self, id: NodeId) -> Option<Duration> {
        let mut graces: Vec<Option<Duration>> = Vec::with_capacity(id.0 + 1);
        for node in &self.nodes[..=id.0] {
            let of_parents = node.parents.iter().map(|parent| graces[parent.0]);
            let longest =
                of_parents.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
            graces.push(node.grace.or(longest));
        }
        graces[id.0]
    }

    /// Gives an operator the name that its user wants.
    pub(crate) fn rename(&mut self, id: NodeId, name: &str) {
        self.check_name(name);
        let node = self.node(id);
        let numbered = std::mem::take(&mut node.numbered_if_unnamed);
        let old = std::mem::replace(&mut node.name, name.into());
        // Later operators have taken theirs otherwise, and names must not change under them.
        let last = self.next_index.saturating_sub(1);
        if numbered && old.ends_with(&format!("-{last:010}")) {
            self.next_index = last;
        }
    }

    pub(crate) fn check_name(&mut self, name: &str) {
        if let Some(why) = check_name(name) {
            self.faults.push(DslFault::IllegalName { name: name.to_owned(), why });
        }
    }

    /// Notes that two streams or tables are joined: their sources belong together.
    pub(crate) fn copartition(&mut self, sources: Vec<NodeId>) {
        self.copartitions.push(sources);
    }

    pub(crate) fn fault(&mut self, fault: DslFault) {
        self.faults.push(fault);
    }
}

/// The sources two streams have together.
pub(crate) fn union(left: &[NodeId], right: &[NodeId]) -> Rc<[NodeId]> {
    let mut all = [left, right].concat();
    all.sort_unstable();
    all.dedup();
    all.into()
}
