//! What all clients of one in-memory log share: topics, transactions, groups, clock, and the means
//! to wait.

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::time::Clock;
use parking_lot::Mutex;

use super::fault::Network;
use super::group::{GroupSettings, Groups};
use super::signal::Signal;
use super::topic::{Topic, TopicConfig, Topics, unknown};
use super::transaction::Transactions;

/// The log behind its clients.
///
/// Locks are taken in this order: transactions, groups, topics, one partition, signal.
pub(super) struct Broker {
    pub(super) clock: Arc<dyn Clock>,
    /// False if nothing may wait: a test or a simulation drives all from one thread.
    pub(super) is_blocking: bool,
    pub(super) topics: Topics,
    /// For new topics.
    pub(super) topic_config: TopicConfig,
    /// How many partitions a topic gets that is made by its first use; `None` refuses that.
    pub(super) auto_create: Option<i32>,
    pub(super) transactions: Mutex<Transactions>,
    pub(super) groups: Mutex<Groups>,
    pub(super) group_settings: GroupSettings,
    /// A commit that is started goes on step by step, with each poll.
    pub(super) has_stepwise_commits: bool,
    pub(super) signal: Signal,
    pub(super) network: Option<Network>,
}

impl Broker {
    /// The topic of that name; makes it if the log was told to.
    pub(super) fn topic(&self, name: &str) -> Result<Arc<Topic>> {
        if let Some(topic) = self.topics.get(name) {
            return Ok(topic);
        }
        let Some(n_partitions) = self.auto_create else { return Err(unknown(name)) };
        self.topics.create(name, n_partitions, self.topic_config.clone())?;
        self.signal.control();
        self.topics.get(name).ok_or_else(|| unknown(name))
    }

    /// Tries until it succeeds, fails for good, or the time is over; once if nothing may wait.
    pub(super) fn retry<T>(
        &self,
        timeout: Duration,
        mut attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let deadline = self.clock.monotonic().saturating_add(timeout);
        loop {
            let seen = self.signal.seen();
            let error = match attempt() {
                Err(error) if error.is_retriable() => error,
                done => return done,
            };
            let left = deadline.saturating_sub(self.clock.monotonic());
            if !self.is_blocking || left.is_zero() {
                return Err(Error::new(ErrorKind::Timeout, error.message()).with_source(error));
            }
            self.signal.wait(seen, left.min(RETRY_BACKOFF));
        }
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let topics: Vec<_> = self
            .topics
            .all()
            .iter()
            .map(|topic| (topic.name.clone(), topic.n_partitions()))
            .collect();
        f.debug_struct("MemoryLog").field("topics", &topics).finish_non_exhaustive()
    }
}

/// How long a refused attempt waits for the next, unless something happens before.
const RETRY_BACKOFF: Duration = Duration::from_millis(10);
