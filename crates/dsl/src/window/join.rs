//! How far apart records of two streams may be to be joined (`JoinWindows`).

use std::time::Duration;

/// How far apart in time records of two streams may be to be joined.
///
/// ```
/// use std::time::Duration;
/// use kstreams_dsl::JoinWindows;
///
/// let second = Duration::from_secs(1);
/// // The other record is at most a second earlier, at most a minute later.
/// let windows = JoinWindows::of(second).after(60 * second).grace(second);
/// # let _ = windows;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinWindows {
    pub(crate) before: Duration,
    pub(crate) after: Duration,
    pub(crate) grace: Duration,
}

impl JoinWindows {
    /// At most `difference` apart, and no late records.
    pub const fn of(difference: Duration) -> Self {
        Self { before: difference, after: difference, grace: Duration::ZERO }
    }

    /// How much earlier the other stream's record may be.
    #[must_use]
    pub const fn before(mut self, before: Duration) -> Self {
        self.before = before;
        self
    }

    /// How much later the other stream's record may be.
    #[must_use]
    pub const fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }

    /// How late records may be.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}
