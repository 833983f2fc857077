//! A topology laid over the topics of a broker: partition counts, tasks, inputs.
//!
//! A pure function of both; the executor asks it what each task reads, the control plane which
//! topics to create.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::flow::FlowInput;
use kstreams_core::task::TaskId;

use crate::copartition::CopartitionGroup;
use crate::store::Changelog;
use crate::subtopology::{SourceTopics, SubTopology};
use crate::topics::Topic;
use crate::topology::Topology;

/// The topics there are, with their partition counts.
pub type TopicCounts = BTreeMap<Arc<str>, i32>;

/// What each task of an application reads; see [`Topology::layout`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    application_id: Arc<str>,
    /// Full names of source topics, external and internal.
    partitions: TopicCounts,
    subtopologies: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    is_global: bool,
    /// Topic and the index of its source in the plan.
    inputs: Vec<(Arc<str>, usize)>,
    n_tasks: i32,
}

impl Topology {
    /// Lays the topology over the topics of a broker, as Kafka Streams does: a repartition topic
    /// without a count gets that of the topics it is co-partitioned with, else the largest count
    /// among the source topics upstream; a sub-topology has as many tasks as its largest source
    /// topic has partitions.
    ///
    /// ```
    /// use kstreams_core::serde::Utf8;
    /// use kstreams_core::task::TaskId;
    /// use kstreams_topology::Topology;
    ///
    /// let mut topology = Topology::builder();
    /// topology.source("lines", ["a", "b"], (Utf8, Utf8));
    /// let topology = topology.build()?;
    ///
    /// let layout = topology.layout("my-app", &[("a".into(), 2), ("b".into(), 3)].into())?;
    /// assert_eq!(layout.n_tasks(0), 3);
    /// let last = layout.inputs(TaskId { subtopology: 0, partition: 2 });
    /// assert_eq!(last.len(), 1, "a has no partition 2");
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a source topic is missing, two patterns match one topic, co-partitioned topics differ, or
    /// the count of a repartition topic cannot be known.
    ///
    /// # Differs from Kafka Streams
    /// Counts do not depend on the order in which a hash table is walked: a repartition topic waits
    /// for the counts of all its upstream topics. A pattern never matches the application's own
    /// internal topics. Topics are checked for co-partitioning also where nothing is repartitioned.
    pub fn layout(&self, application_id: &str, topics: &TopicCounts) -> Result<Layout> {
        let laying = Laying { topology: self, application_id, topics };
        laying.refuse_missing()?;
        let matched = laying.match_patterns()?;
        let counts = laying.counts(&matched)?;
        let subtopologies = self.subtopologies().iter().map(|subtopology| {
            let inputs = laying.inputs(subtopology, &matched);
            let largest = inputs.iter().filter_map(|(topic, _)| counts.get(topic)).max();
            let is_global = subtopology.is_global;
            let n_tasks = if is_global { 0 } else { largest.copied().unwrap_or(0) };
            Part { is_global, inputs, n_tasks }
        });
        let subtopologies = subtopologies.collect();
        Ok(Layout { application_id: application_id.into(), partitions: counts, subtopologies })
    }
}

impl Layout {
    /// The application.
    pub fn application_id(&self) -> &Arc<str> {
        &self.application_id
    }

    /// The partition count of a source topic, by its full name.
    pub fn partitions(&self, topic: &str) -> Option<i32> {
        self.partitions.get(topic).copied()
    }

    /// All source topics by their full names, with their partition counts.
    pub fn source_topics(&self) -> &TopicCounts {
        &self.partitions
    }

    /// How many tasks a sub-topology has; none for a global one.
    pub fn n_tasks(&self, subtopology: u32) -> i32 {
        self.subtopologies.get(subtopology as usize).map_or(0, |part| part.n_tasks)
    }

    /// All tasks, in order.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> {
        self.subtopologies.iter().zip(0..).flat_map(|(part, subtopology)| {
            (0..part.n_tasks).map(move |partition| TaskId { subtopology, partition })
        })
    }

    /// What a task reads: its partition of every source topic that has it.
    pub fn inputs(&self, task: TaskId) -> Vec<FlowInput> {
        let part = self.subtopologies.get(task.subtopology as usize);
        let inputs = part.filter(|part| !part.is_global).map_or(&[][..], |part| &part.inputs);
        let inputs = inputs.iter().filter(|(topic, _)| {
            self.partitions(topic).is_some_and(|count| (0..count).contains(&task.partition))
        });
        inputs.map(|(topic, node)| input(topic, task.partition, *node)).collect()
    }

    /// What a global sub-topology reads: all partitions of its topic.
    pub fn global_inputs(&self, subtopology: u32) -> Vec<FlowInput> {
        let part = self.subtopologies.get(subtopology as usize).filter(|part| part.is_global);
        let inputs = part.map_or(&[][..], |part| &part.inputs).iter();
        let partitions = inputs.flat_map(|(topic, node)| {
            let count = self.partitions(topic).unwrap_or(0);
            (0..count).map(|partition| input(topic, partition, *node))
        });
        partitions.collect()
    }
}

