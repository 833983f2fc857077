//! The threads of an application: each drives a worker, and another one when that has failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::app::State;
use crate::config::UncaughtVerdict;
use crate::global::GlobalWorker;
use crate::shared::{Shared, WorkerState};
use crate::start;
use crate::transport::Waker;
use crate::worker::{Turn, Worker};

/// A thread that lived so long has not failed for the same reason as the one before.
const HEALTHY: Duration = Duration::from_secs(30);
/// Pauses between lives.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(2);
/// How often it looks whether the application ends.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Thread {
    pub(crate) control: Arc<Control>,
    pub(crate) handle: JoinHandle<()>,
}

/// How others reach a thread.
#[derive(Default)]
pub(crate) struct Control {
    stop: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Control {
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.lock() {
            waker();
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
    /// Waits between two lives of a thread, unless it is to stop.
    fn rest(&self, shared: &Shared, time: Duration) {
        let thread = std::thread::current();
        *self.waker.lock() = Some(Arc::new(move || thread.unpark()));
        let clock = &shared.config.clock;
        let until = clock.monotonic() + time;
        while clock.monotonic() < until && !self.is_stopped() && !is_ending(shared) {
            std::thread::park_timeout(until.saturating_sub(clock.monotonic()).min(LOOK));
        }
    }
}

/// How long a thread that was replaced waits, so that one which fails at once each time leaves the
/// others time to work between two rebalances.
#[derive(Debug, Default)]
struct Relapse(Duration);

impl Relapse {
    /// After a life of this length: nothing the first time, then longer and longer.
    fn pause_after(&mut self, life: Duration) -> Duration {
        if life >= HEALTHY {
            self.0 = Duration::ZERO;
        }
        let pause = self.0;
        self.0 = (pause * 2).clamp(SHORTEST, LONGEST);
        pause
    }
}

pub(crate) fn spawn(shared: &Arc<Shared>, index: usize) -> Result<Thread> {
    let control = Arc::new(Control::default());
    let (own, ours) = (Arc::clone(shared), Arc::clone(&control));
    let handle = std::thread::Builder::new()
        .name(format!("{}-StreamThread-{}", shared.config.application_id, index + 1))
        .spawn(move || {
            own.report(index, WorkerState::Rebalancing);
            start::pin(&own.config, index);
            run_thread(&own, index, &ours);
            own.report(index, WorkerState::Dead);
            finish(&own);
        })
        .map_err(|e| Error::new(ErrorKind::Fatal, format!("cannot start a thread: {e}")))?;
    Ok(Thread { control, handle })
}

fn run_thread(shared: &Arc<Shared>, index: usize, control: &Control) {
    let clock = Arc::clone(&shared.config.clock);
    let mut relapse = Relapse::default();
    while !control.is_stopped() && !is_ending(shared) {
        let began = clock.monotonic();
        let (error, verdict) = match Worker::new(Arc::clone(shared), index) {
            Ok(worker) => match drive(worker, shared, control) {
                Ok(()) => return,
                Err(failed) => failed,
            },
            Err(error) => judge(shared, error),
        };
        match verdict {
            UncaughtVerdict::ReplaceThread => {
                log::warn!("thread {}: replaced", index + 1);
                shared.report(index, WorkerState::Rebalancing);
                control.rest(shared, relapse.pause_after(clock.monotonic().saturating_sub(began)));
            }
            UncaughtVerdict::ShutdownClient | UncaughtVerdict::ShutdownApplication => {
                return shared.fail(error);
            }
        }
    }
}

/// Asks the user what an error means that no handler took care of.
fn judge(shared: &Shared, error: Error) -> (Error, UncaughtVerdict) {
    log::error!("{}: {error}", std::thread::current().name().unwrap_or_default());
    if let Some(task) = error.task() {
        shared.suspect(task);
    }
    let verdict = (shared.config.on_uncaught)(&error);
    (error, verdict)
}

/// Runs a worker until it is told to stop (`Ok`) or fails.
fn drive(
    mut worker: Worker,
    shared: &Shared,
    control: &Control,
) -> Result<(), (Error, UncaughtVerdict)> {
    *control.waker.lock() = Some(worker.waker());
    while !control.is_stopped() && !is_ending(shared) {
        let failed = match worker.turn() {
            Turn::Busy => None,
            Turn::Idle => worker.wait().err(),
            Turn::ShutdownRequested => {
                shared.fail(Error::new(
                    ErrorKind::Closed,
                    "a member asked the whole application to stop",
                ));
                None
            }
            Turn::Failed(error) => Some(error),
        };
        if let Some(error) = failed {
            let (error, verdict) = judge(shared, error);
            if verdict == UncaughtVerdict::ShutdownApplication
                && let Err(refused) = worker.request_shutdown()
            {
                log::error!("the other members cannot be asked to stop: {refused}");
            }
            worker.abandon();
            return Err((error, verdict));
        }
    }
    // What was not committed is processed again by the next owner: nothing is lost.
    if let Err(error) = worker.stop() {
        log::warn!("the last commit failed: {error}");
    }
    Ok(())
}

fn is_ending(shared: &Shared) -> bool {
    !matches!(shared.state(), State::Rebalancing | State::Running)
}

/// The last thread to end settles the application's state.
fn finish(shared: &Shared) {
    if shared.all_dead() {
        let ended = match shared.state() {
            State::PendingError => State::Error,
            State::PendingShutdown => State::NotRunning,
            _ => return,
        };
        shared.set_state(ended);
    }
}

pub(crate) fn spawn_global(shared: &Arc<Shared>, mut global: GlobalWorker) -> Result<Thread> {
    let control = Arc::new(Control::default());
    *control.waker.lock() = Some(global.waker());
    let (own, ours) = (Arc::clone(shared), Arc::clone(&control));
    let handle = std::thread::Builder::new()
        .name(format!("{}-GlobalStreamThread", shared.config.application_id))
        .spawn(move || {
            while !ours.is_stopped() && !own.state().is_terminal() {
                if let Err(error) = global.turn().and_then(|busy| global.wait_if_idle(busy)) {
                    log::error!("global stores: {error}");
                    own.fail(error);
                    finish(&own);
                    break;
                }
            }
            global.close();
        })
        .map_err(|e| Error::new(ErrorKind::Fatal, format!("cannot start a thread: {e}")))?;
    Ok(Thread { control, handle })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_lives_are_short() {
        let mut relapse = Relapse::default();
        let short: Vec<_> = (0..10).map(|_| relapse.pause_after(LOOK).as_millis()).collect();
        assert_eq!(short, [0, 20, 40, 80, 160, 320, 640, 1280, 2000, 2000]);
        assert_eq!(relapse.pause_after(HEALTHY), Duration::ZERO);
        assert_eq!(relapse.pause_after(LOOK), SHORTEST);
    }
}
