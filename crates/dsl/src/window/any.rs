//! What `windowed_by` takes.

use std::time::Duration;

use kstreams_core::time::Timestamp;
use kstreams_state::Window;

use super::{SlidingWindows, TimeWindows, UnlimitedWindows};

/// Windows of any kind but sessions; see
/// [`KGroupedStream::windowed_by`](crate::KGroupedStream::windowed_by).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnyWindows {
    /// Of one size, aligned to the epoch.
    Time(TimeWindows),
    /// Around each record.
    Sliding(SlidingWindows),
    /// One without an end.
    Unlimited(UnlimitedWindows),
}

impl AnyWindows {
    pub(crate) fn size(&self) -> Duration {
        match self {
            Self::Time(windows) => windows.size,
            Self::Sliding(windows) => windows.difference,
            Self::Unlimited(_) => FOREVER,
        }
    }

    pub(crate) fn grace(&self) -> Duration {
        match self {
            Self::Time(windows) => windows.grace,
            Self::Sliding(windows) => windows.grace,
            Self::Unlimited(_) => Duration::ZERO,
        }
    }

    /// How long a store must keep them.
    pub(crate) fn retention(&self) -> Duration {
        let size = match self {
            // A record may need a window that began twice the difference ago.
            Self::Sliding(windows) => windows.difference.saturating_mul(2),
            Self::Time(_) | Self::Unlimited(_) => self.size(),
        };
        size.saturating_add(self.grace()).min(FOREVER)
    }

    /// What is wrong with them.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Time(windows) => windows.fault(),
            Self::Sliding(_) | Self::Unlimited(_) => None,
        }
    }

    /// The windows aligned to time that `time` falls in, the earliest first. Sliding windows depend
    /// on the records.
    pub(crate) fn around(&self, time: Timestamp) -> impl Iterator<Item = Window> {
        let (time_windows, unlimited) = match self {
            Self::Time(windows) => (Some(windows.around(time)), None),
            Self::Unlimited(windows) => (None, windows.around(time)),
            Self::Sliding(_) => (None, None),
        };
        time_windows.into_iter().flatten().chain(unlimited)
    }
}

/// The longest time there is.
const FOREVER: Duration = Duration::from_millis(i64::MAX as u64);

impl From<TimeWindows> for AnyWindows {
    fn from(windows: TimeWindows) -> Self {
        Self::Time(windows)
    }
}

impl From<SlidingWindows> for AnyWindows {
    fn from(windows: SlidingWindows) -> Self {
        Self::Sliding(windows)
    }
}

impl From<UnlimitedWindows> for AnyWindows {
    fn from(windows: UnlimitedWindows) -> Self {
        Self::Unlimited(windows)
    }
}
