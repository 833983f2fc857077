//! Tables: the latest value of each key, and one file for each of their operators.

mod change;
mod filter;
mod foreign;
mod from_topic;
mod global;
mod group;
mod join;
mod keeper;
mod map_values;
mod source;
mod suppress;
mod to_stream;
mod transform_values;
mod view;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kstreams_core::processor::Data;
use kstreams_core::store::StoreId;

use crate::plan::{NodeId, SharedPlan};
use crate::serdes::SerdeOf;
use crate::store::DslStore;

pub use change::Change;
pub use global::GlobalKTable;
pub use group::KGroupedTable;
pub use transform_values::ValueTransformer;

pub(crate) use keeper::{Keeper, Update};
pub(crate) use source::{SourceOrigin, TableSource, skip_null_key};
pub(crate) use view::{Getter, StoreView, TableStore, View};

/// A table: the latest value of each key, and its changes (`KTable`).
///
/// A change to `None` deletes; operators on values never see it, `to_stream` shows it as `None`.
///
/// # Differs from Kafka Streams
/// `join_on` is the join by foreign key, which Java calls `join` too.
pub struct KTable<K, V> {
    pub(crate) plan: SharedPlan,
    pub(crate) node: NodeId,
    pub(crate) sources: Rc<[NodeId]>,
    pub(crate) key: Option<SerdeOf<K>>,
    pub(crate) value: Option<SerdeOf<V>>,
    pub(crate) store: Option<Arc<str>>,
    pub(crate) origin: Rc<dyn Origin<K, V>>,
}

/// What made a table, as the operators behind it see it while they are planned.
pub(crate) trait Origin<K, V> {
    /// How its values are looked up; this may materialize the table.
    fn view(&self) -> Arc<dyn View<K, V>>;

    /// Asks for old values with each change; false if it has none to give.
    fn send_old(&self, force: bool) -> bool;

    /// True if changes may come behind later ones of their key, and say so.
    fn is_versioned(&self) -> bool;
}

impl<K, V> KTable<K, V> {
    /// Names the operator that made this table.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// let users = builder.table::<String, String>("users", "users").named("users");
    /// users.filter(|_, user| user.len() > 2).named("long-names").to_stream().to("out");
    /// assert!(builder.build()?.describe().contains("Processor: long-names (stores: [])"));
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.plan.borrow_mut().rename(self.node, name);
        self
    }

    /// The store that holds this table, if it has a name of its own (`queryableStoreName`).
    pub fn store_id(&self) -> Option<StoreId<DslStore>> {
        self.store.as_ref().map(|name| StoreId::new(Arc::clone(name)))
    }

    pub(crate) fn view(&self) -> Arc<dyn View<K, V>> {
        self.origin.view()
    }
}

impl<K, V> Clone for KTable<K, V> {
    fn clone(&self) -> Self {
        Self {
            plan: Rc::clone(&self.plan),
            node: self.node,
            sources: Rc::clone(&self.sources),
            key: self.key.clone(),
            value: self.value.clone(),
            store: self.store.clone(),
            origin: Rc::clone(&self.origin),
        }
    }
}

impl<K, V> fmt::Debug for KTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KTable({})", self.plan.borrow().name(self.node))
    }
}

/// Set while operators are planned, read when processors are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flag(Arc<AtomicBool>);

impl Flag {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A table that an aggregation or a join keeps in a store.
pub(crate) struct StoredOrigin {
    pub(crate) store: Arc<str>,
    pub(crate) send_old: Flag,
    pub(crate) is_versioned: bool,
}

impl<K: Data, V: Data> Origin<K, V> for StoredOrigin {
    fn view(&self) -> Arc<dyn View<K, V>> {
        Arc::new(StoreView::new(Arc::clone(&self.store)))
    }

    fn send_old(&self, _force: bool) -> bool {
        self.send_old.set();
        true
    }

    fn is_versioned(&self) -> bool {
        self.is_versioned
    }
}
