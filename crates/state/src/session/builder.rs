//! Says how a session store is kept, and opens it for each task.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::Result;
use kstreams_core::serde::Serde;
use kstreams_core::store::{ChangelogConfig, Cleanup, StoreBuilder, StoreContext};
use kstreams_core::time::millis;

use crate::Headed;
use crate::codec::Serdes;
use crate::overlay::Keys;
use crate::segments::{Retention, Segments};
use crate::session::SessionStore;
use crate::spec::{Backing, Spec, spec_methods};

/// The builder of session stores (`Stores.sessionStoreBuilder`).
///
/// ```
/// use std::time::Duration;
/// use kstreams_core::serde::{U64, Utf8};
/// use kstreams_core::store::StoreBuilder;
/// use kstreams_state::Sessions;
///
/// let clicks = Sessions::in_memory("clicks", Duration::from_secs(86_400), Utf8, U64);
/// assert_eq!(clicks.name(), "clicks");
/// ```
pub struct Sessions<K, V> {
    spec: Spec,
    serdes: Serdes<K, V>,
    retention: Retention,
}

impl<K: 'static, V: 'static> Sessions<K, V> {
    /// A store on disk (RocksDB) that keeps sessions for `retention` after their end.
    #[cfg(feature = "rocksdb")]
    pub fn persistent(
        name: &str,
        retention: Duration,
        key: impl Serde<Item = K>,
        value: impl Serde<Item = V>,
    ) -> Self {
        let backing = Backing::Rocks(crate::rocks::Settings::default());
        Self::new(Spec::new(name, backing), retention, Serdes::new(key, value))
    }

    /// A store in memory that keeps sessions for `retention` after their end.
    pub fn in_memory(
        name: &str,
        retention: Duration,
        key: impl Serde<Item = K>,
        value: impl Serde<Item = V>,
    ) -> Self {
        Self::new(Spec::new(name, Backing::Memory), retention, Serdes::new(key, value))
    }

    /// The same store, keeping the headers of each value too
    /// (`Stores.sessionStoreWithHeadersBuilder`, KIP-1271).
    #[must_use]
    pub fn with_headers(self) -> Sessions<K, Headed<V>> {
        Sessions { spec: self.spec, serdes: self.serdes.headed(), retention: self.retention }
    }

    /// Sets how much time one segment holds, the unit of removing what is too old; half of the
    /// retention, at least a minute, unless set.
    #[must_use]
    pub fn segment_interval(mut self, interval: Duration) -> Self {
        self.retention.segment_interval = millis(interval).max(1);
        self
    }

    spec_methods!();

    fn new(spec: Spec, retention: Duration, serdes: Serdes<K, V>) -> Self {
        Self { spec, serdes, retention: Retention::windows(retention) }
    }
}

impl<K: 'static, V: 'static> StoreBuilder for Sessions<K, V> {
    type Store = SessionStore<K, V>;

    fn name(&self) -> &str {
        self.spec.name()
    }

    fn changelog(&self) -> Option<ChangelogConfig> {
        let cleanup = Cleanup::CompactAndDelete { retention_ms: self.retention.retention };
        self.spec.changelog(ChangelogConfig { cleanup, overrides: Vec::new() })
    }

    fn is_persistent(&self) -> bool {
        self.spec.is_persistent()
    }

    fn build(&self, context: StoreContext) -> Result<Self::Store> {
        let format = format!("session/{}", self.retention.segment_interval);
        let core = self.spec.open(&self.serdes, &format, Keys::Passing, context)?;
        let segments = Segments::new(self.retention, core.bytes.mark()?, !core.persistent);
        Ok(SessionStore::new(core, Arc::new(segments)))
    }
}

impl<K, V> Clone for Sessions<K, V> {
    fn clone(&self) -> Self {
        let Self { spec, serdes, retention } = self;
        Self { spec: spec.clone(), serdes: serdes.clone(), retention: *retention }
    }
}

impl<K, V> fmt::Debug for Sessions<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("spec", &self.spec)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}
