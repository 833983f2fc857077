//! The commit: the order of its steps, for both guarantees.
//!
//! At least once: flush, acknowledgements, offsets, stores. Exactly once: flush, offsets inside the
//! transaction, commit it, stores. After the flush the tasks go on with what is for the next commit;
//! the rest is [`underway`](crate::underway). Stores come last in both, so what they hold is always
//! in the log.

use std::time::Duration;

use kstreams_core::error::Result;
use kstreams_core::record::TopicPartition;
use kstreams_core::task::TaskId;

use crate::config::Guarantee;
use crate::planted::Bug;
use crate::probe::CrashPoint;
use crate::task::Task;
use crate::transport::CommittedOffset;
use crate::underway::Underway;
use crate::worker::Worker;

/// How long a commit that is going on is waited for before it is asked again.
const STEP: Duration = Duration::from_millis(100);

impl Worker {
    /// Commits if it is time to, which it may be sooner for a thread that has run dry.
    pub(crate) fn commit_if_due(&mut self, is_dry: bool) -> Result {
        if !self.advance_commit(Duration::ZERO)? && !self.has_only_stores_left() {
            return Ok(());
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
        // Stores hold nobody up.
        let had_stores_left = self.has_only_stores_left();
        while !self.advance_commit(STEP)? {}
        if !due && had_stores_left {
            // What they had was most of the bytes.
            return Ok(());
        }
        let goes_on = !self.slowness.is_careful() && self.shared.suspects().is_empty();
        self.commit_all(goes_on)
    }

    /// Commits all tasks of this thread together, and waits for it.
    ///
    /// # Errors
    /// `Timeout` and `Unavailable`: nothing is lost; with exactly-once the outcome is unknown and
    /// the producer has to be replaced. `Fenced`: the tasks have other owners.
    pub(crate) fn commit(&mut self) -> Result {
        while !self.advance_commit(STEP)? {}
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
        // What is sent from here on may be acknowledged before what is of this commit.
        let has_line = self.outlet.draw_line();
        let is_at_least_once = self.shared.config.guarantee == Guarantee::AtLeastOnce;
        let is_hasty = is_at_least_once && self.shared.has(Bug::CommitBeforeFlush);
        if self.shared.has(Bug::SkipOffsets) && !is_at_least_once {
            offsets.clear();
        }
        if goes_on && has_line && self.tasks.values().all(Task::can_go_on) {
            if !self.shared.has(Bug::CommitThawed) {
                self.tasks.values_mut().for_each(Task::freeze_stores);
            }
            self.tasks.values_mut().for_each(Task::go_on);
            self.underway = Some(if is_at_least_once {
                Underway::Sent { positions: offsets, since: self.last_commit }
            } else {
                let group = self.membership.group_metadata()?;
                self.outlet.start_commit(&offsets, &group, timeout, self.consumer.waker())?;
                Underway::Transaction(offsets)
            });
            // A log that had nothing to wait for is done.
            return self.advance_commit(Duration::ZERO).map(drop);
        }
        if is_hasty && !offsets.is_empty() {
            self.membership.commit(&offsets, timeout)?;
            self.shared.pass(CrashPoint::LogCommitted);
        }
        self.outlet.flush(timeout)?;
        if !has_line {
            self.outlet.draw_line();
        }
        self.shared.pass(CrashPoint::Produced);
        match self.shared.config.guarantee {
            Guarantee::AtLeastOnce => {
                if !offsets.is_empty() {
                    self.membership.commit(&offsets, timeout)?;
                }
            }
            Guarantee::ExactlyOnce => {
                let group = self.membership.group_metadata()?;
                self.outlet.commit_transaction(&offsets, &group, timeout)?;
            }
        }
        self.log_has_committed(&offsets);
        let all: Vec<TaskId> = self.tasks.keys().copied().collect();
        let committed = self.commit_stores(&all);
        self.end_commit();
        committed
    }

    /// Deletes from repartition topics what every task has read: their retention is unlimited.
    pub(crate) fn purge_if_due(&mut self, committed: &[(TopicPartition, CommittedOffset)]) {
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
