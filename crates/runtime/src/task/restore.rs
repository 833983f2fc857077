//! Restoring a task's stores from their changelogs, beside the tasks that run.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, RawRecord, TopicPartition};
use kstreams_core::store::StateStore;

use super::Metadata;
use super::appliers::Appliers;
use super::open::OpenTask;
use crate::config::{Config, RestoreProgress};
use crate::planted::{Bug, is_planted};
use crate::transport::{Batch, Consumer, Lane};

/// How many records one step takes from each changelog. Two such pieces are held for each store, and
/// a client may need several times the size of a small record to hold it.
const BATCH: usize = 1_000;

/// The range of offsets that a changelog holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogRange {
    pub(crate) start: Offset,
    pub(crate) end: Offset,
}

/// A task that is not up to date yet.
pub(crate) struct Restoring {
    pub(crate) open: OpenTask,
    /// Where the task's inputs go on afterwards.
    pub(crate) positions: Vec<(TopicPartition, Offset, Metadata)>,
    jobs: Vec<Job>,
}

/// One store that is being restored.
struct Job {
    store: usize,
    lane: Lane,
    progress: RestoreProgress,
    began: Duration,
    /// What another thread is writing, and where the store stands then.
    in_work: Option<(Receiver<Result>, Reached)>,
    /// What was read meanwhile.
    next: Option<Piece>,
    /// Where reading goes on.
    read_to: Offset,
}

/// Records to apply.
struct Piece {
    records: Option<Box<dyn Batch>>,
    reached: Reached,
}

/// What is done when a piece is applied.
#[derive(Clone, Copy)]
struct Reached {
    position: Offset,
    n_records: u64,
}

/// What a step works with.
pub(crate) struct Means<'a> {
    pub(crate) consumer: &'a mut dyn Consumer,
    pub(crate) config: &'a Config,
    /// `None` applies in place.
    pub(crate) appliers: Option<&'a Appliers>,
}

impl Restoring {
    /// Compares each store with its changelog and starts to read what is missing.
    ///
    /// # Errors
    /// If the consumer failed or a store cannot be wiped.
    pub(crate) fn start(
        open: OpenTask,
        positions: Vec<(TopicPartition, Offset, Metadata)>,
        ranges: &[Option<LogRange>],
        consumer: &mut dyn Consumer,
        config: &Config,
    ) -> Result<Self> {
        let mut jobs = Vec::new();
        for (index, (store, range)) in open.stores.iter().zip(ranges).enumerate() {
            let (Some(range), Some(changelog)) = (range, &store.changelog) else { continue };
            let start = first_missing(&open, index, *range)?;
            if is_planted(config, Bug::SkipRestore) && start > range.start {
                continue;
            }
            if start >= range.end {
                continue;
            }
            let lanes = consumer.assign(&[(changelog.clone(), start)])?;
            let lane = lanes.first().copied().ok_or_else(|| {
                Error::new(ErrorKind::Fatal, "the consumer gave no lane for a partition")
            })?;
            let progress = RestoreProgress {
                task: open.id,
                store: store.store.name().into(),
                start,
                position: start,
                end: range.end,
                elapsed: Duration::ZERO,
                n_records: 0,
                is_suspended: false,
            };
            (config.on_restore)(&progress);
            log::info!(
                "task {}: store {}: restoring offsets {start} to {} of {changelog}",
                open.id,
                progress.store,
                range.end,
            );
            jobs.push(Job {
                store: index,
                lane,
                progress,
                began: config.clock.monotonic(),
                in_work: None,
                next: None,
                read_to: start,
            });
        }
        Ok(Self { open, positions, jobs })
    }

