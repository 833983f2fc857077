//! The nodes as a petgraph: circles, topological order, sub-topologies.
//!
//! `validate` looks for circles; `topology` takes order and groups of a draft without faults.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use petgraph::Direction;
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::unionfind::UnionFind;

use crate::draft::Draft;

/// A graph whose node `i` is node `i` of the draft, with an edge from parent to child.
pub(crate) type Graph = DiGraph<(), ()>;

/// The edges between nodes that exist.
pub(crate) fn edges(draft: &Draft, names: &HashMap<&str, usize>) -> Graph {
    let mut graph = Graph::with_capacity(draft.nodes.len(), draft.nodes.len());
    for _ in &draft.nodes {
        graph.add_node(());
    }
    for (child, node) in draft.nodes.iter().enumerate() {
        for parent in node.parents.iter().filter_map(|parent| draft.find(names, parent)) {
            graph.add_edge(NodeIndex::new(parent), NodeIndex::new(child), ());
        }
    }
    graph
}

/// The circles of more than one node; each in the order its nodes were added.
pub(crate) fn circles(graph: &Graph) -> Vec<Vec<usize>> {
    let components = tarjan_scc(graph).into_iter().filter(|component| component.len() > 1);
    let mut circles: Vec<Vec<usize>> =
        components.map(|component| component.into_iter().map(NodeIndex::index).collect()).collect();
    circles.iter_mut().for_each(|circle| circle.sort_unstable());
    circles.sort_unstable();
    circles
}

/// A topological order that keeps the order of adding wherever edges allow it; petgraph's own
/// `toposort` does not, and records are forwarded to children in the order of adding.
pub(crate) fn order(graph: &Graph) -> Vec<usize> {
    let parents = |node| graph.neighbors_directed(node, Direction::Incoming).count();
    let mut waiting: Vec<usize> = graph.node_indices().map(parents).collect();
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..waiting.len()).filter(|node| waiting[*node] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(Reverse(node)) = ready.pop() {
        order.push(node);
        for child in graph.neighbors(NodeIndex::new(node)) {
            let child = child.index();
            waiting[child] -= 1;
            if waiting[child] == 0 {
                ready.push(Reverse(child));
            }
        }
    }
    order
}

/// The children of a node, in the order they were added; one that names the node as its parent
/// twice comes twice, as in Java.
pub(crate) fn children(graph: &Graph, node: usize) -> Vec<usize> {
    let mut children: Vec<usize> =
        graph.neighbors(NodeIndex::new(node)).map(NodeIndex::index).collect();
    children.sort_unstable();
    children
}

/// The sub-topology of each node. Nodes belong together if an edge or a store connects them; ids
/// follow the first node of each, as Java's `InternalTopologyBuilder.makeNodeGroups` gives them.
pub(crate) fn subtopologies(graph: &Graph, users_of_stores: &[Vec<usize>]) -> Vec<u32> {
    let mut groups = UnionFind::new(graph.node_count());
    for edge in graph.edge_indices() {
        if let Some((parent, child)) = graph.edge_endpoints(edge) {
            groups.union(parent.index(), child.index());
        }
    }
    for users in users_of_stores {
        for pair in users.windows(2) {
            groups.union(pair[0], pair[1]);
        }
    }
    let mut ids: HashMap<usize, u32> = HashMap::new();
    (0..graph.node_count())
        .map(|node| {
            let next = ids.len() as u32;
            *ids.entry(groups.find(node)).or_insert(next)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(n_nodes: usize, edges: &[(u32, u32)]) -> Graph {
        let mut graph = Graph::new();
        (0..n_nodes).for_each(|_| _ = graph.add_node(()));
        graph.extend_with_edges(edges);
        graph
    }

    #[test]
    fn order_keeps_the_order_of_adding_where_it_can() {
        for (edges, expected) in [
            (&[][..], [0, 1, 2, 3]),
            (&[(0, 1), (1, 2), (2, 3)], [0, 1, 2, 3]),
            (&[(3, 0)], [1, 2, 3, 0]),
            (&[(2, 1), (0, 3)], [0, 2, 1, 3]),
        ] {
            assert_eq!(order(&graph(4, edges)), expected, "{edges:?}");
        }
    }

    #[test]
    fn circles_are_found_apart() {
        let graph = graph(6, &[(1, 0), (0, 1), (2, 3), (3, 4), (4, 2), (4, 5)]);
        assert_eq!(circles(&graph), [vec![0, 1], vec![2, 3, 4]]);
    }

    #[test]
    fn subtopologies_are_numbered_by_their_first_node() {
        let graph = graph(6, &[(0, 2), (1, 3)]);
        assert_eq!(subtopologies(&graph, &[]), [0, 1, 0, 1, 2, 3]);
        assert_eq!(subtopologies(&graph, &[vec![2, 3], vec![5, 4]]), [0, 0, 0, 0, 1, 1]);
    }
}
