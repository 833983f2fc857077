//! How a table or an aggregate is kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::processor::Data;
use kstreams_core::serde::Serde;
use kstreams_core::store::StoreContext;
use kstreams_state::{KeyValue, Sessions, Stamped, Versioned, Windows};
use kstreams_topology::ErasedStoreBuilder;

use crate::DefaultSerde;
use crate::cache::TableCache;
use crate::plan::{CachedDef, DslFault, Plan, StoreDef};
use crate::serdes::{Choice, SerdeOf};
use crate::store::{AnyCache, Erased, MakeCache};
use crate::window::time_windowed;

/// Where the data of a table or an aggregate lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreKind {
    /// On disk where the crate is built with `rocksdb`, else in memory.
    #[default]
    Default,
    /// In memory.
    InMemory,
    /// In memory, only the entries used last.
    Lru(usize),
}

/// How a table or an aggregate is kept: its store's name, serdes and kind (`Materialized`).
///
/// A name is enough where one is taken, and `()` means none: then the store has a name generated
/// from its position, and [`Naming`](crate::Naming) says what to do about that.
///
/// ```
/// use kstreams_core::serde::{I64, Utf8};
/// use kstreams_dsl::{Materialized, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let words = builder.stream::<String, String>("words").group_by_key();
/// words.count("all");
/// words.count(Materialized::with(Utf8, I64).name("mine").in_memory().without_logging());
/// words.count(());
/// # builder.build()?;
/// # Ok::<(), kstreams_dsl::BuildErrors>(())
/// ```
pub struct Materialized<K, V> {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) node: Option<Arc<str>>,
    pub(crate) key: Choice<K>,
    pub(crate) value: Choice<V>,
    pub(crate) kind: StoreKind,
    pub(crate) logging: Option<Vec<(String, String)>>,
    pub(crate) retention: Option<Duration>,
    pub(crate) caching: Option<bool>,
    /// How long a versioned store remembers.
    pub(crate) history: Option<Duration>,
    /// False for `()`, where Java has an operator without a `Materialized`.
    is_given: bool,
}

impl<K: 'static, V: 'static> Materialized<K, V> {
    /// With these serdes for keys and values.
    pub fn with(key: impl Serde<Item = K>, value: impl Serde<Item = V>) -> Self {
        Self::blank(Choice::given(key), Choice::given(value))
    }

