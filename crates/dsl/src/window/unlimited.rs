//! The window that never ends (`UnlimitedWindows`).

use kstreams_core::time::Timestamp;
use kstreams_state::Window;

/// One window from a start on, without an end. Records before it are in no window.
///
/// ```
/// use kstreams_core::time::Timestamp;
/// use kstreams_dsl::UnlimitedWindows;
///
/// let since = UnlimitedWindows::of().start_on(Timestamp::from_millis(1_000));
/// # let _ = since;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnlimitedWindows {
    start: Timestamp,
}

impl UnlimitedWindows {
    /// From the beginning of time.
    pub const fn of() -> Self {
        Self { start: Timestamp::from_millis(0) }
    }

    /// From `start` on; a start before the epoch is the epoch.
    #[must_use]
    pub fn start_on(mut self, start: Timestamp) -> Self {
        self.start = start.max(Timestamp::from_millis(0));
        self
    }

    /// The window, if `time` falls in it.
    pub(crate) fn around(self, time: Timestamp) -> Option<Window> {
        (time >= self.start).then(|| Window::new(self.start, Timestamp::MAX))
    }
}
