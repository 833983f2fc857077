//! A table that every instance holds whole (`GlobalKTable`).

use std::fmt;
use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::serde::Nullable;
use kstreams_core::store::StoreId;
use kstreams_state::Stamped;
use kstreams_topology::Source;

use super::view::TableStore;
use super::{StoreView, View};
use crate::options::{Consumed, Materialized};
use crate::plan::{DslFault, SharedPlan};
use crate::store::{DslStore, Erased};
use crate::{DefaultSerde, StreamsBuilder};

/// A table that every instance holds whole, to join streams with by any key.
///
/// It is filled from its topic before the application processes its first record, and goes on to
/// follow it; it is not synchronised with the streams it is joined with.
pub struct GlobalKTable<K, V> {
    pub(crate) plan: SharedPlan,
    store: Arc<str>,
    pub(crate) view: Arc<dyn View<K, V>>,
}

impl<K, V> GlobalKTable<K, V> {
    /// The store that holds the table.
    pub fn store_id(&self) -> StoreId<DslStore> {
        StoreId::new(Arc::clone(&self.store))
    }
}

impl<K, V> Clone for GlobalKTable<K, V> {
    fn clone(&self) -> Self {
        let (plan, store) = (self.plan.clone(), Arc::clone(&self.store));
        Self { plan, store, view: Arc::clone(&self.view) }
    }
}

impl<K, V> fmt::Debug for GlobalKTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GlobalKTable({})", self.store)
    }
}

impl StreamsBuilder {
    /// A table of a topic that every instance holds whole.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// let countries = builder.global_table::<String, String>("countries", "countries");
    /// builder
    ///     .stream::<String, String>("visits")
    ///     .join_global(&countries, |_, code| code.clone(), |_, _, name| name.clone())
    ///     .to("named-visits");
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn global_table<K, V>(
        &self,
        topic: &str,
        store: impl Into<Materialized<K, V>>,
    ) -> GlobalKTable<K, V>
    where
        K: Data + DefaultSerde,
        V: Data + DefaultSerde,
    {
        self.global_table_with(topic, Consumed::default(), store)
    }

    /// As [`global_table`](Self::global_table), with serdes or a name.
    pub fn global_table_with<K: Data, V: Data>(
        &self,
        topic: &str,
        how: Consumed<K, V>,
        store: impl Into<Materialized<K, V>>,
    ) -> GlobalKTable<K, V> {
        let mut store = store.into();
        store.logging = None;
        let topic: Arc<str> = topic.into();
        let mut plan = self.plan.borrow_mut();
        let store_name = match &store.name {
            Some(name) => Arc::clone(name),
            None => plan.new_store_name(&format!("{topic}-")),
        };
        plan.check_name(&store_name);
        if store.history.is_some() {
            let why = "a global table cannot be versioned";
            plan.fault(DslFault::NotSupported { node: store_name.to_string(), why });
        }
        let source = plan.suffixed_or(how.name.as_deref(), "-source", "KSTREAM-SOURCE-");
        let name = plan.name_or(how.name.as_deref(), "KTABLE-SOURCE-");
        let key = how.key.resolve(store.key.resolve(None).as_ref());
        let value = how.value.resolve(store.value.resolve(None).as_ref());
        let view = Arc::new(StoreView::new(Arc::clone(&store_name)));
        let id = Arc::clone(&store_name);
        plan.add(name, &[], move |to, at| {
            let (Some(key), Some(value)) = (key, value) else { return };
            let from = Source::new(Nullable(key.clone()), Nullable(value.clone()));
            let store = Erased::new(store.key_value_builder(&store_name, key, value));
            to.topology.global_store(store, &source, topic, from, &at.name, |id| Update {
                id: id.clone(),
                store: None,
            });
        });
        drop(plan);
        GlobalKTable { plan: self.plan.clone(), store: id, view }
    }
}

/// Writes the topic's records into the store.
struct Update<K, V> {
    id: StoreId<DslStore>,
    store: Option<TableStore<K, V>>,
}

impl<K: Data, V: Data> Processor<Option<K>, Option<V>, (), ()> for Update<K, V> {
    fn init(&mut self, ctx: &mut Init<'_, Self, (), ()>) -> Result {
        self.store = Some(TableStore::open(ctx, self.id.name())?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, (), ()>,
        record: Record<Option<K>, Option<V>>,
    ) -> Result {
        let (Some(store), Some(key)) = (&self.store, &record.key) else {
            ctx.record_dropped();
            return Ok(());
        };
        let value = record.value.map(|value| Stamped::new(value, record.timestamp));
        store.write(key, value.as_ref(), record.timestamp)?;
        Ok(())
    }
}
