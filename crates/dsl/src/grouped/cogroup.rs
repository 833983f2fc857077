//! Aggregate several grouped streams together (`KGroupedStream.cogroup`, KIP-150).

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::context::Context;
use kstreams_core::processor::Data;
use kstreams_core::record::Record;
use kstreams_state::Windowed;

use super::aggregate::{Aggregation, Initial, Step, plan_aggregate, step_of};
use super::emit::EmitStrategy;
use super::session::SessionOrigin;
use super::session_aggregate::{Sessions, merger_of, plan_sessions};
use super::window_aggregate::{Windowing, plan_windowed};
use super::windowed::{WindowOrigin, check_windows};
use crate::KGroupedStream;
use crate::builder::{check_same, required};
use crate::options::Materialized;
use crate::plan::{NodeId, Plan, SharedPlan, StoreDef, union};
use crate::serdes::SerdeOf;
use crate::table::{Change, Flag, KTable, StoredOrigin};
use crate::window::{AnyWindows, SessionWindows, session_windowed, time_windowed};

/// Several grouped streams that are aggregated together (`CogroupedKStream`); see
/// [`KGroupedStream::cogroup`].
pub struct CogroupedKStream<K, A> {
    plan: SharedPlan,
    key: Option<SerdeOf<K>>,
    parts: Vec<Rc<dyn Part<K, A>>>,
}

impl<K: Data, V: Data> KGroupedStream<K, V> {
    /// Aggregates this stream together with others: into one aggregate of each key, which is
    /// started once. An aggregator that returns `None` deletes it.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Nullable, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// let deposits = builder.stream::<String, i64>("deposits").group_by_key();
    /// let withdrawals = builder.stream::<String, i64>("withdrawals").group_by_key();
    /// deposits
    ///     .cogroup(|_, amount, balance: i64| balance + amount)
    ///     .cogroup(&withdrawals, |_, amount, balance| balance - amount)
    ///     .aggregate(|| 0, "balances")
    ///     .to_stream()
    ///     .to("out");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("deposits", Utf8, I64).pipe("ann".into(), 10)?;
    /// # driver.input("withdrawals", Utf8, I64).pipe("ann".into(), 3)?;
    /// # let out = driver.output("out", Utf8, Nullable(I64)).read_values()?;
    /// # assert_eq!(out, [Some(10), Some(7)]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn cogroup<A: Data, R: Into<Option<A>>>(
        &self,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
    ) -> CogroupedKStream<K, A> {
        let (plan, key) = (Rc::clone(&self.plan), self.key.clone());
        CogroupedKStream { plan, key, parts: Vec::new() }.cogroup(self, aggregator)
    }
}

impl<K: Data, A: Data> CogroupedKStream<K, A> {
    /// Adds another stream, with an aggregator of its own.
    #[must_use]
    pub fn cogroup<V: Data, R: Into<Option<A>>>(
        mut self,
        other: &KGroupedStream<K, V>,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
    ) -> Self {
        check_same(&self.plan, &other.plan, other.node);
        self.parts.push(Rc::new(Typed { of: other.clone(), step: step_of(aggregator) }));
        self
    }

    /// Aggregates per window; see [`KGroupedStream::windowed_by`].
    pub fn windowed_by(self, windows: impl Into<AnyWindows>) -> TimeWindowedCogroupedKStream<K, A> {
        TimeWindowedCogroupedKStream { of: self, windows: windows.into() }
    }

    /// Aggregates per session; see [`KGroupedStream::sessions`].
    pub fn sessions(self, windows: SessionWindows) -> SessionWindowedCogroupedKStream<K, A> {
        SessionWindowedCogroupedKStream { of: self, windows }
    }

    /// Aggregates, from what `initial` makes.
    pub fn aggregate(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        store: impl Into<Materialized<K, A>>,
    ) -> KTable<K, A> {
        let store = store.into();
        let mut plan = self.plan.borrow_mut();
        let (store_name, named) = store.store_name(&mut plan, PREFIX);
        let make = |key: &SerdeOf<K>, value: &SerdeOf<A>| {
            store.key_value_store(&store_name, key.clone(), value.clone())
        };
        let kept = self.kept(&mut plan, &store, &store_name, Arc::new(initial), make);
        let how = &How::Plain;
        let (node, sources) =
            self.planned(&mut plan, store.node.as_deref(), (&store_name, named), &kept, how);
        drop(plan);
        let store_of = Arc::clone(&store_name);
        let origin = Rc::new(StoredOrigin {
            store: store_of,
            send_old: kept.send_old,
            is_versioned: store.history.is_some(),
        });
        KTable {
            plan: Rc::clone(&self.plan),
            node,
            sources,
            key: kept.key,
            value: kept.value,
            store: named.then_some(store_name),
            origin,
        }
    }

