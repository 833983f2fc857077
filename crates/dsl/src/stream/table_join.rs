//! Join a stream with a table (`KStream.join`, `leftJoin` with a `KTable`).

use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::serde::Serde;

use super::table_join_wait::{Waiting, WaitingLookUp};
use crate::builder::{check_same, required};
use crate::options::Joined;
use crate::plan::{DslFault, union};
use crate::serdes::SerdeOf;
use crate::store::Stores;
use crate::table::{Getter, KTable, View};
use crate::{DefaultSerde, KStream};

type Joiner<K, V, T, R> = Arc<dyn Fn(&K, &V, Option<&T>) -> Option<R> + Send + Sync>;

impl<K: Data, V: Data> KStream<K, V> {
    /// Joins each record with the table's value of its key at that moment; records without one are
    /// dropped. The table causes nothing by itself.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::Utf8;
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// let users = builder.table::<String, String>("users", "users");
    /// builder
    ///     .stream::<String, String>("clicks")
    ///     .join_table(&users, |_, page, user| format!("{user} saw {page}"))
    ///     .to("seen");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("clicks", Utf8, Utf8).pipe("1".into(), "home".into())?;
    /// # driver.input("users", Utf8, Utf8).pipe("1".into(), "Ann".into())?;
    /// # driver.input("clicks", Utf8, Utf8).pipe("1".into(), "shop".into())?;
    /// # assert_eq!(driver.output("seen", Utf8, Utf8).read_values()?, ["Ann saw shop"]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn join_table<T: Data, R: Data>(
        &self,
        table: &KTable<K, T>,
        joiner: impl Fn(&K, &V, &T) -> R + Send + Sync + 'static,
    ) -> KStream<K, R>
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.join_table_with(table, joiner, Joined::default())
    }

    /// As [`join_table`](Self::join_table), with serdes or a name.
    pub fn join_table_with<T: Data, R: Data>(
        &self,
        table: &KTable<K, T>,
        joiner: impl Fn(&K, &V, &T) -> R + Send + Sync + 'static,
        joined: Joined<K, V>,
    ) -> KStream<K, R> {
        let joiner: Joiner<K, V, T, R> = Arc::new(move |k, v, t| Some(joiner(k, v, t?)));
        self.joined_table(table, joiner, joined, false)
    }

    /// As [`join_table`](Self::join_table), for all records, with `None` where the table has no
    /// value. Records without a key are kept (KIP-962).
    pub fn left_join_table<T: Data, R: Data>(
        &self,
        table: &KTable<K, T>,
        joiner: impl Fn(&K, &V, Option<&T>) -> R + Send + Sync + 'static,
    ) -> KStream<K, R>
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.left_join_table_with(table, joiner, Joined::default())
    }

    /// As [`left_join_table`](Self::left_join_table), with serdes or a name.
    pub fn left_join_table_with<T: Data, R: Data>(
        &self,
        table: &KTable<K, T>,
        joiner: impl Fn(&K, &V, Option<&T>) -> R + Send + Sync + 'static,
        joined: Joined<K, V>,
    ) -> KStream<K, R> {
        let joiner: Joiner<K, V, T, R> = Arc::new(move |k, v, t| Some(joiner(k, v, t)));
        self.joined_table(table, joiner, joined, true)
    }

    fn joined_table<T: Data, R: Data>(
        &self,
        table: &KTable<K, T>,
        joiner: Joiner<K, V, T, R>,
        joined: Joined<K, V>,
        is_left: bool,
    ) -> KStream<K, R> {
        check_same(&self.plan, &table.plan, self.node);
        let of = self.by_key(joined.name.as_deref(), &joined.key, &joined.value);
        let view = table.view();
        let key = joined.key.resolve(of.key.as_ref());
        let nulls = Nulls { key: key.clone(), value: joined.value.resolve(of.value.as_ref()) };
        let mut plan = self.plan.borrow_mut();
        let sources = union(&of.sources, &table.sources);
        plan.copartition(sources.to_vec());
        let prefix = if is_left { "KSTREAM-LEFTJOIN-" } else { "KSTREAM-JOIN-" };
        let name = plan.name_or(joined.name.as_deref(), prefix);
        let buffer = joined.grace.and_then(|grace| {
            if !table.origin.is_versioned() {
                let why = "a table must be versioned to be joined with a grace period";
                plan.fault(DslFault::NotSupported { node: name.to_string(), why });
            }
            let value = required(&mut plan, &name, "value", &joined.value, of.value.as_ref());
            let key = required(&mut plan, &name, "key", &joined.key, of.key.as_ref());
            let store: Arc<str> = format!("{name}-Buffer").into();
            if joined.name.is_none() {
                plan.note_unnamed("store", &store);
            }
            Some(Waiting { store, grace, key: key?, value: value? })
        });
        let node = plan.add(name, &[of.node], move |to, at| {
            let mut stores = view.stores();
            let join = move || LookUp {
                view: Arc::clone(&view),
                table: None,
                nulls: nulls.clone(),
                key_of: |key: &K, _: &V| Some(key.clone()),
                joiner: Arc::clone(&joiner),
                is_left,
            };
            let Some(buffer) = buffer else {
                to.processor(&at.name, &at.parents, &stores, join);
                return;
            };
            to.store(&buffer.store_def());
            stores.push(Arc::clone(&buffer.store));
            let make = move || WaitingLookUp::new(join(), buffer.clone());
            to.processor(&at.name, &at.parents, &stores, make);
        });
        plan.node(node).keeps_null_keys = is_left;
        drop(plan);
        KStream::new(&self.plan, node, sources, false, key, None)
    }
}

