//! Join two tables by their key (`KTable.join`, `leftJoin`, `outerJoin`).

use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::time::Timestamp;
use kstreams_state::Stamped;

use super::keeper::{Keeper, Update};
use super::map_values::own_store;
use super::view::{Getter, StoreView, View};
use super::{Change, Flag, KTable, Origin};
use crate::builder::check_same;
use crate::options::Materialized;
use crate::plan::union;
use crate::store::Stores;

type Joiner<K, V1, V2, R> = Arc<dyn Fn(&K, Option<&V1>, Option<&V2>) -> R + Send + Sync>;

impl<K: Data, V: Data> KTable<K, V> {
    /// A table of what `joiner` makes of the values that both tables have.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::Utf8;
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// let names = builder.table::<String, String>("names", "names");
    /// let towns = builder.table::<String, String>("towns", "towns");
    /// names.join(&towns, |_, name, town| format!("{name} of {town}")).to_stream().to("people");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("names", Utf8, Utf8).pipe("1".into(), "Ann".into())?;
    /// # driver.input("towns", Utf8, Utf8).pipe("1".into(), "Rome".into())?;
    /// # assert_eq!(driver.output("people", Utf8, Utf8).read_values()?, ["Ann of Rome"]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn join<V2: Data, R: Data>(
        &self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&K, &V, &V2) -> R + Send + Sync + 'static,
    ) -> KTable<K, R> {
        self.joined(other, Rules::INNER, both(joiner), None)
    }

    /// As [`join`](Self::join), kept in a store.
    pub fn join_in<V2: Data, R: Data>(
        &self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&K, &V, &V2) -> R + Send + Sync + 'static,
        store: impl Into<Materialized<K, R>>,
    ) -> KTable<K, R> {
        self.joined(other, Rules::INNER, both(joiner), Some(store.into()))
    }

    /// As [`join`](Self::join), for all values of this table, with `None` where the other has none.
    pub fn left_join<V2: Data, R: Data>(
        &self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&K, &V, Option<&V2>) -> R + Send + Sync + 'static,
    ) -> KTable<K, R> {
        self.joined(other, Rules::LEFT, left(joiner), None)
    }

    /// As [`left_join`](Self::left_join), kept in a store.
    pub fn left_join_in<V2: Data, R: Data>(
        &self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&K, &V, Option<&V2>) -> R + Send + Sync + 'static,
        store: impl Into<Materialized<K, R>>,
    ) -> KTable<K, R> {
        self.joined(other, Rules::LEFT, left(joiner), Some(store.into()))
    }

    /// As [`join`](Self::join), for the values of both tables, with `None` where one has none.
    pub fn outer_join<V2: Data, R: Data>(
        &self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&K, Option<&V>, Option<&V2>) -> R + Send + Sync + 'static,
    ) -> KTable<K, R> {
        let joiner: Joiner<K, V, V2, Option<R>> =
            Arc::new(move |key, one, two| Some(joiner(key, one, two)));
        self.joined(other, Rules::OUTER, joiner, None)
    }

    /// As [`outer_join`](Self::outer_join), kept in a store.
    pub fn outer_join_in<V2: Data, R: Data>(
        &self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&K, Option<&V>, Option<&V2>) -> R + Send + Sync + 'static,
        store: impl Into<Materialized<K, R>>,
    ) -> KTable<K, R> {
        let joiner: Joiner<K, V, V2, Option<R>> =
            Arc::new(move |key, one, two| Some(joiner(key, one, two)));
        self.joined(other, Rules::OUTER, joiner, Some(store.into()))
    }

    fn joined<V2: Data, R: Data>(
        &self,
        other: &KTable<K, V2>,
        (this_rules, other_rules): (Rules, Rules),
        joiner: Joiner<K, V, V2, Option<R>>,
        store: Option<Materialized<K, R>>,
    ) -> KTable<K, R> {
        check_same(&self.plan, &other.plan, self.node);
        let mut plan = self.plan.borrow_mut();
        let prefix = "KTABLE-MERGE-";
        let kept = store.as_ref().map(|store| store.store_name(&mut plan, prefix));
        let named = store.as_ref().and_then(|store| store.node.clone());
        let name = plan.name_or(named.as_deref(), prefix);
        let sources = union(&self.sources, &other.sources);
        plan.copartition(sources.to_vec());
        let named = named.as_deref();
        let this_name = plan.suffixed_or(named, "-join-this", "KTABLE-JOINTHIS-");
        let other_name = plan.suffixed_or(named, "-join-other", "KTABLE-JOINOTHER-");
        drop(plan);
        // Only a side whose absence is told downstream must know what it was before.
        if !this_rules.needs_other {
            self.origin.send_old(true);
        }
        if !other_rules.needs_other {
            other.origin.send_old(true);
        }
        let key = match &store {
            Some(store) => store.key.resolve(self.key.as_ref()),
            None => self.key.clone(),
        };
        let value = store.as_ref().and_then(|store| store.value.resolve(None));
        let store_name = kept.map(|(name, _)| name);
        let def = own_store(store_name.as_ref(), store.as_ref(), key.as_ref(), value.as_ref());
        let (this_view, other_view) = (self.view(), other.view());
        let send_old = Flag::default();
        let origin = JoinOrigin {
            this: Rc::clone(&self.origin),
            other: Rc::clone(&other.origin),
            rules: this_rules,
            joiner: Arc::clone(&joiner),
            store: store_name.clone(),
            keeps_versions: store.as_ref().is_some_and(|store| store.history.is_some()),
            send_old: send_old.clone(),
        };
        let reversed: Joiner<K, V2, V, Option<R>> = {
            let joiner = Arc::clone(&joiner);
            Arc::new(move |key, two, one| joiner(key, one, two))
        };
        let nodes = [self.node, other.node];
        let planned = Arc::clone(&name);
        let node = self.plan.borrow_mut().add(name, &nodes, move |to, at| {
            // Named afterwards, it names its sides too.
            let side = |planned_side: Arc<str>, suffix| match at.name == planned {
                true => planned_side,
                false => format!("{}{suffix}", at.name).into(),
            };
            let (this_name, other_name) =
                (side(this_name, "-join-this"), side(other_name, "-join-other"));
            let sides = [&this_name, &other_name];
            write_side(to, sides[0], &at.parents[..1], &other_view, this_rules, &joiner, &send_old);
            write_side(
                to,
                sides[1],
                &at.parents[1..],
                &this_view,
                other_rules,
                &reversed,
                &send_old,
            );
            if let Some(def) = &def {
                to.store(def);
            }
            let store = def.map(|def| def.name);
            let stores: Vec<Arc<str>> = store.iter().cloned().collect();
            to.processor(&at.name, &sides.map(Arc::clone), &stores, move || Merge::<K, R> {
                keeper: store.clone().map(|store| Keeper::new(store, send_old.clone())),
                sends_old: send_old.get(),
            });
        });
        KTable {
            plan: Rc::clone(&self.plan),
            node,
            sources,
            key,
            value,
            store: store_name,
            origin: Rc::new(origin),
        }
    }
}

