//! What `topology.optimization` does to a plan: repartition topics that become one, and self-joins
//! that need one store (`InternalStreamsBuilder.optimizeTopology`).

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Kind, NodeId, Plan, PlanNode};

impl Plan {
    /// Repartitions a stream whose key was changed once, right behind the change, for all that
    /// stand behind it (`merge.repartition.topics`).
    pub(super) fn merge_repartitions(&mut self) {
        for (origin, repartitions) in self.mergeable() {
            // Where each path to a repartitioning begins; found before any of them is moved.
            let begins: Vec<NodeId> = repartitions.iter().map(|id| self.path(*id).1).collect();
            let Some(merged) = self.merged(origin, repartitions[0]) else { continue };
            for begin in begins {
                self.node(begin).parents = vec![merged];
            }
            for old in repartitions {
                let above = std::mem::take(&mut self.node(old).parents);
                self.node(old).write = None;
                let parents = self.nodes.iter_mut().flat_map(|node| &mut node.parents);
                parents.filter(|parent| **parent == old).for_each(|parent| *parent = above[0]);
                let sources = self.copartitions.iter_mut().flatten();
                sources.filter(|source| **source == old).for_each(|source| *source = merged);
            }
        }
    }

    /// Leaves one store to each join of a stream with itself (`single.store.self.join`, KIP-862):
    /// the nodes that keep the records of either side have one parent.
    pub(super) fn merge_self_joins(&mut self, meant: impl Fn(NodeId) -> NodeId) {
        for index in 0..self.nodes.len() {
            let (Kind::StreamJoin, [left, right]) =
                (&self.nodes[index].kind, &self.nodes[index].parents[..])
            else {
                continue;
            };
            let (left, right) = (*left, *right);
            let of = |id: NodeId| self.nodes[id.0].parents.iter().map(|parent| meant(*parent));
            if of(left).eq(of(right)) {
                let right = self.node(right);
                (right.write, right.parents) = (None, Vec::new());
                self.nodes[index].parents = vec![left];
            }
        }
    }

    /// What changes a key, or merges streams whose keys have changed, with the repartitionings that
    /// can be one behind it.
    fn mergeable(&self) -> BTreeMap<NodeId, Vec<NodeId>> {
        let mut of_change: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        for id in (0..self.nodes.len()).map(NodeId) {
            if let (Kind::Repartition(_), Some(change)) = (self.kind(id), self.key_change(id)) {
                of_change.entry(change).or_default().push(id);
            }
        }
        let mut all: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        for (change, repartitions) in of_change {
            for id in &repartitions {
                let (origin, _) = self.path(*id);
                let is_whole = match self.kind(origin) {
                    Kind::Merge => repartitions.iter().all(|id| self.is_below(*id, origin)),
                    _ => origin == change,
                };
                if is_whole {
                    all.entry(origin).or_default().push(*id);
                }
            }
        }
        all
    }

    /// What a repartitioning stands behind, with nothing between that changes a record or merges
    /// streams; and the first operator of that path, which can be the repartitioning itself.
    fn path(&self, repartition: NodeId) -> (NodeId, NodeId) {
        let mut begin = repartition;
        loop {
            match self.nodes[begin.0].parents[..] {
                [parent] if matches!(self.kind(parent), Kind::Same) => begin = parent,
                [parent] => return (parent, begin),
                _ => return (begin, begin),
            }
        }
    }

    /// The operator that changed the key, if no value was changed after it.
    fn key_change(&self, id: NodeId) -> Option<NodeId> {
        let changes_key = |id: NodeId| matches!(self.kind(id), Kind::ChangesKey);
        let changes = |id: NodeId| changes_key(id) || matches!(self.kind(id), Kind::ChangesValue);
        let last = self.find_up(id, &changes)?;
        (self.find_up(id, &changes_key)? == last).then_some(last)
    }

    fn is_below(&self, id: NodeId, above: NodeId) -> bool {
        self.find_up(id, &|id| self.nodes[id.0].parents.contains(&above)).is_some()
    }

    /// The operator that Kafka Streams finds upstream: of several parents with one, that of the
    /// last (`findParentNodeMatching`).
    fn find_up(&self, from: NodeId, is_it: &impl Fn(NodeId) -> bool) -> Option<NodeId> {
        if is_it(from) {
            return Some(from);
        }
        let parents = &self.nodes[from.0].parents;
        match parents.iter().find(|parent| is_it(**parent)) {
            Some(parent) => Some(*parent),
            None => parents.last().and_then(|parent| self.find_up(*parent, is_it)),
        }
    }

    /// One repartitioning behind `origin`, through the topic of the first.
    fn merged(&mut self, origin: NodeId, first: NodeId) -> Option<NodeId> {
        let Kind::Repartition(names) = &self.node(first).kind else { return None };
        let names = Rc::clone(names);
        let source = names.name_by_topic();
        let write = self.node(first).write.take();
        let turn = self.nodes[origin.0].turn;
        self.nodes.push(PlanNode {
            name: source,
            parents: vec![origin],
            kind: Kind::Repartition(names),
            keeps_null_keys: false,
            grace: None,
            numbered_if_unnamed: false,
            turn,
            write,
        });
        Some(NodeId(self.nodes.len() - 1))
    }

    fn kind(&self, id: NodeId) -> &Kind {
        &self.nodes[id.0].kind
    }
}
