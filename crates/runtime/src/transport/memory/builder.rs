//! The settings of a log in memory.

use std::sync::Arc;

use kstreams_core::time::{Clock, SystemClock};
use parking_lot::Mutex;

use super::MemoryLog;
use super::broker::Broker;
use super::chunk::MAX_RECORD;
use super::fault::{Faults, Network};
use super::group::{GroupMode, GroupSettings, Groups};
use super::signal::Signal;
use super::topic::{TopicConfig, Topics};
use super::transaction::Transactions;

/// Makes a [`MemoryLog`].
///
/// ```
/// use kstreams_core::time::ManualClock;
/// use kstreams_runtime::transport::memory::{GroupMode, MemoryLog};
///
/// let log = MemoryLog::builder()
///     .clock(ManualClock::default())
///     .non_blocking()
///     .group_mode(GroupMode::Classic)
///     .auto_create_topics(1)
///     .build();
/// # drop(log);
/// ```
#[derive(Clone)]
#[must_use]
pub struct MemoryLogBuilder {
    clock: Arc<dyn Clock>,
    is_blocking: bool,
    topic_config: TopicConfig,
    auto_create: Option<i32>,
    group_settings: GroupSettings,
    has_stepwise_commits: bool,
    faults: Option<Arc<dyn Faults>>,
}

impl Default for MemoryLogBuilder {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            is_blocking: true,
            topic_config: TopicConfig::default(),
            auto_create: None,
            group_settings: GroupSettings::default(),
            has_stepwise_commits: false,
            faults: None,
        }
    }
}

impl MemoryLogBuilder {
    /// Decides what time it is: for time-outs of members and transactions, and retention.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// As [`clock`](Self::clock), for a clock that is shared.
    pub fn shared_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// No call waits: for a test or a simulation that drives all clients from one thread. What
    /// would have to wait fails at once with `Timeout`.
    pub fn non_blocking(mut self) -> Self {
        self.is_blocking = false;
        self
    }

    /// Makes topics with so many partitions when they are first used; otherwise that is refused.
    pub fn auto_create_topics(mut self, n_partitions: i32) -> Self {
        self.auto_create = Some(n_partitions.max(1));
        self
    }

    /// Key, value and headers of one record may take so many bytes (1 MiB by default, 1 GiB at
    /// most); the topic setting `max.message.bytes` goes before it.
    pub fn max_message_bytes(mut self, limit: usize) -> Self {
        self.topic_config.max_message_bytes = limit.min(MAX_RECORD - 1);
        self
    }

    /// A partition keeps about so many bytes; everything by default. The topic setting
    /// `retention.bytes` goes before it.
    pub fn retention_bytes(mut self, limit: usize) -> Self {
        self.topic_config.retention_bytes = Some(limit);
        self
    }

    /// A partition keeps at least so many offsets, and not many more; everything by default.
    pub fn retention_records(mut self, limit: u64) -> Self {
        self.topic_config.retention_records = Some(limit);
        self
    }

    /// A compacted partition may grow by so many bytes before it is compacted again (16 MiB by
    /// default), or by what it holds if that is more.
    pub fn compact_bytes(mut self, limit: usize) -> Self {
        self.topic_config.compact_bytes = limit;
        self
    }

    /// How tasks change hands; as in the streams protocol by default.
    pub fn group_mode(mut self, mode: GroupMode) -> Self {
        self.group_settings.mode = mode;
        self
    }

    /// How many standbys the group gives to each task with state; none by default.
    pub fn n_standby(mut self, n_standby: usize) -> Self {
        self.group_settings.n_standby = n_standby;
        self
    }

    /// Lets a commit that goes on beside the work take several steps, as on a real broker; it is done
    /// at once by default.
    pub fn stepwise_commits(mut self, is_stepwise: bool) -> Self {
        self.has_stepwise_commits = is_stepwise;
        self
    }

    /// Lets requests go wrong.
    pub fn faults(mut self, faults: Arc<dyn Faults>) -> Self {
        self.faults = Some(faults);
        self
    }

    /// Makes the log.
    pub fn build(self) -> MemoryLog {
        MemoryLog(Arc::new(Broker {
            clock: self.clock,
            is_blocking: self.is_blocking,
            topics: Topics::default(),
            topic_config: self.topic_config,
            auto_create: self.auto_create,
            transactions: Mutex::new(Transactions::default()),
            groups: Mutex::new(Groups::default()),
            group_settings: self.group_settings,
            has_stepwise_commits: self.has_stepwise_commits,
            signal: Signal::default(),
            network: self.faults.map(Network::new),
        }))
    }
}

impl std::fmt::Debug for MemoryLogBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLogBuilder")
            .field("is_blocking", &self.is_blocking)
            .field("topic_config", &self.topic_config)
            .field("auto_create", &self.auto_create)
            .field("group_settings", &self.group_settings)
            .field("has_stepwise_commits", &self.has_stepwise_commits)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}