    fn kept(
        &self,
        plan: &mut Plan,
        store: &Materialized<K, A>,
        name: &Arc<str>,
        initial: Initial<A>,
        make: impl Fn(&SerdeOf<K>, &SerdeOf<A>) -> StoreDef,
    ) -> Kept<K, A> {
        let key = store.key.resolve(self.key.as_ref());
        let value = required(plan, name, "value", &store.value, None);
        let send_old = Flag::default();
        let of = key.clone().zip(value.clone()).map(|(key, value)| Aggregation {
            store: make(&key, &value),
            key,
            initial: Some(initial),
            send_old: send_old.clone(),
        });
        Kept { key, value, send_old, of }
    }

    /// Plans the repartitioning of all parts, their aggregations, and the node behind them.
    fn planned(
        &self,
        plan: &mut Plan,
        node: Option<&str>,
        (store, named): (&Arc<str>, bool),
        kept: &Kept<K, A>,
        how: &How<K, A>,
    ) -> (NodeId, Rc<[NodeId]>) {
        let parents: Vec<_> =
            self.parts.iter().map(|part| part.parent(plan, store, named)).collect();
        let none: Rc<[NodeId]> = Rc::new([]);
        let sources = parents.iter().fold(none, |all, (_, sources)| union(&all, sources));
        plan.copartition(sources.to_vec());
        let parts = self.parts.iter().zip(&parents).enumerate();
        let nodes: Vec<NodeId> = parts
            .map(|(index, (part, (parent, _)))| {
                let suffix = format!("-cogroup-agg-{index}");
                let name = plan.suffixed_or(node, &suffix, PREFIX);
                part.plan(plan, name, *parent, kept.of.clone(), how)
            })
            .collect();
        let merge = plan.suffixed_or(node, "-cogroup-merge", "COGROUPKSTREAM-MERGE-");
        let is_windowed = !matches!(how, How::Plain);
        let merged = plan.add(merge, &nodes, move |to, at| {
            if is_windowed {
                to.processor(&at.name, &at.parents, &[], || pass::<Windowed<K>, A>);
            } else {
                to.processor(&at.name, &at.parents, &[], || pass::<K, A>);
            }
        });
        (merged, sources)
    }
}

const PREFIX: &str = "COGROUPKSTREAM-AGGREGATE-";

fn pass<K: Data, A: Data>(
    ctx: &mut Context<'_, K, Change<A>>,
    record: Record<K, Change<A>>,
) -> kstreams_core::Result {
    ctx.forward(record)
}

/// What all parts share.
struct Kept<K, A> {
    key: Option<SerdeOf<K>>,
    value: Option<SerdeOf<A>>,
    send_old: Flag,
    of: Option<Aggregation<K, A>>,
}

/// In which windows.
enum How<K, A> {
    Plain,
    Windows(AnyWindows),
    Sessions(Sessions<K, A>),
}

/// One stream, its type of values forgotten.
trait Part<K, A> {
    fn parent(&self, plan: &mut Plan, store: &Arc<str>, named: bool) -> (NodeId, Rc<[NodeId]>);

    fn plan(
        &self,
        plan: &mut Plan,
        name: Arc<str>,
        parent: NodeId,
        of: Option<Aggregation<K, A>>,
        how: &How<K, A>,
    ) -> NodeId;
}

struct Typed<K, V, A> {
    of: KGroupedStream<K, V>,
    step: Step<K, V, A>,
}

impl<K: Data, V: Data, A: Data> Part<K, A> for Typed<K, V, A> {
    fn parent(&self, plan: &mut Plan, store: &Arc<str>, named: bool) -> (NodeId, Rc<[NodeId]>) {
        self.of.parent(plan, store, named)
    }

    fn plan(
        &self,
        plan: &mut Plan,
        name: Arc<str>,
        parent: NodeId,
        of: Option<Aggregation<K, A>>,
        how: &How<K, A>,
    ) -> NodeId {
        let (input, step) = (self.of.value.clone(), Arc::clone(&self.step));
        match how {
            How::Plain => plan_aggregate(plan, name, parent, of, input, step),
            How::Windows(windows) => {
                let how = Windowing { windows: *windows, emit: EmitStrategy::OnWindowUpdate };
                plan_windowed(plan, name, parent, of, how, input, step)
            }
            How::Sessions(sessions) => {
                plan_sessions(plan, name, parent, of, sessions.clone(), step)
            }
        }
    }
}

/// Several grouped streams in windows (`TimeWindowedCogroupedKStream`).
#[derive(Debug)]
pub struct TimeWindowedCogroupedKStream<K, A> {
    of: CogroupedKStream<K, A>,
    windows: AnyWindows,
}

