//! Windows around each record (`SlidingWindows`).

use std::time::Duration;

/// Windows that hold the records at most a time difference apart: whenever two records of a key
/// are, some window holds both.
///
/// Both bounds of a window belong to it. There is a window that ends with each record, and one that
/// starts right behind it if anything lies there.
///
/// ```
/// use std::time::Duration;
/// use kstreams_dsl::SlidingWindows;
///
/// let second = Duration::from_secs(1);
/// let windows = SlidingWindows::of(10 * second).grace(second);
/// # let _ = windows;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindows {
    pub(crate) difference: Duration,
    pub(crate) grace: Duration,
}

impl SlidingWindows {
    /// Windows of records at most `difference` apart that take no late records.
    pub const fn of(difference: Duration) -> Self {
        Self { difference, grace: Duration::ZERO }
    }

    /// How long a window takes late records after its end.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}