fn both<K: 'static, V: 'static, V2: 'static, R: 'static>(
    joiner: impl Fn(&K, &V, &V2) -> R + Send + Sync + 'static,
) -> Joiner<K, V, V2, Option<R>> {
    Arc::new(move |key, one, two| Some(joiner(key, one?, two?)))
}

fn left<K: 'static, V: 'static, V2: 'static, R: 'static>(
    joiner: impl Fn(&K, &V, Option<&V2>) -> R + Send + Sync + 'static,
) -> Joiner<K, V, V2, Option<R>> {
    Arc::new(move |key, one, two| Some(joiner(key, one?, two)))
}

/// When a change of one side makes a result.
#[derive(Clone, Copy, Debug)]
struct Rules {
    /// Only if the other side has a value.
    needs_other: bool,
    /// Only of a value, not of its absence.
    needs_own: bool,
}

impl Rules {
    const INNER: (Self, Self) =
        (Self { needs_other: true, needs_own: true }, Self { needs_other: true, needs_own: true });
    const LEFT: (Self, Self) = (
        Self { needs_other: false, needs_own: true },
        Self { needs_other: true, needs_own: false },
    );
    const OUTER: (Self, Self) = (
        Self { needs_other: false, needs_own: false },
        Self { needs_other: false, needs_own: false },
    );
}

fn write_side<K: Data, V1: Data, V2: Data, R: Data>(
    to: &mut crate::plan::Lowering<'_>,
    name: &Arc<str>,
    parents: &[Arc<str>],
    other: &Arc<dyn View<K, V2>>,
    rules: Rules,
    joiner: &Joiner<K, V1, V2, Option<R>>,
    send_old: &Flag,
) {
    let stores = other.stores();
    let (other, joiner, send_old) = (Arc::clone(other), Arc::clone(joiner), send_old.clone());
    to.processor(name, parents, &stores, move || Side {
        view: Arc::clone(&other),
        other: None,
        rules,
        joiner: Arc::clone(&joiner),
        sends_old: send_old.get(),
    });
}

/// Joins each change of one table with the value of the other.
struct Side<K, V1, V2, R> {
    view: Arc<dyn View<K, V2>>,
    other: Option<Box<dyn Getter<K, V2>>>,
    rules: Rules,
    joiner: Joiner<K, V1, V2, Option<R>>,
    sends_old: bool,
}

