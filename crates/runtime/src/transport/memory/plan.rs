//! What a group must know of a topology: which topics make which tasks, and which topics it has to
//! make itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kstreams_core::error::Result;
use kstreams_core::record::TopicPartition;
use kstreams_core::task::TaskId;
use kstreams_topology::{Changelog, InternalTopicSettings, Layout, SubTopology, Topology};

use super::broker::Broker;
use super::group::GroupMode;
use crate::transport::NewTopic;

/// The topology of an application, as its members tell it to the group.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    topology: Arc<Topology>,
    application_id: Arc<str>,
    parts: Vec<Part>,
}

/// What the streams protocol says of a sub-topology: two groups of these are the same topology.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    topics: BTreeSet<Arc<str>>,
    patterns: BTreeSet<String>,
    changelogs: BTreeSet<Arc<str>>,
}

/// A plan laid over the topics there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Laid {
    layout: Layout,
    /// The tasks, and whether each has state that is worth a standby.
    pub(super) tasks: BTreeMap<TaskId, bool>,
}

impl Plan {
    pub(super) fn new(topology: &Arc<Topology>, application_id: &Arc<str>) -> Self {
        let part = |part: &SubTopology| Part {
            topics: part.source_topics().map(|topic| topic.full_name(application_id)).collect(),
            patterns: part.source_patterns().map(ToString::to_string).collect(),
            changelogs: part
                .stores()
                .iter()
                .filter_map(|store| store.changelog_topic(application_id))
                .collect(),
        };
        let parts = topology.subtopologies().iter().map(part).collect();
        Self { topology: Arc::clone(topology), application_id: Arc::clone(application_id), parts }
    }

    /// Lays it over the topics of a log; in the streams protocol the broker makes the internal
    /// ones.
    pub(super) fn lay(&self, broker: &Broker, mode: GroupMode) -> Result<Laid> {
        for topic in self.topology.subtopologies().iter().flat_map(SubTopology::source_topics) {
            if !topic.is_internal() && broker.auto_create.is_some() {
                broker.topic(topic.name())?;
            }
        }
        let topics = broker.topics.all();
        let counts = topics.iter().map(|topic| (Arc::clone(&topic.name), topic.n_partitions()));
        let layout = self.topology.layout(&self.application_id, &counts.collect())?;
        if mode == GroupMode::Streams {
            self.make_internal_topics(&layout, broker)?;
        }
        let has_state = |task: &TaskId| {
            self.topology.subtopology(task.subtopology).is_some_and(|part| {
                part.stores().iter().any(|store| !matches!(store.changelog(), Changelog::None))
            })
        };
        let tasks = layout.tasks().map(|task| (task, has_state(&task))).collect();
        Ok(Laid { layout, tasks })
    }

    fn make_internal_topics(&self, layout: &Layout, broker: &Broker) -> Result {
        let settings = InternalTopicSettings::default();
        for topic in self.topology.internal_topics(layout, &settings) {
            if let Some(existing) = broker.topics.get(&topic.name) {
                topic.check_existing(existing.n_partitions())?;
                continue;
            }
            broker.create_topics(&[NewTopic {
                name: topic.name.to_string(),
                n_partitions: topic.partitions,
                replication: None,
                configs: topic.configs,
            }])?;
        }
        Ok(())
    }

    /// Says in which sub-topologies two plans differ.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let n = self.parts.len().max(other.parts.len());
        let differs = |index: &usize| self.parts.get(*index) != other.parts.get(*index);
        let numbers: Vec<String> = (0..n).filter(differs).map(|index| index.to_string()).collect();
        (!numbers.is_empty()).then(|| format!("sub-topologies that differ: {}", numbers.join(", ")))
    }
}

impl Laid {
    /// What a task reads.
    pub(super) fn inputs(&self, task: TaskId) -> impl Iterator<Item = TopicPartition> {
        self.layout.inputs(task).into_iter().map(|input| input.topic_partition())
    }

    /// True if this task reads this partition.
    pub(super) fn reads(&self, task: TaskId, name: &TopicPartition) -> bool {
        task.partition == name.partition
            && self.layout.inputs(task).iter().any(|input| input.topic == name.topic)
    }
}
