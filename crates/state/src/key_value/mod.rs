//! Key-value stores: one value for each key, ordered by the bytes of the keys.

mod builder;
mod entries;
mod store;

#[cfg(test)]
mod tests;

pub use builder::KeyValue;
pub use entries::Entries;
pub use store::{KeyValueStore, TimestampedKeyValueStore};
