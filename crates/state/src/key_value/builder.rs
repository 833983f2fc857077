//! Says how a key-value store is kept, and opens it for each task.

use std::fmt;

use kstreams_core::Result;
use kstreams_core::serde::Serde;
use kstreams_core::store::{ChangelogConfig, StoreBuilder, StoreContext};

use crate::codec::Serdes;
use crate::key_value::KeyValueStore;
use crate::overlay::Keys;
use crate::spec::{Backing, Spec, spec_methods};
use crate::{Headed, Stamped};

/// The builder of key-value stores (`Stores.keyValueStoreBuilder`).
///
/// ```
/// use kstreams_core::serde::{U64, Utf8};
/// use kstreams_core::store::StoreBuilder;
/// use kstreams_state::KeyValue;
///
/// let counts = KeyValue::in_memory("counts", Utf8, U64).logging([("segment.ms", "60000")]);
/// assert_eq!(counts.name(), "counts");
/// assert!(KeyValue::lru("recent", 100, Utf8, U64).without_logging().changelog().is_none());
/// ```
pub struct KeyValue<K, V> {
    spec: Spec,
    serdes: Serdes<K, V>,
}

impl<K: 'static, V: 'static> KeyValue<K, V> {
    /// A store on disk (RocksDB): it survives the process and may be larger than memory.
    #[cfg(feature = "rocksdb")]
    pub fn persistent(name: &str, key: impl Serde<Item = K>, value: impl Serde<Item = V>) -> Self {
        Self::new(name, Backing::Rocks(crate::rocks::Settings::default()), key, value)
    }

    /// A store in memory: a new owner of the task rebuilds it from the changelog.
    pub fn in_memory(name: &str, key: impl Serde<Item = K>, value: impl Serde<Item = V>) -> Self {
        Self::new(name, Backing::Memory, key, value)
    }

    /// A store in memory that keeps only the `max_entries` entries used last.
    pub fn lru(
        name: &str,
        max_entries: usize,
        key: impl Serde<Item = K>,
        value: impl Serde<Item = V>,
    ) -> Self {
        Self::new(name, Backing::Lru(max_entries), key, value)
    }

    /// The same store, keeping the time of each value (`Stores.timestampedKeyValueStoreBuilder`).
    #[must_use]
    pub fn timestamped(self) -> KeyValue<K, Stamped<V>> {
        KeyValue { spec: self.spec, serdes: self.serdes.stamped() }
    }

    fn new(
        name: &str,
        backing: Backing,
        key: impl Serde<Item = K>,
        value: impl Serde<Item = V>,
    ) -> Self {
        Self { spec: Spec::new(name, backing), serdes: Serdes::new(key, value) }
    }
}

impl<K: 'static, V: 'static> KeyValue<K, Stamped<V>> {
    /// The same store, keeping the headers of each value too
    /// (`Stores.timestampedKeyValueStoreWithHeadersBuilder`, KIP-1271).
    #[must_use]
    pub fn with_headers(self) -> KeyValue<K, Headed<Stamped<V>>> {
        KeyValue { spec: self.spec, serdes: self.serdes.headed() }
    }
}

impl<K: 'static, V: 'static> KeyValue<K, V> {
    spec_methods!();
}

impl<K: 'static, V: 'static> StoreBuilder for KeyValue<K, V> {
    type Store = KeyValueStore<K, V>;

    fn name(&self) -> &str {
        self.spec.name()
    }

    fn changelog(&self) -> Option<ChangelogConfig> {
        self.spec.changelog(ChangelogConfig::compacted())
    }

    fn is_persistent(&self) -> bool {
        self.spec.is_persistent()
    }

    fn build(&self, context: StoreContext) -> Result<Self::Store> {
        Ok(KeyValueStore::new(self.spec.open(&self.serdes, "key-value", Keys::Lasting, context)?))
    }
}

impl<K, V> Clone for KeyValue<K, V> {
    fn clone(&self) -> Self {
        Self { spec: self.spec.clone(), serdes: self.serdes.clone() }
    }
}

impl<K, V> fmt::Debug for KeyValue<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}
