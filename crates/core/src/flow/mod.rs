//! The running graph of one task.
//!
//! A task's nodes lie in one `Vec` in topological order, each behind an erased [`Slot`]. A node is
//! given only the slots after its own, so `split_at_mut` lends every node at most once: no `Rc`,
//! `RefCell`, lock or `unsafe`, and calling back up cannot be written.

mod env;
mod node;
mod plan;
mod sink;
mod slot;
mod source;
mod stage;
mod task_flow;

pub use env::{Counters, Progress, TaskEnv, TaskSetup};
pub use plan::{FlowInput, FlowPlan, NodeFactory, PlannedNode, Wiring};
pub use slot::Slot;
pub use stage::{Next, Stage};
pub use task_flow::Flow;

pub(crate) use node::Scheduled;
pub(crate) use slot::{Edges, hop};
