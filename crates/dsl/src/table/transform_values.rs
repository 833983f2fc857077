//! Compute other values with code that has stores (`KTable.transformValues`).

use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_topology::StoreNames;

use super::keeper::{Keeper, Update};
use super::map_values::Derived;
use super::view::{Getter, View};
use super::{Change, KTable};
use crate::options::Materialized;
use crate::store::Stores;

/// Computes the values of another table, with state of its own (`ValueTransformerWithKey`); see
/// [`KTable::transform_values`]. Closures are transformers without stores.
pub trait ValueTransformer<K, V, V2>: Send + Sized + 'static {
    /// Called once, before the first change: take stores.
    ///
    /// # Errors
    /// Stops the task from starting.
    fn init<P>(&mut self, _ctx: &Init<'_, P, K, Change<V2>>) -> Result {
        Ok(())
    }

    /// The value for one of the table; `None` is its absence, on both sides.
    ///
    /// # Errors
    /// Goes to the processing handler.
    fn transform(&mut self, key: &K, value: Option<V>) -> Result<Option<V2>>;
}

impl<F, K, V, V2> ValueTransformer<K, V, V2> for F
where
    F: FnMut(&K, Option<V>) -> Result<Option<V2>> + Send + 'static,
{
    fn transform(&mut self, key: &K, value: Option<V>) -> Result<Option<V2>> {
        self(key, value)
    }
}

impl<K: Data, V: Data> KTable<K, V> {
    /// A table of values that code of yours computes; `supplier` makes it for each task, and it may
    /// use the `stores`. It is called for deletions, too.
    ///
    /// ```
    /// use kstreams_core::Result;
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Nullable, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// let prices = builder.table::<String, i64>("prices", ());
    /// let changes = || {
    ///     let mut n = 0;
    ///     move |_: &String, price: Option<i64>| -> Result<Option<i64>> {
    ///         n += 1;
    ///         Ok(price.map(|_| n))
    ///     }
    /// };
    /// prices.transform_values(changes, [] as [&str; 0]).to_stream().to("numbered");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # for price in [Some(20), None, Some(30)] {
    /// #     driver.input("prices", Utf8, Nullable(I64)).pipe("tea".into(), price)?;
    /// # }
    /// # let out = driver.output("numbered", Utf8, Nullable(I64)).read_values()?;
    /// # assert_eq!(out, [Some(1), None, Some(3)]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    ///
    /// # Differs from Kafka Streams
    /// Who must look a value up, as a join does, needs the table in a store:
    /// [`transform_values_in`](Self::transform_values_in). Java makes another transformer for that.
    pub fn transform_values<T, V2: Data>(
        &self,
        supplier: impl Fn() -> T + Send + Sync + 'static,
        stores: impl StoreNames,
    ) -> KTable<K, V2>
    where
        T: ValueTransformer<K, V, V2>,
    {
        self.transformed(supplier, stores, None)
    }

    /// As [`transform_values`](Self::transform_values), kept in a store.
    pub fn transform_values_in<T, V2: Data>(
        &self,
        supplier: impl Fn() -> T + Send + Sync + 'static,
        stores: impl StoreNames,
        store: impl Into<Materialized<K, V2>>,
    ) -> KTable<K, V2>
    where
        T: ValueTransformer<K, V, V2>,
    {
        self.transformed(supplier, stores, Some(store.into()))
    }

    fn transformed<T, V2: Data>(
        &self,
        supplier: impl Fn() -> T + Send + Sync + 'static,
        stores: impl StoreNames,
        store: Option<Materialized<K, V2>>,
    ) -> KTable<K, V2>
    where
        T: ValueTransformer<K, V, V2>,
    {
        let derived = Derived::new(self, store.as_ref(), "KTABLE-TRANSFORMVALUES-", None);
        let (send_old, name) = (derived.send_old.clone(), derived.name());
        let make_view = move || -> Arc<dyn View<K, V2>> { Arc::new(NoView(Arc::clone(&name))) };
        let stores = stores.store_names();
        let table = derived.table(self, store, make_view, move |keeper| Transform {
            transformer: supplier(),
            sends_old: send_old.get(),
            keeper,
        });
        let mut plan = self.plan.borrow_mut();
        let (name, node) = (plan.name(table.node), table.node);
        // A step of its own: stores are connected when the node is there.
        plan.add(name, &[], move |to, _| {
            let name = to.name(node);
            to.connect(&name, &stores);
        });
        drop(plan);
        KTable { plan: Rc::clone(&self.plan), ..table }
    }
}

/// A table that cannot be looked into.
struct NoView(Arc<str>);

impl<K: Data, V: Data> View<K, V> for NoView {
    fn stores(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn open(&self, _stores: &dyn Stores) -> Result<Box<dyn Getter<K, V>>> {
        let text = format!(
            "table {} is transformed and has no store, but must be looked into; give it one with \
             transform_values_in",
            self.0
        );
        Err(Error::new(ErrorKind::Topology, text))
    }
}

/// `KTableTransformValues`.
struct Transform<T, K, V2> {
    transformer: T,
    sends_old: bool,
    keeper: Option<Keeper<K, V2>>,
}

impl<T, K, V, V2> Processor<K, Change<V>, K, Change<V2>> for Transform<T, K, V2>
where
    T: ValueTransformer<K, V, V2>,
    K: Data,
    V: Data,
    V2: Data,
{
    fn init(&mut self, ctx: &mut Init<'_, Self, K, Change<V2>>) -> Result {
        self.transformer.init(ctx)?;
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
        let new = self.transformer.transform(&key, new)?;
        let Some(keeper) = &mut self.keeper else {
            let old = match self.sends_old {
                true => self.transformer.transform(&key, old)?,
                false => None,
            };
            let value = Change { new, old, is_latest };
            return ctx.forward(Record { key, value, timestamp, headers });
        };
        let old = if self.sends_old { keeper.get(&key)?.map(|old| old.value) } else { None };
        keeper.set(ctx, Update { key, new, old, timestamp, headers })
    }
}
