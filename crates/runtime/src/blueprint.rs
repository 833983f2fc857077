//! What the topology says about one task, laid over the topics there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::flow::{FlowInput, FlowPlan};
use kstreams_core::record::TopicPartition;
use kstreams_core::source::OffsetReset;
use kstreams_core::task::TaskId;
use kstreams_topology::{Changelog, Layout, StoreSpec, Topic, Topology};

/// The plans of all sub-topologies and the inputs of all tasks; made once at the start.
#[derive(Debug)]
pub(crate) struct Blueprints {
    pub(crate) layout: Layout,
    plans: Vec<Arc<FlowPlan>>,
    repartition_topics: BTreeSet<Arc<str>>,
}

impl Blueprints {
    pub(crate) fn new(topology: &Topology, layout: Layout) -> Self {
        let plan =
            |sub: &kstreams_topology::SubTopology| Arc::new(sub.flow_plan(layout.application_id()));
        let plans = topology.subtopologies().iter().map(plan).collect();
        let internal = topology.subtopologies().iter().flat_map(|sub| sub.repartition_sources());
        let name = |(topic, _): &(Topic, Option<i32>)| topic.full_name(layout.application_id());
        let repartition_topics = internal.map(name).collect();
        Self { layout, plans, repartition_topics }
    }

    pub(crate) fn is_repartition_topic(&self, topic: &str) -> bool {
        self.repartition_topics.contains(topic)
    }
}

/// One task's part of it.
#[derive(Debug)]
pub(crate) struct Blueprint {
    pub(crate) plan: Arc<FlowPlan>,
    pub(crate) inputs: Vec<FlowInput>,
    /// Per input: the rule of its source.
    resets: Vec<Option<OffsetReset>>,
}

impl Blueprint {
    /// # Errors
    /// If the group assigned a task that this topology does not have.
    pub(crate) fn of(topology: &Topology, prints: &Blueprints, task: TaskId) -> Result<Self> {
        let sub = topology.subtopology(task.subtopology);
        let plan = prints.plans.get(task.subtopology as usize);
        let inputs = prints.layout.inputs(task);
        let (Some(sub), Some(plan), false) = (sub, plan, inputs.is_empty()) else {
            return Err(Error::new(
                ErrorKind::Topology,
                "the group assigned a task that this topology does not have; do all members run \
                 the same topology, and have partitions been added to a source topic?",
            )
            .at_task(task));
        };
        let reset_of = |input: &FlowInput| {
            let mut sources = sub.sources().iter();
            sources.find(|source| source.node() == input.node)?.offset_reset()
        };
        let resets = inputs.iter().map(reset_of).collect();
        Ok(Self { plan: Arc::clone(plan), inputs, resets })
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = TopicPartition> {
        self.inputs.iter().map(FlowInput::topic_partition)
    }

    pub(crate) fn reset(&self, input: usize, default: OffsetReset) -> OffsetReset {
        self.resets.get(input).copied().flatten().unwrap_or(default)
    }
}

/// The partition that a store of a task is restored from, and whether it is a source topic.
pub(crate) fn changelog_of(
    store: &StoreSpec,
    application_id: &str,
    task: TaskId,
) -> Option<(TopicPartition, bool)> {
    let topic = store.changelog_topic(application_id)?;
    let is_source = matches!(store.changelog(), Changelog::Source(_));
    Some((TopicPartition::new(topic, task.partition), is_source))
}