    /// With the serdes that came down the stream, if any, and this name of the store.
    pub fn named(name: &str) -> Self
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        Self::default().name(name)
    }

    /// Without serdes of its own, and without a name.
    pub(crate) fn inherit() -> Self {
        Self::blank(Choice::Inherit, Choice::Inherit)
    }

    fn blank(key: Choice<K>, value: Choice<V>) -> Self {
        Self {
            name: None,
            node: None,
            key,
            value,
            kind: StoreKind::Default,
            logging: Some(Vec::new()),
            retention: None,
            caching: None,
            history: None,
            is_given: true,
        }
    }

    /// Sets the name of the store.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the name of the node that keeps the store (`Named`).
    #[must_use]
    pub fn node(mut self, name: &str) -> Self {
        self.node = Some(name.into());
        self
    }

    /// Sets the serde of keys.
    #[must_use]
    pub fn key(mut self, serde: impl Serde<Item = K>) -> Self {
        self.key = Choice::given(serde);
        self
    }

    /// Sets the serde of values.
    #[must_use]
    pub fn value(mut self, serde: impl Serde<Item = V>) -> Self {
        self.value = Choice::given(serde);
        self
    }

    /// Keeps the data in memory.
    #[must_use]
    pub fn in_memory(mut self) -> Self {
        self.kind = StoreKind::InMemory;
        self
    }

    /// Keeps the entries used last, in memory.
    #[must_use]
    pub fn lru(mut self, max_entries: usize) -> Self {
        self.kind = StoreKind::Lru(max_entries);
        self
    }

    /// Adds settings to the changelog topic.
    #[must_use]
    pub fn logging<N: Into<String>, T: Into<String>>(
        mut self,
        settings: impl IntoIterator<Item = (N, T)>,
    ) -> Self {
        let all = self.logging.get_or_insert_default();
        all.extend(settings.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// How long windows and sessions are kept; at least their size and grace period.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Holds changes back until the next commit, so that of several of a key the last alone is
    /// written to the changelog and told (`withCachingEnabled`); see
    /// [`StreamsBuilder::cache`](crate::StreamsBuilder::cache).
    #[must_use]
    pub fn cached(mut self) -> Self {
        self.caching = Some(true);
        self
    }

    /// Tells every change, whatever the builder says (`withCachingDisabled`).
    #[must_use]
    pub fn without_caching(mut self) -> Self {
        self.caching = Some(false);
        self
    }

    /// Keeps the versions of each value for `history`, so that joins look up what was valid at the
    /// time of a record (KIP-889, KIP-914). It is not cached.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kstreams_dsl::{Materialized, StreamsBuilder};
    ///
    /// let builder = StreamsBuilder::new();
    /// let day = Duration::from_secs(86_400);
    /// let prices = Materialized::<String, i64>::named("prices").versioned(day);
    /// let prices = builder.table("prices", prices);
    /// let orders = builder.stream::<String, i64>("orders");
    /// // At the price of its own time, also for an order that comes late.
    /// orders.join_table(&prices, |_, pieces, price| pieces * price).to("amounts");
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    #[must_use]
    pub fn versioned(mut self, history: Duration) -> Self {
        self.history = Some(history);
        self
    }

    /// Gives the store no changelog.
    #[must_use]
    pub fn without_logging(mut self) -> Self {
        self.logging = None;
        self
    }
}

impl<K: 'static, V: 'static> Materialized<K, V> {
    /// The store's name, generated with `prefix` if there is none, and whether it was given.
    pub(crate) fn store_name(&self, plan: &mut Plan, prefix: &str) -> (Arc<str>, bool) {
        if let Some(name) = &self.name {
            plan.check_name(name);
            return (Arc::clone(name), true);
        }
        let name = plan.new_store_name(prefix);
        plan.note_unnamed("store", &name);
        (name, false)
    }

    /// Takes the number that Java's `count` takes, besides that of the store, where it is given a
    /// `Materialized` without a name.
    pub(crate) fn take_number_of_count(&self, plan: &mut Plan, prefix: &str) {
        if self.is_given && self.name.is_none() {
            plan.new_store_name(prefix);
        }
    }

    /// The definition of the store of a table: timestamped, or versioned.
    pub(crate) fn key_value_store(
        &self,
        name: &Arc<str>,
        key: SerdeOf<K>,
        value: SerdeOf<V>,
    ) -> StoreDef
    where
        K: Data,
        V: Data,
    {
        if let Some(history) = self.history {
            let builder = Arc::new(Erased::new(self.versioned_builder(name, history, key, value)));
            return StoreDef { name: Arc::clone(name), builder, cached: None };
        }
        let store = self.key_value_builder(name, key.clone(), value.clone());
        let cached = (!matches!(self.kind, StoreKind::Lru(_))).then(|| {
            let store = store.clone();
            self.cached_def(key, value, move |cache| Arc::new(Erased::cached(store.clone(), cache)))
        });
        StoreDef { name: Arc::clone(name), builder: Arc::new(Erased::new(store)), cached }
    }

    /// The definition of a timestamped window store.
    pub(crate) fn window_store(
        &self,
        name: &Arc<str>,
        size: Duration,
        retention: Duration,
        key: SerdeOf<K>,
        value: SerdeOf<V>,
    ) -> StoreDef
    where
        K: Data,
        V: Data,
    {
        let (keys, values) = (key.clone(), value.clone());
        let store = match self.kind {
            #[cfg(feature = "rocksdb")]
            StoreKind::Default => Windows::persistent(name, size, retention, keys, values),
            _ => Windows::in_memory(name, size, retention, keys, values),
        };
        let store = match &self.logging {
            Some(settings) => store.logging(settings.iter().cloned()),
            None => store.without_logging(),
        };
        let store = store.timestamped();
        let of_cache = store.clone();
        let cached = self.cached_def(time_windowed(key, size), value, move |cache| {
            Arc::new(Erased::cached(of_cache.clone(), cache))
        });
        let builder = Arc::new(Erased::new(store));
        StoreDef { name: Arc::clone(name), builder, cached: Some(cached) }
    }

    fn cached_def<C: Data>(
        &self,
        key: SerdeOf<C>,
        value: SerdeOf<V>,
        make: impl Fn(Arc<MakeCache>) -> Arc<dyn ErasedStoreBuilder> + Send + Sync + 'static,
    ) -> CachedDef
    where
        V: Data,
    {
        let make = move |bytes: usize| {
            let (key, value) = (key.clone(), value.clone());
            make(Arc::new(move |context: &StoreContext| -> AnyCache {
                let topic = Arc::clone(&context.changelog_topic);
                Arc::new(TableCache::new(key.clone(), value.clone(), topic, bytes))
            }))
        };
        CachedDef { is_wanted: self.caching, make: Arc::new(make) }
    }

    /// The definition of a session store.
    pub(crate) fn session_store(
        &self,
        name: &Arc<str>,
        retention: Duration,
        key: SerdeOf<K>,
        value: SerdeOf<V>,
    ) -> StoreDef {
        let store = match self.kind {
            #[cfg(feature = "rocksdb")]
            StoreKind::Default => Sessions::persistent(name, retention, key, value),
            _ => Sessions::in_memory(name, retention, key, value),
        };
        let store = match &self.logging {
            Some(settings) => store.logging(settings.iter().cloned()),
            None => store.without_logging(),
        };
        let builder = Arc::new(Erased::new(store));
        StoreDef { name: Arc::clone(name), builder, cached: None }
    }

    /// Notes a fault if windows would be dropped that can still change.
    pub(crate) fn check_retention(
        &self,
        plan: &mut Plan,
        store: &str,
        least: Duration,
    ) -> Duration {
        let retention = self.retention.unwrap_or(least);
        if retention < least {
            plan.fault(DslFault::Window {
                node: format!("store {store}"),
                why: format!(
                    "its retention {retention:?} is shorter than {least:?}, the size and \
                     grace period of its windows"
                ),
            });
        }
        retention
    }

    pub(crate) fn key_value_builder(
        &self,
        name: &Arc<str>,
        key: SerdeOf<K>,
        value: SerdeOf<V>,
    ) -> KeyValue<K, Stamped<V>> {
        let store = match self.kind {
            #[cfg(feature = "rocksdb")]
            StoreKind::Default => KeyValue::persistent(name, key, value),
            StoreKind::Lru(max_entries) => KeyValue::lru(name, max_entries, key, value),
            _ => KeyValue::in_memory(name, key, value),
        };
        let store = match &self.logging {
            Some(settings) => store.logging(settings.iter().cloned()),
            None => store.without_logging(),
        };
        store.timestamped()
    }

    fn versioned_builder(
        &self,
        name: &Arc<str>,
        history: Duration,
        key: SerdeOf<K>,
        value: SerdeOf<V>,
    ) -> Versioned<K, V> {
        let store = match self.kind {
            #[cfg(feature = "rocksdb")]
            StoreKind::Default => Versioned::persistent(name, history, key, value),
            _ => Versioned::in_memory(name, history, key, value),
        };
        match &self.logging {
            Some(settings) => store.logging(settings.iter().cloned()),
            None => store.without_logging(),
        }
    }
}

impl<K: DefaultSerde + 'static, V: DefaultSerde + 'static> Default for Materialized<K, V> {
    fn default() -> Self {
        Self::blank(Choice::default_of(), Choice::default_of())
    }
}

impl<K: DefaultSerde + 'static, V: DefaultSerde + 'static> From<&str> for Materialized<K, V> {
    fn from(name: &str) -> Self {
        Self::named(name)
    }
}

impl<K: DefaultSerde + 'static, V: DefaultSerde + 'static> From<()> for Materialized<K, V> {
    fn from((): ()) -> Self {
        Self { is_given: false, ..Self::default() }
    }
}

impl<K, V> fmt::Debug for Materialized<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Materialized").field("name", &self.name).finish_non_exhaustive()
    }
}
