//! Aggregates per window (`TimeWindowedKStream`).

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::error::Result;
use kstreams_core::processor::Data;
use kstreams_state::{Stamped, TimestampedWindowStore, Windowed};

use super::aggregate::{Aggregation, Initial, Step, count_of, reduction_of, step_of};
use super::emit::{EmitStrategy, kept_for};
use super::window_aggregate::{Windowing, plan_windowed};
use crate::KGroupedStream;
use crate::builder::required;
use crate::cache::TableCache;
use crate::options::Materialized;
use crate::plan::{DslFault, Plan};
use crate::serdes::SerdeOf;
use crate::store::Stores;
use crate::table::{Flag, Getter, KTable, Origin, View};
use crate::window::{AnyWindows, time_windowed};

/// A grouped stream in windows, to be aggregated.
///
/// Unlike aggregates without windows, those of windows aligned to time see values that are null, as
/// in Kafka Streams; sliding windows do not.
pub struct TimeWindowedKStream<K, V> {
    of: KGroupedStream<K, V>,
    windows: AnyWindows,
    emit: EmitStrategy,
}

impl<K, V> fmt::Debug for TimeWindowedKStream<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeWindowedKStream({:?}, {:?})", self.of, self.windows)
    }
}

impl<K: Data, V: Data> KGroupedStream<K, V> {
    /// Aggregates per window: [`TimeWindows`](crate::TimeWindows),
    /// [`SlidingWindows`](crate::SlidingWindows) or [`UnlimitedWindows`](crate::UnlimitedWindows).
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
    pub fn windowed_by(&self, windows: impl Into<AnyWindows>) -> TimeWindowedKStream<K, V> {
        let (windows, emit) = (windows.into(), EmitStrategy::default());
        TimeWindowedKStream { of: self.clone(), windows, emit }
    }
}

impl<K: Data, V: Data> TimeWindowedKStream<K, V> {
    /// Says when results come out: with each update, or once when their window is closed
    /// (`emitStrategy`).
    ///
    /// ```
    /// use std::time::Duration;
    /// use kstreams_dsl::{EmitStrategy, StreamsBuilder, TimeWindowedSerde, TimeWindows};
    /// # use kstreams_core::serde::{I64, Nullable, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let ten = Duration::from_millis(10);
    /// let builder = StreamsBuilder::new();
    /// builder
    ///     .stream::<String, String>("clicks")
    ///     .group_by_key()
    ///     .windowed_by(TimeWindows::of(ten))
    ///     .emit(EmitStrategy::OnWindowClose)
    ///     .count("clicks-per-window")
    ///     .to_stream()
    ///     .to("out");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # for time in [1, 9, 12] {
    /// #     driver.input("clicks", Utf8, Utf8).pipe_at("ann".into(), "home".into(), time)?;
    /// # }
    /// # let out = driver.output("out", TimeWindowedSerde::new(Utf8, ten), Nullable(I64)).read_values()?;
    /// # assert_eq!(out, [Some(2)]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    #[must_use]
    pub fn emit(mut self, strategy: EmitStrategy) -> Self {
        self.emit = strategy;
        self
    }

    /// Counts the records of each key and window.
    pub fn count(&self, store: impl Into<Materialized<K, i64>>) -> KTable<Windowed<K>, i64> {
        let (store, prefix) = (store.into(), "KSTREAM-AGGREGATE-");
        store.take_number_of_count(&mut self.of.plan.borrow_mut(), prefix);
        let initial: Initial<i64> = Arc::new(|| 0);
        self.aggregated(store, prefix, None, Some(initial), count_of())
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
        check_windows(&mut plan, &name, &windows, self.emit);
        let retention = store.check_retention(&mut plan, &store_name, windows.retention());
        let key = store.key.resolve(of.key.as_ref());
        let value = required(&mut plan, &name, "value", &store.value, inherited);
        let (parent, sources) = of.parent(&mut plan, &store_name, named);
        let send_old = Flag::default();
        let origin = WindowOrigin { store: Arc::clone(&store_name), send_old: send_old.clone() };
        let (size, kept_for) = (windows.size(), kept_for(retention, self.emit));
        let kept = key.clone().zip(value.clone()).map(|(key, value)| Aggregation {
            store: store.window_store(&store_name, size, kept_for, key.clone(), value),
            key,
            initial,
            send_old,
        });
        let how = Windowing { windows, emit: self.emit };
        let node = plan_windowed(&mut plan, name, parent, kept, how, of.value.clone(), step);
        drop(plan);
        KTable {
            plan: Rc::clone(&of.plan),
            node,
            sources,
            key: key.map(|key| time_windowed(key, windows.size())),
            value,
            store: named.then_some(store_name),
            origin: Rc::new(origin),
        }
    }
}

/// Notes what cannot be of windows and when they are told.
pub(super) fn check_windows(plan: &mut Plan, node: &str, windows: &AnyWindows, emit: EmitStrategy) {
    if let Some(why) = windows.fault() {
        plan.fault(DslFault::Window { node: node.to_owned(), why: why.to_owned() });
    }
    if emit == EmitStrategy::OnWindowClose && matches!(windows, AnyWindows::Unlimited(_)) {
        let why = "a window without an end never closes".to_owned();
        plan.fault(DslFault::Window { node: node.to_owned(), why });
    }
}

/// A table of windows that an aggregation keeps.
pub(super) struct WindowOrigin {
    pub(super) store: Arc<str>,
    pub(super) send_old: Flag,
}

impl<K: Data, A: Data> Origin<Windowed<K>, A> for WindowOrigin {
    fn view(&self) -> Arc<dyn View<Windowed<K>, A>> {
        Arc::new(WindowView(Arc::clone(&self.store)))
    }

    fn send_old(&self, _force: bool) -> bool {
        self.send_old.set();
        true
    }

    fn is_versioned(&self) -> bool {
        false
    }
}

struct WindowView(Arc<str>);

impl<K: Data, A: Data> View<Windowed<K>, A> for WindowView {
    fn stores(&self) -> Vec<Arc<str>> {
        vec![Arc::clone(&self.0)]
    }

    fn open(&self, stores: &dyn Stores) -> Result<Box<dyn Getter<Windowed<K>, A>>> {
        let store = stores.any(&self.0)?;
        Ok(Box::new(WindowGetter { store: store.typed()?, cache: store.cache() }))
    }
}

struct WindowGetter<K, A> {
    store: Arc<TimestampedWindowStore<K, A>>,
    cache: Option<Arc<TableCache<Windowed<K>, A>>>,
}

impl<K: Data, A: Data> Getter<Windowed<K>, A> for WindowGetter<K, A> {
    fn get(&self, key: &Windowed<K>) -> Result<Option<Stamped<A>>> {
        match self.cache.as_ref().map(|cache| cache.get(key)).transpose()?.flatten() {
            Some(held) => Ok(held),
            None => self.store.fetch(&key.key, key.window.start),
        }
    }
}
