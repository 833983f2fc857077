//! The thread that sends a member's heartbeats, and the state that it shares with the engine.
//!
//! No lock is held while a broker is asked, so the engine never waits for one here.

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::time::{Clock, SystemClock};
use parking_lot::{Condvar, Mutex};

use super::state::{After, State, Step};
use super::topology::difference;
use crate::wire::{Coordinator, DescribeStreams};

/// A member's state, and the heart that beats for it.
pub(super) struct Beat {
    clock: SystemClock,
    state: Mutex<State>,
    /// The state has changed: there may be something to do, or nothing to wait for any more.
    changed: Condvar,
}

impl Beat {
    /// Starts the thread; it does nothing before the first poll.
    pub(super) fn start(
        group: &str,
        state: impl FnOnce(Duration) -> State,
        coordinator: Coordinator,
    ) -> Result<Arc<Self>> {
        let clock = SystemClock::new();
        let state = Mutex::new(state(clock.monotonic()));
        let beat = Arc::new(Self { clock, state, changed: Condvar::new() });
        let own = Arc::clone(&beat);
        std::thread::Builder::new()
            .name(format!("{group}-heartbeat"))
            .spawn(move || own.run(coordinator))
            .map_err(|e| Error::new(ErrorKind::Fatal, format!("cannot start a thread: {e}")))?;
        Ok(beat)
    }

    /// Reads or changes the state. The engine does so at every turn: the thread is woken only if
    /// there may be something else to do than before.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State, Duration) -> T) -> T {
        let mut state = self.state.lock();
        let before = state.agenda();
        let result = work(&mut state, self.clock.monotonic());
        if state.agenda() != before {
            self.changed.notify_all();
        }
        result
    }

    /// Leaves or remains, and waits until the group has heard it if it is to; false if the time is
    /// over first.
    pub(super) fn close(&self, timeout: Duration, how: fn(&mut State, Duration) -> bool) -> bool {
        let deadline = self.clock.monotonic().saturating_add(timeout);
        let mut state = self.state.lock();
        if how(&mut state, self.clock.monotonic()) {
            self.changed.notify_all();
        }
        while !state.has_left() {
            let left = deadline.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                return false;
            }
            self.changed.wait_for(&mut state, left);
        }
        self.changed.notify_all();
        true
    }

    /// Ends the thread as soon as it waits for no answer.
    pub(super) fn end(&self) {
        self.with(|state, _| state.end());
    }

    fn run(&self, mut coordinator: Coordinator) {
        loop {
            let mut state = self.state.lock();
            let sent = match state.step(self.clock.monotonic()) {
                Step::End => return,
                Step::Wait(pause) => {
                    self.changed.wait_for(&mut state, pause);
                    continue;
                }
                Step::Send(heartbeat) => heartbeat,
            };
            drop(state);
            let answer = coordinator.call(&*sent, REQUEST_TIMEOUT);
            let after = self.with(|state, now| match answer {
                Ok(answer) => state.answered(&sent, answer, now),
                Err(error) => {
                    state.failed(error, now);
                    After::Nothing
                }
            });
            match after {
                After::Nothing => {}
                After::Forget => coordinator.forget(),
                After::Compare(error) => self.compare(&mut coordinator, &sent.group, error),
            }
        }
    }

    /// Names how our topology differs from the group's.
    fn compare(&self, coordinator: &mut Coordinator, group: &str, error: Error) {
        let described = coordinator.call(&DescribeStreams { group }, REQUEST_TIMEOUT);
        let theirs = described.ok().and_then(|mut groups| groups.pop()?.subtopologies);
        self.with(|state, _| {
            state.refused(match theirs {
                Some(theirs) => {
                    let ours = &state.topology().subtopologies;
                    let how = difference(ours, &theirs);
                    Error::new(error.kind(), format!("{}: {how}", error.message()))
                }
                None => error,
            });
        });
    }
}

/// For one heartbeat; the session lasts several of them.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
