//! The test driver: one production worker, the embedded log, and a clock that stands still.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::random::Random;
use kstreams_core::serde::Serde;
use kstreams_core::store::{StateStore, StoreId};
use kstreams_core::task::TaskId;
use kstreams_core::time::{Clock, ManualClock, Timestamp};
use kstreams_topology::Topology;

use super::ports::{TestInput, TestOutput};
use crate::config::Config;
use crate::global::GlobalWorker;
use crate::shared::{self, Shared};
use crate::start;
use crate::transport::memory::MemoryLog;
use crate::worker::{Turn, Worker};

/// After so many turns with nothing to do, there is nothing to do.
const IDLE_TURNS: usize = 4;
/// Longer than any test moves its clock: a hundred years.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);
/// A topology that feeds itself without end is stopped here.
const MAX_TURNS: usize = 1_000_000;

/// Drives a topology in a test: records in, records out, time by hand, stores to look into.
///
/// It is the production worker on the embedded log, not a second engine: partitions, repartition
/// topics, changelogs and commits are real. After each piped record everything it causes is
/// processed and committed, unless [`TestDriverBuilder::commit_by_hand`] says otherwise.
///
/// # Differs from Kafka Streams
/// `TopologyTestDriver` runs the whole topology as one task with one stream time and one partition;
/// here sub-topologies are tasks of their own, and [`TestDriverBuilder::partitions`] makes more of
/// them.
///
/// ```
/// use kstreams_core::context::Context;
/// use kstreams_core::record::Record;
/// use kstreams_core::serde::Utf8;
/// use kstreams_runtime::Config;
/// use kstreams_runtime::testing::TestDriver;
/// use kstreams_topology::Topology;
///
/// let mut topology = Topology::builder();
/// let lines = topology.source("lines", "in", (Utf8, Utf8));
/// let upper = topology.processor("upper", &[lines], || {
///     |ctx: &mut Context<'_, String, String>, r: Record<String, String>| {
///         ctx.forward(r.map_value(|v| v.to_uppercase()))
///     }
/// });
/// topology.sink("out", &[upper], "out", (Utf8, Utf8));
///
/// let mut driver = TestDriver::new(topology.build()?, Config::new("test"))?;
/// driver.input("in", Utf8, Utf8).pipe("k".into(), "v".into())?;
/// let out = driver.output("out", Utf8, Utf8).read_pairs()?;
/// assert_eq!(out, [("k".to_owned(), "V".to_owned())]);
/// # Ok::<(), kstreams_core::error::Error>(())
/// ```
#[derive(Debug)]
pub struct TestDriver {
    pub(super) log: MemoryLog,
    pub(super) clock: ManualClock,
    /// Per topic and partition, how many records an output has read.
    pub(super) read: BTreeMap<(String, i32), usize>,
    shared: Arc<Shared>,
    worker: Worker,
    global: Option<GlobalWorker>,
    only: Option<u32>,
    commits: bool,
    /// Dropped last, when no store is open any more.
    _scratch: Scratch,
}

/// The state directory of one driver; drivers of one process, or of several, do not meet.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Settings of a [`TestDriver`].
#[derive(Debug)]
pub struct TestDriverBuilder {
    topology: Topology,
    config: Config,
    partitions: BTreeMap<String, i32>,
    start: Timestamp,
    only: Option<u32>,
    commits: bool,
}

impl TestDriverBuilder {
    /// How many partitions a source or sink topic has; 1 unless told.
    #[must_use]
    pub fn partitions(mut self, topic: &str, n_partitions: i32) -> Self {
        self.partitions.insert(topic.to_owned(), n_partitions);
        self
    }

    /// The wall-clock time at the start; 0 unless told.
    #[must_use]
    pub fn start_at(mut self, start: Timestamp) -> Self {
        self.start = start;
        self
    }

    /// Runs the tasks of one sub-topology alone, so that a test can feed it by itself: with what
    /// others would write to its repartition topics.
    #[must_use]
    pub fn only(mut self, subtopology: u32) -> Self {
        self.only = Some(subtopology);
        self
    }

    /// Commits when [`commit`](TestDriver::commit) is called, and not after each record: what
    /// caches and suppressions hold back until then is held back.
    #[must_use]
    pub fn commit_by_hand(mut self) -> Self {
        self.commits = false;
        self
    }

    /// Creates the topics and starts the tasks.
    ///
    /// # Errors
    /// As [`Streams::start`](crate::Streams::start), and what a processor's `init` returns.
    pub fn build(self) -> Result<TestDriver> {
        let clock = ManualClock::starting_at(self.start);
        let log = MemoryLog::builder().clock(clock.clone()).non_blocking().build();
        let topics = start::user_topics(&self.topology);
        for topic in topics.iter().chain(self.partitions.keys()) {
            log.create_topic(topic, self.partitions.get(topic).copied().unwrap_or(1))?;
        }
        let scratch = Scratch(
            std::env::temp_dir().join(format!("kstreams-driver-{}", Random::from_os().uuid())),
        );
        // A test moves the clock in leaps: nobody is to be taken for dead in between.
        let config = if self.commits { self.config } else { self.config.commit_interval(FOREVER) };
        let config = config
            .clock(clock.clone())
            .random(Random::seeded(0))
            .state_dir(&scratch.0)
            .session_timeout(FOREVER)
            .rebalance_timeout(FOREVER)
            .transaction_timeout(FOREVER);
        config.check()?;
        let shared =
            Arc::new(start::prepare(config, Arc::new(self.topology), Arc::new(log.clone()))?);
        shared.set_state(crate::State::Rebalancing);
        let mut global = GlobalWorker::new(&shared)?;
        if let Some(global) = &mut global {
            global.bootstrap()?;
        }
        let worker = Worker::new(Arc::clone(&shared), 0)?;
        let mut driver = TestDriver {
            log,
            clock,
            read: BTreeMap::new(),
            shared,
            worker,
            global,
            only: self.only,
            commits: self.commits,
            _scratch: scratch,
        };
        driver.open()?;
        Ok(driver)
    }
}