/// Tells what is null, for records that a join must skip.
pub(super) struct Nulls<K, V> {
    pub(super) key: Option<SerdeOf<K>>,
    pub(super) value: Option<SerdeOf<V>>,
}

impl<K: 'static, V: 'static> Nulls<K, V> {
    fn is_null<T: 'static>(serde: Option<&SerdeOf<T>>, item: &T) -> bool {
        serde.is_some_and(|serde| serde.is_null(item))
    }
}

impl<K, V> Clone for Nulls<K, V> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), value: self.value.clone() }
    }
}

/// Looks each record up in a table (`KStreamKTableJoin`, `KStreamGlobalKTableJoin`).
pub(super) struct LookUp<K, V, GK, T, R, F> {
    pub(super) view: Arc<dyn View<GK, T>>,
    pub(super) table: Option<Box<dyn Getter<GK, T>>>,
    pub(super) nulls: Nulls<GK, V>,
    pub(super) key_of: F,
    pub(super) joiner: Joiner<K, V, T, R>,
    pub(super) is_left: bool,
}

impl<K, V, GK, T, R, F> Processor<K, V, K, R> for LookUp<K, V, GK, T, R, F>
where
    K: Data,
    V: Data,
    GK: Data,
    T: Data,
    R: Data,
    F: Fn(&K, &V) -> Option<GK> + Send + 'static,
{
    fn init(&mut self, ctx: &mut Init<'_, Self, K, R>) -> Result {
        self.open(ctx)
    }

    fn process(&mut self, ctx: &mut Context<'_, K, R>, record: Record<K, V>) -> Result {
        if self.takes(ctx, &record) { self.join(ctx, record) } else { Ok(()) }
    }
}

impl<K, V, GK, T, R, F> LookUp<K, V, GK, T, R, F>
where
    K: Data,
    V: Data,
    GK: Data,
    T: Data,
    R: Data,
    F: Fn(&K, &V) -> Option<GK> + Send + 'static,
{
    /// Takes the table; called in `init`.
    pub(super) fn open(&mut self, stores: &dyn Stores) -> Result {
        self.table = Some(self.view.open(stores)?);
        Ok(())
    }

    /// True if the record can be joined; else it is counted.
    pub(super) fn takes(&self, ctx: &mut Context<'_, K, R>, record: &Record<K, V>) -> bool {
        let no_value = Nulls::<GK, V>::is_null(self.nulls.value.as_ref(), &record.value);
        let takes = !no_value && (self.is_left || self.join_key(record).is_some());
        if !takes {
            log::warn!("node {}: record skipped: null join key or value", ctx.node_name());
            ctx.record_dropped();
        }
        takes
    }

    /// The key that the table is asked for.
    pub(super) fn join_key(&self, record: &Record<K, V>) -> Option<GK> {
        let key = (self.key_of)(&record.key, &record.value);
        key.filter(|key| !Nulls::<GK, V>::is_null(self.nulls.key.as_ref(), key))
    }

    /// Joins a record with what the table has, or had at its time.
    pub(super) fn join(&self, ctx: &mut Context<'_, K, R>, record: Record<K, V>) -> Result {
        let key = self.join_key(&record);
        let found = match (&self.table, key) {
            (Some(table), Some(key)) => {
                table.get_as_of(&key, record.timestamp)?.map(|found| found.value)
            }
            _ => None,
        };
        let Record { key, value, timestamp, headers } = record;
        match (self.joiner)(&key, &value, found.as_ref()) {
            Some(value) => ctx.forward(Record { key, value, timestamp, headers }),
            None => Ok(()),
        }
    }
}
