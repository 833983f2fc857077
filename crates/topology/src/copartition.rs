//! Groups of sources whose topics belong together partition by partition.
//!
//! `validate` checks what was declared, `layout` what the broker has; the streams protocol sends
//! them.

use std::collections::HashMap;

use petgraph::unionfind::UnionFind;

use crate::draft::Draft;
use crate::topics::{Topic, TopicPattern, Topics};

/// Topics that must have equal partition counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopartitionGroup {
    pub(crate) topics: Vec<Topic>,
    pub(crate) patterns: Vec<TopicPattern>,
}

impl CopartitionGroup {
    /// The topics, in the order their sources were added.
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
    let mut members = vec![false; draft.nodes.len()];
    for group in &draft.copartitions {
        let found: Vec<usize> = group.iter().filter_map(|node| draft.find(names, node)).collect();
        for node in &found {
            members[*node] = true;
            together.union(found[0], *node);
        }
    }
    let mut groups: Vec<CopartitionGroup> = Vec::new();
    let mut of_root: HashMap<usize, usize> = HashMap::new();
    for (index, node) in draft.nodes.iter().enumerate() {
        let Some(topics) = node.topics().filter(|_| members[index] && wanted(index)) else {
            continue;
        };
        let group = *of_root.entry(together.find(index)).or_insert(groups.len());
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
    groups
}
