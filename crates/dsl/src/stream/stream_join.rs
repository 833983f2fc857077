//! Join two streams within a window of time (`KStream.join`, `leftJoin`, `outerJoin`).

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::serde::{List, Serde};
use kstreams_core::time::millis;
use kstreams_state::{KeyValue, Stamped, TimestampedWindowStore, Windows};

use super::self_join::SelfJoin;
use super::stream_join_side::{
    FromLeft, FromRight, OnSide, Side, SideSerde, Waiting, WaitingSerde,
};
use crate::builder::{check_same, required};
use crate::options::{StoreKind, StreamJoined};
use crate::plan::{Kind, Lowering, StoreDef, union};
use crate::serdes::SerdeOf;
use crate::store::{self, Erased};
use crate::window::JoinWindows;
use crate::{DefaultSerde, KStream};

/// Joins values of which at most one is missing.
pub(super) type Joiner<K, V, V2, R> =
    Arc<dyn Fn(&K, Option<&V>, Option<&V2>) -> Option<R> + Send + Sync>;

impl<K: Data, V: Data> KStream<K, V> {
    /// Joins each record with those of the other stream that have the same key and lie within the
    /// window around it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kstreams_dsl::{JoinWindows, StreamsBuilder};
    /// # use kstreams_core::serde::Utf8;
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// let orders = builder.stream::<String, String>("orders");
    /// let payments = builder.stream::<String, String>("payments");
    /// let windows = JoinWindows::of(Duration::from_secs(60));
    /// orders.join(&payments, |_, order, by| format!("{order} by {by}"), windows).to("paid");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("orders", Utf8, Utf8).pipe_at("1".into(), "tea".into(), 10)?;
    /// # driver.input("payments", Utf8, Utf8).pipe_at("1".into(), "card".into(), 50)?;
    /// # driver.input("payments", Utf8, Utf8).pipe_at("1".into(), "cash".into(), 99_999)?;
    /// # assert_eq!(driver.output("paid", Utf8, Utf8).read_values()?, ["tea by card"]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn join<V2, R: Data>(
        &self,
        other: &KStream<K, V2>,
        joiner: impl Fn(&K, &V, &V2) -> R + Send + Sync + 'static,
        windows: JoinWindows,
    ) -> KStream<K, R>
    where
        K: DefaultSerde,
        V: DefaultSerde,
        V2: Data + DefaultSerde,
    {
        self.join_with(other, joiner, windows, StreamJoined::default())
    }

    /// As [`join`](Self::join), with serdes or names.
    pub fn join_with<V2: Data, R: Data>(
        &self,
        other: &KStream<K, V2>,
        joiner: impl Fn(&K, &V, &V2) -> R + Send + Sync + 'static,
        windows: JoinWindows,
        how: StreamJoined<K, V, V2>,
    ) -> KStream<K, R> {
        let joiner: Joiner<K, V, V2, R> = Arc::new(move |k, v, o| Some(joiner(k, v?, o?)));
        self.joined(other, joiner, windows, how, (false, false))
    }

    /// As [`join`](Self::join), and each record of this stream for which there is none, once its
    /// window has closed (KIP-633).
    ///
    /// # Differs from Kafka Streams
    /// Such records come with the first record after the window has closed; Java looks for them at
    /// most once a second.
    pub fn left_join<V2, R: Data>(
        &self,
        other: &KStream<K, V2>,
        joiner: impl Fn(&K, &V, Option<&V2>) -> R + Send + Sync + 'static,
        windows: JoinWindows,
    ) -> KStream<K, R>
    where
        K: DefaultSerde,
        V: DefaultSerde,
        V2: Data + DefaultSerde,
    {
        self.left_join_with(other, joiner, windows, StreamJoined::default())
    }

    /// As [`left_join`](Self::left_join), with serdes or names.
    pub fn left_join_with<V2: Data, R: Data>(
        &self,
        other: &KStream<K, V2>,
        joiner: impl Fn(&K, &V, Option<&V2>) -> R + Send + Sync + 'static,
        windows: JoinWindows,
        how: StreamJoined<K, V, V2>,
    ) -> KStream<K, R> {
        let joiner: Joiner<K, V, V2, R> = Arc::new(move |k, v, o| Some(joiner(k, v?, o)));
        self.joined(other, joiner, windows, how, (true, false))
    }

    /// As [`left_join`](Self::left_join), for the records of both streams.
    pub fn outer_join<V2, R: Data>(
        &self,
        other: &KStream<K, V2>,
        joiner: impl Fn(&K, Option<&V>, Option<&V2>) -> R + Send + Sync + 'static,
        windows: JoinWindows,
    ) -> KStream<K, R>
    where
        K: DefaultSerde,
        V: DefaultSerde,
        V2: Data + DefaultSerde,
    {
        self.outer_join_with(other, joiner, windows, StreamJoined::default())
    }

    /// As [`outer_join`](Self::outer_join), with serdes or names.
    pub fn outer_join_with<V2: Data, R: Data>(
        &self,
        other: &KStream<K, V2>,
        joiner: impl Fn(&K, Option<&V>, Option<&V2>) -> R + Send + Sync + 'static,
        windows: JoinWindows,
        how: StreamJoined<K, V, V2>,
    ) -> KStream<K, R> {
        let joiner: Joiner<K, V, V2, R> = Arc::new(move |k, v, o| Some(joiner(k, v, o)));
        self.joined(other, joiner, windows, how, (true, true))
    }

    fn joined<V2: Data, R: Data>(
        &self,
        other: &KStream<K, V2>,
        joiner: Joiner<K, V, V2, R>,
        windows: JoinWindows,
        how: StreamJoined<K, V, V2>,
        (left_outer, right_outer): (bool, bool),
    ) -> KStream<K, R> {
        check_same(&self.plan, &other.plan, self.node);
        let suffixed = |suffix| how.name.as_ref().map(|name| format!("{name}{suffix}"));
        let left = self.by_key(suffixed("-left").as_deref(), &how.key, &how.value);
        let right = other.by_key(suffixed("-right").as_deref(), &how.key, &how.other);
        let mut plan = self.plan.borrow_mut();
        let sources = union(&left.sources, &right.sources);
        plan.copartition(sources.to_vec());
        let name = how.name.as_deref();
        let left_windowed = plan.suffixed_or(name, "-this-windowed", "KSTREAM-WINDOWED-");
        let right_windowed = plan.suffixed_or(name, "-other-windowed", "KSTREAM-WINDOWED-");
        let left_prefix = if right_outer { "KSTREAM-OUTERTHIS-" } else { "KSTREAM-JOINTHIS-" };
        let right_prefix = if left_outer { "KSTREAM-OUTEROTHER-" } else { "KSTREAM-JOINOTHER-" };
        let left_generated = plan.new_name(left_prefix);
        let right_generated = plan.new_name(right_prefix);
        let left_suffix = if right_outer { "-outer-this-join" } else { "-this-join" };
        let right_suffix = if left_outer { "-outer-other-join" } else { "-other-join" };
        let named = |suffix: &str, generated: &Arc<str>| -> Arc<str> {
            name.map_or_else(|| Arc::clone(generated), |name| format!("{name}{suffix}").into())
        };
        let left_join = named(left_suffix, &left_generated);
        let right_join = named(right_suffix, &right_generated);
        let merge = plan.suffixed_or(name, "-merge", "KSTREAM-MERGE-");
        let base = how.store_name.as_deref();
        let store = |suffix: &str, generated: &str| -> Arc<str> {
            match base {
                Some(base) => format!("{base}{suffix}-store").into(),
                None => format!("{generated}-store").into(),
            }
        };
        let left_store = store(left_suffix, &left_generated);
        let right_store = store(right_suffix, &right_generated);
        let shared_suffix = if right_outer { "-outer-shared-join" } else { "-left-shared-join" };
        let number = &left_generated[left_prefix.len()..];
        let shared = store(shared_suffix, &format!("KSTREAM-OUTERSHARED-{number}"));
        let shared = left_outer.then_some(shared);
        if base.is_none() {
            for store in [&left_store, &right_store].into_iter().chain(&shared) {
                plan.note_unnamed("store", store);
            }
        }
        let key = required(&mut plan, &merge, "key", &how.key, left.key.as_ref());
        let value = required(&mut plan, &merge, "value", &how.value, left.value.as_ref());
        let other = required(&mut plan, &merge, "other value", &how.other, right.value.as_ref());
        let (Some(key), Some(value), Some(other)) = (key, value, other) else {
            drop(plan);
            return KStream::new(&self.plan, self.node, sources, false, None, None);
        };
        let kind = how.kind;
        let window = |of: Arc<str>| (of, kind, windows);
        let (one, two) = (window(Arc::clone(&left_store)), window(Arc::clone(&right_store)));
        let (keys, values) = (key.clone(), value.clone());
        let first = plan.add(left_windowed, &[left.node], move |to, at| {
            write_window(to, &at.name, &at.parents, one, keys, values);
        });
        let (keys, others) = (key.clone(), other.clone());
        let second = plan.add(right_windowed, &[right.node], move |to, at| {
            write_window(to, &at.name, &at.parents, two, keys, others);
        });
        let keys = key.clone();
        let node = plan.add(merge, &[first, second], move |to, at| {
            if at.parents.len() == 1 {
                let make =
                    SelfJoin::supplier(Arc::clone(&left_store), windows, keys, value, joiner);
                let stores = [Arc::clone(&left_store)];
                to.processor(&at.name, &at.parents, &stores, make);
                return;
            }
            if let Some(name) = &shared {
                to.store(&waiting_store(name, kind, keys.clone(), value.clone(), other.clone()));
            }
            let (before, after) = (millis(windows.before), millis(windows.after));
            let side = |is_left: bool, store: Arc<str>, outer: bool| OnSide {
                is_left,
                outer,
                other_store: store,
                shared: shared.clone(),
                before: if is_left { before } else { after },
                after: if is_left { after } else { before },
                windows,
            };
            let stores =
                |own: &Arc<str>| -> Vec<Arc<str>> { shared.iter().chain([own]).cloned().collect() };
            let on = side(true, Arc::clone(&right_store), left_outer);
            let make = Side::<K, V, V2, FromLeft, R>::supplier(
                on,
                keys.clone(),
                value.clone(),
                Arc::clone(&joiner),
            );
            to.processor(&left_join, &at.parents[..1], &stores(&right_store), make);
            let on = side(false, Arc::clone(&left_store), right_outer);
            let make = Side::<K, V, V2, FromRight, R>::supplier(on, keys, other, joiner);
            to.processor(&right_join, &at.parents[1..], &stores(&left_store), make);
            to.processor(&at.name, &[left_join, right_join], &[], || {
                |ctx: &mut Context<'_, K, R>, record: Record<K, R>| ctx.forward(record)
            });
        });
        let planned = plan.node(node);
        planned.kind = Kind::StreamJoin;
        planned.keeps_null_keys = left_outer || right_outer;
        drop(plan);
        KStream::new(&self.plan, node, sources, false, Some(key), None)
    }
}

