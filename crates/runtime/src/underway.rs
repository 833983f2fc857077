//! A commit that is going on while the tasks work on the next one.

use std::time::Duration;

use kstreams_core::error::{Error, Result};
use kstreams_core::record::TopicPartition;
use kstreams_core::task::TaskId;

use crate::planted::Bug;
use crate::probe::CrashPoint;
use crate::task::Task;
use crate::transport::CommittedOffset;
use crate::worker::Worker;

/// Stores are committed in so many parts at the most, over half of the commit interval but no longer
/// than this: all at once, records that come meanwhile would wait for all of them.
const N_PARTS: usize = 8;
const SPREAD: Duration = Duration::from_millis(50);

/// For acknowledgements that are overdue.
const LAST_WAIT: Duration = Duration::from_millis(10);

/// By what it waits for.
#[derive(Debug)]
pub(crate) enum Underway {
    /// At least once: what was sent is to be acknowledged; nobody has complained `since` then.
    Sent { positions: Positions, since: Duration },
    /// At least once: the group is to have the positions.
    Positions(Positions),
    /// Exactly once: the log is to have the transaction, positions included.
    Transaction(Positions),
    /// The stores are to follow.
    Stores(Stores),
}

/// Stores that follow the log, part by part.
#[derive(Debug)]
pub(crate) struct Stores {
    /// Their tasks.
    left: Vec<TaskId>,
    /// So many tasks are a part.
    n_each: usize,
    /// When the next part is due, and how long after it the one behind it.
    pub(crate) next: Duration,
    every: Duration,
}

pub(crate) type Positions = Vec<(TopicPartition, CommittedOffset)>;

impl Worker {
    /// Looks after the commit that is going on; true if it is done. Who has time to `wait` has the
    /// stores all at once.
    ///
    /// # Errors
    /// As [`commit`](Self::commit). At least once the commit goes on from where it is.
    pub(crate) fn advance_commit(&mut self, wait: Duration) -> Result<bool> {
        loop {
            let has_advanced = match self.underway.take() {
                None => return Ok(true),
                Some(Underway::Sent { positions, since }) => {
                    self.await_acks(positions, since, wait)?
                }
                Some(Underway::Positions(positions)) => self.await_group(positions, wait)?,
                Some(Underway::Transaction(positions)) => {
                    self.await_transaction(positions, wait)?
                }
                Some(Underway::Stores(stores)) => self.store_some(stores, wait)?,
            };
            if !has_advanced {
                return Ok(self.underway.is_none());
            }
        }
    }

    /// True if the log has the commit that is going on, and some stores have not.
    pub(crate) fn has_only_stores_left(&self) -> bool {
        matches!(self.underway, Some(Underway::Stores(_)))
    }

    fn await_acks(
        &mut self,
        positions: Positions,
        since: Duration,
        wait: Duration,
    ) -> Result<bool> {
        self.shared.pass(CrashPoint::CommitUnderway);
        let now = self.shared.config.clock.monotonic();
        let timeout = self.shared.config.request_timeout;
        let acknowledged = if self.shared.has(Bug::CommitBeforeFlush) {
            Ok(true)
        } else {
            match self.outlet.has_reached_line(wait, timeout) {
                Ok(false) if now.saturating_sub(since) >= timeout => self.overdue(timeout),
                reached => reached,
            }
        };
        let started = match acknowledged {
            Ok(false) => {
                self.underway = Some(Underway::Sent { positions, since });
                return Ok(false);
            }
            Ok(true) => {
                self.shared.pass(CrashPoint::Produced);
                if positions.is_empty() {
                    self.log_has_committed(&positions);
                    return self.begin_stores().map(|()| true);
                }
                self.membership.start_commit(&positions, timeout, self.consumer.waker())
            }
            Err(error) => Err(error),
        };
        self.underway = Some(match started {
            Ok(()) => Underway::Positions(positions),
            Err(_) => Underway::Sent { positions, since: now },
        });
        started.map(|()| true)
    }

    /// Acknowledgements are: the producer knows what is the matter.
    fn overdue(&mut self, timeout: Duration) -> Result<bool> {
        let flushed = self.outlet.flush(LAST_WAIT).map(|()| true);
        flushed.map_err(|error| match error.task() {
            // A record was refused.
            Some(_) => error,
            None => {
                let text = format!("a commit has waited for {timeout:?}: {}", error.message());
                Error::new(error.kind(), text)
            }
        })
    }

