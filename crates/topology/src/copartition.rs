//! Groups of sources whose topics belong together partition by partition.
//!
//! `validate` checks what was declared, `layout` what the broker has; the streams protocol sends
//! them.

use std::collections::HashMap;
use std::sync::Arc;

use petgraph::unionfind::UnionFind;

use crate::draft::Draft;
use crate::handle::NodeRef;
use crate::java_order::{hash_order, hash_order_of_sets};
use crate::topics::{Topic, TopicPattern, Topics};

/// Topics that must have equal partition counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopartitionGroup {
    pub(crate) topics: Vec<Topic>,
    pub(crate) patterns: Vec<TopicPattern>,
}

impl CopartitionGroup {
    /// The topics, in the order in which their sources were declared to belong together; of one
    /// declaration in that of a hash set of the sources' names, as in Kafka Streams.
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// The patterns, whose topics belong to it too.
    pub fn patterns(&self) -> &[TopicPattern] {
        &self.patterns
    }
}

/// The groups of a draft. Declared ones that share a source become one.
pub(crate) fn groups(draft: &Draft, names: &HashMap<&str, usize>) -> Vec<CopartitionGroup> {
    groups_of(draft, names, |_| true)
}

/// The groups of those sources that `wanted` takes, as far as any of them is left.
pub(crate) fn groups_of(
    draft: &Draft,
    names: &HashMap<&str, usize>,
    wanted: impl Fn(usize) -> bool,
) -> Vec<CopartitionGroup> {
    let mut together = UnionFind::new(draft.nodes.len());
    let find = |group: &Vec<NodeRef>| -> Vec<usize> {
        group.iter().filter_map(|node| draft.find(names, node)).collect()
    };
    let declared: Vec<Vec<usize>> = draft.copartitions.iter().map(find).collect();
    for group in &declared {
        group.iter().for_each(|node| _ = together.union(group[0], *node));
    }
    let mut groups: Vec<CopartitionGroup> = Vec::new();
    let mut of_root: HashMap<usize, usize> = HashMap::new();
    let mut is_taken = vec![false; draft.nodes.len()];
    for nodes in declared {
        let names: Vec<&str> = nodes.iter().map(|node| &*draft.nodes[*node].name).collect();
        for node in hash_order(&names).into_iter().map(|index| nodes[index]) {
            let is_new = !std::mem::replace(&mut is_taken[node], true);
            let topics = draft.nodes[node].topics().filter(|_| is_new && wanted(node));
            let Some(topics) = topics else { continue };
            let group = *of_root.entry(together.find(node)).or_insert(groups.len());
            if group == groups.len() {
                groups.push(CopartitionGroup::default());
            }
            match topics {
                Topics::Named(names) => {
                    groups[group].topics.extend(names.iter().map(|name| draft.topic(name)));
                }
                Topics::Matching(pattern) => groups[group].patterns.push(pattern.clone()),
            }
        }
    }
    groups
}

/// The full names of each group's topics, groups and names in the order in which Kafka Streams sends
/// them (`InternalTopologyBuilder.copartitionGroups`): that of its hash sets. Brokers take another
/// order for another topology.
pub(crate) fn in_javas_order(groups: &[CopartitionGroup], application: &str) -> Vec<Vec<Arc<str>>> {
    let sorted = |group: &CopartitionGroup| -> Vec<Arc<str>> {
        let names: Vec<Arc<str>> =
            group.topics.iter().map(|topic| topic.full_name(application)).collect();
        let order = hash_order(&names.iter().map(|name| &**name).collect::<Vec<_>>());
        order.into_iter().map(|index| Arc::clone(&names[index])).collect()
    };
    let sets: Vec<Vec<Arc<str>>> = groups.iter().map(sorted).collect();
    let texts: Vec<Vec<&str>> =
        sets.iter().map(|set| set.iter().map(|name| &**name).collect()).collect();
    let n = texts.iter().map(Vec::len).sum();
    hash_order_of_sets(&texts, n).into_iter().map(|index| sets[index].clone()).collect()
}
