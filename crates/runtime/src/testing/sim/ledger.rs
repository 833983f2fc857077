//! What instances have done since the last look: commits of stores, commits of positions, records
//! that processors saw. Probes and stores write it, the invariants read it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kstreams_core::record::{Offset, RecordMetadata, TopicPartition};
use kstreams_core::task::TaskId;
use parking_lot::Mutex;

/// A store has changed what is on disk.
#[derive(Clone, Debug)]
pub(super) struct StoreEvent {
    pub(super) instance: usize,
    pub(super) step: StoreStep,
    pub(super) task: TaskId,
    pub(super) topic: Arc<str>,
    pub(super) offset: Option<Offset>,
    /// Of all committed entries.
    pub(super) hash: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreStep {
    Open,
    Restore,
    Commit,
    Wipe,
}

/// The log has taken a position.
#[derive(Clone, Debug)]
pub(super) struct CommitEvent {
    pub(super) instance: usize,
    pub(super) worker: usize,
    pub(super) partition: TopicPartition,
    pub(super) offset: Offset,
}

/// Shared by all instances of a world.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    stores: Vec<StoreEvent>,
    commits: Vec<CommitEvent>,
    seen: BTreeMap<(Arc<str>, i32, Offset), u32>,
}

impl Ledger {
    pub(super) fn store(&self, event: StoreEvent) {
        self.0.lock().stores.push(event);
    }

    pub(super) fn commit(&self, event: CommitEvent) {
        self.0.lock().commits.push(event);
    }

    pub(super) fn take(&self) -> (Vec<StoreEvent>, Vec<CommitEvent>) {
        let mut inner = self.0.lock();
        (std::mem::take(&mut inner.stores), std::mem::take(&mut inner.commits))
    }

    /// True if something was committed since the last look.
    pub(super) fn has_commits(&self) -> bool {
        !self.0.lock().commits.is_empty()
    }

    pub(super) fn saw(&self, topic: &str, partition: i32, offset: Offset) {
        *self.0.lock().seen.entry((topic.into(), partition, offset)).or_default() += 1;
    }

    pub(super) fn n_seen(&self, topic: &str, partition: i32, offset: Offset) -> u32 {
        self.0.lock().seen.get(&(topic.into(), partition, offset)).copied().unwrap_or(0)
    }

    pub(super) fn seen(&self) -> BTreeMap<(Arc<str>, i32, Offset), u32> {
        self.0.lock().seen.clone()
    }
}

/// Counts which records processors saw; a topology takes it from [`SimEnv`](super::SimEnv).
///
/// With it a simulation knows that no record of an aborted transaction was read, and how often a
/// record may have been processed again.
#[derive(Clone, Debug)]
pub struct Tap(pub(super) Ledger);

impl Tap {
    /// Notes the record in work: `tap.saw(ctx.record_metadata())`.
    pub fn saw(&self, record: Option<RecordMetadata<'_>>) {
        if let Some(record) = record {
            self.0.saw(record.topic, record.partition, record.offset);
        }
    }
}
