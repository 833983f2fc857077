//! Stores of tables and aggregates, behind one type.
//!
//! A processor asks its context for a store by type. What reads a table does not know the types
//! the table was made from, so their stores share this one, and open up by downcast.

use std::any::{Any, type_name};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use kstreams_core::context::Init;
use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, RawRecord};
use kstreams_core::store::{ChangelogConfig, StateStore, StoreBuilder, StoreContext, StoreId};

use crate::cache::TableCache;

/// The store of a table or an aggregate; [`typed`](Self::typed) opens it.
///
/// Of a table that is cached, it shows what was written by the last commit.
///
/// ```
/// use kstreams_core::serde::Utf8;
/// use kstreams_dsl::StreamsBuilder;
/// use kstreams_runtime::Config;
/// use kstreams_runtime::testing::TestDriver;
/// use kstreams_state::TimestampedKeyValueStore;
///
/// let builder = StreamsBuilder::new();
/// let users = builder.table::<String, String>("users", "users");
/// let id = users.store_id().expect("it is materialized");
///
/// let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
/// driver.input("users", Utf8, Utf8).pipe("u1".into(), "Ann".into())?;
/// let store = driver.store(&id)?.typed::<TimestampedKeyValueStore<String, String>>()?;
/// assert_eq!(store.get(&"u1".to_owned())?.map(|user| user.value), Some("Ann".to_owned()));
/// # Ok::<(), kstreams_core::Error>(())
/// ```
pub struct DslStore {
    store: Arc<dyn StateStore>,
    times: Arc<JoinTimes>,
    /// A `TableCache` of the store's types.
    cache: Option<AnyCache>,
}

pub(crate) type AnyCache = Arc<dyn Any + Send + Sync>;

/// What the two sides of a stream-stream join know together, besides their store. It is forgotten
/// with the task, as in Kafka Streams.
#[derive(Debug)]
pub(crate) struct JoinTimes {
    /// The largest time either side has seen.
    pub(crate) stream: AtomicI64,
    /// No record that waits for its other side is older.
    pub(crate) min: AtomicI64,
}

impl JoinTimes {
    fn new() -> Arc<Self> {
        Arc::new(Self { stream: AtomicI64::new(-1), min: AtomicI64::new(i64::MAX) })
    }
}

impl DslStore {
    pub(crate) fn join_times(&self) -> Arc<JoinTimes> {
        Arc::clone(&self.times)
    }

    /// The cache in front of the store, if it has one of these types.
    pub(crate) fn cache<K: 'static, V: 'static>(&self) -> Option<Arc<TableCache<K, V>>>
    where
        TableCache<K, V>: Send + Sync,
    {
        Arc::clone(self.cache.as_ref()?).downcast().ok()
    }

    /// The typed store.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn typed<S: StateStore>(&self) -> Result<Arc<S>> {
        let store: Arc<dyn Any + Send + Sync> = Arc::clone(&self.store) as _;
        store.downcast().map_err(|_| {
            let text = format!("store {} is not a {}", self.store.name(), type_name::<S>());
            Error::new(ErrorKind::Store, text)
        })
    }
}

impl fmt::Debug for DslStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DslStore({})", self.store.name())
    }
}

impl StateStore for DslStore {
    fn name(&self) -> &str {
        self.store.name()
    }

    fn is_persistent(&self) -> bool {
        self.store.is_persistent()
    }

    fn committed_offset(&self) -> Result<Option<Offset>> {
        self.store.committed_offset()
    }

    fn restore(&self, records: &mut dyn Iterator<Item = RawRecord<'_>>, through: Offset) -> Result {
        self.store.restore(records, through)
    }

    fn can_freeze(&self) -> bool {
        self.store.can_freeze()
    }

    fn freeze(&self) {
        self.store.freeze();
    }

    fn commit(&self, changelog_offset: Option<Offset>) -> Result {
        self.store.commit(changelog_offset)
    }

    fn rollback(&self) -> bool {
        self.store.rollback()
    }

    fn uncommitted_bytes(&self) -> usize {
        self.store.uncommitted_bytes()
    }

    fn close(&self) -> Result {
        self.store.close()
    }

    fn wipe(&self) -> Result {
        self.store.wipe()
    }

    fn reader(&self) -> Option<Arc<dyn StateStore>> {
        let reader = self.store.reader()?;
        Some(Arc::new(Self { store: reader, times: JoinTimes::new(), cache: None }))
    }
}

/// Makes what a builder makes, as a [`DslStore`].
pub(crate) struct Erased<B> {
    builder: B,
    cache: Option<Arc<MakeCache>>,
}

/// Makes the cache of one task's store.
pub(crate) type MakeCache = dyn Fn(&StoreContext) -> AnyCache + Send + Sync;

impl<B> Erased<B> {
    pub(crate) fn new(builder: B) -> Self {
        Self { builder, cache: None }
    }

    pub(crate) fn cached(builder: B, cache: Arc<MakeCache>) -> Self {
        Self { builder, cache: Some(cache) }
    }
}

impl<B: StoreBuilder> StoreBuilder for Erased<B> {
    type Store = DslStore;

    fn name(&self) -> &str {
        self.builder.name()
    }

    fn changelog(&self) -> Option<ChangelogConfig> {
        self.builder.changelog()
    }

    fn is_persistent(&self) -> bool {
        self.builder.is_persistent()
    }

    fn build(&self, context: StoreContext) -> Result<DslStore> {
        let cache = self.cache.as_ref().map(|make| make(&context));
        let store = Arc::new(self.builder.build(context)?);
        Ok(DslStore { store, times: JoinTimes::new(), cache })
    }
}

/// Where a processor finds stores, whatever its own types are.
pub(crate) trait Stores {
    fn any(&self, name: &Arc<str>) -> Result<Arc<DslStore>>;
}

impl<P, K, V> Stores for Init<'_, P, K, V> {
    fn any(&self, name: &Arc<str>) -> Result<Arc<DslStore>> {
        self.store(&StoreId::new(Arc::clone(name)))
    }
}

impl dyn Stores + '_ {
    /// The store of that name and type.
    pub(crate) fn typed<S: StateStore>(&self, name: &Arc<str>) -> Result<Arc<S>> {
        self.any(name)?.typed()
    }
}

/// The store of that name and type, for a processor in `init`.
pub(crate) fn open<S: StateStore>(stores: &dyn Stores, name: &Arc<str>) -> Result<Arc<S>> {
    stores.typed(name)
}
