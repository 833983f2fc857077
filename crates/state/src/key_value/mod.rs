//! Key-value stores: one value for each key, ordered by the bytes of the keys.

mod builder;
mod entries;
mod plain;
mod timestamped;

#[cfg(test)]
mod tests;

pub use builder::KeyValue;
pub use entries::{Entries, StampedEntries};
pub use plain::KeyValueStore;
pub use timestamped::TimestampedKeyValueStore;
