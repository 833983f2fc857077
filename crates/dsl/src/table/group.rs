//! Group a table by something else, and aggregate it (`KTable.groupBy`, `KGroupedTable`).

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::serde::{I64, Serde};
use kstreams_core::source::EventTime;
use kstreams_topology::{Sink, Source};

use super::change::ChangeSerde;
use super::keeper::{Keeper, Update};
use super::{Change, Flag, KTable, StoredOrigin};
use crate::DefaultSerde;
use crate::builder::required;
use crate::options::{Grouped, Materialized};
use crate::plan::{NodeId, Plan, SharedPlan};
use crate::serdes::{Choice, SerdeOf};

/// A table grouped by something other than its key; aggregations take back what a change replaces.
pub struct KGroupedTable<K, V> {
    plan: SharedPlan,
    node: NodeId,
    name: Option<Arc<str>>,
    key: Option<SerdeOf<K>>,
    value: Option<SerdeOf<V>>,
}

impl<K, V> fmt::Debug for KGroupedTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KGroupedTable({})", self.plan.borrow().name(self.node))
    }
}

impl<K: Data, V: Data> KTable<K, V> {
    /// Groups the values by the key that `selector` gives them, through a repartition topic.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// // Person -> town.
    /// let towns = builder.table::<String, String>("towns", "towns");
    /// towns
    ///     .group_by(|person, town| (town.clone(), person.clone()))
    ///     .count("inhabitants")
    ///     .to_stream()
    ///     .to("inhabitants");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("towns", Utf8, Utf8).pipe("ann".into(), "Rome".into())?;
    /// # driver.input("towns", Utf8, Utf8).pipe("ann".into(), "Oslo".into())?;
    /// # let out = driver.output("inhabitants", Utf8, I64).read_pairs()?;
    /// # let expected = [("Rome", 1), ("Rome", 0), ("Oslo", 1)].map(|(t, n)| (t.to_owned(), n));
    /// # assert_eq!(out, expected);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn group_by<K2, V2>(
        &self,
        selector: impl Fn(&K, &V) -> (K2, V2) + Send + Sync + 'static,
    ) -> KGroupedTable<K2, V2>
    where
        K2: Data + DefaultSerde + PartialEq,
        V2: Data + DefaultSerde,
    {
        self.group_by_with(selector, Grouped::default())
    }

    /// As [`group_by`](Self::group_by), with serdes or a name.
    pub fn group_by_with<K2: Data + PartialEq, V2: Data>(
        &self,
        selector: impl Fn(&K, &V) -> (K2, V2) + Send + Sync + 'static,
        grouped: Grouped<K2, V2>,
    ) -> KGroupedTable<K2, V2> {
        self.origin.send_old(true);
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(grouped.name.as_deref(), "KTABLE-SELECT-");
        let key = required(&mut plan, &name, "key", &grouped.key, None);
        let value = required(&mut plan, &name, "value", &grouped.value, None);
        let (keys, values) = (key.clone(), value.clone());
        let selector = Arc::new(selector);
        let node = plan.add(name, &[self.node], move |to, at| {
            to.processor(&at.name, &at.parents, &[], move || {
                let selector = Arc::clone(&selector);
                Select {
                    selector: move |key: &K, value: &V| selector(key, value),
                    key: keys.clone(),
                    value: values.clone(),
                }
            });
        });
        drop(plan);
        KGroupedTable { plan: Rc::clone(&self.plan), node, name: grouped.name, key, value }
    }
}

/// Sends the old value to its group and the new one to its own (`KTableRepartitionMap`).
struct Select<F, K2, V2> {
    selector: F,
    key: Option<SerdeOf<K2>>,
    value: Option<SerdeOf<V2>>,
}

impl<F, K2: Data, V2: Data> Select<F, K2, V2> {
    fn pair<K, V>(&self, key: &K, value: Option<V>) -> Option<(K2, V2)>
    where
        F: Fn(&K, &V) -> (K2, V2),
    {
        let pair = (self.selector)(key, &value?);
        let null = self.key.as_ref().is_some_and(|serde| serde.is_null(&pair.0))
            || self.value.as_ref().is_some_and(|serde| serde.is_null(&pair.1));
        (!null).then_some(pair)
    }
}

