//! The settings of an application, with Kafka's names, defaults and bounds in one place.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::handler::Handlers;
use kstreams_core::random::Random;
use kstreams_core::source::OffsetReset;
use kstreams_core::time::{Clock, SystemClock};
use kstreams_topology::InternalTopicSettings;

use crate::app::State;
use crate::probe::Probe;
use crate::task::{StandbyChange, StandbyStore};

/// What a crash may repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// After a crash, records since the last commit are processed again.
    AtLeastOnce,
    /// Output, state and input positions are committed in one transaction (KIP-447, v2).
    ExactlyOnce,
}

/// What happens after an error that no handler took care of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UncaughtVerdict {
    /// The thread gives up its tasks without a commit; a new one takes its place.
    ReplaceThread,
    /// This process's threads stop; the state becomes [`State::Error`].
    ShutdownClient,
    /// Every member of the group is asked to stop.
    ShutdownApplication,
}

type OnUncaught = dyn Fn(&Error) -> UncaughtVerdict + Send + Sync;
type OnState = dyn Fn(State, State) + Send + Sync;
type OnRestore = dyn Fn(&RestoreProgress) + Send + Sync;
type OnStandby = dyn Fn(StandbyChange, &StandbyStore) + Send + Sync;

/// How far the restore of one store has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreProgress {
    /// The task.
    pub task: kstreams_core::task::TaskId,
    /// The store.
    pub store: Arc<str>,
    /// Where this restore began.
    pub start: i64,
    /// The next offset to be applied.
    pub position: i64,
    /// The offset it is complete at.
    pub end: i64,
    /// How long it has taken so far.
    pub elapsed: Duration,
    /// How many records were applied.
    pub n_records: u64,
    /// True if it was given up before its end: the task went to another thread or member, or the
    /// application closed (`onRestoreSuspended`).
    pub is_suspended: bool,
}

impl RestoreProgress {
    /// True when nothing is left.
    pub fn is_done(&self) -> bool {
        self.position >= self.end
    }

    /// How long the rest will take at the pace so far; `None` before the first records.
    pub fn eta(&self) -> Option<Duration> {
        let done = u32::try_from(self.position - self.start).ok().filter(|done| *done > 0)?;
        let left = u32::try_from((self.end - self.position).max(0)).unwrap_or(u32::MAX);
        Some(self.elapsed.mul_f64(f64::from(left) / f64::from(done)))
    }
}

/// The settings of an application.
///
/// ```
/// use std::time::Duration;
/// use kstreams_runtime::{Config, Guarantee};
///
/// let config = Config::new("orders")
///     .threads(2)
///     .guarantee(Guarantee::ExactlyOnce)
///     .commit_interval(Duration::from_millis(200));
/// assert_eq!(config.commit_interval_or_default(), Duration::from_millis(200));
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) application_id: Arc<str>,
    pub(crate) threads: usize,
    pub(crate) restore_threads: usize,
    pub(crate) pin_cores: bool,
    pub(crate) guarantee: Guarantee,
    pub(crate) commit_interval: Option<Duration>,
    pub(crate) early_commit: Option<Duration>,
    pub(crate) commit_bytes: usize,
    pub(crate) state_dir: PathBuf,
    pub(crate) max_task_idle: Option<Duration>,
    pub(crate) buffered_records: usize,
    pub(crate) poll: Duration,
    pub(crate) task_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) transaction_timeout: Duration,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) offset_reset: OffsetReset,
    pub(crate) replication: Option<i16>,
    pub(crate) topic_configs: Vec<(String, String)>,
    pub(crate) changelog_extra_retention: Duration,
    pub(crate) repartition_purge: Duration,
    pub(crate) application_server: Option<String>,
    pub(crate) group_instance_id: Option<String>,
    pub(crate) handlers: Arc<Handlers>,
    pub(crate) on_uncaught: Arc<OnUncaught>,
    pub(crate) on_state: Arc<OnState>,
    pub(crate) on_restore: Arc<OnRestore>,
    pub(crate) on_standby: Arc<OnStandby>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<Random>,
    /// Watches the workers in simulation.
    pub(crate) probe: Option<Arc<dyn Probe>>,
    #[cfg(feature = "planted-bugs")]
    pub(crate) planted: Option<crate::planted::Bug>,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)+) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.$name = $name;
            self
        }
    )+};
}

impl Config {
    /// The defaults of the application `application_id`: group id and prefix of internal topics.
    pub fn new(application_id: &str) -> Self {
        Self {
            application_id: application_id.into(),
            threads: 1,
            restore_threads: 0,
            pin_cores: false,
            guarantee: Guarantee::AtLeastOnce,
            commit_interval: None,
            early_commit: None,
            commit_bytes: 64 << 20,
            state_dir: std::env::temp_dir().join("kstreams"),
            max_task_idle: Some(Duration::ZERO),
            buffered_records: 1000,
            poll: Duration::from_millis(100),
            task_timeout: Duration::from_secs(300),
            request_timeout: Duration::from_secs(30),
            transaction_timeout: Duration::from_secs(10),
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(300),
            offset_reset: OffsetReset::Earliest,
            replication: None,
            topic_configs: Vec::new(),
            changelog_extra_retention: Duration::from_secs(86_400),
            repartition_purge: Duration::from_secs(30),
            application_server: None,
            group_instance_id: None,
            handlers: Arc::default(),
            on_uncaught: Arc::new(|_| UncaughtVerdict::ShutdownClient),
            on_state: Arc::new(|_, _| {}),
            on_restore: Arc::new(|_| {}),
            on_standby: Arc::new(|_, _| {}),
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(Random::from_os()),
            probe: None,
            #[cfg(feature = "planted-bugs")]
            planted: None,
        }
    }

