//! What the threads of one application share: settings, clients, states, and the stores to query.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kstreams_core::error::{Error, Result};
use kstreams_core::flow::Counters;
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::store::StateStore;
use kstreams_core::task::TaskId;
use kstreams_topology::Topology;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::app::State;
use crate::blueprint::{Blueprint, Blueprints};
use crate::config::Config;
use crate::directory::StateDirectory;
use crate::planted::{Bug, is_planted};
use crate::probe::CrashPoint;
use crate::task::{Appliers, StandbyStore};
use crate::topics::TopicCounts;
use crate::transport::{Admin, Log, Peer};

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) topology: Arc<Topology>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) admin: Arc<dyn Admin>,
    pub(crate) directory: Arc<StateDirectory>,
    pub(crate) counts: Arc<TopicCounts>,
    pub(crate) prints: Blueprints,
    pub(crate) global_stores: Mutex<Vec<Arc<dyn StateStore>>>,
    /// Threads for restoring; `None` where everything happens on one thread.
    pub(crate) appliers: Option<Appliers>,
    paused: AtomicBool,
    /// Members stay in their group when they end.
    remains: AtomicBool,
    states: Mutex<States>,
    changed: Condvar,
    tasks: Mutex<BTreeMap<TaskId, RunningTask>>,
    /// By worker.
    standbys: Mutex<BTreeMap<usize, Vec<StandbyStore>>>,
    peers: Mutex<Vec<Peer>>,
    /// Tasks that ended a thread, and have not worked since.
    suspects: Mutex<BTreeSet<TaskId>>,
}

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerState {
    Rebalancing,
    Running,
    Dead,
}

struct States {
    client: State,
    workers: BTreeMap<usize, WorkerState>,
    error: Option<Error>,
    /// Changes that the listener is still to be told, by the thread that is telling it.
    untold: VecDeque<(State, State)>,
    is_telling: bool,
}

struct RunningTask {
    stores: Vec<Arc<dyn StateStore>>,
    info: TaskInfo,
}

