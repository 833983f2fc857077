//! Windows: how event time is cut, and the keys that come out.

mod any;
mod join;
mod serde;
mod session;
mod sliding;
mod time;
mod unlimited;

pub use any::AnyWindows;
pub use join::JoinWindows;
pub use serde::{SessionWindowedSerde, TimeWindowedSerde};
pub(crate) use serde::{session_windowed, time_windowed};
pub use session::SessionWindows;
pub use sliding::SlidingWindows;
pub use time::TimeWindows;
pub use unlimited::UnlimitedWindows;
