//! Windows: how event time is cut, and the keys that come out.

mod join;
mod serde;
mod session;
mod time;

pub use join::JoinWindows;
pub use serde::{SessionWindowedSerde, TimeWindowedSerde};
pub(crate) use serde::{session_windowed, time_windowed};
pub use session::SessionWindows;
pub use time::TimeWindows;
