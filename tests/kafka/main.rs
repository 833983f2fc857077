//! Whole applications on a real Kafka, and bytes against the real Java classes.
//!
//! One binary: it links RocksDB and librdkafka. One broker serves it; tests that disturb their
//! broker start their own.

#![cfg(all(feature = "kafka", feature = "rocksdb"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

// An application that several modules run, and topics.
mod counting;
mod topics;
// The main example as several processes, with one of them killed.
mod flights;
// Instances that come and go.
mod sharing;
// Processes that are killed, paused and replaced beside a broker: tasks that stay, standbys, restarts.
mod comeback;
mod failover;
mod fleet;
mod rolling;
// State that moves between Java and us.
mod interop;
// An application that Java and we run by turns.
mod relay;
// Processes killed at random while an interpreter watches.
mod kills;
// Formats: partitions, serdes, changelogs of every store.
mod parity;
// Start, refusals, restart of single applications.
mod application;
// What a broker allows.
mod permissions;
