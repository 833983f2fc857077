//! The rules of a topology, one function each; all of them run, so all faults come at once.
//!
//! [`TopologyBuilder::build`](crate::TopologyBuilder::build) calls [`check`].
//!
//! Two rules of Kafka Streams have nothing to check here. A processor that no source leads to has
//! no parents, an unknown parent or a circle above it, and that is reported. Different reset
//! policies on one topic need two sources of one topic, which is a fault already.

mod nodes;
mod stores;
mod topics;

use std::collections::HashMap;

use crate::draft::Draft;
use crate::fault::Fault;
use crate::handle::{NodeRef, Target};

/// All faults of a draft.
pub(crate) fn check(draft: &Draft) -> Vec<Fault> {
    let check = Check { draft, names: draft.names() };
    let mut faults = Vec::new();
    for rule in RULES {
        rule(&check, &mut faults);
    }
    faults
}

type Rule = fn(&Check<'_>, &mut Vec<Fault>);

const RULES: &[Rule] = &[
    nodes::sources_exist,
    nodes::names_are_unique,
    nodes::parents_exist,
    nodes::edges_have_a_child,
    nodes::sources_have_no_parents,
    nodes::sinks_have_no_children,
    nodes::global_nodes_have_no_children,
    nodes::no_cycles,
    topics::sources_read_topics,
    topics::topics_have_one_source,
    topics::names_are_legal,
    topics::partition_counts_are_possible,
    topics::internal_topics_are_read_and_written,
    topics::only_sources_are_copartitioned,
    topics::declared_counts_of_copartitions_agree,
    stores::names_are_unique_and_legal,
    stores::connections_name_stores,
    stores::connections_name_processors,
    stores::stores_are_used,
    stores::global_stores_stand_alone,
    stores::source_and_processor_differ,
    stores::restored_from_one_source,
];

/// What every rule sees.
struct Check<'a> {
    draft: &'a Draft,
    names: HashMap<&'a str, usize>,
}

impl Check<'_> {
    fn find(&self, node: &NodeRef) -> Option<usize> {
        self.draft.find(&self.names, node)
    }

    /// What to call a node in a sentence; `None` for a handle of another builder.
    fn name<'b>(&'b self, node: &'b NodeRef) -> Option<&'b str> {
        match (&node.0, self.find(node)) {
            (Target::Name(name), _) => Some(name),
            (Target::Handle { .. }, Some(index)) => Some(&self.draft.nodes[index].name),
            (Target::Handle { .. }, None) => None,
        }
    }
}
