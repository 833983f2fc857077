//! Aggregate the values of each key (`KGroupedStream.aggregate`), and the node of all three.

use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::serde::Serde;

use crate::KGroupedStream;
use crate::builder::required;
use crate::options::Materialized;
use crate::plan::{NodeId, Plan, StoreDef};
use crate::serdes::SerdeOf;
use crate::table::{Change, Flag, KTable, Keeper, StoredOrigin, Update};

/// Brings a value into the aggregate of its key; `None` deletes it.
pub(super) type Step<K, V, A> = Arc<dyn Fn(&K, V, Option<A>) -> Option<A> + Send + Sync>;

/// Makes the aggregate that the first value of a key is brought into; a reduction has none.
pub(super) type Initial<A> = Arc<dyn Fn() -> A + Send + Sync>;

/// The step of an aggregator that always has an aggregate to bring the value into.
pub(super) fn step_of<K: 'static, V: 'static, A: 'static, R: Into<Option<A>>>(
    aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
) -> Step<K, V, A> {
    Arc::new(move |key, value, total| aggregator(key, value, total?).into())
}

/// The step of a count.
pub(super) fn count_of<K: 'static, V: 'static>() -> Step<K, V, i64> {
    Arc::new(|_, _, n| n.map(|n| n + 1))
}

/// The step of a reduction: the first value is the start.
pub(super) fn reduction_of<K: 'static, V: 'static>(
    reducer: impl Fn(V, V) -> V + Send + Sync + 'static,
) -> Step<K, V, V> {
    Arc::new(move |_, value, total| match total {
        Some(total) => Some(reducer(total, value)),
        None => Some(value),
    })
}

impl<K: Data, V: Data> KGroupedStream<K, V> {
    /// Aggregates the values of each key, from what `initial` makes. An aggregator that returns
    /// `None` deletes the aggregate.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{F64, I64, Nullable, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// builder
    ///     .stream::<String, i64>("amounts")
    ///     .group_by_key()
    ///     .aggregate(|| 0.0, |_, amount, total| total + amount as f64, "totals")
    ///     .to_stream()
    ///     .to("totals");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # for amount in [3, 4] {
    /// #     driver.input("amounts", Utf8, I64).pipe("k".into(), amount)?;
    /// # }
    /// # assert_eq!(driver.output("totals", Utf8, F64).read_values()?, [3.0, 7.0]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn aggregate<A: Data, R: Into<Option<A>>>(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
        store: impl Into<Materialized<K, A>>,
    ) -> KTable<K, A> {
        let step = step_of(aggregator);
        self.aggregated(store.into(), "KSTREAM-AGGREGATE-", None, Some(Arc::new(initial)), step)
    }

    pub(super) fn aggregated<A: Data>(
        &self,
        store: Materialized<K, A>,
        prefix: &str,
        inherited: Option<&SerdeOf<A>>,
        initial: Option<Initial<A>>,
        step: Step<K, V, A>,
    ) -> KTable<K, A> {
        let mut plan = self.plan.borrow_mut();
        let (store_name, named) = store.store_name(&mut plan, prefix);
        let name = plan.name_or(store.node.as_deref(), prefix);
        let key = store.key.resolve(self.key.as_ref());
        let value = required(&mut plan, &name, "value", &store.value, inherited);
        let (parent, sources) = self.parent(&mut plan, &store_name, named);
        let send_old = Flag::default();
        let origin = StoredOrigin {
            store: Arc::clone(&store_name),
            send_old: send_old.clone(),
            is_versioned: store.history.is_some(),
        };
        let of = key.clone().zip(value.clone()).map(|(key, value)| Aggregation {
            store: store.key_value_store(&store_name, key.clone(), value),
            key,
            initial,
            send_old,
        });
        let node = plan_aggregate(&mut plan, name, parent, of, self.value.clone(), step);
        drop(plan);
        KTable {
            plan: Rc::clone(&self.plan),
            node,
            sources,
            key,
            value,
            store: named.then_some(store_name),
            origin: Rc::new(origin),
        }
    }
}

/// What the nodes of one aggregation share.
pub(super) struct Aggregation<K, A> {
    pub(super) store: StoreDef,
    pub(super) key: SerdeOf<K>,
    pub(super) initial: Option<Initial<A>>,
    pub(super) send_old: Flag,
}

impl<K, A> Clone for Aggregation<K, A> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            key: self.key.clone(),
            initial: self.initial.clone(),
            send_old: self.send_old.clone(),
        }
    }
}

/// Plans the node of an aggregation without windows; without serdes, whose absence has been told,
/// nothing is written.
pub(super) fn plan_aggregate<K: Data, V: Data, A: Data>(
    plan: &mut Plan,
    name: Arc<str>,
    parent: NodeId,
    of: Option<Aggregation<K, A>>,
    input: Option<SerdeOf<V>>,
    step: Step<K, V, A>,
) -> NodeId {
    plan.add(name, &[parent], move |to, at| {
        let Some(Aggregation { store, key, initial, send_old }) = of else { return };
        to.store(&store);
        let stores = [store.name];
        to.processor(&at.name, &at.parents, &stores.clone(), move || Aggregate {
            keeper: Keeper::new(Arc::clone(&stores[0]), send_old.clone()),
            key: key.clone(),
            value: input.clone(),
            initial: initial.clone(),
            step: Arc::clone(&step),
        });
    })
}

/// `KStreamAggregate`, `KStreamReduce`.
struct Aggregate<K, V, A> {
    keeper: Keeper<K, A>,
    key: SerdeOf<K>,
    value: Option<SerdeOf<V>>,
    initial: Option<Initial<A>>,
    step: Step<K, V, A>,
}

impl<K: Data, V: Data, A: Data> Processor<K, V, K, Change<A>> for Aggregate<K, V, A> {
    fn init(&mut self, ctx: &mut Init<'_, Self, K, Change<A>>) -> Result {
        self.keeper.open(ctx)
    }

    fn flush(&mut self, ctx: &mut Context<'_, K, Change<A>>) -> Result {
        self.keeper.flush(ctx)
    }

    fn process(&mut self, ctx: &mut Context<'_, K, Change<A>>, record: Record<K, V>) -> Result {
        let Record { key, value, timestamp, headers } = record;
        let no_value = self.value.as_ref().is_some_and(|serde| serde.is_null(&value));
        if no_value || self.key.is_null(&key) {
            log::warn!("node {}: record skipped: null key or value", ctx.node_name());
            ctx.record_dropped();
            return Ok(());
        }
        let before = self.keeper.get(&key)?;
        let timestamp = before.as_ref().map_or(timestamp, |b| timestamp.max(b.timestamp));
        // As in Kafka Streams, the start counts as the old value.
        let initial = || self.initial.as_ref().map(|initial| initial());
        let before = before.map(|before| before.value).or_else(initial);
        let old = if self.keeper.sends_old() { before.clone() } else { None };
        let new = (self.step)(&key, value, before);
        self.keeper.set(ctx, Update { key, new, old, timestamp, headers })
    }
}
