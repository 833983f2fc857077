//! Aggregates per time window (`TimeWindowedKStream`).

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::serde::Serde;
use kstreams_core::time::Timestamp;
use kstreams_state::{Stamped, TimestampedWindowStore, Windowed};

use super::aggregate::{Initial, Step, count_of, reduction_of, step_of};
use crate::KGroupedStream;
use crate::builder::required;
use crate::options::Materialized;
use crate::plan::DslFault;
use crate::serdes::SerdeOf;
use crate::store::{self, Stores};
use crate::table::{Change, Flag, Getter, KTable, Origin, View, skip_null_key};
use crate::window::{TimeWindows, time_windowed};

/// A grouped stream in time windows, to be aggregated.
///
/// Unlike aggregates without windows, these see values that are null, as in Kafka Streams.
pub struct TimeWindowedKStream<K, V> {
    of: KGroupedStream<K, V>,
    windows: TimeWindows,
}

impl<K, V> fmt::Debug for TimeWindowedKStream<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeWindowedKStream({:?}, {:?})", self.of, self.windows)
    }
}

impl<K: Data, V: Data> KGroupedStream<K, V> {
    /// Aggregates per time window.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kstreams_dsl::{StreamsBuilder, TimeWindowedSerde, TimeWindows};
    /// # use kstreams_core::serde::{I64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let ten = Duration::from_millis(10);
    /// let builder = StreamsBuilder::new();
    /// builder
    ///     .stream::<String, String>("clicks")
    ///     .group_by_key()
    ///     .windowed_by(TimeWindows::of(ten))
    ///     .count("clicks-per-window")
    ///     .to_stream()
    ///     .to("out");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # for time in [1, 9, 12] {
    /// #     driver.input("clicks", Utf8, Utf8).pipe_at("ann".into(), "home".into(), time)?;
    /// # }
    /// # let out = driver.output("out", TimeWindowedSerde::new(Utf8, ten), I64).read()?;
    /// # let out = out.iter().map(|r| (r.key.window.start.as_millis(), r.value));
    /// # assert_eq!(out.collect::<Vec<_>>(), [(0, 1), (0, 2), (10, 1)]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn windowed_by(&self, windows: TimeWindows) -> TimeWindowedKStream<K, V> {
        TimeWindowedKStream { of: self.clone(), windows }
    }
}

impl<K: Data, V: Data> TimeWindowedKStream<K, V> {
    /// Counts the records of each key and window.
    pub fn count(&self, store: impl Into<Materialized<K, i64>>) -> KTable<Windowed<K>, i64> {
        let initial: Initial<i64> = Arc::new(|| 0);
        self.aggregated(store.into(), "KSTREAM-AGGREGATE-", None, Some(initial), count_of())
    }

    /// Combines the values of each key and window; the first one is the start.
    pub fn reduce(
        &self,
        reducer: impl Fn(V, V) -> V + Send + Sync + 'static,
        store: impl Into<Materialized<K, V>>,
    ) -> KTable<Windowed<K>, V> {
        let value = self.of.value.as_ref();
        self.aggregated(store.into(), "KSTREAM-REDUCE-", value, None, reduction_of(reducer))
    }

    /// Aggregates the values of each key and window, from what `initial` makes; `None` deletes.
    pub fn aggregate<A: Data, R: Into<Option<A>>>(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
        store: impl Into<Materialized<K, A>>,
    ) -> KTable<Windowed<K>, A> {
        let step = step_of(aggregator);
        self.aggregated(store.into(), "KSTREAM-AGGREGATE-", None, Some(Arc::new(initial)), step)
    }

