//! The application: its threads and its life cycle.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::store::{StateStore, StoreId};
use kstreams_core::task::TaskId;
use kstreams_topology::Topology;
use parking_lot::{Mutex, MutexGuard};

use crate::config::Config;
use crate::global::GlobalWorker;
use crate::shared::{self, Shared, TaskInfo, WorkerState};
use crate::start;
use crate::task::{Appliers, StandbyStore};
use crate::threads::{Thread, spawn, spawn_global};
use crate::transport::Log;

/// What an application is doing; the names are Java's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Not started.
    Created,
    /// Some thread waits for its tasks or restores them.
    Rebalancing,
    /// Every thread has its tasks and runs them.
    Running,
    /// Closing in order.
    PendingShutdown,
    /// Closed in order.
    NotRunning,
    /// Closing after an error.
    PendingError,
    /// Closed after an error: see [`Streams::error`].
    Error,
}

impl State {
    pub(crate) fn may_become(self, next: Self) -> bool {
        match self {
            Self::Created => {
                matches!(next, Self::Rebalancing | Self::PendingShutdown | Self::PendingError)
            }
            Self::Rebalancing => {
                matches!(next, Self::Running | Self::PendingShutdown | Self::PendingError)
            }
            Self::Running => {
                matches!(next, Self::Rebalancing | Self::PendingShutdown | Self::PendingError)
            }
            Self::PendingShutdown => next == Self::NotRunning,
            Self::PendingError => next == Self::Error,
            Self::NotRunning | Self::Error => false,
        }
    }

    /// True if it is closed for good.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::NotRunning | Self::Error)
    }
}

/// A stream-processing application: one member, or several threads of it, of the group named by
/// its application id. Run the same program again and the two share the work.
///
/// Dropping it closes it, waiting at most 5 seconds.
///
/// ```
/// use std::time::Duration;
/// use kstreams_core::serde::Utf8;
/// use kstreams_runtime::{Config, State, Streams, transport::memory::MemoryLog};
/// use kstreams_topology::TopologyBuilder;
///
/// let log = MemoryLog::new();
/// log.create_topic("in", 1)?;
/// log.create_topic("out", 1)?;
/// let mut topology = TopologyBuilder::new();
/// let lines = topology.source("lines", ["in"], (Utf8, Utf8));
/// topology.sink("copy", &[lines], "out", (Utf8, Utf8));
///
/// let app = Streams::new(topology.build()?, Config::new("copy-app"), log)?;
/// app.start()?;
/// assert!(app.wait_for(State::Running, Duration::from_secs(10)));
/// assert!(app.close(Duration::from_secs(10)));
/// # Ok::<(), kstreams_core::error::Error>(())
/// ```
pub struct Streams {
    config: Config,
    topology: Arc<Topology>,
    log: Arc<dyn Log>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    shared: Option<Arc<Shared>>,
    threads: BTreeMap<usize, Thread>,
    global: Option<Thread>,
    started: bool,
    closed: bool,
}

impl Running {
    fn threads(&self) -> impl Iterator<Item = &Thread> {
        self.threads.values().chain(&self.global)
    }
}

impl Streams {
    /// An application of this topology on this log. Nothing runs before [`start`](Self::start).
    ///
    /// # Errors
    /// `Config` if settings contradict each other.
    pub fn new(topology: Topology, config: Config, log: impl Log + 'static) -> Result<Self> {
        Self::with_log(topology, config, Arc::new(log))
    }