fn input(topic: &Arc<str>, partition: i32, node: usize) -> FlowInput {
    FlowInput { topic: Arc::clone(topic), partition, node }
}

struct Laying<'a> {
    topology: &'a Topology,
    application_id: &'a str,
    topics: &'a TopicCounts,
}

/// The topics that each pattern matches, by the sub-topology and its source's index in the plan.
type Matched = HashMap<(u32, usize), Vec<Arc<str>>>;

impl Laying<'_> {
    fn refuse_missing(&self) -> Result {
        let missing: Vec<String> = self
            .topology
            .subtopologies()
            .iter()
            .filter_map(|subtopology| {
                let topics = subtopology.source_topics();
                let missing: Vec<&str> = topics
                    .filter(|topic| !topic.internal && !self.topics.contains_key(&topic.name))
                    .map(|topic| &**topic.name())
                    .collect();
                let id = subtopology.id;
                (!missing.is_empty()).then(|| format!("{} (sub-topology {id})", missing.join(", ")))
            })
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(topic_error(format!(
            "missing source topics: {}; create them, or let this user describe them",
            missing.join("; ")
        )))
    }

    fn match_patterns(&self) -> Result<Matched> {
        let own = self.own_topics();
        let mut matched = Matched::new();
        let mut taken: HashMap<&str, &str> = HashMap::new();
        for subtopology in self.topology.subtopologies() {
            for source in &subtopology.sources {
                let SourceTopics::Matching(pattern) = &source.topics else { continue };
                let topics: Vec<&Arc<str>> = self
                    .topics
                    .keys()
                    .filter(|topic| !own.contains(*topic) && !KAFKA_TOPICS.contains(&&***topic))
                    .filter(|topic| pattern.matches(topic))
                    .collect();
                for topic in &topics {
                    if let Some(other) = taken.insert(topic, pattern.as_str()) {
                        return Err(topic_error(format!(
                            "topic {topic} is matched by two patterns: {other} and {pattern}"
                        )));
                    }
                }
                let topics = topics.into_iter().map(Arc::clone).collect();
                matched.insert((subtopology.id, source.node), topics);
            }
        }
        Ok(matched)
    }

    /// Full names of the application's internal topics.
    fn own_topics(&self) -> BTreeSet<Arc<str>> {
        let mut own = BTreeSet::new();
        for subtopology in self.topology.subtopologies() {
            let sources = subtopology.source_topics().filter(|topic| topic.internal);
            own.extend(sources.map(|topic| topic.full_name(self.application_id)));
            for store in &subtopology.stores {
                if let Changelog::Own(_) = store.changelog {
                    own.insert(store.serde_topic(self.application_id));
                }
            }
        }
        own
    }

    fn inputs(&self, subtopology: &SubTopology, matched: &Matched) -> Vec<(Arc<str>, usize)> {
        let mut inputs = Vec::new();
        for source in &subtopology.sources {
            match &source.topics {
                SourceTopics::Named(topics) => inputs.extend(
                    topics.iter().map(|topic| (topic.full_name(self.application_id), source.node)),
                ),
                SourceTopics::Matching(_) => {
                    let topics = matched.get(&(subtopology.id, source.node)).into_iter().flatten();
                    inputs.extend(topics.map(|topic| (Arc::clone(topic), source.node)));
                }
            }
        }
        inputs
    }

    /// The counts of all source topics.
    fn counts(&self, matched: &Matched) -> Result<TopicCounts> {
        let mut counts = TopicCounts::new();
        let mut open: Vec<&Topic> = Vec::new();
        let mut declared: BTreeSet<Arc<str>> = BTreeSet::new();
        for subtopology in self.topology.subtopologies() {
            for (topic, _) in self.inputs(subtopology, matched) {
                if let Some(count) = self.topics.get(&topic) {
                    counts.insert(topic, *count);
                }
            }
        }
        for subtopology in self.topology.subtopologies() {
            for (topic, count) in &subtopology.repartition_sources {
                let name = topic.full_name(self.application_id);
                // What the broker has of an internal topic is checked when it is created.
                counts.remove(&name);
                match count {
                    Some(count) => {
                        counts.insert(Arc::clone(&name), *count);
                        declared.insert(name);
                    }
                    None => open.push(topic),
                }
            }
        }
        self.fill(open, &mut counts, matched)?;
        for group in self.topology.copartition_groups() {
            self.agree(group, &declared, &mut counts)?;
        }
        Ok(counts)
    }

    /// Gives every open repartition topic the largest count upstream, until none is open.
    fn fill(&self, mut open: Vec<&Topic>, counts: &mut TopicCounts, matched: &Matched) -> Result {
        while !open.is_empty() {
            let sure = self.known(&open, counts, matched, true);
            // Topics that feed themselves would wait for ever: the counts that are known decide.
            let known =
                if sure.is_empty() { self.known(&open, counts, matched, false) } else { sure };
            if known.is_empty() {
                let names: Vec<&str> = open.iter().map(|topic| &**topic.name()).collect();
                return Err(topic_error(format!(
                    "the partition counts of repartition topics {} cannot be known: no source \
                     topic leads to them; check that every pattern matches a topic",
                    names.join(", ")
                )));
            }
            open.retain(|topic| !known.contains_key(&topic.full_name(self.application_id)));
            counts.extend(known);
        }
        Ok(())
    }

    /// The counts of those open topics whose upstream counts are known, all or some.
    fn known(
        &self,
        open: &[&Topic],
        counts: &TopicCounts,
        matched: &Matched,
        all: bool,
    ) -> TopicCounts {
        let mut known = TopicCounts::new();
        for topic in open {
            let writers = self
                .topology
                .subtopologies()
                .iter()
                .filter(|subtopology| subtopology.sink_topics.contains(topic));
            let upstream: Vec<Option<i32>> = writers
                .flat_map(|subtopology| self.inputs(subtopology, matched))
                .map(|(topic, _)| counts.get(&topic).copied())
                .collect();
            if all && upstream.contains(&None) {
                continue;
            }
            if let Some(largest) = upstream.into_iter().flatten().max() {
                known.insert(topic.full_name(self.application_id), largest);
            }
        }
        known
    }

    /// Java's `CopartitionedTopicsEnforcer`: makes the open repartition topics of a group follow,
    /// and refuses what cannot agree.
    fn agree(
        &self,
        group: &CopartitionGroup,
        declared: &BTreeSet<Arc<str>>,
        counts: &mut TopicCounts,
    ) -> Result {
        let full = |topic: &Topic| topic.full_name(self.application_id);
        let count_all = |names: &[Arc<str>]| -> Vec<(Arc<str>, i32)> {
            let mut all: Vec<_> = names
                .iter()
                .map(|n| (Arc::clone(n), counts.get(n).copied().unwrap_or(0)))
                .collect();
            all.sort();
            all
        };
        let mut external: Vec<Arc<str>> =
            group.topics.iter().filter(|topic| !topic.internal).map(full).collect();
        let own = self.own_topics();
        for pattern in &group.patterns {
            let topics = counts.keys().filter(|topic| pattern.matches(topic));
            let topics = topics.filter(|topic| !own.contains(*topic));
            external.extend(topics.cloned());
        }
        let internal: Vec<Arc<str>> =
            group.topics.iter().filter(|topic| topic.internal).map(full).collect();
        let (fixed, open): (Vec<_>, Vec<_>) =
            internal.into_iter().partition(|topic| declared.contains(topic));

        let (external, fixed, guessed) =
            (count_all(&external), count_all(&fixed), count_all(&open));
        let differ = |topics: &[(Arc<str>, i32)]| topics.iter().any(|t| t.1 != topics[0].1);
        if differ(&external) {
            return Err(topic_error(format!("topics not co-partitioned: {}", list(&external))));
        }
        let wanted = match (external.first(), fixed.first()) {
            (Some((_, count)), _) => *count,
            (None, Some((_, count))) => *count,
            (None, None) => guessed.iter().map(|(_, count)| *count).max().unwrap_or(0),
        };
        if external.is_empty() && differ(&fixed) {
            return Err(topic_error(format!(
                "following topics do not have the same number of partitions: {}",
                list(&fixed)
            )));
        }
        if let Some((topic, count)) = fixed.iter().find(|(_, count)| *count != wanted) {
            return Err(topic_error(format!(
                "number of partitions [{count}] of repartition topic [{topic}] doesn't match \
                 number of partitions [{wanted}] of the source topic"
            )));
        }
        counts.extend(open.into_iter().map(|topic| (topic, wanted)));
        Ok(())
    }
}

fn list(topics: &[(Arc<str>, i32)]) -> String {
    let topics: Vec<String> = topics.iter().map(|(topic, n)| format!("{topic}={n}")).collect();
    topics.join(", ")
}

fn topic_error(message: String) -> Error {
    Error::new(ErrorKind::Topic, message)
}

/// Kafka's own topics, which no consumer's pattern matches (`exclude.internal.topics`).
const KAFKA_TOPICS: [&str; 3] =
    ["__consumer_offsets", "__transaction_state", "__share_group_state"];
