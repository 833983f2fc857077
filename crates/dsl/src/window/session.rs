//! Windows that end when nothing comes for a while (`SessionWindows`).

use std::time::Duration;

/// Sessions: records of a key less than a gap of inactivity apart belong together.
///
/// A session lasts from its first to its last record. Two sessions that a record joins become one.
///
/// ```
/// use std::time::Duration;
/// use kstreams_dsl::SessionWindows;
///
/// let visits = SessionWindows::of(Duration::from_secs(30 * 60)).grace(Duration::from_secs(60));
/// # let _ = visits;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionWindows {
    pub(crate) gap: Duration,
    pub(crate) grace: Duration,
}

impl SessionWindows {
    /// Sessions that end after `gap` without a record, and take no late records.
    pub const fn of(gap: Duration) -> Self {
        Self { gap, grace: Duration::ZERO }
    }

    /// How long a session takes late records after its end and gap.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}
