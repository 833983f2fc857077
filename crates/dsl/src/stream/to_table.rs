//! A table of a stream (`KStream.toTable`).

use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::serde::Nullable;

use super::repartition::repartitioned;
use crate::KStream;
use crate::builder::required;
use crate::options::Materialized;
use crate::serdes::SerdeOf;
use crate::table::{Change, KTable, SourceOrigin, TableSource};

impl<K: Data, V: Data> KStream<K, V> {
    /// A table of the latest value of each key. Without a name (`()`) it is kept only if something
    /// needs to look into it.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// let latest = builder.stream::<String, i64>("prices").to_table("latest");
    /// assert!(latest.store_id().is_some());
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn to_table(&self, store: impl Into<Materialized<K, V>>) -> KTable<K, V> {
        let store = store.into();
        let value = store.value.resolve(self.value.as_ref());
        let through = value.clone();
        tabled(self, store, value, through, Some)
    }
}

impl<K: Data, V: Data> KStream<K, Option<V>> {
    /// As [`to_table`](KStream::to_table), for a stream in which `None` deletes.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Nullable, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// let prices = builder.stream::<String, Option<i64>>("prices").table_of_updates("latest");
    /// prices.to_stream().to("changes");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("prices", Utf8, Nullable(I64)).pipe("tea".into(), Some(3))?;
    /// # driver.input("prices", Utf8, Nullable(I64)).pipe("tea".into(), None)?;
    /// # let changes = driver.output("changes", Utf8, Nullable(I64)).read_values()?;
    /// # assert_eq!(changes, [Some(3), None]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn table_of_updates(&self, store: impl Into<Materialized<K, V>>) -> KTable<K, V> {
        let store = store.into();
        let value = store.value.resolve(None);
        let through = value.clone().map(|value| SerdeOf::new(Nullable(value)));
        tabled(self, store, value, through, |value| value)
    }
}

/// Plans the table; `update` says what a value of the stream does to it.
fn tabled<K: Data, V: Data, T: Data>(
    of: &KStream<K, V>,
    store: Materialized<K, T>,
    value: Option<SerdeOf<T>>,
    through: Option<SerdeOf<V>>,
    update: fn(V) -> Option<T>,
) -> KTable<K, T> {
    let mut plan = of.plan.borrow_mut();
    let prefix = "KSTREAM-TOTABLE-";
    let name = plan.name_or(store.node.as_deref(), prefix);
    let named = store.name.is_some();
    let store_name = match &store.name {
        Some(name) => Arc::clone(name),
        None => plan.new_store_name(prefix),
    };
    plan.check_name(&store_name);
    let key = required(&mut plan, &name, "key", &store.key, of.key.as_ref());
    let origin = SourceOrigin::new(Arc::clone(&store_name), named, store.history.is_some());
    if !named {
        plan.note_unnamed_if(&origin.materialized, "store", &store_name);
    }
    let (mut parent, mut sources) = (of.node, Rc::clone(&of.sources));
    if let (true, Some(key), Some(through)) = (of.rekeyed, &key, &through) {
        let (prefix, is_named) = (Arc::clone(&name), store.node.is_some());
        parent = repartitioned(&mut plan, parent, prefix, is_named, key, through);
        sources = Rc::new([parent]);
    }
    let queryable = named.then(|| Arc::clone(&store_name));
    let (keys, values, made) = (key.clone(), value.clone(), Rc::clone(&origin));
    let node = plan.add(name, &[parent], move |to, at| {
        let (Some(key), Some(value)) = (keys, values) else { return };
        let mut stores = Vec::new();
        if made.materialized.get() {
            to.store(&store.key_value_store(&store_name, key.clone(), value));
            stores.push(store_name);
        }
        let (kept, send_old) = (stores.first().cloned(), made.send_old.clone());
        to.processor(&at.name, &at.parents, &stores, move || ToTable {
            inner: TableSource::new(kept.clone(), &send_old, key.clone()),
            update,
        });
    });
    drop(plan);
    let plan = Rc::clone(&of.plan);
    KTable { plan, node, sources, key, value, store: queryable, origin }
}

/// Makes a table of a stream inside a task.
pub(crate) struct ToTable<K, V, T> {
    pub(crate) inner: TableSource<K, T>,
    pub(crate) update: fn(V) -> Option<T>,
}

impl<K: Data, V: Data, T: Data> Processor<K, V, K, Change<T>> for ToTable<K, V, T> {
    fn init(&mut self, ctx: &mut Init<'_, Self, K, Change<T>>) -> Result {
        self.inner.open(ctx)
    }

    fn flush(&mut self, ctx: &mut Context<'_, K, Change<T>>) -> Result {
        self.inner.flush_kept(ctx)
    }

    fn process(&mut self, ctx: &mut Context<'_, K, Change<T>>, record: Record<K, V>) -> Result {
        self.inner.update(ctx, record.map_value(self.update))
    }
}
