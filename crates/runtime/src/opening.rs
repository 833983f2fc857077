//! How a worker opens the tasks it was given: stores, positions, restore, and then they run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::flow::TaskSetup;
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::source::OffsetReset;
use kstreams_core::store::{ChangeBuffer, StoreContext, TaskTimes};
use kstreams_core::task::TaskId;

use crate::blueprint::{Blueprint, changelog_of};
use crate::config::Guarantee;
use crate::directory::TaskClaim;
use crate::probe::{CrashPoint, unless_crash};
use crate::shared::Shared;
use crate::task::{LogRange, Metadata, OpenTask, Restoring, TaskStore, decode_metadata};
use crate::transport::{CommittedOffset, Isolation, OffsetSpec};
use crate::worker::Worker;

/// Between two tries.
const REOPENING: Duration = Duration::from_millis(200);

impl Worker {
    pub(crate) fn open_when_due(&mut self) -> Result<bool> {
        let now = self.shared.config.clock.monotonic();
        if self.open_again.is_some_and(|due| now < due) {
            return Ok(false);
        }
        let opened = self.open_pending();
        let is_to_wait = opened.as_ref().is_err_and(Error::is_retriable);
        self.open_again = is_to_wait.then_some(now + REOPENING);
        opened
    }

    /// Opens the tasks that are ours and that no other thread holds any more; true if any was.
    fn open_pending(&mut self) -> Result<bool> {
        let mut opened = Vec::new();
        // Tasks that an error drops here stay pending.
        for id in self.pending.clone() {
            if let Some(task) = self.promote(id)? {
                opened.push((task, self.shared.blueprint(id)?));
            } else if let Some(claim) = self.shared.directory.claim(id) {
                opened.push(open(&self.shared, claim)?);
            }
        }
        if opened.is_empty() {
            return Ok(false);
        }
        self.shared.pass(CrashPoint::StoresOpened);
        let (positions, ranges) = match self.place(&opened) {
            Ok(placed) => placed,
            Err(error) => {
                // What is in memory would be lost, what is on disk opened twice.
                self.standbys.idle.extend(opened.into_iter().map(|(task, _)| task));
                return Err(error);
            }
        };
        for (((task, _), positions), ranges) in opened.into_iter().zip(positions).zip(ranges) {
            let id = task.id;
            let config = &self.shared.config;
            let restoring =
                Restoring::start(task, positions, &ranges, &mut *self.consumer, config)?;
            self.pending.remove(&id);
            self.restoring.push(restoring);
        }
        Ok(true)
    }

    /// Where these tasks stand in the log: their inputs and their changelogs.
    fn place(&mut self, opened: &[(OpenTask, Blueprint)]) -> Result<(Vec<Positions>, Vec<Ranges>)> {
        let positions = self.positions(opened)?;
        self.shared.pass(CrashPoint::PositionsRead);
        let tasks: Vec<&OpenTask> = opened.iter().map(|(task, _)| task).collect();
        let ranges = self.changelog_ranges(&tasks, &positions)?;
        Ok((positions, ranges))
    }

    /// Where each input of these tasks goes on: the committed offset, or what its reset rule says.
    fn positions(&mut self, opened: &[(OpenTask, Blueprint)]) -> Result<Vec<Positions>> {
        let timeout = self.shared.config.patience();
        let partitions: Vec<TopicPartition> =
            opened.iter().flat_map(|(_, blueprint)| blueprint.partitions()).collect();
        let committed = self.membership.committed(&partitions, timeout)?;
        let mut committed = partitions.iter().cloned().zip(committed);
        let mut resets = Vec::new();
        let mut all = Vec::with_capacity(opened.len());
        for (task, blueprint) in opened {
            let mut positions: Positions = Vec::with_capacity(blueprint.inputs.len());
            for (input, (partition, committed)) in
                committed.by_ref().take(blueprint.inputs.len()).enumerate()
            {
                match committed {
                    Some(CommittedOffset { offset, metadata, .. }) => {
                        positions.push((partition, offset, decode_metadata(&metadata)));
                    }
                    None => {
                        let reset = blueprint.reset(input, self.shared.config.offset_reset);
                        let spec = self.reset_spec(reset, task.id, &partition)?;
                        resets.push((all.len(), positions.len(), (partition.clone(), spec)));
                        positions.push((partition, 0, Metadata::unknown()));
                    }
                }
            }
            all.push(positions);
        }
        if !resets.is_empty() {
            let asked: Vec<_> = resets.iter().map(|(_, _, ask)| ask.clone()).collect();
            let offsets = self.shared.admin.offsets(&asked, timeout)?;
            for ((task, input, _), offset) in resets.into_iter().zip(offsets) {
                all[task][input].1 = offset;
            }
        }
        Ok(all)
    }