/// The store of records of one side that the other side finds nothing for, until their windows
/// close.
fn waiting_store<K: Data, V: Data, V2: Data>(
    name: &Arc<str>,
    kind: StoreKind,
    key: SerdeOf<K>,
    left: SerdeOf<V>,
    right: SerdeOf<V2>,
) -> StoreDef {
    let (keys, values) = (WaitingSerde(key), List(SideSerde { left, right }));
    let store = match kind {
        #[cfg(feature = "rocksdb")]
        StoreKind::Default => KeyValue::persistent(name, keys, values),
        _ => KeyValue::<Waiting<K>, _>::in_memory(name, keys, values),
    };
    StoreDef { name: Arc::clone(name), builder: Arc::new(Erased::new(store)), cached: None }
}

fn write_window<K: Data, V: Data>(
    to: &mut Lowering<'_>,
    name: &str,
    parents: &[Arc<str>],
    (store, kind, windows): (Arc<str>, StoreKind, JoinWindows),
    key: SerdeOf<K>,
    value: SerdeOf<V>,
) {
    let size: Duration = windows.before.saturating_add(windows.after);
    let retention = size.saturating_add(windows.grace);
    let (keys, values) = (key.clone(), value);
    let kept = match kind {
        #[cfg(feature = "rocksdb")]
        StoreKind::Default => Windows::persistent(&store, size, retention, keys, values),
        _ => Windows::in_memory(&store, size, retention, keys, values),
    };
    let builder = Arc::new(Erased::new(kept.timestamped().retain_duplicates()));
    to.store(&StoreDef { name: Arc::clone(&store), builder, cached: None });
    let stores = [store];
    to.processor(name, parents, &stores.clone(), move || Keep::<K, V> {
        name: Arc::clone(&stores[0]),
        store: None,
        key: key.clone(),
    });
}

/// Passes each record on, then keeps it for the other side (`KStreamJoinWindow`).
struct Keep<K, V> {
    name: Arc<str>,
    store: Option<Arc<TimestampedWindowStore<K, V>>>,
    key: SerdeOf<K>,
}

impl<K: Data, V: Data> Processor<K, V, K, V> for Keep<K, V> {
    fn init(&mut self, ctx: &mut Init<'_, Self, K, V>) -> Result {
        self.store = Some(store::open(ctx, &self.name)?);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_, K, V>, record: Record<K, V>) -> Result {
        ctx.forward(record.clone())?;
        let Record { key, value, timestamp, headers } = record;
        match &self.store {
            Some(store) if !self.key.is_null(&key) => {
                store.put_with_headers(&key, &Stamped::new(value, timestamp), timestamp, &headers)
            }
            _ => Ok(()),
        }
    }
}
