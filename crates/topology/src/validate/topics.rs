//! Rules about topics: who reads them, their names, their partition counts.
//!
//! Called through the list in `mod.rs`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::Check;
use crate::copartition;
use crate::fault::Fault;
use crate::topics::{TopicPattern, Topics, illegal_name};

pub(super) fn sources_read_topics(check: &Check<'_>, faults: &mut Vec<Fault>) {
    for node in &check.draft.nodes {
        if matches!(node.topics(), Some(Topics::Named(topics)) if topics.is_empty()) {
            faults.push(Fault::NoTopics { source: node.name.to_string() });
        }
    }
}

pub(super) fn topics_have_one_source(check: &Check<'_>, faults: &mut Vec<Fault>) {
    let mut named: Vec<(&Arc<str>, &Arc<str>)> = Vec::new();
    let mut patterns: Vec<(&TopicPattern, &Arc<str>)> = Vec::new();
    for node in &check.draft.nodes {
        match node.topics() {
            Some(Topics::Named(topics)) => {
                for topic in topics {
                    if let Some((_, first)) = named.iter().find(|(other, _)| *other == topic) {
                        faults.push(Fault::TopicTwice {
                            topic: topic.to_string(),
                            first: first.to_string(),
                            second: node.name.to_string(),
                        });
                    }
                    for (pattern, earlier) in patterns.iter().filter(|(p, _)| p.matches(topic)) {
                        faults.push(Fault::TopicMatchesPattern {
                            topic: topic.to_string(),
                            source: node.name.to_string(),
                            pattern: pattern.to_string(),
                            earlier: earlier.to_string(),
                        });
                    }
                    named.push((topic, &node.name));
                }
            }
            Some(Topics::Matching(pattern)) => {
                for (topic, earlier) in named.iter().filter(|(topic, _)| pattern.matches(topic)) {
                    faults.push(Fault::PatternMatchesTopic {
                        pattern: pattern.to_string(),
                        source: node.name.to_string(),
                        topic: topic.to_string(),
                        earlier: earlier.to_string(),
                    });
                }
                patterns.push((pattern, &node.name));
            }
            None => {}
        }
    }
}

pub(super) fn names_are_legal(check: &Check<'_>, faults: &mut Vec<Fault>) {
    let mut names = BTreeMap::new();
    for internal in &check.draft.internal_topics {
        names.insert(&internal.name, "repartition topic");
    }
    for node in &check.draft.nodes {
        if let Some(Topics::Named(topics)) = node.topics() {
            topics.iter().for_each(|topic| _ = names.entry(topic).or_insert("topic"));
        }
        if let Some(topic) = node.sink_topic() {
            names.entry(topic).or_insert("topic");
        }
    }
    for (name, what) in names {
        if let Some(why) = illegal_name(name) {
            faults.push(Fault::IllegalName { what, name: name.to_string(), why });
        }
    }
}

pub(super) fn partition_counts_are_possible(check: &Check<'_>, faults: &mut Vec<Fault>) {
    let mut declared: BTreeMap<&Arc<str>, i32> = BTreeMap::new();
    for internal in &check.draft.internal_topics {
        let Some(count) = internal.partitions else { continue };
        if count < 1 {
            faults.push(Fault::NoPartitions { topic: internal.name.to_string(), count });
        }
        let first = *declared.entry(&internal.name).or_insert(count);
        if first != count {
            let topic = internal.name.to_string();
            faults.push(Fault::TwoPartitionCounts { topic, counts: (first, count) });
        }
    }
}

pub(super) fn internal_topics_are_read_and_written(check: &Check<'_>, faults: &mut Vec<Fault>) {
    let draft = check.draft;
    let mut read: HashSet<&str> = HashSet::new();
    for node in &draft.nodes {
        if let Some(Topics::Named(topics)) = node.topics() {
            read.extend(topics.iter().map(|topic| &**topic));
        }
    }
    let written: HashSet<&str> =
        draft.nodes.iter().filter_map(|node| node.sink_topic()).map(|topic| &**topic).collect();
    let mut seen = HashSet::new();
    for internal in &draft.internal_topics {
        let (name, topic) = (&*internal.name, internal.name.to_string());
        if !seen.insert(name) {
            continue;
        }
        match (read.contains(name), written.contains(name)) {
            (false, true) => faults.push(Fault::NeverRead { topic }),
            // With a count of its own another program may write it.
            (true, false) if draft.partitions_of(name).is_none() => {
                faults.push(Fault::NeverWritten { topic });
            }
            _ => {}
        }
    }
}

pub(super) fn only_sources_are_copartitioned(check: &Check<'_>, faults: &mut Vec<Fault>) {
    for node in check.draft.copartitions.iter().flatten() {
        match (check.find(node), check.name(node)) {
            (Some(found), _) if check.draft.nodes[found].is_source() => {}
            (_, Some(name)) => {
                faults.push(Fault::CopartitionOfNonSource { node: name.to_owned() });
            }
            (_, None) => faults.push(Fault::ForeignHandle { given_to: "copartition".to_owned() }),
        }
    }
}

pub(super) fn declared_counts_of_copartitions_agree(check: &Check<'_>, faults: &mut Vec<Fault>) {
    for group in copartition::groups(check.draft, &check.names) {
        let declared = group
            .topics
            .iter()
            .map(|topic| Some((topic.name.to_string(), check.draft.partitions_of(&topic.name)?)));
        // With one topic whose count is open, the layout decides.
        let Some(topics) = declared.collect::<Option<Vec<_>>>() else { continue };
        if group.patterns.is_empty() && topics.iter().any(|(_, count)| *count != topics[0].1) {
            faults.push(Fault::DifferentPartitionCounts { topics });
        }
    }
}
