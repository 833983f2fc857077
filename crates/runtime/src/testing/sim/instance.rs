//! One simulated instance: a place with a disk, and perhaps a process that runs there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, Result};
use kstreams_topology::Topology;

use super::disk::SimDisk;
use super::instance_probe::{CutOff, InstanceProbe};
use crate::app::State;
use crate::config::Config;
use crate::directory::StateDirectory;
use crate::global::{Filling, GlobalWorker};
use crate::probe::Crash;
use crate::shared::Shared;
use crate::start;
use crate::transport::memory::MemoryLog;
use crate::worker::{Turn, Worker};

/// A place where a process may run.
pub(super) struct Instance {
    pub(super) index: usize,
    pub(super) process_id: String,
    pub(super) disk: SimDisk,
    pub(super) probe: Arc<InstanceProbe>,
    pub(super) process: Option<Process>,
    /// A bit of its disk has flipped.
    pub(super) is_damaged: bool,
    /// Until when it stands still.
    pub(super) paused_until: Duration,
    pub(super) cut_off: CutOff,
    pub(super) cut_off_until: Duration,
}

/// A running process: what threads share, and its threads.
pub(super) struct Process {
    pub(super) shared: Arc<Shared>,
    /// A worker that died and has no successor yet is missing.
    pub(super) workers: Vec<Option<Worker>>,
    /// The worker of global stores, behind the others; they wait until it has filled the stores.
    global: Option<(GlobalWorker, Option<Filling>)>,
}

/// What a turn came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Busy,
    Idle,
    /// No worker could be made, for a reason that passes.
    NoWorker,
    /// The process is dead.
    Crashed,
    /// The worker died of this; its successor comes with the next turn.
    Failed(Error),
}

impl Outcome {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::NoWorker => "no worker",
            Self::Crashed => "crashed",
            Self::Failed(_) => "failed",
        }
    }
}

impl Instance {
    /// Starts a process.
    pub(super) fn start(
        &mut self,
        topology: Topology,
        config: Config,
        log: &MemoryLog,
    ) -> Result<Outcome> {
        let (disk, log) = (self.disk.clone(), Arc::new(log.clone()));
        let wipe = move |task| disk.wipe_task(task);
        let directory = StateDirectory::elsewhere(self.process_id.clone(), wipe);
        let n_threads = config.n_threads();
        let prepared =
            alive(|| start::prepare_in(config, Arc::new(topology), log, Some(directory)))?;
        match prepared {
            None => Ok(Outcome::Crashed),
            Some(Err(error)) if error.is_retriable() => Ok(Outcome::NoWorker),
            Some(Err(error)) => Err(error),
            Some(Ok(shared)) => {
                let shared = Arc::new(shared);
                let global = match alive(|| begin_global(&shared))? {
                    None => return Ok(Outcome::Crashed),
                    Some(Err(error)) if error.is_retriable() => return Ok(Outcome::NoWorker),
                    Some(global) => global?,
                };
                shared.set_state(State::Rebalancing);
                let workers = (0..n_threads).map(|_| None).collect();
                self.process = Some(Process { shared, workers, global });
                Ok(Outcome::Idle)
            }
        }
    }

    /// Gives a worker its turn, as [`Streams`](crate::Streams) does on a thread.
    pub(super) fn turn(&mut self, index: usize) -> Result<Outcome> {
        let Some(process) = &mut self.process else { return Ok(Outcome::NoWorker) };
        self.probe.at_work(index);
        let is_global = index == process.workers.len();
        let outcome = alive(|| process.turn(index))?;
        if is_global && matches!(outcome, Some(Outcome::Failed(_))) {
            // The application ends, and whoever runs it starts it again.
            self.die();
        }
        Ok(outcome.unwrap_or(Outcome::Crashed))
    }

    /// Stops in order; errors say that the next owner repeats something.
    pub(super) fn stop(&mut self) -> Result<Outcome> {
        let Some(mut process) = self.process.take() else { return Ok(Outcome::NoWorker) };
        let mut first_error = None;
        for (index, worker) in process.workers.iter_mut().enumerate() {
            let Some(worker) = worker.take() else { continue };
            self.probe.at_work(index);
            match alive(|| worker.stop())? {
                None => return Ok(Outcome::Crashed),
                Some(Ok(())) => {}
                Some(Err(error)) => first_error = Some(error),
            }
        }
        if let Some((global, _)) = process.global.take() {
            global.close();
        }
        let n_owners = Arc::strong_count(&process.shared);
        if n_owners > 1 || !process.shared.directory.is_idle() {
            let text = format!("{n_owners} owners of the shared state, or a task, are left");
            return Err(Error::from(text));
        }
        Ok(first_error.map_or(Outcome::Idle, Outcome::Failed))
    }

    /// Nothing is left of the process but its disk.
    pub(super) fn die(&mut self) {
        self.process = None;
        self.disk.close_all();
    }

    pub(super) fn n_workers(&self) -> usize {
        let of = |process: &Process| process.workers.len() + usize::from(process.global.is_some());
        self.process.as_ref().map_or(0, of)
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.shared.state() == State::Running)
    }
}

impl Process {
    fn turn(&mut self, index: usize) -> Outcome {
        if let Some((global, filling)) = &mut self.global {
            if index == self.workers.len() {
                return turn_global(global, filling);
            }
            if filling.is_some() {
                return Outcome::NoWorker;
            }
        }
        let worker = match &mut self.workers[index] {
            Some(worker) => worker,
            none => match Worker::new(Arc::clone(&self.shared), index) {
                Ok(worker) => none.insert(worker),
                Err(error) if error.is_retriable() => return Outcome::NoWorker,
                Err(error) => return Outcome::Failed(error),
            },
        };
        match worker.turn() {
            Turn::Busy => Outcome::Busy,
            Turn::Idle => Outcome::Idle,
            Turn::ShutdownRequested => Outcome::Failed(Error::from("nobody asked to stop")),
            Turn::Failed(error) => {
                worker.abandon();
                self.workers[index] = None;
                self.shared.report(index, crate::shared::WorkerState::Rebalancing);
                Outcome::Failed(error)
            }
        }
    }
}

fn begin_global(shared: &Arc<Shared>) -> Result<Option<(GlobalWorker, Option<Filling>)>> {
    let Some(mut global) = GlobalWorker::new(shared)? else { return Ok(None) };
    let filling = global.begin()?;
    Ok(Some((global, Some(filling))))
}

fn turn_global(global: &mut GlobalWorker, filling: &mut Option<Filling>) -> Outcome {
    let done = match filling {
        Some(left) => global.fill(left).map(|is_full| {
            if is_full {
                *filling = None;
            }
            true
        }),
        None => global.turn(),
    };
    match done {
        Ok(true) => Outcome::Busy,
        Ok(false) => Outcome::Idle,
        Err(error) => Outcome::Failed(error),
    }
}

/// Does work of an instance; `None` if it crashed on the way. Any other panic is a mistake of ours.
fn alive<T>(work: impl FnOnce() -> T) -> Result<Option<T>> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Ok(Some(done)),
        Err(panic) if panic.is::<Crash>() => Ok(None),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            let text = text.unwrap_or_else(|| "no message".into());
            Err(Error::from(format!("the engine panicked: {text}")))
        }
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("index", &self.index).finish_non_exhaustive()
    }
}
