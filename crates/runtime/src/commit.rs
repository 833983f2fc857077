//! The commit: the order of its steps, for both guarantees.
//!
//! At least once: flush, offsets, stores. Exactly once: flush, offsets inside the transaction,
//! commit it, stores; while the log is busy with it the tasks go on with what is for the next one.
//! Stores come last in both, so what they hold is always in the log.

use std::time::Duration;

use kstreams_core::error::{Error, Result};
use kstreams_core::record::TopicPartition;

use crate::config::Guarantee;
use crate::planted::Bug;
use crate::probe::CrashPoint;
use crate::task::Task;
use crate::transport::CommittedOffset;
use crate::worker::Worker;

/// How long a commit that is going on is waited for before it is asked again.
const STEP: Duration = Duration::from_millis(100);

impl Worker {
    /// Commits if it is time to, which it may be sooner for a thread that has run dry.
    pub(crate) fn commit_if_due(&mut self, is_dry: bool) -> Result {
        if self.underway.is_some() {
            return self.advance_commit(Duration::ZERO).map(drop);
        }
        let config = &self.shared.config;
        let since = config.clock.monotonic().saturating_sub(self.last_commit);
        let mut due = since >= config.commit_after(is_dry);
        let mut n_bytes = 0;
        for task in self.tasks.values_mut() {
            due |= task.take_commit_request();
            n_bytes += task.uncommitted_bytes();
        }
        if !due && n_bytes < config.commit_bytes {
            return Ok(());
        }
        let goes_on = config.guarantee == Guarantee::ExactlyOnce
            && !self.slowness.is_careful()
            && self.shared.suspects().is_empty();
        self.commit_all(goes_on)
    }

    /// Commits all tasks of this thread together, and waits for it.
    ///
    /// # Errors
    /// `Timeout` and `Unavailable`: nothing is lost; with exactly-once the outcome is unknown and
    /// the producer has to be replaced. `Fenced`: the tasks have other owners.
    pub(crate) fn commit(&mut self) -> Result {
        while self.underway.is_some() && !self.advance_commit(STEP)? {}
        self.commit_all(false)
    }

    /// Commits, or begins to: if a task `goes_on`, it works on the next commit while the log is
    /// busy with this one, as far as all stores can keep the two apart.
    fn commit_all(&mut self, goes_on: bool) -> Result {
        if self.is_outlet_spent {
            return Ok(());
        }
        self.outlet.refuse_lost()?;
        self.shared.pass(CrashPoint::CommitBegins);
        for task in self.tasks.values_mut() {
            if !self.shared.has(Bug::NoFlush) {
                task.flush(&mut self.outlet)?;
            }
            if let Some(probe) = &self.shared.config.probe {
                probe.flushed(task.id);
            }
        }
        self.shared.pass(CrashPoint::TasksFlushed);
        self.last_commit = self.shared.config.clock.monotonic();
        let mut offsets = Vec::new();
        for task in self.tasks.values() {
            let is_fenced_by_them = task.is_dirty()
                && self.shared.config.guarantee == Guarantee::ExactlyOnce
                && !self.shared.has(Bug::OffsetsIfMoved);
            task.offsets(&mut offsets, is_fenced_by_them, self.shared.has(Bug::CommitFetched));
        }
        if self.shared.has(Bug::ForgetStreamTime) {
            offsets.iter_mut().for_each(|(_, offset)| offset.metadata.clear());
        }
        let dirty = self.tasks.values().any(Task::is_dirty);
        if !dirty && offsets.is_empty() && !self.outlet.is_in_transaction() {
            return Ok(());
        }
        let timeout = self.shared.config.request_timeout;
        self.tasks.values_mut().for_each(Task::freeze_positions);
        if self.shared.has(Bug::StoresBeforeLog) {
            self.outlet.flush(timeout)?;
            for task in self.tasks.values_mut() {
                task.commit_stores(&self.outlet)?;
            }
        }
        if goes_on && self.freeze_tasks() {
            if self.shared.has(Bug::SkipOffsets) {
                offsets.clear();
            }
            let group = self.membership.group_metadata()?;
            self.outlet.start_commit(&offsets, &group, timeout, self.consumer.waker())?;
            self.underway = Some(offsets);
            // A log that had nothing to wait for is done.
            return self.advance_commit(Duration::ZERO).map(drop);
        }
        if self.shared.has(Bug::CommitBeforeFlush)
            && self.shared.config.guarantee == Guarantee::AtLeastOnce
            && !offsets.is_empty()
        {
            self.membership.commit(&offsets, timeout)?;
            self.shared.pass(CrashPoint::LogCommitted);
        }
        self.outlet.flush(timeout)?;
        self.shared.pass(CrashPoint::Produced);
        match self.shared.config.guarantee {
            Guarantee::AtLeastOnce => {
                if !offsets.is_empty() {
                    self.membership.commit(&offsets, timeout)?;
                }
            }
            Guarantee::ExactlyOnce => {
                let group = self.membership.group_metadata()?;
                if self.shared.has(Bug::SkipOffsets) {
                    offsets.clear();
                }
                self.outlet.commit_transaction(&offsets, &group, timeout)?;
            }
        }
        self.committed(&offsets, false)
    }