impl<K: Data, V1: Data, V2: Data, R: Data> Processor<K, Change<V1>, K, Change<R>>
    for Side<K, V1, V2, R>
{
    fn init(&mut self, ctx: &mut Init<'_, Self, K, Change<R>>) -> Result {
        self.other = Some(self.view.open(ctx)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, K, Change<R>>,
        record: Record<K, Change<V1>>,
    ) -> Result {
        let Record { key, value: change, timestamp, headers } = record;
        if !change.is_latest {
            log::debug!("node {}: out-of-order change of a versioned table", ctx.node_name());
            ctx.record_dropped();
            return Ok(());
        }
        let other = self.other.as_ref().map_or(Ok(None), |other| other.get(&key))?;
        if other.is_none()
            && (self.rules.needs_other || change.new.is_none() && change.old.is_none())
        {
            return Ok(());
        }
        let timestamp = other.as_ref().map_or(timestamp, |other| timestamp.max(other.timestamp));
        let other = other.as_ref().map(|other| &other.value);
        let joined = |own: Option<&V1>| match own {
            None if self.rules.needs_own || other.is_none() => None,
            own => (self.joiner)(&key, own, other),
        };
        let new = joined(change.new.as_ref());
        let old = if self.sends_old { joined(change.old.as_ref()) } else { None };
        let value = Change { new, old, is_latest: change.is_latest };
        ctx.forward(Record { key, value, timestamp, headers })
    }
}

/// Brings the results of both sides together, and keeps them if asked to.
struct Merge<K, R> {
    keeper: Option<Keeper<K, R>>,
    sends_old: bool,
}

impl<K: Data, R: Data> Processor<K, Change<R>, K, Change<R>> for Merge<K, R> {
    fn init(&mut self, ctx: &mut Init<'_, Self, K, Change<R>>) -> Result {
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.open(ctx))
    }

    fn flush(&mut self, ctx: &mut Context<'_, K, Change<R>>) -> Result {
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.flush(ctx))
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, K, Change<R>>,
        record: Record<K, Change<R>>,
    ) -> Result {
        let Record { key, value: Change { new, old, is_latest }, timestamp, headers } = record;
        match &mut self.keeper {
            Some(keeper) => keeper.set(ctx, Update { key, new, old, timestamp, headers }),
            None => {
                let value = Change { new, old: old.filter(|_| self.sends_old), is_latest };
                ctx.forward(Record { key, value, timestamp, headers })
            }
        }
    }
}

struct JoinOrigin<K, V1, V2, R> {
    this: Rc<dyn Origin<K, V1>>,
    other: Rc<dyn Origin<K, V2>>,
    rules: Rules,
    joiner: Joiner<K, V1, V2, Option<R>>,
    store: Option<Arc<str>>,
    keeps_versions: bool,
    send_old: Flag,
}

impl<K: Data, V1: Data, V2: Data, R: Data> Origin<K, R> for JoinOrigin<K, V1, V2, R> {
    fn view(&self) -> Arc<dyn View<K, R>> {
        match &self.store {
            Some(store) => Arc::new(StoreView::new(Arc::clone(store))),
            None => Arc::new(JoinView {
                this: self.this.view(),
                other: self.other.view(),
                rules: self.rules,
                joiner: Arc::clone(&self.joiner),
            }),
        }
    }

    fn send_old(&self, _force: bool) -> bool {
        self.this.send_old(true);
        self.other.send_old(true);
        self.send_old.set();
        true
    }

    fn is_versioned(&self) -> bool {
        match self.store {
            Some(_) => self.keeps_versions,
            None => self.this.is_versioned() && self.other.is_versioned(),
        }
    }
}

struct JoinView<K, V1, V2, R> {
    this: Arc<dyn View<K, V1>>,
    other: Arc<dyn View<K, V2>>,
    rules: Rules,
    joiner: Joiner<K, V1, V2, Option<R>>,
}

impl<K: Data, V1: Data, V2: Data, R: Data> View<K, R> for JoinView<K, V1, V2, R> {
    fn stores(&self) -> Vec<Arc<str>> {
        let mut stores = [self.this.stores(), self.other.stores()].concat();
        stores.sort_unstable();
        stores.dedup();
        stores
    }

    fn open(&self, stores: &dyn Stores) -> Result<Box<dyn Getter<K, R>>> {
        Ok(Box::new(JoinGetter {
            this: self.this.open(stores)?,
            other: self.other.open(stores)?,
            rules: self.rules,
            joiner: Arc::clone(&self.joiner),
        }))
    }
}

struct JoinGetter<K, V1, V2, R> {
    this: Box<dyn Getter<K, V1>>,
    other: Box<dyn Getter<K, V2>>,
    rules: Rules,
    joiner: Joiner<K, V1, V2, Option<R>>,
}

impl<K: Data, V1: Data, V2: Data, R: Data> Getter<K, R> for JoinGetter<K, V1, V2, R> {
    fn get(&self, key: &K) -> Result<Option<Stamped<R>>> {
        let (one, two) = (self.this.get(key)?, self.other.get(key)?);
        let missing = one.is_none() && (self.rules.needs_own || two.is_none());
        if missing || self.rules.needs_other && two.is_none() {
            return Ok(None);
        }
        let time = |time: Option<Timestamp>| time.unwrap_or(Timestamp::NONE);
        let timestamp = time(one.as_ref().map(|one| one.timestamp))
            .max(time(two.as_ref().map(|two| two.timestamp)));
        let (one, two) = (one.map(|one| one.value), two.map(|two| two.value));
        let joined = (self.joiner)(key, one.as_ref(), two.as_ref());
        Ok(joined.map(|value| Stamped::new(value, timestamp)))
    }
}
