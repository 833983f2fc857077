//! How a worker follows its group: it gives up what is not its own any more and takes on what is new.

use std::collections::BTreeSet;

use kstreams_core::error::Result;
use kstreams_core::task::TaskId;

use crate::planted::Bug;
use crate::probe::CrashPoint;
use crate::transport::{Assignment, MembershipEvent};
use crate::worker::Worker;

impl Worker {
    pub(crate) fn follow_group(&mut self) -> Result<bool> {
        self.acknowledge()?;
        let Some(event) = self.membership.poll()? else { return Ok(false) };
        log::debug!("thread {}: {event:?}", self.index);
        self.shared.pass(CrashPoint::GroupNews);
        match event {
            MembershipEvent::Suspend => {
                if !self.suspended {
                    self.commit_before_release();
                }
                self.note_pause();
                self.suspended = true;
                self.unacknowledged = Some(Assignment::default());
            }
            MembershipEvent::Assigned(target) => {
                self.reconcile(&target)?;
                self.unacknowledged = Some(target);
            }
            MembershipEvent::Lost => {
                log::warn!("thread {}: lost its tasks to other members", self.index);
                self.joined = false;
                let limit = self.shared.config.rebalance_timeout;
                self.slowness.setback(limit, "rebalance_timeout")?;
                if !self.shared.has(Bug::IgnoreLost) {
                    self.target = Assignment::default();
                    self.give_up_all()?;
                }
                self.unacknowledged = Some(Assignment::default());
            }
            MembershipEvent::ShutdownRequested => self.shutdown_requested = true,
        }
        self.acknowledge()?;
        Ok(true)
    }

    /// Tells the group what is ours now, until it has heard.
    fn acknowledge(&mut self) -> Result {
        if let Some(owned) = &self.unacknowledged {
            self.shared.pass(CrashPoint::BeforeAcknowledge);
            self.membership.acknowledge(owned)?;
            self.unacknowledged = None;
            self.shared.pass(CrashPoint::AfterAcknowledge);
        }
        Ok(())
    }

    /// Gives up what is not ours any more and takes on what is new; other tasks go on untouched.
    fn reconcile(&mut self, target: &Assignment) -> Result {
        let is_late = self.shared.has(Bug::ReleaseLate);
        let gone = |id: &TaskId| !target.active.contains(id) && !is_late;
        let released: Vec<TaskId> = self.tasks.keys().copied().filter(gone).collect();
        let is_at_stake = |id: &TaskId| self.tasks[id].is_dirty() || self.tasks[id].is_underway();
        if !self.suspended && released.iter().any(is_at_stake) {
            self.commit_before_release();
        }
        for id in &released {
            if let Some(task) = self.tasks.remove(id) {
                self.consumer.unassign(&task.lanes())?;
                self.shared.withdraw(*id);
                if target.standby.contains(id) && !task.is_dirty() {
                    self.standbys.idle.push(task.recycle());
                    self.shared.pass(CrashPoint::TaskRecycled);
                } else {
                    task.close();
                    self.shared.pass(CrashPoint::TaskClosed);
                }
                log::info!("task {id}: closed, it has a new owner");
            }
        }
        let (kept, released): (Vec<_>, Vec<_>) =
            self.restoring.drain(..).partition(|task| target.active.contains(&task.open.id));
        self.restoring = kept;
        for task in released {
            task.close(&mut *self.consumer, &self.shared.config);
        }
        self.suspended = false;
        self.reconcile_standbys(target);
        let owned: BTreeSet<TaskId> = self
            .tasks
            .keys()
            .copied()
            .chain(self.restoring.iter().map(|task| task.open.id))
            .collect();
        self.pending = target.active.difference(&owned).copied().collect();
        if !self.pending.is_empty() {
            let names: Vec<String> = self.pending.iter().map(ToString::to_string).collect();
            log::info!("thread {}: takes on tasks {}", self.index, names.join(", "));
        }
        self.target = target.clone();
        self.joined = true;
        Ok(())
    }

    /// Commits so that the next owner repeats nothing. If it fails, the next owner repeats what was
    /// not committed; that is no reason to keep the tasks.
    fn commit_before_release(&mut self) {
        if let Err(error) = self.commit() {
            log::warn!("thread {}: commit before giving tasks up failed: {error}", self.index);
            self.is_outlet_spent = true;
            if let Err(error) = self.give_up_all() {
                log::warn!("thread {}: {error}", self.index);
            }
        }
    }
}
