//! Work that takes longer than its transaction may last or the group waits for a member.
//!
//! The broker gives such a transaction up, all of it is done again, and is as slow again. So the
//! next records are committed one by one: then no transaction is open while user code runs, and
//! time does not matter to it. What the group does not wait for cannot be cured so; after some
//! attempts it is an error that says what to change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::task::TaskId;
use kstreams_core::time::millis;

use crate::task::Share;
use crate::worker::{TURN, Worker};

/// So many attempts in a row, without a commit of the task, are enough.
const MAX_ATTEMPTS: u32 = 5;
/// So many commits after a setback are of one record each.
const N_CAREFUL: u32 = 64;

/// The slowest piece of work since the last commit.
#[derive(Clone, Debug)]
pub(crate) struct Slow {
    pub(crate) took: Duration,
    pub(crate) task: TaskId,
    /// The last record of it; the only one, if records are committed one by one.
    pub(crate) record: Option<(TopicPartition, Offset)>,
}

/// What the setbacks of one thread have taught it.
#[derive(Debug, Default)]
pub(crate) struct Slowness {
    slowest: Option<Slow>,
    /// How often each task's work was lost since the task was committed.
    attempts: BTreeMap<TaskId, u32>,
    n_careful: u32,
}

impl Slowness {
    /// True if each record should be committed before the next is processed.
    pub(crate) fn is_careful(&self) -> bool {
        self.n_careful > 0
    }

    pub(crate) fn note(&mut self, slow: Slow) {
        if self.slowest.as_ref().is_none_or(|slowest| slowest.took < slow.took) {
            self.slowest = Some(slow);
        }
    }

    /// Work of these tasks is committed.
    pub(crate) fn committed(&mut self, tasks: impl Iterator<Item = TaskId>) {
        self.slowest = None;
        if self.n_careful > 0 {
            self.n_careful -= 1;
            for task in tasks {
                self.attempts.remove(&task);
            }
        }
    }

    /// All work since the last commit is lost; `limit` is what it was allowed to take, by the
    /// setting of that name.
    ///
    /// # Errors
    /// `Timeout` if it was slow and has been done [`MAX_ATTEMPTS`] times.
    pub(crate) fn setback(&mut self, limit: Duration, setting: &str) -> Result {
        let Some(slow) = self.slowest.take().filter(|slow| slow.took >= limit) else {
            return Ok(());
        };
        self.n_careful = N_CAREFUL;
        let attempts = self.attempts.entry(slow.task).or_default();
        *attempts += 1;
        let text = format!(
            "processing took {} ms, longer than {setting} ({} ms), and has to be done again",
            millis(slow.took),
            millis(limit)
        );
        let at = |text: String| {
            let error = Error::new(ErrorKind::Timeout, text).at_task(slow.task);
            match &slow.record {
                Some((at, offset)) => error.at_record(&at.topic, at.partition, *offset),
                None => error,
            }
        };
        if *attempts < MAX_ATTEMPTS {
            log::warn!("{}", at(text));
            return Ok(());
        }
        self.attempts.remove(&slow.task);
        Err(at(format!(
            "{text} after {MAX_ATTEMPTS} attempts: raise {setting}, or work in smaller steps"
        )))
    }
}

impl Worker {
    /// Remembers work of the tasks of this thread that took long, most of it in `task`.
    pub(crate) fn note_slow(&mut self, took: Duration, task: Option<TaskId>) {
        if let Some((id, task)) = task.and_then(|id| Some((id, self.tasks.get(&id)?))) {
            self.slowness.note(Slow { took, task: id, record: task.last_record() });
        }
    }

    /// Everything since the last commit was in a transaction that is given up.
    ///
    /// # Errors
    /// As [`Slowness::setback`].
    pub(crate) fn transaction_lost(&mut self) -> Result {
        self.slowness.setback(self.shared.config.transaction_timeout, "transaction_timeout")
    }

    /// One record of each task, and its punctuators; each is committed before the next begins.
    ///
    /// # Errors
    /// As processing and committing.
    pub(crate) fn work_one_by_one(&mut self) -> Result<bool> {
        let clock = Arc::clone(&self.shared.config.clock);
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        let mut is_busy = false;
        for id in ids {
            let (began, now) = (clock.monotonic(), clock.now());
            let share = Share { clock: &*clock, now, max_records: 1, began, max_time: TURN };
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            is_busy |= task.process(&share, &mut self.outlet)? > 0;
            self.note_slow(clock.monotonic().saturating_sub(began), Some(id));
            self.commit()?;
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            if task.punctuate(clock.now(), &mut self.outlet)? {
                self.commit()?;
            }
        }
        Ok(is_busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    fn slow(took: Duration) -> Slow {
        let at = TopicPartition::new("in", 3);
        Slow { took, task: TaskId { subtopology: 0, partition: 3 }, record: Some((at, 17)) }
    }

    fn attempt(slowness: &mut Slowness) -> Result {
        slowness.note(slow(LIMIT));
        slowness.setback(LIMIT, "transaction_timeout")
    }

    #[test]
    fn a_record_that_is_always_too_slow_is_told_with_its_place_and_the_setting() {
        let mut slowness = Slowness::default();
        for _ in 1..MAX_ATTEMPTS {
            attempt(&mut slowness).unwrap();
            assert!(slowness.is_careful());
            // Other tasks of the thread may be committed in between.
            slowness.committed(std::iter::once(TaskId { subtopology: 0, partition: 4 }));
        }
        let error = attempt(&mut slowness).unwrap_err();
        let text = error.to_string();
        for part in ["0_3", "in", "17", "100 ms", "raise transaction_timeout"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_commit_of_the_task_ends_the_count() {
        let mut slowness = Slowness::default();
        for _ in 0..3 * MAX_ATTEMPTS {
            attempt(&mut slowness).unwrap();
            slowness.committed(std::iter::once(slow(LIMIT).task));
        }
    }

    #[test]
    fn a_setback_of_fast_work_is_not_counted() {
        let mut slowness = Slowness::default();
        for _ in 0..3 * MAX_ATTEMPTS {
            slowness.note(slow(LIMIT / 2));
            slowness.setback(LIMIT, "transaction_timeout").unwrap();
        }
        assert!(!slowness.is_careful());
    }

    #[test]
    fn records_are_committed_one_by_one_for_a_while_only() {
        let mut slowness = Slowness::default();
        attempt(&mut slowness).unwrap();
        for _ in 0..N_CAREFUL {
            assert!(slowness.is_careful());
            slowness.committed(std::iter::empty());
        }
        assert!(!slowness.is_careful());
    }
}