impl<F, K, V, K2, V2> Processor<K, Change<V>, K2, Change<V2>> for Select<F, K2, V2>
where
    F: Fn(&K, &V) -> (K2, V2) + Send + 'static,
    K: Data,
    V: Data,
    K2: Data + PartialEq,
    V2: Data,
{
    fn process(
        &mut self,
        ctx: &mut Context<'_, K2, Change<V2>>,
        record: Record<K, Change<V>>,
    ) -> Result {
        let Record { key, value: Change { new, old, is_latest }, timestamp, headers } = record;
        // An aggregate is of the latest versions alone.
        if !is_latest {
            return Ok(());
        }
        let (new, old) = (self.pair(&key, new), self.pair(&key, old));
        let mut send = |key: K2, new: Option<V2>, old: Option<V2>| {
            let value = Change::new(new, old);
            ctx.forward(Record { key, value, timestamp, headers: headers.clone() })
        };
        match (new, old) {
            (Some(new), Some(old)) if new.0 == old.0 => send(new.0, Some(new.1), Some(old.1)),
            (new, old) => {
                if let Some((key, old)) = old {
                    send(key, None, Some(old))?;
                }
                new.map_or(Ok(()), |(key, new)| send(key, Some(new), None))
            }
        }
    }
}

impl<K: Data, V: Data> KGroupedTable<K, V> {
    /// Counts the values of each group.
    ///
    /// See [`KTable::group_by`] for an example.
    pub fn count(&self, store: impl Into<Materialized<K, i64>>) -> KTable<K, i64> {
        let mut store = store.into();
        if let Choice::Inherit = store.value {
            store.value = Choice::given(I64);
        }
        self.combined(
            store,
            "KTABLE-AGGREGATE-",
            None,
            |_, _, total| Some(total.unwrap_or(0) + 1),
            |_, _, total| Some(total - 1),
        )
    }

    /// Combines the values of each group: `add` brings one in, `subtract` takes one out.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// let accounts = builder.table::<String, i64>("accounts", "accounts");
    /// accounts
    ///     .group_by(|account, balance| (account[..2].to_owned(), *balance))
    ///     .reduce(|total, balance| total + balance, |total, balance| total - balance, "totals")
    ///     .to_stream()
    ///     .to("totals");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # for (account, balance) in [("de1", 5), ("de2", 7), ("de1", 4)] {
    /// #     driver.input("accounts", Utf8, I64).pipe(account.into(), balance)?;
    /// # }
    /// # assert_eq!(driver.output("totals", Utf8, I64).read_values()?, [5, 12, 11]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn reduce(
        &self,
        add: impl Fn(V, V) -> V + Send + Sync + 'static,
        subtract: impl Fn(V, V) -> V + Send + Sync + 'static,
        store: impl Into<Materialized<K, V>>,
    ) -> KTable<K, V> {
        let value = self.value.as_ref();
        let add = move |_: &K, value, total: Option<V>| match total {
            Some(total) => Some(add(total, value)),
            None => Some(value),
        };
        let subtract = move |_: &K, value, total| Some(subtract(total, value));
        self.combined(store.into(), "KTABLE-REDUCE-", value, add, subtract)
    }

    /// Aggregates the values of each group: `add` brings one in, `subtract` takes one out; `None`
    /// of either deletes the group.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// let accounts = builder.table::<String, i64>("accounts", "accounts");
    /// accounts.group_by(|account, balance| (account[..2].to_owned(), *balance)).aggregate(
    ///     || 0.0,
    ///     |_, balance, total| total + balance as f64,
    ///     |_, balance, total| total - balance as f64,
    ///     "totals",
    /// );
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn aggregate<A: Data, R1: Into<Option<A>>, R2: Into<Option<A>>>(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, A) -> R1 + Send + Sync + 'static,
        subtract: impl Fn(&K, V, A) -> R2 + Send + Sync + 'static,
        store: impl Into<Materialized<K, A>>,
    ) -> KTable<K, A> {
        let add = move |key: &K, value, total: Option<A>| {
            add(key, value, total.unwrap_or_else(&initial)).into()
        };
        let subtract = move |key: &K, value, total| subtract(key, value, total).into();
        self.combined(store.into(), "KTABLE-AGGREGATE-", None, add, subtract)
    }

    fn combined<A: Data>(
        &self,
        store: Materialized<K, A>,
        prefix: &str,
        inherited: Option<&SerdeOf<A>>,
        add: impl Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
        subtract: impl Fn(&K, V, A) -> Option<A> + Send + Sync + 'static,
    ) -> KTable<K, A> {
        let mut plan = self.plan.borrow_mut();
        let (store_name, named) = store.store_name(&mut plan, "KTABLE-AGGREGATE-");
        let node_name = store.node.as_deref();
        let sink = plan.suffixed_or(node_name, "-sink", "KSTREAM-SINK-");
        let source = plan.suffixed_or(node_name, "-source", "KSTREAM-SOURCE-");
        let name = plan.name_or(node_name, prefix);
        let topic = format!("{}-repartition", self.name.as_ref().unwrap_or(&store_name));
        if self.name.is_none() && !named {
            plan.note_unnamed("repartition topic", &topic);
        }
        let key = store.key.resolve(self.key.as_ref());
        let value = required(&mut plan, &name, "value", &store.value, inherited);
        let through = self.through(&mut plan, sink, source, topic);
        let send_old = Flag::default();
        let origin = StoredOrigin {
            store: Arc::clone(&store_name),
            send_old: send_old.clone(),
            is_versioned: store.history.is_some(),
        };
        let (key_serde, value_serde, kept) = (key.clone(), value.clone(), Arc::clone(&store_name));
        let (add, subtract) = (Arc::new(add), Arc::new(subtract));
        let node = plan.add(name, &[through], move |to, at| {
            let (Some(key), Some(value)) = (key_serde, value_serde) else { return };
            to.store(&store.key_value_store(&kept, key, value));
            let stores = [kept];
            to.processor(&at.name, &at.parents, &stores.clone(), move || {
                let (add, subtract) = (Arc::clone(&add), Arc::clone(&subtract));
                Combine {
                    keeper: Keeper::new(Arc::clone(&stores[0]), send_old.clone()),
                    add: move |key: &K, value, total| add(key, value, total),
                    subtract: move |key: &K, value, total| subtract(key, value, total),
                    types: std::marker::PhantomData,
                }
            });
        });
        drop(plan);
        KTable {
            plan: Rc::clone(&self.plan),
            node,
            sources: Rc::new([through]),
            key,
            value,
            store: named.then_some(store_name),
            origin: Rc::new(origin),
        }
    }

    /// Plans the way through the repartition topic; the operator's name is the source's.
    fn through(&self, plan: &mut Plan, sink: Arc<str>, source: Arc<str>, topic: String) -> NodeId {
        let (key, value) = (self.key.clone(), self.value.clone());
        plan.add(source, &[self.node], move |to, at| {
            let (Some(key), Some(value)) = (key, value) else { return };
            let internal = to.topology.internal_topic(&topic, None);
            let change = || SerdeOf::new(ChangeSerde(value.clone()));
            let how = Sink::new(key.clone(), change());
            to.topology.sink(&sink, &[], &internal, how);
            for parent in &at.parents {
                to.topology.by_name().edge(parent, &sink);
            }
            let how = Source::new(key, change()).event_time(EventTime::FailOnInvalid);
            to.topology.source(&at.name, &internal, how);
        })
    }
}

