//! How an operator looks up the values of a table (`KTableValueGetter`).
//!
//! A table without a store of its own computes them from the store of a table above it.

use std::marker::PhantomData;
use std::sync::Arc;

use kstreams_core::error::Result;
use kstreams_core::processor::Data;
use kstreams_core::time::Timestamp;
use kstreams_state::versioned::Put;
use kstreams_state::{Stamped, TimestampedKeyValueStore, VersionedRecord, VersionedStore};

use crate::cache::TableCache;
use crate::store::Stores;

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

    /// The value of a key that was valid at `time`; of a table without versions, the value it has.
    fn get_as_of(&self, key: &K, _time: Timestamp) -> Result<Option<Stamped<V>>> {
        self.get(key)
    }
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

impl<K: Data, V: Data> View<K, V> for StoreView<K, V> {
    fn stores(&self) -> Vec<Arc<str>> {
        vec![Arc::clone(&self.store)]
    }

    fn open(&self, stores: &dyn Stores) -> Result<Box<dyn Getter<K, V>>> {
        Ok(Box::new(TableStore::open(stores, &self.store)?))
    }
}

/// The store of a table, with its cache, as processors use it.
pub(crate) struct TableStore<K, V> {
    store: Kind<K, V>,
    cache: Option<Arc<TableCache<K, V>>>,
}

enum Kind<K, V> {
    Stamped(Arc<TimestampedKeyValueStore<K, V>>),
    Versioned(Arc<VersionedStore<K, V>>),
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is the value of its key now.
    Latest,
    /// A later one was there already.
    Older,
    /// It is older than what the store remembers.
    Refused,
}

impl<K: Data, V: Data> TableStore<K, V> {
    pub(crate) fn open(stores: &dyn Stores, name: &Arc<str>) -> Result<Self> {
        let store = stores.any(name)?;
        let cache = store.cache();
        let store = match store.typed() {
            Ok(stamped) => Kind::Stamped(stamped),
            Err(error) => Kind::Versioned(store.typed().map_err(|_| error)?),
        };
        Ok(Self { store, cache })
    }

    pub(crate) fn cache(&self) -> Option<&Arc<TableCache<K, V>>> {
        self.cache.as_ref()
    }

    /// Sets or deletes the value of a key as of `time`, past the cache.
    pub(crate) fn write(
        &self,
        key: &K,
        value: Option<&Stamped<V>>,
        time: Timestamp,
    ) -> Result<Written> {
        let put = match (&self.store, value) {
            (Kind::Stamped(store), Some(value)) => {
                return store.put(key, value).map(|()| Written::Latest);
            }
            (Kind::Stamped(store), None) => {
                return store.delete(key).map(|_| Written::Latest);
            }
            (Kind::Versioned(store), Some(value)) => store.put(key, &value.value, time)?,
            (Kind::Versioned(store), None) => store.put_tombstone(key, time)?,
        };
        Ok(match put {
            Put::Latest => Written::Latest,
            Put::ValidTo(_) => Written::Older,
            Put::TooOld => Written::Refused,
        })
    }

    /// The value past the cache.
    pub(crate) fn written(&self, key: &K) -> Result<Option<Stamped<V>>> {
        match &self.store {
            Kind::Stamped(store) => store.get(key),
            Kind::Versioned(store) => Ok(store.get(key)?.map(stamped)),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Result<Option<Stamped<V>>> {
        match self.cache.as_ref().map(|cache| cache.get(key)).transpose()?.flatten() {
            Some(held) => Ok(held),
            None => self.written(key),
        }
    }
}

fn stamped<V>(version: VersionedRecord<V>) -> Stamped<V> {
    Stamped::new(version.value, version.timestamp)
}

impl<K: Data, V: Data> Getter<K, V> for TableStore<K, V> {
    fn get(&self, key: &K) -> Result<Option<Stamped<V>>> {
        self.get(key)
    }

    fn get_as_of(&self, key: &K, time: Timestamp) -> Result<Option<Stamped<V>>> {
        match &self.store {
            Kind::Stamped(_) => self.get(key),
            Kind::Versioned(store) => Ok(store.get_as_of(key, time)?.map(stamped)),
        }
    }
}
