//! How an operator looks up the values of a table (`KTableValueGetter`).
//!
//! A table without a store of its own computes them from the store of a table above it.

use std::marker::PhantomData;
use std::sync::Arc;

use kstreams_core::error::Result;
use kstreams_state::{Stamped, TimestampedKeyValueStore};

use crate::store::{self, Stores};

/// A table that can be looked into, in any task.
pub(crate) trait View<K, V>: Send + Sync {
    /// The stores that a processor must be connected to.
    fn stores(&self) -> Vec<Arc<str>>;

    /// Opens it for one task.
    fn open(&self, stores: &dyn Stores) -> Result<Box<dyn Getter<K, V>>>;
}

/// A table as one task sees it.
pub(crate) trait Getter<K, V>: Send {
    /// The value of a key, with its time.
    fn get(&self, key: &K) -> Result<Option<Stamped<V>>>;
}

/// A table that has a store.
pub(crate) struct StoreView<K, V> {
    store: Arc<str>,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> StoreView<K, V> {
    pub(crate) fn new(store: Arc<str>) -> Self {
        Self { store, types: PhantomData }
    }
}

impl<K: 'static, V: 'static> View<K, V> for StoreView<K, V> {
    fn stores(&self) -> Vec<Arc<str>> {
        vec![Arc::clone(&self.store)]
    }

    fn open(&self, stores: &dyn Stores) -> Result<Box<dyn Getter<K, V>>> {
        Ok(Box::new(TableStore::open(stores, &self.store)?))
    }
}

/// The store of a table, as its processors use it.
pub(crate) struct TableStore<K, V>(Arc<TimestampedKeyValueStore<K, V>>);

impl<K: 'static, V: 'static> TableStore<K, V> {
    pub(crate) fn open(stores: &dyn Stores, name: &Arc<str>) -> Result<Self> {
        Ok(Self(store::open(stores, name)?))
    }

    /// Sets or deletes a value; true if it is the latest of its key.
    pub(crate) fn put(&self, key: &K, value: Option<&Stamped<V>>) -> Result<bool> {
        match value {
            Some(value) => self.0.put(key, value)?,
            None => {
                self.0.delete(key)?;
            }
        }
        Ok(true)
    }

    pub(crate) fn get(&self, key: &K) -> Result<Option<Stamped<V>>> {
        self.0.get(key)
    }
}

impl<K: 'static, V: 'static> Getter<K, V> for TableStore<K, V> {
    fn get(&self, key: &K) -> Result<Option<Stamped<V>>> {
        self.0.get(key)
    }
}
