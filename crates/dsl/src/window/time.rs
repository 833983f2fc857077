//! Windows of one size, aligned to the epoch (`TimeWindows`).

use std::time::Duration;

use kstreams_core::time::{Timestamp, millis};
use kstreams_state::Window;

/// Windows of one size, aligned to the epoch: tumbling, or hopping if they advance by less.
///
/// A window starts with its first millisecond and ends before its last bound. Records that come
/// when stream time has passed the window's end by the grace period are dropped.
///
/// ```
/// use std::time::Duration;
/// use kstreams_dsl::TimeWindows;
///
/// let minute = Duration::from_secs(60);
/// let tumbling = TimeWindows::of(minute);
/// let hopping = TimeWindows::of(5 * minute).advance_by(minute).grace(minute);
/// # let _ = (tumbling, hopping);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWindows {
    pub(crate) size: Duration,
    pub(crate) advance: Duration,
    pub(crate) grace: Duration,
}

impl TimeWindows {
    /// Tumbling windows of `size` that take no late records.
    pub const fn of(size: Duration) -> Self {
        Self { size, advance: size, grace: Duration::ZERO }
    }

    /// A new window starts each `advance`, so that windows overlap.
    #[must_use]
    pub const fn advance_by(mut self, advance: Duration) -> Self {
        self.advance = advance;
        self
    }

    /// How long a window takes late records after its end.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// What is wrong with them.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if self.size < MILLI {
            return Some("the size of its windows must be at least a millisecond");
        }
        let fits = MILLI <= self.advance && self.advance <= self.size;
        (!fits).then_some("its windows must advance by at least a millisecond, at most their size")
    }

    /// The windows that `time` falls in, the earliest first.
    pub(crate) fn around(&self, time: Timestamp) -> impl Iterator<Item = Window> {
        let (size, advance) = (millis(self.size), millis(self.advance).max(1));
        let time = time.as_millis();
        let earliest = time.saturating_sub(size).saturating_add(advance).max(0);
        let first = earliest / advance * advance;
        let starts = std::iter::successors(Some(first), move |start| start.checked_add(advance));
        starts.take_while(move |start| *start <= time).map(move |start| {
            let end = Timestamp::from_millis(start.saturating_add(size));
            Window::new(Timestamp::from_millis(start), end)
        })
    }
}

const MILLI: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(windows: TimeWindows, time: i64, expected: &[(i64, i64)]) {
        let found = windows.around(Timestamp::from_millis(time));
        let found: Vec<_> = found.map(|w| (w.start.as_millis(), w.end.as_millis())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn windows_are_aligned_to_the_epoch() {
        let ten = TimeWindows::of(Duration::from_millis(10));
        check(ten, 0, &[(0, 10)]);
        check(ten, 19, &[(10, 20)]);
        let hopping = ten.advance_by(Duration::from_millis(4));
        check(hopping, 3, &[(0, 10)]);
        check(hopping, 12, &[(4, 14), (8, 18), (12, 22)]);
    }

    #[test]
    fn the_end_of_time_ends_windows() {
        let ten = TimeWindows::of(Duration::from_millis(10));
        let start = i64::MAX / 10 * 10;
        check(ten, i64::MAX, &[(start, i64::MAX)]);
    }
}