impl<K: Data, A: Data> TimeWindowedCogroupedKStream<K, A> {
    /// Aggregates per window, from what `initial` makes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kstreams_dsl::{StreamsBuilder, TimeWindows};
    ///
    /// let builder = StreamsBuilder::new();
    /// let clicks = builder.stream::<String, String>("clicks").group_by_key();
    /// let views = builder.stream::<String, i64>("views").group_by_key();
    /// clicks
    ///     .cogroup(|_, _, n: i64| n + 1)
    ///     .cogroup(&views, |_, times, n| n + times)
    ///     .windowed_by(TimeWindows::of(Duration::from_secs(60)))
    ///     .aggregate(|| 0, "activity");
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn aggregate(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        store: impl Into<Materialized<K, A>>,
    ) -> KTable<Windowed<K>, A> {
        let (store, windows) = (store.into(), self.windows);
        let mut plan = self.of.plan.borrow_mut();
        let (store_name, named) = store.store_name(&mut plan, PREFIX);
        check_windows(&mut plan, &store_name, &windows, EmitStrategy::OnWindowUpdate);
        let retention = store.check_retention(&mut plan, &store_name, windows.retention());
        let make = |key: &SerdeOf<K>, value: &SerdeOf<A>| {
            store.window_store(&store_name, windows.size(), retention, key.clone(), value.clone())
        };
        let kept = self.of.kept(&mut plan, &store, &store_name, Arc::new(initial), make);
        let how = &How::Windows(windows);
        let (node, sources) =
            self.of.planned(&mut plan, store.node.as_deref(), (&store_name, named), &kept, how);
        drop(plan);
        let store_of = Arc::clone(&store_name);
        KTable {
            plan: Rc::clone(&self.of.plan),
            node,
            sources,
            key: kept.key.map(|key| time_windowed(key, windows.size())),
            value: kept.value,
            store: named.then_some(store_name),
            origin: Rc::new(WindowOrigin { store: store_of, send_old: kept.send_old }),
        }
    }
}

/// Several grouped streams in sessions (`SessionWindowedCogroupedKStream`).
#[derive(Debug)]
pub struct SessionWindowedCogroupedKStream<K, A> {
    of: CogroupedKStream<K, A>,
    windows: SessionWindows,
}

impl<K: Data, A: Data> SessionWindowedCogroupedKStream<K, A> {
    /// Aggregates per session, from what `initial` makes; `merger` makes one of the aggregates of
    /// sessions that a record joins.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kstreams_dsl::{SessionWindows, StreamsBuilder};
    ///
    /// let builder = StreamsBuilder::new();
    /// let clicks = builder.stream::<String, String>("clicks").group_by_key();
    /// let views = builder.stream::<String, i64>("views").group_by_key();
    /// clicks
    ///     .cogroup(|_, _, n: i64| n + 1)
    ///     .cogroup(&views, |_, times, n| n + times)
    ///     .sessions(SessionWindows::of(Duration::from_secs(60)))
    ///     .aggregate(|| 0, |_, one, two| one + two, "activity");
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn aggregate(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        merger: impl Fn(&K, A, A) -> A + Send + Sync + 'static,
        store: impl Into<Materialized<K, A>>,
    ) -> KTable<Windowed<K>, A> {
        let (store, windows) = (store.into(), self.windows);
        let mut plan = self.of.plan.borrow_mut();
        let (store_name, named) = store.store_name(&mut plan, PREFIX);
        let least = windows.gap.saturating_add(windows.grace);
        let retention = store.check_retention(&mut plan, &store_name, least);
        let make = |key: &SerdeOf<K>, value: &SerdeOf<A>| {
            store.session_store(&store_name, retention, key.clone(), value.clone())
        };
        let kept = self.of.kept(&mut plan, &store, &store_name, Arc::new(initial), make);
        let emit = EmitStrategy::OnWindowUpdate;
        let how = &How::Sessions(Sessions { windows, retention, emit, merger: merger_of(merger) });
        let (node, sources) =
            self.of.planned(&mut plan, store.node.as_deref(), (&store_name, named), &kept, how);
        drop(plan);
        let store_of = Arc::clone(&store_name);
        KTable {
            plan: Rc::clone(&self.of.plan),
            node,
            sources,
            key: kept.key.map(session_windowed),
            value: kept.value,
            store: named.then_some(store_name),
            origin: Rc::new(SessionOrigin { store: store_of, send_old: kept.send_old }),
        }
    }
}

impl<K, A> fmt::Debug for CogroupedKStream<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CogroupedKStream").field("n_streams", &self.parts.len()).finish()
    }
}
