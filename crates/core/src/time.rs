//! Time: the only file of the workspace that reads a clock.
//!
//! Everything else asks a [`Clock`], so tests and simulation decide what time it is.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch, as Kafka stores them; negative is not a valid record time.
///
/// ```
/// use std::time::Duration;
/// use kstreams_core::time::Timestamp;
/// let t = Timestamp::from_millis(1_000) + Duration::from_secs(2);
/// assert_eq!(t.as_millis(), 3_000);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Kafka's "no timestamp" (-1).
    pub const NONE: Self = Self(-1);
    /// The smallest value; used where Java uses `Long.MIN_VALUE`.
    pub const MIN: Self = Self(i64::MIN);
    /// The largest value.
    pub const MAX: Self = Self(i64::MAX);

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, after: Duration) -> Self {
        Self(self.0.saturating_add(millis(after)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, before: Duration) -> Self {
        Self(self.0.saturating_sub(millis(before)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A duration as whole milliseconds, saturating.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The port through which time enters.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the port")]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port")]
    fn now(&self) -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp(millis(since)),
            Err(before) => Timestamp(-millis(before.duration())),
        }
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that moves only when told; clones share the time.
///
/// ```
/// use std::time::Duration;
/// use kstreams_core::time::{Clock, ManualClock, Timestamp};
/// let clock = ManualClock::starting_at(Timestamp::from_millis(5));
/// clock.advance(Duration::from_millis(10));
/// assert_eq!(clock.now().as_millis(), 15);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<ManualTime>);

#[derive(Debug, Default)]
struct ManualTime {
    wall: AtomicI64,
    monotonic: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn starting_at(now: Timestamp) -> Self {
        let clock = Self::default();
        clock.0.wall.store(now.as_millis(), Ordering::Relaxed);
        clock
    }

    /// Moves both wall clock and monotonic time forward.
    pub fn advance(&self, by: Duration) {
        self.0.wall.fetch_add(millis(by), Ordering::Relaxed);
        let nanos = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.0.monotonic.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Steps the wall clock alone (also back), as an administrator or a leap second may.
    pub fn set_wall(&self, now: Timestamp) {
        self.0.wall.store(now.as_millis(), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.wall.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.monotonic.load(Ordering::Relaxed).unsigned_abs())
    }
}
