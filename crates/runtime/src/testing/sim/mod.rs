//! Deterministic simulation: a whole application, several instances, log, clock and disks, from one
//! seed on one thread.
//!
//! It is the production engine: what differs is the log, the clock, and who calls.

mod report;
mod simulation;

mod feed;
mod oracle;
mod plan;

mod disturb;
mod settle;
mod world;

mod history;
mod instance;
mod instance_probe;
mod invariants;
mod ledger;
mod network;
mod order;
mod trace;

mod disk;
mod store;
mod wal;

pub use crate::probe::CrashPoint;
pub use disk::SimDisk;
pub use feed::SimRecord;
pub use history::History;
pub use ledger::Tap;
pub use oracle::Oracle;
pub use order::Taken;
pub use plan::SimPlan;
pub use report::{Coverage, Report, Run, Violation};
pub use simulation::{SimEnv, Simulation, run_seeds};
pub use store::{SimStore, SimStoreBuilder};
