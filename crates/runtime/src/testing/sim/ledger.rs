//! What instances have done since the last look: commits of stores, commits of positions, records
//! that processors saw. Probes and stores write it, the invariants read it.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::random::Random;
use kstreams_core::record::{Offset, RecordMetadata, TopicPartition};
use kstreams_core::task::TaskId;
use parking_lot::Mutex;

use super::order::TakeEvent;
use super::plan::Rate;
use super::report::Coverage;

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
    takes: Vec<TakeEvent>,
    seen: BTreeMap<(Arc<str>, i32, Offset), u32>,
}

impl Ledger {
    pub(super) fn store(&self, event: StoreEvent) {
        self.0.lock().stores.push(event);
    }

    pub(super) fn commit(&self, event: CommitEvent) {
        self.0.lock().commits.push(event);
    }

    pub(super) fn took(&self, event: TakeEvent) {
        self.0.lock().takes.push(event);
    }

    pub(super) fn takes(&self) -> Vec<TakeEvent> {
        std::mem::take(&mut self.0.lock().takes)
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

/// Shows processors to the simulation; a topology takes it from [`SimEnv`](super::SimEnv).
///
/// With it a simulation knows that no record of an aborted transaction was read, and how often a
/// record may have been processed again; and user code can fail, as it does.
#[derive(Clone)]
pub struct Tap {
    pub(super) ledger: Ledger,
    pub(super) trouble: Arc<Trouble>,
}

impl Tap {
    /// Notes the record in work: `tap.saw(ctx.record_metadata())?`.
    ///
    /// # Errors
    /// If the seed says that user code fails here.
    ///
    /// # Panics
    /// If the seed says that user code panics here.
    pub fn saw(&self, record: Option<RecordMetadata<'_>>) -> Result {
        if let Some(record) = record {
            self.ledger.saw(record.topic, record.partition, record.offset);
        }
        self.trouble.strike()
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").finish_non_exhaustive()
    }
}

/// Lets user code fail.
pub(super) struct Trouble {
    rate: Rate,
    random: Random,
    is_over: AtomicBool,
    coverage: Arc<Mutex<Coverage>>,
}

impl Trouble {
    pub(super) fn new(rate: Rate, random: Random, coverage: Arc<Mutex<Coverage>>) -> Self {
        Self { rate, random, is_over: AtomicBool::new(false), coverage }
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn strike(&self) -> Result {
        let happens = self.rate.0 > 0 && self.random.below(10_000) < u64::from(self.rate.0);
        if !happens || self.is_over.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.coverage.lock().count("failures of user code");
        match self.random.below(3) {
            0 => Err(Error::new(ErrorKind::User, "user code fails")),
            1 => Err(Error::new(ErrorKind::Unavailable, "what user code asks does not answer")),
            // As a panic, but without the hook that prints it.
            _ => resume_unwind(Box::new("user code panics")),
        }
    }
}
