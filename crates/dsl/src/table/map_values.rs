//! Compute another value of each (`KTable.mapValues`), and what derived tables have in common.

use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::time::Timestamp;
use kstreams_state::Stamped;

use super::keeper::{Keeper, Update};
use super::view::{Getter, StoreView, View};
use super::{Change, Flag, KTable, Origin};
use crate::options::Materialized;
use crate::plan::StoreDef;
use crate::serdes::SerdeOf;
use crate::store::Stores;

type Mapper<K, V, V2> = Arc<dyn Fn(&K, V) -> V2 + Send + Sync>;

impl<K: Data, V: Data> KTable<K, V> {
    /// A table of values computed from this one's.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{U64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// let names = builder.table::<String, String>("names", "names");
    /// names.map_values(|name| name.len() as u64).to_stream().to("lengths");
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn map_values<V2: Data>(
        &self,
        mapper: impl Fn(V) -> V2 + Send + Sync + 'static,
    ) -> KTable<K, V2> {
        self.mapped(Arc::new(move |_, value| mapper(value)), None)
    }

    /// As [`map_values`](Self::map_values), with the key in sight.
    pub fn map_values_with_key<V2: Data>(
        &self,
        mapper: impl Fn(&K, V) -> V2 + Send + Sync + 'static,
    ) -> KTable<K, V2> {
        self.mapped(Arc::new(mapper), None)
    }

    /// As [`map_values_with_key`](Self::map_values_with_key), kept in a store.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// let names = builder.table::<String, String>("names", "names");
    /// let lengths = names.map_values_in(|_, name| name.len() as u64, "lengths");
    /// assert!(lengths.store_id().is_some());
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn map_values_in<V2: Data>(
        &self,
        mapper: impl Fn(&K, V) -> V2 + Send + Sync + 'static,
        store: impl Into<Materialized<K, V2>>,
    ) -> KTable<K, V2> {
        self.mapped(Arc::new(mapper), Some(store.into()))
    }

    fn mapped<V2: Data>(
        &self,
        mapper: Mapper<K, V, V2>,
        store: Option<Materialized<K, V2>>,
    ) -> KTable<K, V2> {
        let derived = Derived::new(self, store.as_ref(), "KTABLE-MAPVALUES-", None);
        let (view, send_old) = (Rc::clone(&self.origin), derived.send_old.clone());
        let of = Arc::clone(&mapper);
        let make_view = move || -> Arc<dyn View<K, V2>> {
            Arc::new(MapView { of: view.view(), mapper: Arc::clone(&of) })
        };
        derived.table(self, store, make_view, move |keeper| MapValues {
            mapper: Arc::clone(&mapper),
            sends_old: send_old.get(),
            keeper,
        })
    }
}

/// A table whose values are computed from another's, with or without a store of its own.
pub(super) struct Derived<K, V> {
    name: Arc<str>,
    store: Option<Arc<str>>,
    key: Option<SerdeOf<K>>,
    value: Option<SerdeOf<V>>,
    pub(super) send_old: Flag,
}

impl<K: Data, V: Data> Derived<K, V> {
    /// Takes the names; a store without a name is none, but takes a number, as in Kafka Streams.
    pub(super) fn new<V0>(
        of: &KTable<K, V0>,
        store: Option<&Materialized<K, V>>,
        prefix: &str,
        inherited: Option<&SerdeOf<V>>,
    ) -> Self {
        let mut plan = of.plan.borrow_mut();
        if store.is_some_and(|store| store.name.is_none()) {
            plan.new_store_name(prefix);
        }
        let name = plan.name_or(store.and_then(|store| store.node.as_deref()), prefix);
        let key = match store {
            Some(store) => store.key.resolve(of.key.as_ref()),
            None => of.key.clone(),
        };
        let value = match store {
            Some(store) => store.value.resolve(inherited),
            None => inherited.cloned(),
        };
        let store = store.and_then(|store| store.name.clone());
        if let Some(store) = &store {
            plan.check_name(store);
        }
        Self { name, store, key, value, send_old: Flag::default() }
    }

    /// The name of its node.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Plans the processor that `make` makes, given the keeper of its store.
    pub(super) fn table<V0: Data, P>(
        self,
        of: &KTable<K, V0>,
        store: Option<Materialized<K, V>>,
        make_view: impl Fn() -> Arc<dyn View<K, V>> + 'static,
        make: impl Fn(Option<Keeper<K, V>>) -> P + Send + Sync + 'static,
    ) -> KTable<K, V>
    where
        P: Processor<K, Change<V0>, K, Change<V>>,
    {
        let Self { name, store: store_name, key, value, send_old } = self;
        let def = own_store(store_name.as_ref(), store.as_ref(), key.as_ref(), value.as_ref());
        let origin = DerivedOrigin {
            of: Rc::clone(&of.origin),
            store: store_name.clone(),
            send_old: send_old.clone(),
            keeps_versions: store.as_ref().is_some_and(|store| store.history.is_some()),
            make_view: Box::new(make_view),
        };
        let node = of.plan.borrow_mut().add(name, &[of.node], move |to, at| {
            if let Some(def) = &def {
                to.store(def);
            }
            let store = def.map(|def| def.name);
            let stores: Vec<Arc<str>> = store.iter().cloned().collect();
            to.processor(&at.name, &at.parents, &stores, move || {
                let keeper = store.clone().map(|store| Keeper::new(store, send_old.clone()));
                make(keeper)
            });
        });
        KTable {
            plan: Rc::clone(&of.plan),
            node,
            sources: Rc::clone(&of.sources),
            key,
            value,
            store: store_name,
            origin: Rc::new(origin),
        }
    }
}