/// Takes the old value out and brings the new one in (`KTableAggregate`, `KTableReduce`).
struct Combine<K, V, A, F, G> {
    keeper: Keeper<K, A>,
    add: F,
    subtract: G,
    types: std::marker::PhantomData<fn(V)>,
}

impl<K, V, A, F, G> Processor<K, Change<V>, K, Change<A>> for Combine<K, V, A, F, G>
where
    K: Data,
    V: Data,
    A: Data,
    F: Fn(&K, V, Option<A>) -> Option<A> + Send + 'static,
    G: Fn(&K, V, A) -> Option<A> + Send + 'static,
{
    fn init(&mut self, ctx: &mut Init<'_, Self, K, Change<A>>) -> Result {
        self.keeper.open(ctx)
    }

    fn flush(&mut self, ctx: &mut Context<'_, K, Change<A>>) -> Result {
        self.keeper.flush(ctx)
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, K, Change<A>>,
        record: Record<K, Change<V>>,
    ) -> Result {
        let Record { key, value: change, timestamp: mut time, headers } = record;
        let before = self.keeper.get(&key)?;
        let changes_time = change.new.is_some() || change.old.is_some();
        if let Some(before) = before.as_ref().filter(|_| changes_time) {
            time = time.max(before.timestamp);
        }
        let before = before.map(|stamped| stamped.value);
        let old = if self.keeper.sends_old() { before.clone() } else { None };
        let between = match (change.old, before) {
            (Some(value), Some(total)) => (self.subtract)(&key, value, total),
            (_, total) => total,
        };
        let new = match change.new {
            Some(value) => (self.add)(&key, value, between),
            None => between,
        };
        self.keeper.set(ctx, Update { key, new, old, timestamp: time, headers })
    }
}
