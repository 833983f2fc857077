//! Aggregates per session (`SessionWindowedKStream`).

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::error::Result;
use kstreams_core::processor::Data;
use kstreams_state::{SessionStore, Stamped, Windowed};

use super::aggregate::{Aggregation, Initial, Step, count_of, reduction_of, step_of};
use super::emit::{EmitStrategy, kept_for};
use super::session_aggregate::{Merger, Sessions, merger_of, plan_sessions};
use crate::KGroupedStream;
use crate::builder::required;
use crate::options::Materialized;
use crate::serdes::SerdeOf;
use crate::store::{self, Stores};
use crate::table::{Flag, Getter, KTable, Origin, View};
use crate::window::{SessionWindows, session_windowed};

/// A grouped stream in sessions, to be aggregated.
///
/// Unlike aggregates without windows, these see values that are null, as in Kafka Streams.
pub struct SessionWindowedKStream<K, V> {
    of: KGroupedStream<K, V>,
    windows: SessionWindows,
    emit: EmitStrategy,
}

impl<K, V> fmt::Debug for SessionWindowedKStream<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionWindowedKStream({:?}, {:?})", self.of, self.windows)
    }
}

impl<K: Data, V: Data> KGroupedStream<K, V> {
    /// Aggregates per session. When a record joins sessions, what they were is deleted first.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kstreams_dsl::{SessionWindowedSerde, SessionWindows, StreamsBuilder};
    /// # use kstreams_core::serde::{I64, Nullable, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// builder
    ///     .stream::<String, String>("clicks")
    ///     .group_by_key()
    ///     .sessions(SessionWindows::of(Duration::from_millis(5)))
    ///     .count("clicks-per-visit")
    ///     .to_stream()
    ///     .to("out");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # for time in [1, 4, 20] {
    /// #     driver.input("clicks", Utf8, Utf8).pipe_at("ann".into(), "home".into(), time)?;
    /// # }
    /// # let out = driver.output("out", SessionWindowedSerde(Utf8), Nullable(I64)).read()?;
    /// # let out = out.iter().map(|r| {
    /// #     (r.key.window.start.as_millis(), r.key.window.end.as_millis(), r.value)
    /// # });
    /// # let expected = [(1, 1, Some(1)), (1, 1, None), (1, 4, Some(2)), (20, 20, Some(1))];
    /// # assert_eq!(out.collect::<Vec<_>>(), expected);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn sessions(&self, windows: SessionWindows) -> SessionWindowedKStream<K, V> {
        SessionWindowedKStream { of: self.clone(), windows, emit: EmitStrategy::default() }
    }
}

impl<K: Data, V: Data> SessionWindowedKStream<K, V> {
    /// Says when results come out: with each update, or once when their session is over
    /// (`emitStrategy`). Sessions that were merged into others are not told then.
    #[must_use]
    pub fn emit(mut self, strategy: EmitStrategy) -> Self {
        self.emit = strategy;
        self
    }

    /// Counts the records of each session.
    pub fn count(&self, store: impl Into<Materialized<K, i64>>) -> KTable<Windowed<K>, i64> {
        let (store, prefix) = (store.into(), "KSTREAM-AGGREGATE-");
        store.take_number_of_count(&mut self.of.plan.borrow_mut(), prefix);
        let start: Option<Initial<i64>> = Some(Arc::new(|| 0));
        let merger: Merger<K, i64> = Arc::new(|_, one, two| one.unwrap_or(0) + two);
        self.aggregated(store, prefix, None, start, count_of(), merger)
    }

    /// Combines the values of each session.
    pub fn reduce(
        &self,
        reducer: impl Fn(V, V) -> V + Send + Sync + 'static,
        store: impl Into<Materialized<K, V>>,
    ) -> KTable<Windowed<K>, V> {
        let reducer = Arc::new(reducer);
        let merge = Arc::clone(&reducer);
        let merger: Merger<K, V> = Arc::new(move |_, one, two| match one {
            Some(one) => merge(one, two),
            None => two,
        });
        let step = reduction_of(move |one, two| reducer(one, two));
        let value = self.of.value.as_ref();
        self.aggregated(store.into(), "KSTREAM-REDUCE-", value, None, step, merger)
    }

