//! A standby: a task whose stores follow their changelogs, so that it can take over at once.

use std::sync::Arc;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, RawRecord, TopicPartition};
use kstreams_core::task::TaskId;

use super::open::OpenTask;
use super::restore::{LogRange, first_missing};
use crate::config::Config;
use crate::transport::{Consumer, Lane};

/// How many records one step takes from each changelog: few, the running tasks come first.
const BATCH: usize = 1_000;

/// A store of a standby task and how far it is behind its changelog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyStore {
    /// The task.
    pub task: TaskId,
    /// The store.
    pub store: Arc<str>,
    /// The next offset of the changelog to apply.
    pub position: Offset,
    /// How many offsets are missing; `None` before the log has told.
    pub lag: Option<i64>,
}

/// What happens to a store of a standby task (`StandbyUpdateListener`, KIP-988).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StandbyChange {
    /// It begins to follow its changelog.
    Started,
    /// It has applied records.
    Moved,
    /// Its task becomes active here.
    Promoted,
    /// Its task is a standby here no more.
    Ended,
}

/// A task that is kept warm.
pub(crate) struct Standby {
    pub(crate) open: OpenTask,
    followers: Vec<Follower>,
}

/// One store that follows its changelog.
struct Follower {
    store: usize,
    lane: Lane,
    position: Offset,
    lag: Option<i64>,
    /// For a source topic: records from the committed position on are the active task's to
    /// process.
    limit: Option<Offset>,
}

impl Standby {
    /// Starts to follow; a store that does not fit its changelog is wiped.
    ///
    /// # Errors
    /// If the consumer failed or a store cannot be wiped.
    pub(crate) fn start(
        open: OpenTask,
        ranges: &[Option<LogRange>],
        consumer: &mut dyn Consumer,
        config: &Config,
    ) -> Result<Self> {
        let mut followers = Vec::new();
        for (index, (store, range)) in open.stores.iter().zip(ranges).enumerate() {
            let (Some(range), Some(changelog)) = (range, &store.changelog) else { continue };
            let position = first_missing(&open, index, *range)?;
            let lanes = consumer.assign(&[(changelog.clone(), position)])?;
            let lane = lanes.first().copied().ok_or_else(|| {
                Error::new(ErrorKind::Fatal, "the consumer gave no lane for a partition")
            })?;
            let limit = store.is_source.then_some(position);
            followers.push(Follower { store: index, lane, position, lag: None, limit });
        }
        log::info!("task {}: standby", open.id);
        let standby = Self { open, followers };
        standby.tell(StandbyChange::Started, config);
        Ok(standby)
    }

    /// Applies what has come; true if anything did.
    ///
    /// # Errors
    /// `Corrupted` if the changelog has lost what a store needs.
    pub(crate) fn step(&mut self, consumer: &mut dyn Consumer, config: &Config) -> Result<bool> {
        let mut any = false;
        for follower in &mut self.followers {
            if follower.step(&self.open, consumer)? {
                any = true;
                (config.on_standby)(StandbyChange::Moved, &follower.info(&self.open));
            }
        }
        Ok(any)
    }

    fn tell(&self, change: StandbyChange, config: &Config) {
        for store in self.stores() {
            (config.on_standby)(change, &store);
        }
    }

    /// Source topics that stores are kept from.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &TopicPartition> {
        let limited = self.followers.iter().filter(|follower| follower.limit.is_some());
        limited.filter_map(|follower| self.open.stores[follower.store].changelog.as_ref())
    }

    /// The active task has committed its input up to here.
    pub(crate) fn set_limit(&mut self, source: &TopicPartition, committed: Offset) {
        for follower in &mut self.followers {
            if self.open.stores[follower.store].changelog.as_ref() == Some(source) {
                follower.limit = follower.limit.map(|limit| limit.max(committed));
            }
        }
    }

    /// How far each store is.
    pub(crate) fn stores(&self) -> Vec<StandbyStore> {
        self.followers.iter().map(|follower| follower.info(&self.open)).collect()
    }

    /// Stops following and gives the task with its open stores: it becomes active.
    ///
    /// # Errors
    /// If the consumer failed.
    pub(crate) fn promote(self, consumer: &mut dyn Consumer, config: &Config) -> Result<OpenTask> {
        self.tell(StandbyChange::Promoted, config);
        let lanes: Vec<Lane> = self.followers.iter().map(|follower| follower.lane).collect();
        consumer.unassign(&lanes)?;
        log::info!("task {}: standby becomes active", self.open.id);
        Ok(self.open)
    }

    /// Stops following and closes the stores; they keep what they have, with its offset.
    pub(crate) fn close(self, consumer: &mut dyn Consumer, config: &Config) {
        self.stop(consumer, config).close();
    }

    /// Stops following; the stores stay open.
    pub(crate) fn stop(self, consumer: &mut dyn Consumer, config: &Config) -> OpenTask {
        self.tell(StandbyChange::Ended, config);
        let lanes: Vec<Lane> = self.followers.iter().map(|follower| follower.lane).collect();
        if let Err(error) = consumer.unassign(&lanes) {
            log::warn!("task {}: {error}", self.open.id);
        }
        self.open
    }
}

impl Follower {
    fn info(&self, open: &OpenTask) -> StandbyStore {
        StandbyStore {
            task: open.id,
            store: open.stores[self.store].store.name().into(),
            position: self.position,
            lag: self.lag,
        }
    }

    fn step(&mut self, open: &OpenTask, consumer: &mut dyn Consumer) -> Result<bool> {
        let store = &open.stores[self.store];
        if self.limit.is_some_and(|limit| self.position >= limit) {
            return Ok(false);
        }
        let fetched = consumer.fetch(self.lane, BATCH).map_err(|error| match error.kind() {
            ErrorKind::OffsetReset => Error::new(
                ErrorKind::Corrupted,
                format!(
                    "the changelog of store {} has lost offset {}",
                    store.store.name(),
                    self.position
                ),
            )
            .at_task(open.id),
            _ => error.at_task(open.id),
        })?;
        self.lag = fetched.lag;
        if fetched.position == self.position && fetched.records.is_none() {
            return Ok(false);
        }
        let through = self.limit.map_or(fetched.position, |limit| limit.min(fetched.position));
        let batch = fetched.records.as_deref();
        let n_records = batch.map_or(0, |batch| batch.len());
        let mut records = (0..n_records)
            .filter_map(|index| batch.map(|batch| batch.get(index)))
            .take_while(|record: &RawRecord<'_>| record.offset < through);
        store.store.restore(&mut records, through - 1).map_err(|error| error.at_task(open.id))?;
        if through < fetched.position {
            consumer.seek(self.lane, through)?;
        }
        self.position = through;
        Ok(true)
    }
}

impl std::fmt::Debug for Standby {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Standby").field("task", &self.open.id).finish_non_exhaustive()
    }
}
