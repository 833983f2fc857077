//! What the applications need of a store, so that they run on simulated disks and in memory.

use kstreams::prelude::*;
use kstreams::store::StateStore;
use kstreams::testing::sim::SimStore;

/// Text by text.
pub(crate) trait Cells: StateStore {
    fn get(&self, key: &str) -> Result<Option<String>>;
    fn put(&self, key: &str, value: &str) -> Result;
}

impl Cells for SimStore<Utf8, Utf8> {
    fn get(&self, key: &str) -> Result<Option<String>> {
        Self::get(self, &key.to_owned())
    }

    fn put(&self, key: &str, value: &str) -> Result {
        Self::put(self, &key.to_owned(), &value.to_owned())
    }
}

impl Cells for KeyValueStore<String, String> {
    fn get(&self, key: &str) -> Result<Option<String>> {
        Self::get(self, &key.to_owned())
    }

    fn put(&self, key: &str, value: &str) -> Result {
        Self::put(self, &key.to_owned(), &value.to_owned())
    }
}
