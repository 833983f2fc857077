//! The executor of kstreams: threads, tasks, commit and restore, over the log port in
//! [`transport`] and its in-memory twin.
//!
//! Invariant: logs and stores are met as traits only; every wait has a bound; nothing is committed
//! for a task after its release was acknowledged.

#![forbid(unsafe_code)]

mod app;
mod config;

mod blueprint;
mod directory;
mod shared;
mod standbys;
mod start;
mod topics;

mod commit;
mod failing;
mod global;
mod group;
mod identity;
mod opening;
mod outlet;
mod pause;
mod peers;
mod planted;
mod probe;
mod recovery;
mod slowness;
mod task;
mod threads;
mod underway;
mod worker;

pub mod transport;

pub mod testing;

pub use app::{State, Streams};
pub use config::{Config, Guarantee, RestoreProgress, UncaughtVerdict};
pub use directory::clean_up;
pub use peers::KeyLocation;
#[cfg(feature = "planted-bugs")]
pub use planted::Bug;
pub use shared::TaskInfo;
pub use task::{StandbyChange, StandbyStore};
