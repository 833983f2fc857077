//! What must hold whatever the topology: positions, stores and changelogs, owners, leaks.
//!
//! The oracle of a topology adds what its output must be.

use std::collections::BTreeMap;
use std::sync::Arc;

use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::task::TaskId;

use super::history::History;
use super::ledger::{CommitEvent, Ledger, StoreEvent, StoreStep};
use super::trace::Hash;
use crate::config::Guarantee;

/// An invariant and how it was broken.
pub(super) type Broken = (&'static str, String);

/// What was seen so far.
#[derive(Debug)]
pub(super) struct Invariants {
    guarantee: Guarantee,
    /// Changelogs are compacted, so a store that is being restored is no state they ever had.
    is_compacting: bool,
    ledger: Ledger,
    folds: BTreeMap<TopicPartition, Fold>,
    /// Steps of stores that stand for offsets which are not decided yet.
    waiting: Vec<StoreEvent>,
    /// Per instance, task and changelog: where the store stands.
    marks: BTreeMap<(usize, TaskId, Arc<str>), Option<Offset>>,
    positions: BTreeMap<TopicPartition, Offset>,
    committers: BTreeMap<TopicPartition, CommitEvent>,
}

/// A changelog read from its beginning.
#[derive(Debug, Default)]
struct Fold {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    n_read: usize,
    /// The hash of all entries behind each record.
    hashes: Vec<(Offset, u64)>,
}

impl Fold {
    fn read_on(&mut self, history: &History, name: &TopicPartition) {
        let records = history.records(&name.topic, name.partition);
        for record in &records[self.n_read..] {
            let mut hash = self.hashes.last().map_or(0, |(_, hash)| *hash);
            if let Some(key) = &record.key {
                let old = match &record.value {
                    Some(value) => self.entries.insert(key.clone(), value.clone()),
                    None => self.entries.remove(key),
                };
                hash ^= old.map_or(0, |old| Hash::entry(key, &old));
                hash ^= record.value.as_ref().map_or(0, |value| Hash::entry(key, value));
            }
            self.hashes.push((record.offset, hash));
        }
        self.n_read = records.len();
    }

    /// The hash of all entries up to this offset.
    fn at(&self, offset: Offset) -> u64 {
        let n = self.hashes.partition_point(|(at, _)| *at <= offset);
        if n == 0 { 0 } else { self.hashes[n - 1].1 }
    }
}

impl Invariants {
    pub(super) fn new(guarantee: Guarantee, is_compacting: bool, ledger: Ledger) -> Self {
        Self {
            guarantee,
            is_compacting,
            ledger,
            folds: BTreeMap::new(),
            waiting: Vec::new(),
            marks: BTreeMap::new(),
            positions: BTreeMap::new(),
            committers: BTreeMap::new(),
        }
    }

    /// Looks at everything that is new.
    pub(super) fn look(&mut self, history: &History) -> Result<(), Broken> {
        let (stores, commits) = self.ledger.take();
        for event in commits {
            self.one_committer(event)?;
        }
        self.positions_move_forward(history)?;
        for event in &stores {
            self.mark_moves_forward(event)?;
        }
        let is_compacting = self.is_compacting;
        let is_settled = |event: &StoreEvent| !is_compacting || event.step == StoreStep::Commit;
        self.waiting.extend(stores.into_iter().filter(is_settled));
        self.stores_are_their_changelogs(history)
    }

    /// I6: whoever commits a position goes on where the last one stopped.
    fn one_committer(&mut self, event: CommitEvent) -> Result<(), Broken> {
        let last = self.committers.get(&event.partition);
        if let Some(last) = last
            && (last.instance, last.worker) != (event.instance, event.worker)
            && event.offset < last.offset
        {
            let text = format!("two owners commit at a time: {last:?}, then {event:?}");
            return Err(("I6", text));
        }
        self.committers.insert(event.partition.clone(), event);
        Ok(())
    }

    /// I3: committed positions never go back.
    fn positions_move_forward(&mut self, history: &History) -> Result<(), Broken> {
        for (name, offset) in history.positions() {
            let before = self.positions.insert(name.clone(), *offset);
            if before.is_some_and(|before| before > *offset) {
                let text = format!("position of {name} went from {before:?} back to {offset}");
                return Err(("I3", text));
            }
        }
        Ok(())
    }

    /// I7: a store's offset moves forward, unless it is wiped.
    fn mark_moves_forward(&mut self, event: &StoreEvent) -> Result<(), Broken> {
        let key = (event.instance, event.task, Arc::clone(&event.topic));
        let before = self.marks.insert(key, event.offset).flatten();
        let goes_back = before.is_some_and(|before| event.offset.is_none_or(|now| now < before));
        if goes_back && matches!(event.step, StoreStep::Commit | StoreStep::Restore) {
            let text = format!("store went back from offset {before:?}: {event:?}");
            return Err(("I7", text));
        }
        Ok(())
    }

    /// I2: what a store holds is what its changelog holds up to the offset it stands for.
    fn stores_are_their_changelogs(&mut self, history: &History) -> Result<(), Broken> {
        let mut undecided = Vec::new();
        for event in std::mem::take(&mut self.waiting) {
            let name = TopicPartition::new(Arc::clone(&event.topic), event.task.partition);
            let offset = event.offset.unwrap_or(-1);
            if history.stable(&name) <= offset {
                undecided.push(event);
                continue;
            }
            let fold = self.folds.entry(name.clone()).or_default();
            fold.read_on(history, &name);
            if fold.at(offset) != event.hash {
                let text = format!("store is not {name} up to offset {offset}: {event:?}");
                return Err(("I2", text));
            }
        }
        self.waiting = undecided;
        Ok(())
    }

    /// At the end nothing is undecided, and nothing was read that was not committed.
    pub(super) fn finish(&mut self, history: &History) -> Result<(), Broken> {
        self.look(history)?;
        if let Some(event) = self.waiting.first() {
            let text = format!("store stands for an offset that the log does not have: {event:?}");
            return Err(("I7", text));
        }
        if self.guarantee == Guarantee::AtLeastOnce {
            return Ok(());
        }
        for ((topic, partition, offset), _) in self.ledger.seen() {
            let at = TopicPartition::new(Arc::clone(&topic), partition);
            if history.record(&at, offset).is_none() {
                let text = format!("a processor saw {topic}-{partition}@{offset}, never committed");
                return Err(("I4", text));
            }
        }
        Ok(())
    }
}