    setters! {
        /// `num.stream.threads`, default 1; 0 means one per core.
        threads: usize;
        /// How many threads write restored records, for all stores of the process; default 0, which
        /// is one per core and at most 4. They exist only while something is restored.
        restore_threads: usize;
        /// Binds each thread to a core of its own; needs the feature `core-pinning`. Default off.
        pin_cores: bool;
        /// `processing.guarantee`, default at-least-once.
        guarantee: Guarantee;
        /// Commits early when stores hold this many uncommitted bytes; default 64 MiB per thread.
        commit_bytes: usize;
        /// `buffered.records.per.partition`, default 1000.
        buffered_records: usize;
        /// `poll.ms`: the longest wait of an idle thread, default 100 ms.
        poll: Duration;
        /// `task.timeout.ms`: how long a task tries again when the broker does not answer,
        /// default 5 minutes.
        task_timeout: Duration;
        /// `request.timeout.ms`: the bound of one call to the broker, default 30 s.
        request_timeout: Duration;
        /// `transaction.timeout.ms`, default 10 s; must not be below the commit interval.
        transaction_timeout: Duration;
        /// `session.timeout.ms`, default 45 s; a streams-protocol broker decides itself.
        session_timeout: Duration;
        /// `max.poll.interval.ms`: how long giving tasks up may take, default 5 minutes.
        rebalance_timeout: Duration;
        /// `auto.offset.reset` of sources that do not say it themselves, default earliest.
        offset_reset: OffsetReset;
        /// `windowstore.changelog.additional.retention.ms`, default 1 day.
        changelog_extra_retention: Duration;
        /// `repartition.purge.interval.ms`, default 30 s.
        repartition_purge: Duration;
    }