    fn aggregated<A: Data>(
        &self,
        store: Materialized<K, A>,
        prefix: &str,
        inherited: Option<&SerdeOf<A>>,
        initial: Option<Initial<A>>,
        step: Step<K, V, A>,
    ) -> KTable<Windowed<K>, A> {
        let (of, windows) = (&self.of, self.windows);
        let mut plan = of.plan.borrow_mut();
        let (store_name, named) = store.store_name(&mut plan, prefix);
        let name = plan.name_or(store.node.as_deref(), prefix);
        if let Some(why) = windows.fault() {
            plan.fault(DslFault::Window { node: name.to_string(), why: why.to_owned() });
        }
        let least = windows.size.saturating_add(windows.grace);
        let retention = store.check_retention(&mut plan, &store_name, least);
        let key = store.key.resolve(of.key.as_ref());
        let value = required(&mut plan, &name, "value", &store.value, inherited);
        let (parent, sources) = of.parent(&mut plan, &store_name, named);
        let send_old = Flag::default();
        let origin = WindowOrigin { store: Arc::clone(&store_name), send_old: send_old.clone() };
        let (keys, values, kept) = (key.clone(), value.clone(), Arc::clone(&store_name));
        let node = plan.add(name, &[parent], move |to, at| {
            let (Some(key), Some(value)) = (keys, values) else { return };
            to.store(&store.window_store(&kept, windows.size, retention, key.clone(), value));
            let stores = [kept];
            to.processor(&at.name, &at.parents, &stores.clone(), move || WindowAggregate {
                name: Arc::clone(&stores[0]),
                store: None,
                windows,
                key: key.clone(),
                initial: initial.clone(),
                step: Arc::clone(&step),
                send_old: send_old.clone(),
                stream_time: Timestamp::NONE,
            });
        });
        drop(plan);
        KTable {
            plan: Rc::clone(&of.plan),
            node,
            sources,
            key: key.map(|key| time_windowed(key, windows.size)),
            value,
            store: named.then_some(store_name),
            origin: Rc::new(origin),
        }
    }
}

/// `KStreamWindowAggregate`.
struct WindowAggregate<K, V, A> {
    name: Arc<str>,
    store: Option<Arc<TimestampedWindowStore<K, A>>>,
    windows: TimeWindows,
    key: SerdeOf<K>,
    initial: Option<Initial<A>>,
    step: Step<K, V, A>,
    send_old: Flag,
    stream_time: Timestamp,
}

impl<K: Data, V: Data, A: Data> Processor<K, V, Windowed<K>, Change<A>>
    for WindowAggregate<K, V, A>
{
    fn init(&mut self, ctx: &mut Init<'_, Self, Windowed<K>, Change<A>>) -> Result {
        self.store = Some(store::open(ctx, &self.name)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, Windowed<K>, Change<A>>,
        record: Record<K, V>,
    ) -> Result {
        if self.key.is_null(&record.key) {
            return skip_null_key(ctx);
        }
        let Some(store) = &self.store else { return Ok(()) };
        self.stream_time = self.stream_time.max(record.timestamp);
        let close = self.stream_time - self.windows.grace;
        let Record { key, value, timestamp, headers } = record;
        for window in self.windows.around(timestamp) {
            if window.end <= close {
                log::warn!("node {}: record skipped: its window is closed", ctx.node_name());
                ctx.record_dropped();
                continue;
            }
            let before = store.fetch(&key, window.start)?;
            let time = before.as_ref().map_or(timestamp, |b| timestamp.max(b.timestamp));
            let initial = || self.initial.as_ref().map(|initial| initial());
            let before = before.map(|before| before.value).or_else(initial);
            let old = if self.send_old.get() { before.clone() } else { None };
            let new = (self.step)(&key, value.clone(), before);
            let new = match new {
                Some(new) => {
                    let stamped = Stamped::new(new, time);
                    store.put(&key, &stamped, window.start)?;
                    Some(stamped.value)
                }
                None => {
                    store.remove(&key, window.start)?;
                    None
                }
            };
            let key = Windowed::new(key.clone(), window);
            let (value, headers) = (Change::new(new, old), headers.clone());
            ctx.forward(Record { key, value, timestamp: time, headers })?;
        }
        Ok(())
    }
}

struct WindowOrigin {
    store: Arc<str>,
    send_old: Flag,
}

impl<K: Data, A: Data> Origin<Windowed<K>, A> for WindowOrigin {
    fn view(&self) -> Arc<dyn View<Windowed<K>, A>> {
        Arc::new(WindowView(Arc::clone(&self.store)))
    }

    fn send_old(&self, _force: bool) -> bool {
        self.send_old.set();
        true
    }
}

struct WindowView(Arc<str>);

impl<K: Data, A: Data> View<Windowed<K>, A> for WindowView {
    fn stores(&self) -> Vec<Arc<str>> {
        vec![Arc::clone(&self.0)]
    }

    fn open(&self, stores: &dyn Stores) -> Result<Box<dyn Getter<Windowed<K>, A>>> {
        Ok(Box::new(WindowGetter(store::open(stores, &self.0)?)))
    }
}

struct WindowGetter<K, A>(Arc<TimestampedWindowStore<K, A>>);

impl<K: Data, A: Data> Getter<Windowed<K>, A> for WindowGetter<K, A> {
    fn get(&self, key: &Windowed<K>) -> Result<Option<Stamped<A>>> {
        self.0.fetch(&key.key, key.window.start)
    }
}