    fn await_group(&mut self, positions: Positions, wait: Duration) -> Result<bool> {
        self.shared.pass(CrashPoint::CommitUnderway);
        let polled = self.membership.poll_commit(wait);
        match polled {
            Ok(true) => {
                self.log_has_committed(&positions);
                self.begin_stores()?;
            }
            Ok(false) => self.underway = Some(Underway::Positions(positions)),
            Err(_) => {
                let since = self.shared.config.clock.monotonic();
                self.underway = Some(Underway::Sent { positions, since });
            }
        }
        polled
    }

    fn await_transaction(&mut self, positions: Positions, wait: Duration) -> Result<bool> {
        self.shared.pass(CrashPoint::CommitUnderway);
        let is_done = self.outlet.poll_commit(wait)?;
        if is_done {
            self.log_has_committed(&positions);
            // What waited for it.
            for task in self.tasks.values_mut() {
                task.drain(&mut self.outlet)?;
            }
            self.begin_stores()?;
        } else {
            self.underway = Some(Underway::Transaction(positions));
        }
        Ok(is_done)
    }

    fn begin_stores(&mut self) -> Result {
        if self.shared.has(Bug::LineAfterwards) {
            self.outlet.poll()?;
            self.outlet.draw_line();
        }
        // Those that began meanwhile are no part of it.
        let part = self.tasks.values().filter(|task| task.is_underway());
        let has_stores = |id: &TaskId| !self.tasks[id].stores().is_empty();
        let (left, bare): (Vec<_>, Vec<_>) = part.map(|task| task.id).partition(has_stores);
        self.commit_stores(&bare)?;
        let n_each = left.len().div_ceil(N_PARTS).max(1);
        let config = &self.shared.config;
        let spread = (config.commit_interval_or_default() / 2).min(SPREAD);
        let every = spread / left.len().div_ceil(n_each).max(1) as u32;
        let next = config.clock.monotonic();
        self.underway = Some(Underway::Stores(Stores { left, n_each, next, every }));
        Ok(())
    }

    fn store_some(&mut self, mut stores: Stores, wait: Duration) -> Result<bool> {
        let Stores { left, n_each, next, every } = &mut stores;
        let now = self.shared.config.clock.monotonic();
        let mut committed = Ok(());
        while !left.is_empty() && (*next <= now || !wait.is_zero() || committed.is_err()) {
            *next = next.saturating_add(*every);
            let part = left.split_off(left.len().saturating_sub(*n_each));
            // An error may be the end of the thread: the others are not to be behind for it.
            committed = committed.and(self.commit_stores(&part));
        }
        if left.is_empty() {
            self.end_commit();
        } else {
            self.underway = Some(Underway::Stores(stores));
        }
        committed.map(|()| false)
    }

    /// The log has it: the stores are to follow.
    pub(crate) fn log_has_committed(&mut self, positions: &[(TopicPartition, CommittedOffset)]) {
        if let Some(probe) = &self.shared.config.probe {
            probe.committed(positions);
            probe.pass(CrashPoint::LogCommitted);
        }
        // Of tasks that have gone on nobody asks: records are not committed one by one then.
        let with_work = self.tasks.values().filter(|task| task.is_dirty()).map(|task| task.id);
        self.slowness.committed(with_work);
        self.tasks.values_mut().for_each(Task::mark_committed);
        self.purge_if_due(positions);
    }

    /// The stores of these tasks follow the log.
    ///
    /// # Errors
    /// The first of those of the disk.
    pub(crate) fn commit_stores(&mut self, tasks: &[TaskId]) -> Result {
        let mut outcome = Ok(());
        for id in tasks {
            let Some(task) = self.tasks.get_mut(id) else { continue };
            // The log has it: a store that fails now is behind, never ahead.
            outcome = outcome.and(task.committed(&self.outlet));
            self.shared.update(task.info());
        }
        outcome
    }

    pub(crate) fn end_commit(&mut self) {
        self.has_just_committed = true;
        self.shared.pass(CrashPoint::CommitEnds);
    }
}
