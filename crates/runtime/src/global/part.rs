//! One global sub-topology: its stores, its processor, and the partitions it reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::flow::{Flow, FlowInput, TaskSetup};
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::store::{StateStore, StoreContext, TaskTimes};
use kstreams_core::task::TaskId;
use kstreams_core::time::Timestamp;

use crate::config::RestoreProgress;
use crate::shared::Shared;
use crate::transport::{Batch, Consumer, Fetched, Lane, OffsetSpec};

/// How many records one step takes from each partition.
const BATCH: usize = 10_000;

/// One global sub-topology.
pub(super) struct Part {
    task: TaskId,
    pub(super) flow: Flow,
    pub(super) stores: Vec<Arc<dyn StateStore>>,
    pub(super) inputs: Vec<Input>,
    pub(super) n_records: u64,
}

pub(super) struct Input {
    pub(super) partition: TopicPartition,
    lane: Lane,
    start: Offset,
    pub(super) position: Offset,
    partition_time: Timestamp,
}

impl Part {
    /// Opens its stores, empty, and its inputs.
    pub(super) fn open(shared: &Shared, consumer: &mut dyn Consumer, id: u32) -> Result<Self> {
        let task = TaskId { subtopology: id, partition: -1 };
        let sub = shared.topology.subtopology(id).ok_or_else(|| {
            Error::new(ErrorKind::Topology, "a global sub-topology vanished").at_task(task)
        })?;
        let application_id = &shared.config.application_id;
        let times = Arc::new(TaskTimes::new());
        let mut stores = Vec::new();
        for spec in sub.stores() {
            let store = spec.open(StoreContext {
                application_id: Arc::clone(application_id),
                task,
                dir: shared.directory.is_on_disk().then(|| shared.directory.global_dir()),
                changelog_topic: spec.serde_topic(application_id),
                changes: None,
                times: Arc::clone(&times),
                transactional: false,
            })?;
            store.wipe()?;
            stores.push(store);
        }
        let setup = TaskSetup {
            application_id: Arc::clone(application_id),
            task,
            state_dir: shared.directory.global_dir(),
            clock: Arc::clone(&shared.config.clock),
            times,
            handlers: Arc::clone(&shared.config.handlers),
            partition_counts: Arc::clone(&shared.counts) as _,
        };
        let inputs = shared.prints.layout.global_inputs(id);
        let partitions: Vec<_> = inputs.iter().map(FlowInput::topic_partition).collect();
        let timeout = shared.config.request_timeout;
        let asked: Vec<_> = partitions.iter().map(|p| (p.clone(), OffsetSpec::Earliest)).collect();
        let starts = shared.admin.offsets(&asked, timeout)?;
        let placed: Vec<_> = partitions.iter().cloned().zip(starts).collect();
        let lanes = consumer.assign(&placed)?;
        let plan = sub.flow_plan(application_id);
        let mut flow = Flow::new(&plan, inputs, stores.clone(), setup)?;
        flow.init()?;
        let inputs = placed.into_iter().zip(lanes).map(|((partition, position), lane)| Input {
            partition,
            lane,
            start: position,
            position,
            partition_time: Timestamp::NONE,
        });
        let part = Self { task, flow, stores, inputs: inputs.collect(), n_records: 0 };
        part.tell_probe(shared);
        Ok(part)
    }

    pub(super) fn name(&self) -> &str {
        self.stores.first().map_or("", |store| store.name())
    }

    /// How far it is from these ends, summed over the partitions.
    pub(super) fn progress(&self, ends: &BTreeMap<TopicPartition, Offset>) -> RestoreProgress {
        let sum = |of: &dyn Fn(&Input) -> Offset| self.inputs.iter().map(of).sum();
        let end = |input: &Input| ends.get(&input.partition).copied().unwrap_or(0);
        RestoreProgress {
            task: self.task,
            store: self.name().into(),
            start: sum(&|input| input.start.min(end(input))),
            position: sum(&|input| input.position.min(end(input))),
            end: sum(&end),
            elapsed: Duration::ZERO,
            n_records: self.n_records,
            is_suspended: false,
        }
    }

    /// Applies what has come; true if anything had.
    pub(super) fn turn(&mut self, consumer: &mut dyn Consumer) -> Result<bool> {
        let mut changed = false;
        for (index, input) in self.inputs.iter_mut().enumerate() {
            let fetched = consumer.fetch(input.lane, BATCH)?;
            changed |= fetched.records.is_some();
            self.n_records += fetched.records.as_ref().map_or(0, |batch| batch.len() as u64);
            input.apply(index, &fetched, &mut self.flow)?;
        }
        if changed {
            self.flow.outbox().clear();
            self.stores.iter().try_for_each(|store| store.commit(None))?;
        }
        Ok(changed)
    }

    pub(super) fn tell_probe(&self, shared: &Shared) {
        if let Some(probe) = &shared.config.probe {
            self.inputs.iter().for_each(|input| probe.knows(&input.partition, input.position));
        }
    }

    /// What was fetched and not applied is fetched again.
    pub(super) fn go_back(&mut self, consumer: &mut dyn Consumer) -> Result {
        self.flow.outbox().clear();
        self.inputs.iter().try_for_each(|input| consumer.seek(input.lane, input.position))
    }

    /// A topic has lost records that were not read yet, perhaps removals among them.
    pub(super) fn begin_again(&mut self, shared: &Shared, consumer: &mut dyn Consumer) -> Result {
        self.stores.iter().try_for_each(|store| store.wipe())?;
        let earliest = |input: &Input| (input.partition.clone(), OffsetSpec::Earliest);
        let asked: Vec<_> = self.inputs.iter().map(earliest).collect();
        let starts = shared.admin.offsets(&asked, shared.config.request_timeout)?;
        for (input, start) in self.inputs.iter_mut().zip(starts) {
            consumer.seek(input.lane, start)?;
            (input.start, input.position, input.partition_time) = (start, start, Timestamp::NONE);
        }
        Ok(())
    }
}

impl Input {
    fn apply(&mut self, index: usize, fetched: &Fetched, flow: &mut Flow) -> Result {
        let batch: Option<&dyn Batch> = fetched.records.as_deref();
        for at in 0..batch.map_or(0, Batch::len) {
            let Some(raw) = batch.map(|batch| batch.get(at)) else { break };
            self.position = raw.offset;
            if let Some(time) = flow.timestamp(index, &raw, self.partition_time)? {
                self.partition_time = self.partition_time.max(time);
                flow.feed(index, &raw, time)?;
            }
        }
        self.position = fetched.position;
        Ok(())
    }
}
