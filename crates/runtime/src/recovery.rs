//! What an error of a turn means: go on, open tasks anew, or end.

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::task::TaskId;

use crate::config::Guarantee;
use crate::pause::Pause;
use crate::planted::Bug;
use crate::probe::CrashPoint;
use crate::underway::Underway;
use crate::worker::{Turn, Worker, new_outlet};

impl Worker {
    /// Decides what an error means: go on, open tasks anew, or end.
    pub(crate) fn recover(&mut self, error: Error) -> Turn {
        let was_at_work = std::mem::take(&mut self.is_at_work);
        let outcome = match error.kind() {
            _ if error.is_retriable() => {
                let who = format!("thread {}", self.index);
                if let Err(error) = self.failing.again(&who, error, &self.shared.config) {
                    return Turn::Failed(error);
                }
                if was_at_work && self.shared.config.guarantee == Guarantee::ExactlyOnce {
                    if let Err(error) = self.transaction_lost() {
                        return Turn::Failed(error);
                    }
                    if self.shared.has(Bug::ReuseProducer) {
                        self.give_up_all()
                    } else {
                        self.replace_outlet()
                    }
                } else {
                    Ok(())
                }
            }
            ErrorKind::Fenced => {
                log::warn!("thread {}: fenced: {error}", self.index);
                let timeout = self.shared.config.request_timeout;
                if self.shared.has(Bug::KeepWhenFenced) && self.outlet.abort(timeout).is_ok() {
                    return Turn::Idle;
                }
                if let Err(error) = self.transaction_lost() {
                    return Turn::Failed(error);
                }
                self.replace_outlet()
            }
            ErrorKind::Corrupted => {
                log::warn!("thread {}: {error}", self.index);
                self.wipe_and_reopen(error.task())
            }
            _ => return Turn::Failed(error),
        };
        match outcome {
            Ok(()) => Turn::Idle,
            Err(error) if error.is_retriable() => {
                log::warn!("thread {}: tries again: {error}", self.index);
                Turn::Idle
            }
            Err(error) => Turn::Failed(error),
        }
    }

    /// The outcome of a transaction is unknown, or it was refused: this producer is never used
    /// again (KIP-890 has no client side here), and all tasks go on from what is committed.
    ///
    /// Nothing is aborted: the next producer of the same transactional id does that, and fences
    /// requests of this one that are still on their way. It is asked for until there is one.
    pub(crate) fn replace_outlet(&mut self) -> Result {
        self.is_outlet_spent = true;
        self.give_up_all()?;
        self.renew_outlet()
    }

    pub(crate) fn renew_outlet(&mut self) -> Result {
        if self.is_outlet_spent {
            self.outlet = new_outlet(&self.shared, self.index)?;
            self.is_outlet_spent = false;
            self.shared.pass(CrashPoint::ProducerReplaced);
        }
        Ok(())
    }

    /// At least once, after a record was not written: all tasks go on from what is committed. To
    /// send it again would put it behind those after it.
    pub(crate) fn redo_lost(&mut self) -> Result {
        if !self.outlet.has_lost() {
            return Ok(());
        }
        self.outlet.settle_lost()?;
        if self.shared.has(Bug::ForgetRefused) {
            return Ok(());
        }
        self.give_up_all()
    }

    fn wipe_and_reopen(&mut self, task: Option<TaskId>) -> Result {
        if self.shared.config.guarantee == Guarantee::ExactlyOnce {
            self.replace_outlet()?;
        } else {
            self.give_up_all()?;
        }
        if let Some(task) = task {
            self.shared.wipe(task)?;
        }
        Ok(())
    }

    /// Closes every task without a commit and opens those that are still ours anew.
    pub(crate) fn give_up_all(&mut self) -> Result {
        // Its outcome is not known here; the next producer settles it.
        let underway = self.underway.take();
        self.is_outlet_spent |= matches!(underway, Some(Underway::Transaction(_)));
        if !self.is_outlet_spent
            && let Err(error) = self.outlet.abort(self.shared.config.request_timeout)
        {
            log::warn!("thread {}: abort failed: {error}", self.index);
            self.is_outlet_spent = true;
        }
        for (id, mut task) in std::mem::take(&mut self.tasks) {
            self.consumer.unassign(&task.lanes())?;
            self.shared.withdraw(id);
            if self.shared.has(Bug::CloseCommits) {
                task.commit_stores(&self.outlet)?;
            }
            task.close();
        }
        for task in std::mem::take(&mut self.restoring) {
            task.close(&mut *self.consumer, &self.shared.config);
        }
        let target = self.target.clone();
        self.reconcile_standbys(&target);
        self.pending = target.active;
        self.pause = Pause::None;
        Ok(())
    }
}
