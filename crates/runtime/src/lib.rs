//! The executor of kstreams: threads, tasks, commit and restore, over the log port in
//! [`transport`] and its in-memory twin.

#![forbid(unsafe_code)]

pub mod transport;