/// A running task of this process, as it was at its last commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskInfo {
    /// The task.
    pub task: TaskId,
    /// What it has done since it started.
    pub counters: Counters,
    /// Next offsets to read.
    pub positions: Vec<(TopicPartition, Offset)>,
    /// Records that wait in its queues.
    pub n_buffered: usize,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        topology: Arc<Topology>,
        log: Arc<dyn Log>,
        admin: Arc<dyn Admin>,
        directory: Arc<StateDirectory>,
        counts: Arc<TopicCounts>,
        prints: Blueprints,
    ) -> Self {
        Self {
            config,
            topology,
            log,
            admin,
            directory,
            counts,
            prints,
            global_stores: Mutex::default(),
            appliers: None,
            paused: AtomicBool::new(false),
            remains: AtomicBool::new(false),
            states: Mutex::new(States {
                client: State::Created,
                workers: BTreeMap::new(),
                error: None,
                untold: VecDeque::new(),
                is_telling: false,
            }),
            changed: Condvar::new(),
            tasks: Mutex::default(),
            standbys: Mutex::default(),
            peers: Mutex::default(),
            suspects: Mutex::default(),
        }
    }

    /// What the group told last of processes that can be asked for state.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        self.peers.lock().clone()
    }

    pub(crate) fn set_peers(&self, peers: Vec<Peer>) {
        *self.peers.lock() = peers;
    }

    pub(crate) fn client_id(&self, index: usize) -> String {
        let (app, process) = (&self.config.application_id, self.directory.process_id());
        format!("{app}-{process}-StreamThread-{}", index + 1)
    }

    pub(crate) fn blueprint(&self, task: TaskId) -> Result<Blueprint> {
        Blueprint::of(&self.topology, &self.prints, task)
    }

    /// A worker passes a point at which simulation may end it.
    pub(crate) fn pass(&self, point: CrashPoint) {
        if let Some(probe) = &self.config.probe {
            probe.pass(point);
        }
    }

    /// True if this mistake was put into the engine.
    pub(crate) fn has(&self, bug: Bug) -> bool {
        is_planted(&self.config, bug)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// Members that end from now on stay in their group.
    pub(crate) fn remain(&self) {
        self.remains.store(true, Ordering::Relaxed);
    }

    pub(crate) fn remains(&self) -> bool {
        self.remains.load(Ordering::Relaxed)
    }

    pub(crate) fn state(&self) -> State {
        self.states.lock().client
    }

    /// The error that ended the application.
    pub(crate) fn error(&self) -> Option<String> {
        self.states.lock().error.as_ref().map(ToString::to_string)
    }

    pub(crate) fn take_error(&self) -> Option<Error> {
        self.states.lock().error.take()
    }

    /// A thread tells what it is doing; the application's state follows.
    pub(crate) fn report(&self, index: usize, state: WorkerState) {
        let mut states = self.states.lock();
        if states.workers.insert(index, state) == Some(state) {
            return;
        }
        let alive = states.workers.values().filter(|state| **state != WorkerState::Dead);
        let running =
            alive.clone().count() > 0 && alive.clone().all(|state| *state == WorkerState::Running);
        let next = match states.client {
            State::Rebalancing if running => State::Running,
            State::Running if !running => State::Rebalancing,
            other => other,
        };
        self.change(states, next);
    }

    pub(crate) fn forget_worker(&self, index: usize) {
        self.states.lock().workers.remove(&index);
    }

    pub(crate) fn all_dead(&self) -> bool {
        self.states.lock().workers.values().all(|state| *state == WorkerState::Dead)
    }

    /// Moves the application to another state; false if that step is not allowed.
    pub(crate) fn set_state(&self, next: State) -> bool {
        let states = self.states.lock();
        if !states.client.may_become(next) {
            return false;
        }
        self.change(states, next);
        true
    }

    pub(crate) fn fail(&self, error: Error) {
        self.states.lock().error.get_or_insert(error);
        self.set_state(State::PendingError);
    }

    /// The listener is told without a lock, by one thread at a time, so in order.
    fn change(&self, mut states: MutexGuard<'_, States>, next: State) {
        let old = std::mem::replace(&mut states.client, next);
        self.changed.notify_all();
        if old != next {
            states.untold.push_back((old, next));
        }
        if states.is_telling {
            return;
        }
        states.is_telling = true;
        while let Some((old, next)) = states.untold.pop_front() {
            MutexGuard::unlocked(&mut states, || self.tell(old, next));
        }
        states.is_telling = false;
    }

    fn tell(&self, old: State, next: State) {
        log::info!("{}: state {old:?} -> {next:?}", self.config.application_id);
        let listener = AssertUnwindSafe(|| (self.config.on_state)(old, next));
        if catch_unwind(listener).is_err() {
            log::error!("{}: the state listener panicked", self.config.application_id);
        }
    }

    /// Waits until `wanted` holds; false if the time is over first.
    pub(crate) fn wait_until(
        &self,
        timeout: Duration,
        mut wanted: impl FnMut(State) -> bool,
    ) -> bool {
        let mut states = self.states.lock();
        let clock = &self.config.clock;
        let began = clock.monotonic();
        while !wanted(states.client) {
            let left = timeout.saturating_sub(clock.monotonic().saturating_sub(began));
            if left.is_zero() {
                return false;
            }
            self.changed.wait_for(&mut states, left);
        }
        true
    }

    /// Waits until a thread has ended; false if the time is over first.
    pub(crate) fn wait_until_worker_dead(&self, index: usize, timeout: Duration) -> bool {
        let mut states = self.states.lock();
        let clock = &self.config.clock;
        let began = clock.monotonic();
        while states.workers.get(&index).is_some_and(|state| *state != WorkerState::Dead) {
            let left = timeout.saturating_sub(clock.monotonic().saturating_sub(began));
            if left.is_zero() {
                return false;
            }
            self.changed.wait_for(&mut states, left);
        }
        true
    }

    pub(crate) fn publish(&self, info: TaskInfo, stores: &[Arc<dyn StateStore>]) {
        let mut tasks = self.tasks.lock();
        let stores = stores.to_vec();
        tasks.insert(info.task, RunningTask { stores, info });
    }

    pub(crate) fn update(&self, info: TaskInfo) {
        if let Some(task) = self.tasks.lock().get_mut(&info.task) {
            task.info = info;
        }
    }

    pub(crate) fn withdraw(&self, task: TaskId) {
        self.tasks.lock().remove(&task);
    }

    /// A task has ended its thread: the next one is careful with it.
    pub(crate) fn suspect(&self, task: TaskId) {
        self.suspects.lock().insert(task);
    }

    pub(crate) fn suspects(&self) -> BTreeSet<TaskId> {
        self.suspects.lock().clone()
    }

    /// It works again.
    pub(crate) fn trust(&self, task: TaskId) {
        self.suspects.lock().remove(&task);
    }

    pub(crate) fn report_standbys(&self, worker: usize, stores: Vec<StandbyStore>) {
        self.standbys.lock().insert(worker, stores);
    }

    pub(crate) fn standbys(&self) -> Vec<StandbyStore> {
        self.standbys.lock().values().flatten().cloned().collect()
    }

    pub(crate) fn tasks(&self) -> Vec<TaskInfo> {
        self.tasks.lock().values().map(|task| task.info.clone()).collect()
    }

    pub(crate) fn stores(&self, name: &str) -> Vec<(TaskId, Arc<dyn StateStore>)> {
        let tasks = self.tasks.lock();
        let of = |(id, task): (&TaskId, &RunningTask)| {
            let store = task.stores.iter().find(|store| store.name() == name)?;
            Some((*id, Arc::clone(store)))
        };
        tasks.iter().filter_map(of).collect()
    }

    /// Deletes the local state of a task, whose stores are closed.
    pub(crate) fn wipe(&self, task: TaskId) -> Result {
        self.directory.wipe(task)?;
        self.pass(CrashPoint::StateWiped);
        Ok(())
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A store by its type; `None` if it has another.
pub(crate) fn typed<S: StateStore>(store: Arc<dyn StateStore>) -> Option<Arc<S>> {
    let store: Arc<dyn Any + Send + Sync> = store;
    store.downcast().ok()
}
