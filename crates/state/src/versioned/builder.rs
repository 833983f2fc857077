//! Says how a versioned store is kept, and opens it for each task.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::Result;
use kstreams_core::serde::Serde;
use kstreams_core::store::{ChangelogConfig, Cleanup, StoreBuilder, StoreContext};
use kstreams_core::time::millis;

use crate::codec::Serdes;
use crate::overlay::Keys;
use crate::segments::{Retention, Segments};
use crate::spec::{Backing, Spec, spec_methods};
use crate::versioned::VersionedStore;

/// The builder of versioned stores (`Stores.versionedKeyValueStoreBuilder`).
///
/// ```
/// use std::time::Duration;
/// use kstreams_core::serde::{U64, Utf8};
/// use kstreams_core::store::StoreBuilder;
/// use kstreams_state::Versioned;
///
/// let prices = Versioned::in_memory("prices", Duration::from_secs(86_400), Utf8, U64);
/// assert_eq!(prices.name(), "prices");
/// ```
pub struct Versioned<K, V> {
    spec: Spec,
    serdes: Serdes<K, V>,
    retention: Retention,
}

impl<K: 'static, V: 'static> Versioned<K, V> {
    /// A store on disk (RocksDB) that keeps what was valid during the last `history_retention`.
    #[cfg(feature = "rocksdb")]
    pub fn persistent(
        name: &str,
        history_retention: Duration,
        key: impl Serde<Item = K>,
        value: impl Serde<Item = V>,
    ) -> Self {
        let backing = Backing::Rocks(crate::rocks::Settings::default());
        Self::new(Spec::new(name, backing), history_retention, Serdes::new(key, value))
    }

    /// A store in memory that keeps what was valid during the last `history_retention`.
    pub fn in_memory(
        name: &str,
        history_retention: Duration,
        key: impl Serde<Item = K>,
        value: impl Serde<Item = V>,
    ) -> Self {
        Self::new(Spec::new(name, Backing::Memory), history_retention, Serdes::new(key, value))
    }

    /// Sets how much time one segment holds, the unit of removing what is too old; chosen by the
    /// retention, as in Kafka Streams, unless set.
    #[must_use]
    pub fn segment_interval(mut self, interval: Duration) -> Self {
        self.retention.segment_interval = millis(interval).max(1);
        self
    }

    spec_methods!();

    fn new(spec: Spec, retention: Duration, serdes: Serdes<K, V>) -> Self {
        Self { spec, serdes, retention: Retention::versions(retention) }
    }
}

impl<K: 'static, V: 'static> StoreBuilder for Versioned<K, V> {
    type Store = VersionedStore<K, V>;

    fn name(&self) -> &str {
        self.spec.name()
    }

    fn changelog(&self) -> Option<ChangelogConfig> {
        let cleanup = Cleanup::CompactAfter { min_lag_ms: self.retention.retention };
        self.spec.changelog(ChangelogConfig { cleanup, overrides: Vec::new() })
    }

    fn is_persistent(&self) -> bool {
        self.spec.is_persistent()
    }

    fn build(&self, context: StoreContext) -> Result<Self::Store> {
        let format = format!("versioned/{}", self.retention.segment_interval);
        let core = self.spec.open(&self.serdes, &format, Keys::Lasting, context)?;
        let segments = Segments::new(self.retention, core.bytes.mark()?, false);
        Ok(VersionedStore::new(core, Arc::new(segments)))
    }
}

impl<K, V> Clone for Versioned<K, V> {
    fn clone(&self) -> Self {
        let Self { spec, serdes, retention } = self;
        Self { spec: spec.clone(), serdes: serdes.clone(), retention: *retention }
    }
}

impl<K, V> fmt::Debug for Versioned<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Versioned")
            .field("spec", &self.spec)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}
