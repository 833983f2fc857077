//! Tasks: the units of work. A worker owns some and runs each one record at a time.

mod active;
mod appliers;
mod metadata;
mod open;
mod queue;
mod restore;
mod standby;

pub(crate) use active::{Share, Task};
pub(crate) use appliers::Appliers;
pub(crate) use metadata::{Metadata, decode as decode_metadata, encode as encode_metadata};
pub(crate) use open::{OpenTask, TaskStore};
pub(crate) use queue::PartitionQueue;
pub(crate) use restore::{LogRange, Means, Restoring};
pub(crate) use standby::Standby;
pub use standby::{StandbyChange, StandbyStore};
