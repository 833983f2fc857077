//! How a table or an aggregate is kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::serde::Serde;
use kstreams_state::{KeyValue, Sessions, Stamped, Windows};

use crate::DefaultSerde;
use crate::plan::{DslFault, Plan, StoreDef};
use crate::serdes::{Choice, SerdeOf};
use crate::store::Erased;

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

    /// The definition of a timestamped key-value store.
    pub(crate) fn key_value_store(
        &self,
        name: &Arc<str>,
        key: SerdeOf<K>,
        value: SerdeOf<V>,
    ) -> StoreDef {
        let builder = Arc::new(self.key_value_builder(name, key, value));
        StoreDef { name: Arc::clone(name), builder }
    }

    /// The definition of a timestamped window store.
    pub(crate) fn window_store(
        &self,
        name: &Arc<str>,
        size: Duration,
        retention: Duration,
        key: SerdeOf<K>,
        value: SerdeOf<V>,
    ) -> StoreDef {
        let store = match self.kind {
            #[cfg(feature = "rocksdb")]
            StoreKind::Default => Windows::persistent(name, size, retention, key, value),
            _ => Windows::in_memory(name, size, retention, key, value),
        };
        let store = match &self.logging {
            Some(settings) => store.logging(settings.iter().cloned()),
            None => store.without_logging(),
        };
        StoreDef { name: Arc::clone(name), builder: Arc::new(Erased(store.timestamped())) }
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
        StoreDef { name: Arc::clone(name), builder: Arc::new(Erased(store)) }
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
    ) -> Erased<KeyValue<K, Stamped<V>>> {
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
        Erased(store.timestamped())
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
        Self::default()
    }
}

impl<K, V> fmt::Debug for Materialized<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Materialized").field("name", &self.name).finish_non_exhaustive()
    }
}