    /// Aggregates the values of each session, from what `initial` makes; `merger` makes one of the
    /// aggregates of sessions that a record joins, the new record's first.
    pub fn aggregate<A: Data, R: Into<Option<A>>>(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
        merger: impl Fn(&K, A, A) -> A + Send + Sync + 'static,
        store: impl Into<Materialized<K, A>>,
    ) -> KTable<Windowed<K>, A> {
        let merger = merger_of(merger);
        let (start, step): (Option<Initial<A>>, _) = (Some(Arc::new(initial)), step_of(aggregator));
        self.aggregated(store.into(), "KSTREAM-AGGREGATE-", None, start, step, merger)
    }

    fn aggregated<A: Data>(
        &self,
        store: Materialized<K, A>,
        prefix: &str,
        inherited: Option<&SerdeOf<A>>,
        initial: Option<Initial<A>>,
        step: Step<K, V, A>,
        merger: Merger<K, A>,
    ) -> KTable<Windowed<K>, A> {
        let (of, windows) = (&self.of, self.windows);
        let mut plan = of.plan.borrow_mut();
        let (store_name, named) = store.store_name(&mut plan, prefix);
        let name = plan.name_or(store.node.as_deref(), prefix);
        let least = windows.gap.saturating_add(windows.grace);
        let retention = store.check_retention(&mut plan, &store_name, least);
        let key = store.key.resolve(of.key.as_ref());
        let value = required(&mut plan, &name, "value", &store.value, inherited);
        let (parent, sources) = of.parent(&mut plan, &store_name, named);
        let send_old = Flag::default();
        let origin = SessionOrigin { store: Arc::clone(&store_name), send_old: send_old.clone() };
        let kept = key.clone().zip(value.clone()).map(|(key, value)| Aggregation {
            store: store.session_store(
                &store_name,
                kept_for(retention, self.emit),
                key.clone(),
                value,
            ),
            key,
            initial,
            send_old,
        });
        let how = Sessions { windows, retention, emit: self.emit, merger };
        let node = plan_sessions(&mut plan, name, parent, kept, how, step);
        drop(plan);
        KTable {
            plan: Rc::clone(&of.plan),
            node,
            sources,
            key: key.map(session_windowed),
            value,
            store: named.then_some(store_name),
            origin: Rc::new(origin),
        }
    }
}

/// A table of sessions that an aggregation keeps.
pub(super) struct SessionOrigin {
    pub(super) store: Arc<str>,
    pub(super) send_old: Flag,
}

impl<K: Data, A: Data> Origin<Windowed<K>, A> for SessionOrigin {
    fn view(&self) -> Arc<dyn View<Windowed<K>, A>> {
        Arc::new(SessionView(Arc::clone(&self.store)))
    }

    fn send_old(&self, _force: bool) -> bool {
        self.send_old.set();
        true
    }

    fn is_versioned(&self) -> bool {
        false
    }
}

struct SessionView(Arc<str>);

impl<K: Data, A: Data> View<Windowed<K>, A> for SessionView {
    fn stores(&self) -> Vec<Arc<str>> {
        vec![Arc::clone(&self.0)]
    }

    fn open(&self, stores: &dyn Stores) -> Result<Box<dyn Getter<Windowed<K>, A>>> {
        Ok(Box::new(SessionGetter(store::open(stores, &self.0)?)))
    }
}

struct SessionGetter<K, A>(Arc<SessionStore<K, A>>);

impl<K: Data, A: Data> Getter<Windowed<K>, A> for SessionGetter<K, A> {
    fn get(&self, key: &Windowed<K>) -> Result<Option<Stamped<A>>> {
        let value = self.0.fetch_session(&key.key, key.window)?;
        Ok(value.map(|value| Stamped::new(value, key.window.end)))
    }
}
