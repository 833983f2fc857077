//! The state of kstreams: typed stores over memory or RocksDB.
//!
//! A typed store is a pair of serdes over a byte store. It reports every change to its changelog
//! in the bytes of Kafka Streams, and its disk always equals a committed prefix of that changelog
//! (see [`StateStore`](kstreams_core::store::StateStore) for the contract).
//!
//! Processors take stores in `init`; builders ([`KeyValue`]) go to the topology.
//!
//! Invariant: nothing here knows Kafka, threads or tasks beyond what a
//! [`StoreContext`](kstreams_core::store::StoreContext) tells.

#![forbid(unsafe_code)]

pub mod key_value;
pub mod keys;
#[cfg(feature = "rocksdb")]
pub mod rocks;
pub mod session;
pub mod testing;
pub mod values;
pub mod versioned;
pub mod window;

mod codec;
mod core;
mod envelope;
mod headed;
mod scratch;
mod segments;
mod spec;
mod stamped;
mod windowed;

mod bytes;
#[cfg(test)]
mod contract;
mod lru;
mod map;
mod memory;
#[cfg_attr(not(feature = "rocksdb"), allow(dead_code, reason = "the base is RocksDB"))]
mod overlay;
mod scan;
mod small;

pub use headed::Headed;
pub use key_value::{KeyValue, KeyValueStore, TimestampedKeyValueStore};
pub use session::{SessionStore, Sessions};
pub use stamped::Stamped;
pub use versioned::{Versioned, VersionedRecord, VersionedStore};
pub use window::{TimestampedWindowStore, WindowStore, Windows};
pub use windowed::{Window, WindowValues, Windowed, WindowedEntries};
