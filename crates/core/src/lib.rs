//! The core of kstreams: what users implement against, and the running graph of one task.
//!
//! Records and serdes, the traits [`Processor`](processor::Processor),
//! [`FixedKeyProcessor`](processor::FixedKeyProcessor), [`Punctuator`](processor::Punctuator) and
//! [`StateStore`](store::StateStore), and [`flow`]: the slots of one task and the hop between them.
//!
//! Invariant: no IO, no threads, no clock but the port in [`time`].

#![forbid(unsafe_code)]

pub mod error;
pub mod record;

pub mod testing;
pub mod time;

pub mod random;
pub mod serde;

pub mod partition;
pub mod task;

pub mod context;
pub mod processor;
pub mod punctuation;

pub mod handler;
pub mod sink;
pub mod source;
pub mod store;

pub mod flow;

pub use error::{Error, ErrorKind, Result};