/// The definition of an operator's own store, if it has one.
pub(super) fn own_store<K: Data, V: Data>(
    name: Option<&Arc<str>>,
    store: Option<&Materialized<K, V>>,
    key: Option<&SerdeOf<K>>,
    value: Option<&SerdeOf<V>>,
) -> Option<StoreDef> {
    Some(store?.key_value_store(name?, key?.clone(), value?.clone()))
}

struct DerivedOrigin<K, V0, V> {
    of: Rc<dyn Origin<K, V0>>,
    store: Option<Arc<str>>,
    send_old: Flag,
    keeps_versions: bool,
    make_view: Box<dyn Fn() -> Arc<dyn View<K, V>>>,
}

impl<K: Data, V0: Data, V: Data> Origin<K, V> for DerivedOrigin<K, V0, V> {
    fn view(&self) -> Arc<dyn View<K, V>> {
        match &self.store {
            Some(store) => Arc::new(StoreView::new(Arc::clone(store))),
            None => (self.make_view)(),
        }
    }

    fn send_old(&self, force: bool) -> bool {
        if self.store.is_some() || self.of.send_old(force) {
            self.send_old.set();
        }
        self.send_old.get()
    }

    fn is_versioned(&self) -> bool {
        if self.store.is_some() { self.keeps_versions } else { self.of.is_versioned() }
    }
}

struct MapView<K, V, V2> {
    of: Arc<dyn View<K, V>>,
    mapper: Mapper<K, V, V2>,
}

impl<K: Data, V: Data, V2: Data> View<K, V2> for MapView<K, V, V2> {
    fn stores(&self) -> Vec<Arc<str>> {
        self.of.stores()
    }

    fn open(&self, stores: &dyn Stores) -> Result<Box<dyn Getter<K, V2>>> {
        Ok(Box::new(MapGetter { of: self.of.open(stores)?, mapper: Arc::clone(&self.mapper) }))
    }
}

struct MapGetter<K, V, V2> {
    of: Box<dyn Getter<K, V>>,
    mapper: Mapper<K, V, V2>,
}

impl<K, V, V2> MapGetter<K, V, V2> {
    fn mapped(&self, key: &K, of: Option<Stamped<V>>) -> Option<Stamped<V2>> {
        of.map(|s| Stamped::new((self.mapper)(key, s.value), s.timestamp))
    }
}

impl<K: Data, V: Data, V2: Data> Getter<K, V2> for MapGetter<K, V, V2> {
    fn get(&self, key: &K) -> Result<Option<Stamped<V2>>> {
        Ok(self.mapped(key, self.of.get(key)?))
    }

    fn get_as_of(&self, key: &K, time: Timestamp) -> Result<Option<Stamped<V2>>> {
        Ok(self.mapped(key, self.of.get_as_of(key, time)?))
    }
}

struct MapValues<K, V, V2> {
    mapper: Mapper<K, V, V2>,
    sends_old: bool,
    keeper: Option<Keeper<K, V2>>,
}

impl<K: Data, V: Data, V2: Data> Processor<K, Change<V>, K, Change<V2>> for MapValues<K, V, V2> {
    fn init(&mut self, ctx: &mut Init<'_, Self, K, Change<V2>>) -> Result {
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.open(ctx))
    }

    fn flush(&mut self, ctx: &mut Context<'_, K, Change<V2>>) -> Result {
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.flush(ctx))
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, K, Change<V2>>,
        record: Record<K, Change<V>>,
    ) -> Result {
        let Record { key, value: Change { new, old, is_latest }, timestamp, headers } = record;
        let new = new.map(|value| (self.mapper)(&key, value));
        let old = match &self.keeper {
            _ if !self.sends_old => None,
            Some(keeper) => keeper.get(&key)?.map(|stamped| stamped.value),
            None => old.map(|value| (self.mapper)(&key, value)),
        };
        match &mut self.keeper {
            Some(keeper) => keeper.set(ctx, Update { key, new, old, timestamp, headers }),
            None => {
                let value = Change { new, old, is_latest };
                ctx.forward(Record { key, value, timestamp, headers })
            }
        }
    }
}