    fn reset_spec(
        &self,
        reset: OffsetReset,
        task: TaskId,
        partition: &TopicPartition,
    ) -> Result<OffsetSpec> {
        let isolation = self.isolation();
        match reset {
            OffsetReset::Earliest => Ok(OffsetSpec::Earliest),
            OffsetReset::Latest => Ok(OffsetSpec::Latest(isolation)),
            OffsetReset::ByDuration(ago) => {
                Ok(OffsetSpec::At(self.shared.config.clock.now() - ago))
            }
            OffsetReset::None => Err(Error::new(
                ErrorKind::OffsetReset,
                "no committed offset and the source's offset reset is `none`; commit an offset \
                 for the group, or choose another reset rule",
            )
            .at_task(task)
            .at_partition(&partition.topic, partition.partition)),
        }
    }

    fn isolation(&self) -> Isolation {
        match self.shared.config.guarantee {
            Guarantee::AtLeastOnce => Isolation::ReadUncommitted,
            Guarantee::ExactlyOnce => Isolation::ReadCommitted,
        }
    }

    /// What each store's changelog holds. The end counts open transactions too: restoring waits
    /// until they have ended, so nothing that will be committed is missed.
    pub(crate) fn changelog_ranges(
        &self,
        opened: &[&OpenTask],
        positions: &[Positions],
    ) -> Result<Vec<Ranges>> {
        let logs = |task: &OpenTask| -> Vec<TopicPartition> {
            task.stores.iter().filter_map(|store| store.changelog.clone()).collect()
        };
        let mut asked = Vec::new();
        for partition in opened.iter().flat_map(|task| logs(task)) {
            asked.push((partition.clone(), OffsetSpec::Earliest));
            asked.push((partition, OffsetSpec::Latest(Isolation::ReadUncommitted)));
        }
        let offsets = if asked.is_empty() {
            Vec::new()
        } else {
            self.shared.admin.offsets(&asked, self.shared.config.patience())?
        };
        let mut ranges =
            offsets.chunks_exact(2).map(|pair| LogRange { start: pair[0], end: pair[1] });
        let mut all = Vec::with_capacity(opened.len());
        for (index, task) in opened.iter().enumerate() {
            let positions = positions.get(index).map_or(&[][..], Vec::as_slice);
            let of_store = |store: &TaskStore| {
                let changelog = store.changelog.as_ref()?;
                let mut range = ranges.next()?;
                if store.is_source {
                    // Records from the committed position on are the task's to process.
                    let at = positions.iter().find(|(partition, ..)| partition == changelog);
                    range.end = at.map_or(range.end, |(_, offset, _)| *offset);
                }
                Some(range)
            };
            all.push(task.stores.iter().map(of_store).collect());
        }
        Ok(all)
    }

