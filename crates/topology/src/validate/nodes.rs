//! Rules about nodes and edges.
//!
//! Called through the list in `mod.rs`.

use std::collections::HashSet;

use super::Check;
use crate::fault::Fault;
use crate::graph;

pub(super) fn sources_exist(check: &Check<'_>, faults: &mut Vec<Fault>) {
    if !check.draft.nodes.iter().any(|node| node.is_source()) {
        faults.push(Fault::NoSource);
    }
}

pub(super) fn names_are_unique(check: &Check<'_>, faults: &mut Vec<Fault>) {
    let (mut seen, mut told) = (HashSet::new(), HashSet::new());
    for node in &check.draft.nodes {
        if node.name.is_empty() {
            faults.push(Fault::EmptyNodeName);
        } else if !seen.insert(&node.name) && told.insert(&node.name) && !is_pair(check, node) {
            faults.push(Fault::DuplicateNode { node: node.name.to_string() });
        }
    }
}

/// The source and processor of one global store with one name: a fault of its own.
fn is_pair(check: &Check<'_>, node: &crate::draft::Node) -> bool {
    let mut same = check.draft.nodes.iter().filter(|other| other.name == node.name);
    same.clone().count() == 2 && same.all(|node| node.is_global())
}

pub(super) fn parents_exist(check: &Check<'_>, faults: &mut Vec<Fault>) {
    for (index, node) in check.draft.nodes.iter().enumerate() {
        if node.parents.is_empty() && !node.is_source() {
            faults.push(Fault::NoParents { node: node.name.to_string() });
        }
        for parent in &node.parents {
            match (check.find(parent), check.name(parent)) {
                (Some(found), _) if found == index => {
                    faults.push(Fault::SelfReference { node: node.name.to_string() });
                }
                (Some(_), _) => {}
                (None, Some(parent)) => faults.push(Fault::UnknownParent {
                    node: node.name.to_string(),
                    parent: parent.to_owned(),
                }),
                (None, None) => {
                    faults.push(Fault::ForeignHandle { given_to: format!("node {}", node.name) });
                }
            }
        }
    }
}

pub(super) fn edges_have_a_child(check: &Check<'_>, faults: &mut Vec<Fault>) {
    for (parent, child) in &check.draft.lost_edges {
        let (node, parent) = (child.to_string(), parent.to_string());
        faults.push(Fault::UnknownChild { node, parent });
    }
}

pub(super) fn sources_have_no_parents(check: &Check<'_>, faults: &mut Vec<Fault>) {
    for node in check.draft.nodes.iter().filter(|node| node.is_source()) {
        for parent in node.parents.iter().filter_map(|parent| check.name(parent)) {
            let (source, parent) = (node.name.to_string(), parent.to_owned());
            faults.push(Fault::SourceWithParent { source, parent });
        }
    }
}

pub(super) fn sinks_have_no_children(check: &Check<'_>, faults: &mut Vec<Fault>) {
    for node in &check.draft.nodes {
        for parent in node.parents.iter().filter_map(|parent| check.find(parent)) {
            let parent = &check.draft.nodes[parent];
            if parent.is_sink() {
                let (sink, node) = (parent.name.to_string(), node.name.to_string());
                faults.push(Fault::SinkAsParent { sink, node });
            }
        }
    }
}

pub(super) fn global_nodes_have_no_children(check: &Check<'_>, faults: &mut Vec<Fault>) {
    for node in check.draft.nodes.iter().filter(|node| !node.is_global()) {
        for parent in node.parents.iter().filter_map(|parent| check.find(parent)) {
            let parent = &check.draft.nodes[parent];
            if parent.is_global() {
                let (global, node) = (parent.name.to_string(), node.name.to_string());
                faults.push(Fault::GlobalAsParent { global, node });
            }
        }
    }
}

pub(super) fn no_cycles(check: &Check<'_>, faults: &mut Vec<Fault>) {
    let graph = graph::edges(check.draft, &check.names);
    for circle in graph::circles(&graph) {
        let nodes = circle.into_iter().map(|node| check.draft.nodes[node].name.to_string());
        faults.push(Fault::Cycle { nodes: nodes.collect() });
    }
}