    /// Fixes in all tasks what the commit is of; false if some store cannot.
    fn freeze_tasks(&mut self) -> bool {
        let are_frozen =
            self.shared.has(Bug::CommitThawed) || self.tasks.values().all(Task::freeze);
        if are_frozen {
            self.tasks.values_mut().for_each(Task::go_on);
        }
        are_frozen
    }

    /// Looks after the commit that is going on; true if it is done.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    fn advance_commit(&mut self, wait: Duration) -> Result<bool> {
        self.shared.pass(CrashPoint::CommitUnderway);
        match self.outlet.poll_commit(wait) {
            Ok(false) => return Ok(false),
            Ok(true) => {}
            Err(error) => {
                self.underway = None;
                return Err(error);
            }
        }
        let Some(offsets) = self.underway.take() else { return Ok(true) };
        self.committed(&offsets, true)?;
        // What waited for it.
        for task in self.tasks.values_mut() {
            task.drain(&mut self.outlet)?;
        }
        Ok(true)
    }

    /// The log has committed: the stores follow. If the tasks have gone on, those alone that were
    /// part of it.
    fn committed(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        have_gone_on: bool,
    ) -> Result {
        if let Some(probe) = &self.shared.config.probe {
            probe.committed(offsets);
            probe.pass(CrashPoint::LogCommitted);
        }
        // Of tasks that have gone on nobody asks: records are not committed one by one then.
        let with_work = self.tasks.values().filter(|task| task.is_dirty()).map(|task| task.id);
        self.slowness.committed(with_work);
        let is_part = |task: &&mut Task| !have_gone_on || task.is_underway();
        let mut first_error: Option<Error> = None;
        for task in self.tasks.values_mut().filter(is_part) {
            // The log has it: a store that fails now is behind, never ahead.
            if let Err(error) = task.committed(&self.outlet) {
                first_error.get_or_insert(error);
            }
            self.shared.update(task.info());
        }
        self.has_just_committed = true;
        self.purge_if_due(offsets);
        self.shared.pass(CrashPoint::CommitEnds);
        first_error.map_or(Ok(()), Err)
    }

    /// Deletes from repartition topics what every task has read: their retention is unlimited.
    fn purge_if_due(&mut self, committed: &[(TopicPartition, CommittedOffset)]) {
        let config = &self.shared.config;
        let monotonic = config.clock.monotonic();
        if monotonic.saturating_sub(self.last_purge) < config.repartition_purge {
            return;
        }
        self.last_purge = monotonic;
        let is_repartition =
            |at: &TopicPartition| self.shared.prints.is_repartition_topic(&at.topic);
        let read: Vec<_> = committed
            .iter()
            .filter(|(partition, _)| is_repartition(partition))
            .map(|(partition, committed)| (partition.clone(), committed.offset))
            .collect();
        if read.is_empty() {
            return;
        }
        if let Err(error) = self.shared.admin.delete_records(&read, config.request_timeout) {
            // They are deleted after a later commit.
            log::warn!("purging repartition topics: {error}");
        }
    }
}