    /// As [`new`](Self::new), with a log that is chosen at run time.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_log(topology: Topology, config: Config, log: Arc<dyn Log>) -> Result<Self> {
        config.check()?;
        Ok(Self { config, topology: Arc::new(topology), log, running: Mutex::default() })
    }

    /// Checks topics and directories, fills global stores, and starts the threads.
    ///
    /// # Errors
    /// Within the request timeout: `Unavailable` or `Timeout` if the log does not answer, `Topic`
    /// if a source topic is missing or partition counts do not fit, `StateDir`, `Authorization`.
    /// `Closed` if it was closed or started before.
    pub fn start(&self) -> Result {
        let mut running = self.running.lock();
        if running.closed || running.shared.is_some() {
            return Err(Error::new(ErrorKind::Closed, "an application can be started once"));
        }
        let mut shared =
            start::prepare(self.config.clone(), Arc::clone(&self.topology), Arc::clone(&self.log))?;
        shared.appliers = Some(Appliers::new(self.config.n_restore_threads()));
        let shared = Arc::new(shared);
        if let Some(mut global) = GlobalWorker::new(&shared)? {
            global.bootstrap()?;
            running.global = Some(spawn_global(&shared, global)?);
        }
        for index in 0..self.config.n_threads() {
            shared.report(index, WorkerState::Rebalancing);
        }
        running.shared = Some(Arc::clone(&shared));
        // A listener may ask this application, or close it: no lock is held while it is called.
        MutexGuard::unlocked(&mut running, || shared.set_state(State::Rebalancing));
        for index in 0..self.config.n_threads() {
            let thread = spawn(&shared, index)?;
            running.threads.insert(index, thread);
        }
        Ok(())
    }

    /// Closes in order: commits, closes tasks, leaves the group. True if that was done in time;
    /// otherwise the threads are left to end by themselves. Works in every state, and twice.
    ///
    /// Called from a thread of the application itself (a processor, a listener) it only asks for
    /// the end and returns false: that thread cannot wait for itself.
    pub fn close(&self, timeout: Duration) -> bool {
        self.end(timeout, false)
    }

    /// As [`close`](Self::close), but it stays a member of its group, as KIP-1153 offers it: for a process
    /// that is started again soon on the same state directory. It has its tasks back with its first
    /// request, and the others do not stop; if it stays away, its tasks wait until its session is over.
    ///
    /// This is for streams groups. In a classic group static members remain whichever way they are
    /// closed ([`Config::group_instance_id`]), and all others leave, as do those of the embedded log.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn restart(app: &kstreams_runtime::Streams) {
    /// // A new version of this program takes over in a moment.
    /// let in_time = app.close_and_remain(Duration::from_secs(30));
    /// # let _ = in_time;
    /// # }
    /// ```
    ///
    /// # Differs from Kafka Streams
    /// There members of streams groups always leave, and those of classic groups remain unless told.
    pub fn close_and_remain(&self, timeout: Duration) -> bool {
        self.end(timeout, true)
    }

    fn end(&self, timeout: Duration, remains: bool) -> bool {
        let mut running = self.running.lock();
        (running.started, running.closed) = (true, true);
        let Some(shared) = running.shared.clone() else { return true };
        if remains {
            shared.remain();
        }
        let own = std::thread::current().id();
        let is_own = running.threads().any(|thread| thread.handle.thread().id() == own);
        let controls: Vec<_> =
            running.threads().map(|thread| Arc::clone(&thread.control)).collect();
        drop(running);
        shared.set_state(State::PendingShutdown);
        controls.iter().for_each(|control| control.stop());
        if is_own || !shared.wait_until(timeout, State::is_terminal) {
            return false;
        }
        let mut running = self.running.lock();
        let mut threads: Vec<Thread> = std::mem::take(&mut running.threads).into_values().collect();
        threads.extend(running.global.take());
        drop(running);
        for thread in threads {
            let _ = thread.handle.join();
        }
        true
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        let running = self.running.lock();
        match &running.shared {
            Some(shared) => shared.state(),
            None if running.closed => State::NotRunning,
            None => State::Created,
        }
    }

    /// Waits for a state; false if the time is over, or another final state came first.
    pub fn wait_for(&self, state: State, timeout: Duration) -> bool {
        let Some(shared) = self.shared() else {
            return self.state() == state;
        };
        // It may have gone on to another state by the time that this thread looks again.
        let mut was_there = false;
        shared.wait_until(timeout, |now| {
            was_there = now == state;
            was_there || now.is_terminal()
        });
        was_there
    }

    /// The error that ended it, in words.
    pub fn error(&self) -> Option<String> {
        self.shared().and_then(|shared| shared.error())
    }

    /// The error that ended it; given once.
    pub fn take_error(&self) -> Option<Error> {
        self.shared().and_then(|shared| shared.take_error())
    }

    /// Stops processing and punctuation; membership goes on, so tasks stay here.
    pub fn pause(&self) {
        self.set_paused(true);
    }

    /// Goes on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.set_paused(false);
    }

    fn set_paused(&self, paused: bool) {
        let running = self.running.lock();
        if let Some(shared) = &running.shared {
            shared.set_paused(paused);
        }
        for thread in running.threads.values() {
            thread.control.wake();
        }
    }

    /// Starts one more thread; its index is returned, the lowest free one.
    ///
    /// # Errors
    /// `Closed` if the application does not run.
    pub fn add_thread(&self) -> Result<usize> {
        let mut running = self.running.lock();
        let shared = running
            .shared
            .clone()
            .filter(|shared| matches!(shared.state(), State::Running | State::Rebalancing));
        let shared = shared
            .ok_or_else(|| Error::new(ErrorKind::Closed, "threads are added while it runs"))?;
        let index = (0..).find(|index| !running.threads.contains_key(index)).unwrap_or(0);
        let thread = spawn(&shared, index)?;
        running.threads.insert(index, thread);
        Ok(index)
    }

    /// Ends one thread, the last one, and waits for it; its index is returned. `None` if only one
    /// is left or it did not end in time.
    pub fn remove_thread(&self, timeout: Duration) -> Option<usize> {
        let mut running = self.running.lock();
        let shared = running.shared.clone()?;
        if running.threads.len() < 2 {
            return None;
        }
        let (index, thread) = running.threads.pop_last()?;
        drop(running);
        thread.control.stop();
        let ended = shared.wait_until_worker_dead(index, timeout);
        if ended {
            let _ = thread.handle.join();
            shared.forget_worker(index);
        }
        ended.then_some(index)
    }

    /// The tasks that run here, as they were at their last commit.
    pub fn tasks(&self) -> Vec<TaskInfo> {
        self.shared().map(|shared| shared.tasks()).unwrap_or_default()
    }

    /// The stores of standby tasks here, with how far each is behind its changelog.
    pub fn standbys(&self) -> Vec<StandbyStore> {
        self.shared().map(|shared| shared.standbys()).unwrap_or_default()
    }

    /// A store of every task that runs here, to read from.
    pub fn stores<S: StateStore>(&self, id: &StoreId<S>) -> Vec<(TaskId, Arc<S>)> {
        let Some(shared) = self.shared() else { return Vec::new() };
        let stores = shared.stores(id.name()).into_iter();
        stores.filter_map(|(task, store)| Some((task, shared::typed(store)?))).collect()
    }

    /// A global store, to read from: complete as of the start, and kept up to date. `None` before
    /// the start, or if the topology has none of this name and type.
    pub fn global_store<S: StateStore>(&self, id: &StoreId<S>) -> Option<Arc<S>> {
        let shared = self.shared()?;
        let stores = shared.global_stores.lock();
        let store = stores.iter().find(|store| store.name() == &**id.name())?;
        shared::typed(Arc::clone(store))
    }

    /// What its threads share, once it was started.
    pub(crate) fn shared(&self) -> Option<Arc<Shared>> {
        self.running.lock().shared.clone()
    }

    /// What the application runs.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.close(Duration::from_secs(5));
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("application_id", &self.config.application_id)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
