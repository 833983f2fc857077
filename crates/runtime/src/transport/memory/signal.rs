//! How the log wakes clients that wait: for records, for a waker, for a change of their group.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Counts what happened; whoever saw an older count is woken.
#[derive(Debug, Default)]
pub(super) struct Signal {
    records: AtomicU64,
    control: AtomicU64,
    n_waiting: AtomicUsize,
    lock: Mutex<()>,
    changed: Condvar,
}

/// What a client has seen of a [`Signal`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    records: u64,
    control: u64,
}

impl Seen {
    /// True if groups or transactions changed between the two.
    pub(super) fn control_differs(self, other: Self) -> bool {
        self.control != other.control
    }
}

impl Signal {
    /// The counts now.
    pub(super) fn seen(&self) -> Seen {
        Seen {
            records: self.records.load(Ordering::SeqCst),
            control: self.control.load(Ordering::SeqCst),
        }
    }

    /// Says that a partition has changed.
    pub(super) fn records(&self) {
        self.records.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    /// Says that a group has changed, or that a waker was called.
    pub(super) fn control(&self) {
        self.control.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    /// Wakes all that wait. Either they have read the new count, or they are counted here already:
    /// both sides first write and then read, in one total order.
    fn wake(&self) {
        if self.n_waiting.load(Ordering::SeqCst) > 0 {
            drop(self.lock.lock());
            self.changed.notify_all();
        }
    }

    /// Waits until something happened after `seen`; false if `timeout` came first.
    pub(super) fn wait(&self, seen: Seen, timeout: Duration) -> bool {
        let mut guard = self.lock.lock();
        self.n_waiting.fetch_add(1, Ordering::SeqCst);
        let news = if self.seen() == seen {
            !self.changed.wait_for(&mut guard, timeout).timed_out()
        } else {
            true
        };
        self.n_waiting.fetch_sub(1, Ordering::SeqCst);
        news
    }
}
