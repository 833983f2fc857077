//! The order in which operators are written into the topology: that of Kafka Streams, which decides
//! the ids of sub-topologies.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{NodeId, Plan};

impl Plan {
    /// All operators, parents before their children; of those that could be next, the one that was
    /// planned first (`InternalStreamsBuilder.buildAndOptimizeTopology`).
    pub(super) fn order(&self) -> Vec<NodeId> {
        let mut n_missing: Vec<usize> = self.nodes.iter().map(|node| node.parents.len()).collect();
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            node.parents.iter().for_each(|parent| children[parent.0].push(index));
        }
        let turn = |index: usize| Reverse((self.nodes[index].turn, index));
        let roots = (0..self.nodes.len()).filter(|index| n_missing[*index] == 0);
        let mut ready: BinaryHeap<_> = roots.map(turn).collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(Reverse((_, index))) = ready.pop() {
            order.push(NodeId(index));
            for child in &children[index] {
                n_missing[*child] -= 1;
                if n_missing[*child] == 0 {
                    ready.push(turn(*child));
                }
            }
        }
        order
    }

    /// Gives an operator the turn that the next one would have.
    pub(crate) fn plan_again(&mut self, id: NodeId) {
        self.nodes[id.0].turn = self.next_turn();
    }

    pub(super) fn next_turn(&mut self) -> usize {
        self.n_turns += 1;
        self.n_turns
    }
}