impl TestDriver {
    /// A driver whose topics have one partition each, at time 0.
    ///
    /// # Errors
    /// As [`TestDriverBuilder::build`].
    pub fn new(topology: Topology, config: Config) -> Result<Self> {
        Self::builder(topology, config).build()
    }

    /// A driver with settings.
    pub fn builder(topology: Topology, config: Config) -> TestDriverBuilder {
        let (partitions, start) = (BTreeMap::new(), Timestamp::from_millis(0));
        TestDriverBuilder { topology, config, partitions, start, only: None, commits: true }
    }

    /// A source topic to pipe records into.
    pub fn input<KS: Serde, VS: Serde>(
        &mut self,
        topic: &str,
        key: KS,
        value: VS,
    ) -> TestInput<'_, KS, VS> {
        TestInput::new(self, topic, key, value)
    }

    /// A topic to read what came out; each call goes on where the last one stopped.
    pub fn output<KS: Serde, VS: Serde>(
        &mut self,
        topic: &str,
        key: KS,
        value: VS,
    ) -> TestOutput<'_, KS, VS> {
        TestOutput::new(self, topic, key, value)
    }

    /// Moves wall-clock time and calls the punctuators that are due.
    ///
    /// # Errors
    /// What a punctuator returned, if its handler decided to fail.
    pub fn advance_time(&mut self, by: Duration) -> Result {
        self.clock.advance(by);
        self.settle()
    }

    /// Wall-clock time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The store of the only task that has it.
    ///
    /// # Errors
    /// If no task has it, or several do: see [`store_of`](Self::store_of).
    pub fn store<S: StateStore>(&self, id: &StoreId<S>) -> Result<Arc<S>> {
        let stores = self.shared.stores(id.name());
        match stores.as_slice() {
            [(task, _)] => self.store_of(id, *task),
            _ => Err(Error::new(
                ErrorKind::Store,
                format!("{} tasks have a store {}; say which one", stores.len(), id.name()),
            )),
        }
    }

    /// The store of one task.
    ///
    /// # Errors
    /// If that task does not have it.
    pub fn store_of<S: StateStore>(&self, id: &StoreId<S>, task: TaskId) -> Result<Arc<S>> {
        let missing = || {
            Error::new(ErrorKind::Store, format!("no store {} of that type", id.name()))
                .at_task(task)
        };
        let mut stores = self.shared.stores(id.name()).into_iter();
        let (_, store) = stores.find(|(owner, _)| *owner == task).ok_or_else(missing)?;
        shared::typed(store).ok_or_else(missing)
    }

    /// The log under it: topics that the test makes itself, changelogs, raw records.
    pub fn log(&self) -> &MemoryLog {
        &self.log
    }

    /// The tasks that run.
    pub fn tasks(&self) -> Vec<TaskId> {
        self.worker.tasks.keys().copied().collect()
    }

    /// Opens the tasks, and closes those that are not wanted before any has processed something.
    fn open(&mut self) -> Result {
        if let Some(only) = self.only {
            self.shared.set_paused(true);
            self.settle()?;
            let others = |id: &TaskId| id.subtopology != only;
            let others: Vec<TaskId> = self.worker.tasks.keys().copied().filter(others).collect();
            for id in others {
                if let Some(task) = self.worker.tasks.remove(&id) {
                    task.close();
                }
            }
            self.shared.set_paused(false);
        }
        self.settle()
    }

    /// Commits, and processes what came of that.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub fn commit(&mut self) -> Result {
        self.worker.commit()?;
        self.settle()
    }

    /// Processes and commits until nothing is left to do.
    ///
    /// # Errors
    /// What a processor returned, if its handler decided to fail.
    pub fn settle(&mut self) -> Result {
        let mut n_idle = 0;
        for _ in 0..MAX_TURNS {
            let mut busy = match &mut self.global {
                Some(global) => global.turn()?,
                None => false,
            };
            match self.worker.turn() {
                Turn::Busy => busy = true,
                Turn::Idle => {}
                Turn::Failed(error) => return Err(error),
                Turn::ShutdownRequested => {
                    return Err(Error::new(ErrorKind::Closed, "the application was asked to stop"));
                }
            }
            if !busy && self.commits {
                self.worker.commit()?;
            }
            n_idle = if busy { 0 } else { n_idle + 1 };
            if n_idle == IDLE_TURNS {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Topology, "the topology feeds itself without end"))
    }

    /// Stops as [`close`](Self::close) does and starts again on the same log: tasks are opened
    /// anew, state in memory is restored from its changelogs.
    ///
    /// # Errors
    /// As [`close`](Self::close) and [`TestDriverBuilder::build`].
    pub fn restart(self) -> Result<Self> {
        self.worker.stop()?;
        let worker = Worker::new(Arc::clone(&self.shared), 0)?;
        let mut driver = Self { worker, ..self };
        driver.open()?;
        Ok(driver)
    }

    /// Closes as an application does: commits, closes the tasks, leaves the group.
    ///
    /// # Errors
    /// If the last commit failed.
    pub fn close(self) -> Result {
        if let Some(global) = self.global {
            global.close();
        }
        self.worker.stop()
    }
}
