//! Global stores: every instance reads all partitions of their topics, on a thread of its own.
//!
//! They are filled before the application starts, by the user's processor, and anew at each start.

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
use crate::transport::{
    Batch, Consumer, ConsumerOptions, Fetched, Isolation, Lane, OffsetSpec, Waker,
};

/// How many records one step takes from each partition.
const BATCH: usize = 10_000;

pub(crate) struct GlobalWorker {
    shared: Arc<Shared>,
    consumer: Box<dyn Consumer>,
    parts: Vec<Part>,
}

/// One global sub-topology.
struct Part {
    task: TaskId,
    flow: Flow,
    stores: Vec<Arc<dyn StateStore>>,
    inputs: Vec<Input>,
    n_records: u64,
}

struct Input {
    partition: TopicPartition,
    lane: Lane,
    start: Offset,
    position: Offset,
    partition_time: Timestamp,
}

impl GlobalWorker {
    /// Opens the global stores; `None` if the topology has none.
    ///
    /// # Errors
    /// If a store cannot be opened or a processor's `init` fails.
    pub(crate) fn new(shared: &Arc<Shared>) -> Result<Option<Self>> {
        let globals: Vec<u32> = shared
            .topology
            .subtopologies()
            .iter()
            .filter(|sub| sub.is_global())
            .map(|sub| sub.id())
            .collect();
        if globals.is_empty() {
            return Ok(None);
        }
        let client_id = format!("{}-global", shared.client_id(0));
        // Global stores take part in no transaction, but must not show what was aborted.
        let isolation = Isolation::ReadCommitted;
        let consumer = shared.log.consumer(ConsumerOptions { client_id, isolation })?;
        let mut worker = Self { shared: Arc::clone(shared), consumer, parts: Vec::new() };
        for id in globals {
            let part = worker.open(id)?;
            let readers = part.stores.iter().map(|store| store.reader().unwrap_or(store.clone()));
            worker.shared.global_stores.lock().extend(readers);
            worker.parts.push(part);
        }
        Ok(Some(worker))
    }

    fn open(&mut self, id: u32) -> Result<Part> {
        let (shared, task) = (&self.shared, TaskId { subtopology: id, partition: -1 });
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
        let lanes = self.consumer.assign(&placed)?;
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
        Ok(Part { task, flow, stores, inputs: inputs.collect(), n_records: 0 })
    }

    /// Reads up to where the topics end now.
    ///
    /// # Errors
    /// If the log does not answer, or a record cannot be processed.
    pub(crate) fn bootstrap(&mut self) -> Result {
        let timeout = self.shared.config.request_timeout;
        let partitions = self.parts.iter().flat_map(|part| &part.inputs);
        let latest = OffsetSpec::Latest(Isolation::ReadCommitted);
        let asked: Vec<_> = partitions.map(|input| (input.partition.clone(), latest)).collect();
        let ends = self.shared.admin.offsets(&asked, timeout)?;
        let ends: BTreeMap<TopicPartition, Offset> =
            asked.into_iter().map(|(partition, _)| partition).zip(ends).collect();
        let clock = Arc::clone(&self.shared.config.clock);
        let began = clock.monotonic();
        let mut progressed = began;
        let mut reports: Vec<RestoreProgress> =
            self.parts.iter().map(|part| part.progress(&ends)).collect();
        reports.iter().for_each(|report| (self.shared.config.on_restore)(report));
        loop {
            let mut inputs = self.parts.iter().flat_map(|part| &part.inputs);
            let Some(behind) = inputs.find(|input| input.position < ends[&input.partition]) else {
                return Ok(());
            };
            if clock.monotonic().saturating_sub(progressed) > self.shared.config.task_timeout {
                let text = format!("global store: nothing more came from {}", behind.partition);
                return Err(Error::new(ErrorKind::Timeout, text));
            }
            if self.turn()? {
                progressed = clock.monotonic();
                for (part, report) in self.parts.iter().zip(&mut reports) {
                    let now = part.progress(&ends);
                    if now.position > report.position {
                        (report.position, report.n_records) = (now.position, part.n_records);
                        report.elapsed = progressed.saturating_sub(began);
                        (self.shared.config.on_restore)(report);
                    }
                }
            } else {
                self.consumer.wait(self.shared.config.poll)?;
            }
        }
    }

    /// Applies what has come; true if anything had.
    ///
    /// # Errors
    /// As [`bootstrap`](Self::bootstrap).
    pub(crate) fn turn(&mut self) -> Result<bool> {
        let now = self.shared.config.clock.now();
        let mut any = false;
        for part in &mut self.parts {
            part.flow.set_system_time(now);
            any |= match part.turn(&mut *self.consumer) {
                Err(error) if error.kind() == ErrorKind::OffsetReset => {
                    log::warn!("global store {}: {error}; filled anew", part.name());
                    part.begin_again(&self.shared, &mut *self.consumer)?;
                    true
                }
                turned => turned?,
            };
        }
        Ok(any)
    }

    /// Waits for more, if there was nothing.
    ///
    /// # Errors
    /// If the consumer failed.
    pub(crate) fn wait_if_idle(&mut self, busy: bool) -> Result {
        if busy { Ok(()) } else { self.consumer.wait(Duration::from_millis(100)) }
    }

    pub(crate) fn waker(&self) -> Waker {
        self.consumer.waker()
    }

    pub(crate) fn close(self) {
        for mut part in self.parts {
            part.flow.close();
            for store in part.stores {
                if let Err(error) = store.close() {
                    log::error!("closing global store {}: {error}", store.name());
                }
            }
        }
    }
}

impl Part {
    fn name(&self) -> &str {
        self.stores.first().map_or("", |store| store.name())
    }

    /// How far it is from these ends, summed over the partitions.
    fn progress(&self, ends: &BTreeMap<TopicPartition, Offset>) -> RestoreProgress {
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
    fn turn(&mut self, consumer: &mut dyn Consumer) -> Result<bool> {
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

    /// A topic has lost records that were not read yet, perhaps removals among them.
    fn begin_again(&mut self, shared: &Shared, consumer: &mut dyn Consumer) -> Result {
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
            if let Some(time) = flow.timestamp(index, &raw, self.partition_time)? {
                self.partition_time = self.partition_time.max(time);
                flow.feed(index, &raw, time)?;
            }
        }
        self.position = fetched.position;
        Ok(())
    }
}

impl std::fmt::Debug for GlobalWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GlobalWorker").field("n_parts", &self.parts.len()).finish_non_exhaustive()
    }
}
