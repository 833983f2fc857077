//! Says how a window store is kept, and opens it for each task.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::Result;
use kstreams_core::serde::Serde;
use kstreams_core::store::{ChangelogConfig, Cleanup, StoreBuilder, StoreContext};
use kstreams_core::time::millis;

use crate::codec::Serdes;
use crate::keys;
use crate::overlay::Keys;
use crate::segments::{Retention, Segments};
use crate::spec::{Backing, Spec, spec_methods};
use crate::window::WindowStore;
use crate::window::store::Shape;
use crate::{Headed, Stamped};

/// The builder of window stores (`Stores.windowStoreBuilder`).
///
/// ```
/// use std::time::Duration;
/// use kstreams_core::serde::{U64, Utf8};
/// use kstreams_core::store::StoreBuilder;
/// use kstreams_state::Windows;
///
/// let (minute, day) = (Duration::from_secs(60), Duration::from_secs(86_400));
/// let counts = Windows::in_memory("counts", minute, day, Utf8, U64).timestamped();
/// assert_eq!(counts.name(), "counts");
/// ```
pub struct Windows<K, V> {
    spec: Spec,
    serdes: Serdes<K, V>,
    shape: Shape,
    retention: Retention,
}

impl<K: 'static, V: 'static> Windows<K, V> {
    /// A store on disk (RocksDB), for windows of `size`, that keeps them for `retention`.
    #[cfg(feature = "rocksdb")]
    pub fn persistent(
        name: &str,
        size: Duration,
        retention: Duration,
        key: impl Serde<Item = K>,
        value: impl Serde<Item = V>,
    ) -> Self {
        let backing = Backing::Rocks(crate::rocks::Settings::default());
        Self::new(Spec::new(name, backing), size, retention, Serdes::new(key, value))
    }

    /// A store in memory, for windows of `size`, that keeps them for `retention`.
    pub fn in_memory(
        name: &str,
        size: Duration,
        retention: Duration,
        key: impl Serde<Item = K>,
        value: impl Serde<Item = V>,
    ) -> Self {
        Self::new(Spec::new(name, Backing::Memory), size, retention, Serdes::new(key, value))
    }

    /// The same store, keeping the time of each value.
    #[must_use]
    pub fn timestamped(self) -> Windows<K, Stamped<V>> {
        let Self { spec, serdes, shape, retention } = self;
        Windows { spec, serdes: serdes.stamped(), shape, retention }
    }

    /// Lets a put add a value instead of replacing the one of the same key and start, as the
    /// windows of stream-stream joins do.
    #[must_use]
    pub fn retain_duplicates(mut self) -> Self {
        self.shape.duplicates = true;
        self
    }

    /// Sets how much time one segment holds, the unit of removing what is too old; half of the
    /// retention, at least a minute, unless set.
    #[must_use]
    pub fn segment_interval(mut self, interval: Duration) -> Self {
        self.retention.segment_interval = millis(interval).max(1);
        self
    }

    spec_methods!();

    fn new(spec: Spec, size: Duration, retention: Duration, serdes: Serdes<K, V>) -> Self {
        let shape = Shape { size: millis(size), duplicates: false };
        Self { spec, serdes, shape, retention: Retention::windows(retention) }
    }
}

impl<K: 'static, V: 'static> Windows<K, Stamped<V>> {
    /// The same store, keeping the headers of each value too
    /// (`Stores.timestampedWindowStoreWithHeadersBuilder`, KIP-1271).
    #[must_use]
    pub fn with_headers(self) -> Windows<K, Headed<Stamped<V>>> {
        let Self { spec, serdes, shape, retention } = self;
        Windows { spec, serdes: serdes.headed(), shape, retention }
    }
}

impl<K: 'static, V: 'static> StoreBuilder for Windows<K, V> {
    type Store = WindowStore<K, V>;

    fn name(&self) -> &str {
        self.spec.name()
    }

    fn changelog(&self) -> Option<ChangelogConfig> {
        let retention_ms = self.retention.retention;
        let cleanup = if self.shape.duplicates {
            Cleanup::Delete { retention_ms }
        } else {
            Cleanup::CompactAndDelete { retention_ms }
        };
        self.spec.changelog(ChangelogConfig { cleanup, overrides: Vec::new() })
    }

    fn is_persistent(&self) -> bool {
        self.spec.is_persistent()
    }

    fn build(&self, context: StoreContext) -> Result<Self::Store> {
        let format = format!("window/{}", self.retention.segment_interval);
        let core =
            self.spec.open(&self.serdes, &format, Keys::Timed(keys::start_of_window), context)?;
        let segments = Segments::new(self.retention, core.bytes.mark()?, !core.persistent);
        Ok(WindowStore::new(core, self.shape, Arc::new(segments)))
    }
}

impl<K, V> Clone for Windows<K, V> {
    fn clone(&self) -> Self {
        let Self { spec, serdes, shape, retention } = self;
        Self { spec: spec.clone(), serdes: serdes.clone(), shape: *shape, retention: *retention }
    }
}

impl<K, V> fmt::Debug for Windows<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Windows")
            .field("spec", &self.spec)
            .field("shape", &self.shape)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}
