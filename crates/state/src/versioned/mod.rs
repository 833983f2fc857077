//! Versioned stores: the history of each key, for a retention time (KIP-889).

mod builder;
mod rows;
mod store;
#[cfg(test)]
mod tests;

pub use builder::Versioned;
pub use store::{Put, VersionedRecord, VersionedStore};