    /// The stores are up to date: places the task at its inputs.
    pub(crate) fn run_task(&mut self, restored: Restoring) -> Result {
        self.shared.pass(CrashPoint::Restored);
        let Restoring { open, positions, .. } = restored;
        let id = open.id;
        let blueprint = self.shared.blueprint(id)?;
        let starts: Vec<(TopicPartition, Offset)> =
            positions.iter().map(|(partition, offset, _)| (partition.clone(), *offset)).collect();
        let lanes = self.consumer.assign(&starts)?;
        let placed = positions
            .into_iter()
            .zip(&lanes)
            .map(|((partition, offset, metadata), lane)| (partition, *lane, offset, metadata))
            .collect();
        let global_stores = self.shared.global_stores.lock().clone();
        let max_idle = self.shared.config.max_task_idle;
        let run = || open.run(blueprint, &global_stores, placed, max_idle);
        let task = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(task) => task,
            Err(panic) => {
                unless_crash(panic);
                Err(Error::new(ErrorKind::Panic, "user code panicked in init").at_task(id))
            }
        };
        let task = match task {
            Ok(task) => task,
            Err(error) => {
                self.consumer.unassign(&lanes)?;
                return Err(error);
            }
        };
        log::info!("task {id}: running");
        self.shared.publish(task.info(), task.flow().stores());
        self.tasks.insert(id, task);
        if let Some(probe) = &self.shared.config.probe {
            probe.runs(id);
        }
        self.shared.pass(CrashPoint::TaskRuns);
        Ok(())
    }

    /// A task's position is not in the log any more: the source's reset rule says where to go on.
    pub(crate) fn reset_position(&mut self, id: TaskId, error: &Error) -> Result {
        let Some((topic, number)) = error.partition() else { return Ok(()) };
        let partition = TopicPartition::new(topic, number);
        let blueprint = self.shared.blueprint(id)?;
        let input = blueprint.partitions().position(|at| at == partition).unwrap_or(0);
        let reset = blueprint.reset(input, self.shared.config.offset_reset);
        let spec = self.reset_spec(reset, id, &partition)?;
        let timeout = self.shared.config.patience();
        let offsets = self.shared.admin.offsets(&[(partition.clone(), spec)], timeout)?;
        let Some(task) = self.tasks.get_mut(&id) else { return Ok(()) };
        let (Some(queue), Some(offset)) = (task.queue_at(&partition), offsets.first()) else {
            return Ok(());
        };
        log::warn!(
            "task {id}: offset {} of {partition} is not in the log; going on at {offset} ({reset:?})",
            queue.next_offset()
        );
        queue.restart(*offset);
        self.consumer.seek(queue.lane, *offset)
    }
}

/// Per input of a task: the partition, the next offset, the partition time.
type Positions = Vec<(TopicPartition, Offset, Metadata)>;

/// Per store of a task: what its changelog holds.
type Ranges = Vec<Option<LogRange>>;

/// Opens a task's stores. A store that is corrupt is wiped, and restored like a new one.
pub(crate) fn open(shared: &Arc<Shared>, claim: TaskClaim) -> Result<(OpenTask, Blueprint)> {
    let id = claim.task();
    let blueprint = shared.blueprint(id)?;
    let times = Arc::new(TaskTimes::new());
    let stores = match open_stores(shared, id, &times) {
        Err(error) if error.kind() == ErrorKind::Corrupted => {
            log::error!("task {id}: {error}");
            shared.wipe(id)?;
            open_stores(shared, id, &times)
        }
        other => other,
    }?;
    let setup = TaskSetup {
        application_id: Arc::clone(&shared.config.application_id),
        task: id,
        state_dir: shared.directory.task_dir(id),
        clock: Arc::clone(&shared.config.clock),
        times,
        handlers: Arc::clone(&shared.config.handlers),
        partition_counts: Arc::clone(&shared.counts) as _,
    };
    Ok((OpenTask { id, stores, claim, setup }, blueprint))
}

fn open_stores(shared: &Shared, id: TaskId, times: &Arc<TaskTimes>) -> Result<Vec<TaskStore>> {
    let application_id = &shared.config.application_id;
    let mut stores = Vec::new();
    for spec in shared.topology.subtopology(id.subtopology).into_iter().flat_map(|sub| sub.stores())
    {
        let serde_topic = spec.serde_topic(application_id);
        let changes =
            spec.is_logged().then(|| Arc::new(ChangeBuffer::new(&serde_topic, id.partition)));
        let store = spec
            .open(StoreContext {
                application_id: Arc::clone(application_id),
                task: id,
                dir: shared.directory.is_on_disk().then(|| shared.directory.task_dir(id)),
                changelog_topic: serde_topic,
                changes: changes.clone(),
                times: Arc::clone(times),
                transactional: shared.config.guarantee == Guarantee::ExactlyOnce,
            })
            .map_err(|error| error.at_task(id))?;
        let (changelog, is_source) = changelog_of(spec, application_id, id).unzip();
        stores.push(TaskStore::new(store, changes, changelog, is_source.unwrap_or(false)));
    }
    Ok(stores)
}