    /// Applies what has come; true if anything did.
    ///
    /// # Errors
    /// `Corrupted` if the changelog has lost what a store needs: the task must be wiped and opened
    /// again. Others as the consumer and the stores say.
    pub(crate) fn step(&mut self, means: &mut Means<'_>) -> Result<bool> {
        let mut any = false;
        for job in &mut self.jobs {
            any |= job.step(&self.open, means)?;
        }
        let mut done = Vec::new();
        self.jobs.retain(|job| {
            if job.progress.is_done() {
                done.push(job.lane);
            }
            !job.progress.is_done()
        });
        if !done.is_empty() {
            means.consumer.unassign(&done)?;
        }
        Ok(any)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Gives up; what has been restored stays in the stores with its offset.
    pub(crate) fn close(mut self, consumer: &mut dyn Consumer, config: &Config) {
        for job in &mut self.jobs {
            // One batch at most: a store is not closed under the thread that writes it.
            if let Some((result, reached)) = job.in_work.take()
                && matches!(result.recv(), Ok(Ok(())))
            {
                job.note(reached, config);
            }
            (config.on_restore)(&RestoreProgress { is_suspended: true, ..job.progress.clone() });
        }
        let lanes: Vec<Lane> = self.jobs.iter().map(|job| job.lane).collect();
        if let Err(error) = consumer.unassign(&lanes) {
            log::warn!("task {}: {error}", self.open.id);
        }
        self.open.close();
    }
}

impl Job {
    /// Takes note of what was applied, reads ahead by one piece, and has the next piece applied.
    fn step(&mut self, open: &OpenTask, means: &mut Means<'_>) -> Result<bool> {
        let mut any = false;
        if let Some((result, reached)) = &self.in_work {
            let reached = *reached;
            match result.try_recv() {
                Ok(applied) => {
                    self.in_work = None;
                    applied.map_err(|error| error.at_task(open.id))?;
                    self.advance(reached, open, means.config);
                    any = true;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => {
                    let text = format!("restoring store {} was cut off", self.progress.store);
                    return Err(Error::new(ErrorKind::Fatal, text).at_task(open.id));
                }
            }
        }
        if self.next.is_none() && self.read_to < self.progress.end {
            self.next = self.read(open, means.consumer)?;
            any |= self.next.is_some();
        }
        if self.in_work.is_none()
            && let Some(piece) = self.next.take()
        {
            let reached = piece.reached;
            let store = Arc::clone(&open.stores[self.store].store);
            let apply = move || piece.apply(&*store);
            match means.appliers {
                Some(appliers) => {
                    let result = appliers.submit(apply, means.consumer.waker());
                    self.in_work = Some((result, reached));
                }
                None => {
                    apply().map_err(|error| error.at_task(open.id))?;
                    self.advance(reached, open, means.config);
                }
            }
        }
        Ok(any)
    }

    fn read(&mut self, open: &OpenTask, consumer: &mut dyn Consumer) -> Result<Option<Piece>> {
        let fetched = consumer.fetch(self.lane, BATCH).map_err(|error| match error.kind() {
            ErrorKind::OffsetReset => Error::new(
                ErrorKind::Corrupted,
                format!(
                    "the changelog of store {} has lost offset {}; it is restored from the \
                     beginning",
                    self.progress.store, self.read_to
                ),
            )
            .at_task(open.id),
            _ => error.at_task(open.id),
        })?;
        if fetched.position == self.read_to && fetched.records.is_none() {
            return Ok(None);
        }
        // Behind the end lie records that the task will process itself.
        let position = fetched.position.min(self.progress.end);
        let n_records = fetched.records.as_ref().map_or(0, |batch| batch.len() as u64);
        self.read_to = position;
        Ok(Some(Piece { records: fetched.records, reached: Reached { position, n_records } }))
    }

    fn note(&mut self, reached: Reached, config: &Config) {
        self.progress.position = reached.position;
        self.progress.n_records += reached.n_records;
        self.progress.elapsed = config.clock.monotonic().saturating_sub(self.began);
    }

    fn advance(&mut self, reached: Reached, open: &OpenTask, config: &Config) {
        self.note(reached, config);
        let progress = &self.progress;
        (config.on_restore)(progress);
        if progress.is_done() {
            log::info!(
                "task {}: store {}: restored {} records in {} ms",
                open.id,
                progress.store,
                progress.n_records,
                progress.elapsed.as_millis()
            );
        }
    }
}

impl Piece {
    fn apply(self, store: &dyn StateStore) -> Result {
        let through = self.reached.position;
        let batch = self.records.as_deref();
        let mut records = (0..batch.map_or(0, Batch::len))
            .filter_map(|index| batch.map(|batch| batch.get(index)))
            .take_while(|record: &RawRecord<'_>| record.offset < through);
        store.restore(&mut records, through - 1)
    }
}

/// The offset to restore from. A store that does not fit its changelog is wiped: it stands for
/// offsets that are gone, or for more than there is.
pub(super) fn first_missing(open: &OpenTask, index: usize, range: LogRange) -> Result<Offset> {
    let store: &Arc<_> = &open.stores[index].store;
    let Some(stands_for) = store.committed_offset().map_err(|error| error.at_task(open.id))? else {
        return Ok(range.start);
    };
    let next = stands_for + 1;
    if (range.start..=range.end).contains(&next) {
        return Ok(next);
    }
    log::warn!(
        "task {}: store {} stands at offset {stands_for}, its changelog holds {} to {}: wiped and \
         restored from the beginning",
        open.id,
        store.name(),
        range.start,
        range.end
    );
    store.wipe().map_err(|error| error.at_task(open.id))?;
    Ok(range.start)
}

impl std::fmt::Debug for Restoring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restoring").field("task", &self.open.id).finish_non_exhaustive()
    }
}
