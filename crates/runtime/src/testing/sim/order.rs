//! In which order a task has processed its records. With several inputs that is its own choice, so
//! whoever foretells the output must be told.
//!
//! A task tells when it begins to run, and each record that it takes. Attempts that end without a
//! commit leave nothing behind: of what was told, that which the positions have passed since counts.
//! An instance tells what its global stores have read: what a task finds there is of that time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::task::TaskId;

/// One record that a task is done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The input.
    pub partition: TopicPartition,
    /// The offset in it.
    pub offset: Offset,
    /// True if it was the first one since the task began to run there.
    pub is_first: bool,
    /// True if the task wrote behind it what it had held back, as it does at commits.
    pub is_flushed: bool,
    /// The positions of the global stores beside the task.
    pub global: Arc<BTreeMap<TopicPartition, Offset>>,
}

/// What instances tell.
#[derive(Clone, Debug)]
pub(super) enum TakeEvent {
    /// A task begins to run; owners are workers of instances.
    Runs { owner: (usize, usize), task: TaskId },
    /// A task takes a record.
    Takes { owner: (usize, usize), task: TaskId, partition: TopicPartition, offset: Offset },
    /// A task writes what it has held back.
    Flushes { owner: (usize, usize), task: TaskId },
    /// The global stores of an instance have read a partition up to here.
    Knows { instance: usize, partition: TopicPartition, position: Offset },
}

/// What one owner has taken since the task began to run there.
#[derive(Debug)]
struct Attempt {
    owner: (usize, usize),
    is_new: bool,
    records: Vec<Taken>,
}

/// The orders of all tasks.
#[derive(Debug, Default)]
pub(super) struct Orders {
    attempts: BTreeMap<TaskId, Vec<Attempt>>,
    positions: BTreeMap<TopicPartition, Offset>,
    /// By instance, what its global stores have read.
    global: BTreeMap<usize, Arc<BTreeMap<TopicPartition, Offset>>>,
    orders: BTreeMap<TaskId, Vec<Taken>>,
}

impl Orders {
    /// What a task is done with, from its first record on.
    pub(super) fn of(&self, task: TaskId) -> &[Taken] {
        self.orders.get(&task).map_or(&[], |order| order)
    }

    pub(super) fn took(&mut self, event: TakeEvent) {
        match event {
            TakeEvent::Runs { owner, task } => {
                let attempt = Attempt { owner, is_new: true, records: Vec::new() };
                self.attempts.entry(task).or_default().push(attempt);
            }
            TakeEvent::Knows { instance, partition, position } => {
                let known = self.global.entry(instance).or_default();
                Arc::make_mut(known).insert(partition, position);
            }
            TakeEvent::Takes { owner, task, partition, offset } => {
                // What is passed already nobody can commit any more.
                if self.positions.get(&partition).is_some_and(|end| offset < *end) {
                    return;
                }
                let global = self.global.get(&owner.0).cloned().unwrap_or_default();
                let Some(attempt) = self.last_attempt(owner, task) else { return };
                let is_first = std::mem::take(&mut attempt.is_new);
                let taken = Taken { partition, offset, is_first, is_flushed: false, global };
                attempt.records.push(taken);
            }
            TakeEvent::Flushes { owner, task } => {
                let attempt = self.last_attempt(owner, task);
                if let Some(last) = attempt.and_then(|attempt| attempt.records.last_mut()) {
                    last.is_flushed = true;
                }
            }
        }
    }

    fn last_attempt(&mut self, owner: (usize, usize), task: TaskId) -> Option<&mut Attempt> {
        let attempts = self.attempts.get_mut(&task)?;
        attempts.iter_mut().rev().find(|attempt| attempt.owner == owner)
    }

    /// Positions have moved on. Whoever began last went on where the positions were then, and what
    /// lies before is of those that began earlier: nobody commits once another has begun.
    pub(super) fn committed(&mut self, positions: &BTreeMap<TopicPartition, Offset>) {
        if self.positions == *positions {
            return;
        }
        let is_left = |at: &Taken| positions.get(&at.partition).is_none_or(|end| at.offset >= *end);
        for (task, attempts) in &mut self.attempts {
            let mut parts: Vec<Vec<Taken>> = Vec::new();
            let mut known = BTreeSet::new();
            for attempt in attempts.iter_mut().rev() {
                let (left, passed): (Vec<_>, Vec<_>) =
                    std::mem::take(&mut attempt.records).into_iter().partition(is_left);
                attempt.records = left;
                let is_new = |at: &Taken| known.insert((at.partition.clone(), at.offset));
                parts.push(passed.into_iter().filter(is_new).collect());
            }
            self.orders.entry(*task).or_default().extend(parts.into_iter().rev().flatten());
            // The last one of an owner may go on.
            for index in (0..attempts.len()).rev() {
                let owner = attempts[index].owner;
                let is_last = !attempts[index + 1..].iter().any(|later| later.owner == owner);
                if !is_last && attempts[index].records.is_empty() {
                    attempts.remove(index);
                }
            }
        }
        self.positions.clone_from(positions);
    }
}
