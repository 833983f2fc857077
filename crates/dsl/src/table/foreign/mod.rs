//! Join a table with another by a key in its values (`KTable.join`, `leftJoin` on a foreign key).
//!
//! A row *subscribes* to the foreign key it refers to, through a topic that is partitioned as the
//! other table is; the other side answers, now and whenever its value changes, through a topic that
//! is partitioned as this table is (KIP-213).

mod lowering;
mod murmur;
mod receive;
mod resolve;
mod send;
mod wire;

use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::processor::Data;

use self::lowering::{Names, Serdes, Sides};
use self::resolve::Joiner;
use self::send::Extractor;
use super::{KTable, SourceOrigin};
use crate::DefaultSerde;
use crate::builder::{check_same, required};
use crate::options::{Materialized, TableJoined};
use crate::plan::union;

impl<K: Data, V: Data> KTable<K, V> {
    /// A table of what `joiner` makes of each value and of the other table's value of the key it
    /// refers to. A value that refers to nothing (`None`) has no result.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::Utf8;
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// // Order -> customer, customer -> name.
    /// let orders = builder.table::<String, String>("orders", ());
    /// let customers = builder.table::<String, String>("customers", ());
    /// orders
    ///     .join_on(
    ///         &customers,
    ///         |_, customer| customer.clone(),
    ///         |order, _, name| format!("{order} for {name}"),
    ///     )
    ///     .to_stream()
    ///     .to("named-orders");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("orders", Utf8, Utf8).pipe("o1".into(), "c1".into())?;
    /// # driver.input("customers", Utf8, Utf8).pipe("c1".into(), "Ann".into())?;
    /// # let out = driver.output("named-orders", Utf8, Utf8).read_values()?;
    /// # assert_eq!(out, ["o1 for Ann"]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    ///
    /// As in Kafka Streams, a value whose serde writes no bytes counts as none, and serdes must
    /// write equal values in equal bytes: by those, answers to what a row was before are told from
    /// those to what it is.
    pub fn join_on<KO, VO, F, R>(
        &self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&K, &V, &VO) -> R + Send + Sync + 'static,
    ) -> KTable<K, R>
    where
        K: DefaultSerde,
        V: DefaultSerde,
        KO: Data + DefaultSerde,
        VO: Data + DefaultSerde,
        F: Into<Option<KO>>,
        R: Data,
    {
        self.join_on_with(other, foreign_key, joiner, TableJoined::default())
    }

    /// As [`join_on`](Self::join_on), with names, serdes or partitions.
    pub fn join_on_with<KO: Data, VO: Data, F: Into<Option<KO>>, R: Data>(
        &self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&K, &V, &VO) -> R + Send + Sync + 'static,
        how: TableJoined<K, V, KO, VO>,
    ) -> KTable<K, R> {
        self.joined_on(other, extractor(foreign_key), inner(joiner), how, None, false)
    }

    /// As [`join_on_with`](Self::join_on_with), kept in a store.
    pub fn join_on_in<KO: Data, VO: Data, F: Into<Option<KO>>, R: Data>(
        &self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&K, &V, &VO) -> R + Send + Sync + 'static,
        how: TableJoined<K, V, KO, VO>,
        store: impl Into<Materialized<K, R>>,
    ) -> KTable<K, R> {
        let store = Some(store.into());
        self.joined_on(other, extractor(foreign_key), inner(joiner), how, store, false)
    }

    /// As [`join_on`](Self::join_on), for all values of this table, with `None` where there is no
    /// other.
    pub fn left_join_on<KO, VO, F, R>(
        &self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&K, &V, Option<&VO>) -> R + Send + Sync + 'static,
    ) -> KTable<K, R>
    where
        K: DefaultSerde,
        V: DefaultSerde,
        KO: Data + DefaultSerde,
        VO: Data + DefaultSerde,
        F: Into<Option<KO>>,
        R: Data,
    {
        self.left_join_on_with(other, foreign_key, joiner, TableJoined::default())
    }

    /// As [`left_join_on`](Self::left_join_on), with names, serdes or partitions.
    pub fn left_join_on_with<KO: Data, VO: Data, F: Into<Option<KO>>, R: Data>(
        &self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&K, &V, Option<&VO>) -> R + Send + Sync + 'static,
        how: TableJoined<K, V, KO, VO>,
    ) -> KTable<K, R> {
        self.joined_on(other, extractor(foreign_key), outer(joiner), how, None, true)
    }

    /// As [`left_join_on_with`](Self::left_join_on_with), kept in a store.
    pub fn left_join_on_in<KO: Data, VO: Data, F: Into<Option<KO>>, R: Data>(
        &self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&K, &V, Option<&VO>) -> R + Send + Sync + 'static,
        how: TableJoined<K, V, KO, VO>,
        store: impl Into<Materialized<K, R>>,
    ) -> KTable<K, R> {
        let store = Some(store.into());
        self.joined_on(other, extractor(foreign_key), outer(joiner), how, store, true)
    }

    fn joined_on<KO: Data, VO: Data, R: Data>(
        &self,
        other: &KTable<KO, VO>,
        extractor: Extractor<K, V, KO>,
        joiner: Joiner<K, V, VO, R>,
        how: TableJoined<K, V, KO, VO>,
        store: Option<Materialized<K, R>>,
        is_left: bool,
    ) -> KTable<K, R> {
        check_same(&self.plan, &other.plan, self.node);
        other.origin.send_old(true);
        self.origin.send_old(true);
        let (view, other_view) = (self.view(), other.view());
        let mut plan = self.plan.borrow_mut();
        let names = Names::new(&mut plan, how.name.as_deref());
        let (store_name, named) = match &store {
            Some(store) if store.name.is_some() => store.store_name(&mut plan, OUTPUT),
            // A number is taken all the same.
            _ => (plan.new_store_name(OUTPUT), false),
        };
        let serdes = Serdes {
            key: required(&mut plan, &names.send, "key", &how.key, self.key.as_ref()),
            value: required(&mut plan, &names.send, "value", &how.value, self.value.as_ref()),
            other_key: required(
                &mut plan,
                &names.receive,
                "key of the other table",
                &how.other_key,
                other.key.as_ref(),
            ),
            other_value: required(
                &mut plan,
                &names.receive,
                "value of the other table",
                &how.other_value,
                other.value.as_ref(),
            ),
        };
        let key = serdes.key.clone();
        let value = store.as_ref().and_then(|store| store.value.resolve(None));
        let sides = Sides {
            nodes: (self.node, other.node),
            sources: Rc::clone(&other.sources),
            view,
            other_view,
        };
        let kept = store.unwrap_or_else(Materialized::inherit);
        let is_versioned = kept.history.is_some();
        let origin = SourceOrigin::new(Arc::clone(&store_name), named, is_versioned);
        let result = names.result.clone();
        let answers =
            names.plan_exchange(&mut plan, sides, serdes, &how, extractor, joiner, is_left);
        let sources = union(&self.sources, &[answers.source]);
        plan.copartition(sources.to_vec());
        let (keys, values, made) = (key.clone(), value.clone(), Rc::clone(&origin));
        let queryable = named.then(|| Arc::clone(&store_name));
        let node = plan.add(result, &[answers.resolved], move |to, at| {
            lowering::write_result(to, at, &made, kept, (keys, values), &store_name);
        });
        drop(plan);
        let plan = Rc::clone(&self.plan);
        KTable { plan, node, sources, key, value, store: queryable, origin }
    }
}

const OUTPUT: &str = "KTABLE-FK-JOIN-OUTPUT-";

fn extractor<K: 'static, V: 'static, KO: 'static, F: Into<Option<KO>>>(
    of: impl Fn(&K, &V) -> F + Send + Sync + 'static,
) -> Extractor<K, V, KO> {
    Arc::new(move |key, value| of(key, value).into())
}

fn inner<K: 'static, V: 'static, VO: 'static, R: 'static>(
    joiner: impl Fn(&K, &V, &VO) -> R + Send + Sync + 'static,
) -> Joiner<K, V, VO, R> {
    Arc::new(move |key, value, other| Some(joiner(key, value, other?)))
}

fn outer<K: 'static, V: 'static, VO: 'static, R: 'static>(
    joiner: impl Fn(&K, &V, Option<&VO>) -> R + Send + Sync + 'static,
) -> Joiner<K, V, VO, R> {
    Arc::new(move |key, value, other| Some(joiner(key, value, other)))
}