    /// `commit.interval.ms`; default 30 s, 100 ms with exactly-once.
    #[must_use]
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.commit_interval = Some(interval);
        self
    }

    /// A thread that has nothing left to process commits already when so long has passed since its
    /// last commit, and waits for the rest of the commit interval only while it is busy. Readers of
    /// committed results, and everything behind a cache or a repartition topic of an exactly-once
    /// application, have them sooner; the log has more, smaller transactions, as long as there is
    /// time for them. Off unless told.
    ///
    /// # Differs from Kafka Streams
    /// It has the commit interval alone.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kstreams_runtime::{Config, Guarantee};
    ///
    /// // Whole batches while there is much to do, and 20 ms at most when there is little.
    /// let config = Config::new("orders")
    ///     .guarantee(Guarantee::ExactlyOnce)
    ///     .commit_interval(Duration::from_millis(100))
    ///     .early_commit(Duration::from_millis(20));
    /// # drop(config);
    /// ```
    #[must_use]
    pub fn early_commit(mut self, after: Duration) -> Self {
        self.early_commit = Some(after);
        self
    }

    /// After how long since its last commit a thread commits that is busy, or has run dry.
    pub(crate) fn commit_after(&self, is_dry: bool) -> Duration {
        let interval = self.commit_interval_or_default();
        self.early_commit.filter(|_| is_dry).map_or(interval, |early| early.min(interval))
    }

    /// How long a thread waits for an answer at a time. Its group hears nothing from it meanwhile, and
    /// gives a member up that is silent for the rebalance time-out.
    pub(crate) fn patience(&self) -> Duration {
        self.request_timeout.min(self.rebalance_timeout / 4)
    }

    /// The commit interval in force.
    pub fn commit_interval_or_default(&self) -> Duration {
        self.commit_interval.unwrap_or(match self.guarantee {
            Guarantee::AtLeastOnce => Duration::from_secs(30),
            Guarantee::ExactlyOnce => Duration::from_millis(100),
        })
    }

    /// `state.dir`; default `kstreams` in the system's folder for temporary files.
    #[must_use]
    pub fn state_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.state_dir = dir.into();
        self
    }

    /// `max.task.idle.ms`: how long a task waits for an empty partition that has nothing more on
    /// the broker; `None` (Java's -1) never waits, default zero.
    #[must_use]
    pub fn max_task_idle(mut self, idle: Option<Duration>) -> Self {
        self.max_task_idle = idle;
        self
    }

    /// `replication.factor` of internal topics; default the broker's.
    #[must_use]
    pub fn replication(mut self, factor: i16) -> Self {
        self.replication = Some(factor);
        self
    }

    /// A setting of every internal topic (Java's prefix `topic.`).
    #[must_use]
    pub fn topic_config(mut self, key: &str, value: &str) -> Self {
        self.topic_configs.push((key.into(), value.into()));
        self
    }

    /// `application.server`: `host:port` under which others may ask this process for state.
    #[must_use]
    pub fn application_server(mut self, address: &str) -> Self {
        self.application_server = Some(address.into());
        self
    }

    /// `group.instance.id`: static membership (KIP-345) in a classic group; unset by default. Each
    /// thread is a member of its own, `id-1`, `id-2` and so on. A process that closes does not leave the
    /// group: started again within the session time-out, it has its tasks back, and the others
    /// do not stop; if it stays away, its tasks wait for that long.
    ///
    /// Streams groups have no static members before Kafka 4.4: with this set, a
    /// [log](crate::transport::Log) that may choose takes the classic group, and one that may not
    /// refuses. A killed process that comes back in a streams group has its tasks back anyway. The
    /// embedded log's groups ignore it.
    #[must_use]
    pub fn group_instance_id(mut self, id: &str) -> Self {
        self.group_instance_id = Some(id.to_owned());
        self
    }

    /// What to do with records that cannot be read, processed or written.
    #[must_use]
    pub fn handlers(mut self, handlers: Handlers) -> Self {
        self.handlers = Arc::new(handlers);
        self
    }

    /// What to do after an error that no handler took care of; default: shut down the client.
    #[must_use]
    pub fn on_uncaught(
        mut self,
        f: impl Fn(&Error) -> UncaughtVerdict + Send + Sync + 'static,
    ) -> Self {
        self.on_uncaught = Arc::new(f);
        self
    }

    /// Called at each change of state, with the old and the new one.
    #[must_use]
    pub fn on_state(mut self, f: impl Fn(State, State) + Send + Sync + 'static) -> Self {
        self.on_state = Arc::new(f);
        self
    }

    /// Called as stores are restored: at the start, after each batch, at the end, or when it is
    /// given up before. Global stores report too, with partition -1 and the sums of their topics'
    /// offsets.
    #[must_use]
    pub fn on_restore(mut self, f: impl Fn(&RestoreProgress) + Send + Sync + 'static) -> Self {
        self.on_restore = Arc::new(f);
        self
    }

    /// Called as stores of standby tasks follow their changelogs: at the start, after each batch,
    /// when the task becomes active here, at the end (KIP-988).
    #[must_use]
    pub fn on_standby(
        mut self,
        f: impl Fn(StandbyChange, &StandbyStore) + Send + Sync + 'static,
    ) -> Self {
        self.on_standby = Arc::new(f);
        self
    }

    /// The clock; for tests and simulation.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The source of chance; for tests and simulation.
    #[must_use]
    pub fn random(mut self, random: Random) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Puts a mistake into the engine, which a simulation has to find.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn planted(mut self, bug: Option<crate::planted::Bug>) -> Self {
        self.planted = bug;
        self
    }

    /// How internal topics are made.
    pub(crate) fn internal_topics(&self) -> InternalTopicSettings {
        InternalTopicSettings {
            additional_retention: self.changelog_extra_retention,
            overrides: self.topic_configs.clone(),
        }
    }

    /// The number of threads in force.
    pub(crate) fn n_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }

    /// The number of restoring threads in force.
    pub(crate) fn n_restore_threads(&self) -> usize {
        match self.restore_threads {
            0 => std::thread::available_parallelism().map_or(1, |cores| usize::from(cores).min(4)),
            n => n,
        }
    }

    /// Finds settings that contradict each other; all are named at once.
    pub(crate) fn check(&self) -> Result {
        let mut faults = Vec::new();
        let id = &*self.application_id;
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if id.is_empty() || id.len() > 200 || !id.chars().all(legal) || id == "." || id == ".." {
            faults.push(format!(
                "application id `{id}` is the prefix of topic names: 1 to 200 of [a-zA-Z0-9._-]"
            ));
        }
        let commit = self.commit_interval_or_default();
        if self.guarantee == Guarantee::ExactlyOnce && self.transaction_timeout < commit {
            faults.push(format!(
                "transaction timeout {:?} is below the commit interval {commit:?}",
                self.transaction_timeout
            ));
        }
        if self.buffered_records == 0 {
            faults.push("buffered records must be at least 1".into());
        }
        if self.threads > 1024 {
            faults.push(format!("{} threads; at most 1024 are allowed", self.threads));
        }
        if self.request_timeout.is_zero() || self.task_timeout.is_zero() {
            faults.push("request and task timeouts must be positive".into());
        }
        if self.pin_cores && cfg!(not(feature = "core-pinning")) {
            faults.push("core pinning needs the feature core-pinning".into());
        }
        if faults.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Config, faults.join("; ")))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("application_id", &self.application_id)
            .field("threads", &self.threads)
            .field("guarantee", &self.guarantee)
            .field("commit_interval", &self.commit_interval_or_default())
            .field("state_dir", &self.state_dir)
            .finish_non_exhaustive()
    }
}
