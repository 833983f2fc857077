//! The node of aggregates in windows aligned to time, and what it shares with that of sliding ones.

use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::{Headers, Record};
use kstreams_core::serde::Serde;
use kstreams_core::time::Timestamp;
use kstreams_state::{Stamped, TimestampedWindowStore, Window, Windowed};

use super::aggregate::{Aggregation, Initial, Step};
use super::emit::{Closing, EmitStrategy};
use super::sliding::SlidingAggregate;
use crate::cache::{Cached, TableCache};
use crate::plan::{NodeId, Plan};
use crate::serdes::SerdeOf;
use crate::store::Stores;
use crate::table::{Change, Flag, skip_null_key};
use crate::window::AnyWindows;

/// Which windows, and when they are told.
#[derive(Clone, Copy)]
pub(super) struct Windowing {
    pub(super) windows: AnyWindows,
    pub(super) emit: EmitStrategy,
}

/// Plans the node of an aggregation in windows; as `plan_aggregate`.
pub(super) fn plan_windowed<K: Data, V: Data, A: Data>(
    plan: &mut Plan,
    name: Arc<str>,
    parent: NodeId,
    of: Option<Aggregation<K, A>>,
    how: Windowing,
    input: Option<SerdeOf<V>>,
    step: Step<K, V, A>,
) -> NodeId {
    let node = plan.add(name, &[parent], move |to, at| {
        let Some(of) = of else { return };
        to.store(&of.store);
        let stores = [Arc::clone(&of.store.name)];
        let kept = move || Kept::new(&of, how, Arc::clone(&step));
        match how.windows {
            AnyWindows::Sliding(windows) => {
                to.processor(&at.name, &at.parents, &stores, move || SlidingAggregate {
                    kept: kept(),
                    windows,
                    value: input.clone(),
                });
            }
            windows => to.processor(&at.name, &at.parents, &stores, move || WindowAggregate {
                kept: kept(),
                windows,
            }),
        }
    });
    plan.node(node).grace = Some(how.windows.grace());
    node
}

/// The aggregates of windows, and what is known of time.
pub(super) struct Kept<K, V, A> {
    name: Arc<str>,
    pub(super) store: Option<Arc<TimestampedWindowStore<K, A>>>,
    cache: Option<Arc<TableCache<Windowed<K>, A>>>,
    pub(super) key: SerdeOf<K>,
    pub(super) initial: Option<Initial<A>>,
    step: Step<K, V, A>,
    send_old: Flag,
    is_cacheable: bool,
    stream_time: Timestamp,
    /// There if results come out when windows close.
    closing: Option<Closing<K>>,
}

/// A record on its way into windows.
pub(super) struct Arrival<K, V> {
    pub(super) key: K,
    pub(super) value: V,
    pub(super) time: Timestamp,
    pub(super) headers: Headers,
    /// Windows that end before this take no more.
    pub(super) close: Timestamp,
}

impl<K: Data, V: Data, A: Data> Kept<K, V, A> {
    fn new(of: &Aggregation<K, A>, how: Windowing, step: Step<K, V, A>) -> Self {
        let closes = how.emit == EmitStrategy::OnWindowClose;
        Self {
            name: Arc::clone(&of.store.name),
            store: None,
            cache: None,
            key: of.key.clone(),
            initial: of.initial.clone(),
            step,
            send_old: of.send_old.clone(),
            is_cacheable: !matches!(how.windows, AnyWindows::Sliding(_)),
            stream_time: Timestamp::NONE,
            closing: closes.then(|| Closing::new(&of.store.name, &of.key)),
        }
    }

    /// Takes the store; windows that are still to come out start no earlier than `earliest` says of
    /// the time by which others have come out.
    pub(super) fn open<P>(
        &mut self,
        ctx: &mut Init<'_, P, Windowed<K>, Change<A>>,
        earliest: impl Fn(i64) -> i64,
    ) -> Result {
        let any = (&*ctx as &dyn Stores).any(&self.name)?;
        let store: Arc<TimestampedWindowStore<K, A>> = any.typed()?;
        // What slides is read by ranges, and what closes is told when it does.
        self.cache = any.cache().filter(|_| self.is_cacheable && self.closing.is_none());
        if let Some(closing) = &mut self.closing {
            let from = closing.resume(ctx, earliest);
            for entry in store.fetch_all(Timestamp::from_millis(from)..) {
                let (window, _) = entry?;
                closing.add((window.window.start.as_millis(), 0), window.key);
            }
        }
        self.store = Some(store);
        Ok(())
    }

    /// The time of the largest record so far, this one included, less the grace period.
    pub(super) fn advance(&mut self, time: Timestamp, how: AnyWindows) -> Timestamp {
        self.stream_time = self.stream_time.max(time);
        self.stream_time - how.grace()
    }

    /// The start of a value that is not there yet; a reduction has none.
    pub(super) fn start(&self) -> Option<A> {
        self.initial.as_ref().map(|initial| initial())
    }

    /// Brings the record into one window, which has the value `before` or starts with it.
    pub(super) fn update(
        &mut self,
        ctx: &mut Context<'_, Windowed<K>, Change<A>>,
        arrival: &Arrival<K, V>,
        window: Window,
        (before, time): (Option<A>, Timestamp),
        is_new: bool,
    ) -> Result {
        let old = if self.send_old.get() { before.clone() } else { None };
        let new = (self.step)(&arrival.key, arrival.value.clone(), before);
        let new = new.map(|new| Stamped::new(new, time));
        self.set(ctx, arrival, window, new, old, (time, is_new))
    }

    /// Sets the value of a window and tells of it.
    pub(super) fn set(
        &mut self,
        ctx: &mut Context<'_, Windowed<K>, Change<A>>,
        arrival: &Arrival<K, V>,
        window: Window,
        new: Option<Stamped<A>>,
        old: Option<A>,
        (timestamp, is_new): (Timestamp, bool),
    ) -> Result {
        let Some(store) = &self.store else { return Ok(()) };
        if let Some(cache) = &self.cache {
            let (key, headers) = (arrival.key.clone(), arrival.headers.clone());
            let key = Windowed::new(key, window);
            let context = ctx.record_context();
            let is_full = cache.put(Cached { key, new, context, headers })?;
            return if is_full { self.flush(ctx) } else { Ok(()) };
        }
        match &new {
            Some(new) => store.put(&arrival.key, new, window.start)?,
            None => store.remove(&arrival.key, window.start)?,
        }
        if let Some(closing) = &mut self.closing {
            if is_new {
                closing.add((window.start.as_millis(), 0), arrival.key.clone());
            }
            return Ok(());
        }
        let key = Windowed::new(arrival.key.clone(), window);
        let value = Change::new(new.map(|new| new.value), old);
        ctx.forward(Record { key, value, timestamp, headers: arrival.headers.clone() })
    }

    /// The aggregate of a window.
    fn get(&self, key: &K, window: Window) -> Result<Option<Stamped<A>>> {
        let held = match &self.cache {
            Some(cache) => cache.get(&Windowed::new(key.clone(), window))?,
            None => None,
        };
        match (held, &self.store) {
            (Some(held), _) => Ok(held),
            (None, Some(store)) => store.fetch(key, window.start),
            (None, None) => Ok(None),
        }
    }

    /// As `Keeper::flush`.
    pub(super) fn flush(&mut self, ctx: &mut Context<'_, Windowed<K>, Change<A>>) -> Result {
        let (Some(cache), Some(store)) = (&self.cache, &self.store) else { return Ok(()) };
        let written = |of: &Windowed<K>| store.fetch(&of.key, of.window.start);
        cache.flush(ctx, self.send_old.get(), written, |of, new, _| match new {
            Some(new) => store.put(&of.key, new, of.window.start),
            None => store.remove(&of.key, of.window.start),
        })
    }

    /// Tells the results of windows that start at `through` or earlier: they have closed.
    ///
    /// Called before the record that closed them is brought in: it belongs to none of them, and
    /// the store still has them all.
    pub(super) fn tell_closed(
        &mut self,
        ctx: &mut Context<'_, Windowed<K>, Change<A>>,
        arrival: &Arrival<K, V>,
        through: i64,
        window_of: impl Fn(Timestamp) -> Window,
    ) -> Result {
        let (Some(closing), Some(store)) = (&mut self.closing, &self.store) else { return Ok(()) };
        if through < 0 {
            return Ok(());
        }
        for ((start, _), key) in closing.take(ctx, arrival.close.as_millis(), (through, 0))? {
            let window = window_of(Timestamp::from_millis(start));
            let Some(Stamped { value, timestamp }) = store.fetch(&key, window.start)? else {
                continue;
            };
            let (key, value) = (Windowed::new(key, window), Change::new(Some(value), None));
            ctx.forward(Record { key, value, timestamp, headers: arrival.headers.clone() })?;
        }
        Ok(())
    }
}

/// Counts a record that comes too late for a window.
pub(super) fn skip_closed<K, V>(ctx: &mut Context<'_, K, V>) {
    log::warn!("node {}: record skipped: its window is closed", ctx.node_name());
    ctx.record_dropped();
}

/// `KStreamWindowAggregate`.
struct WindowAggregate<K, V, A> {
    kept: Kept<K, V, A>,
    windows: AnyWindows,
}

impl<K: Data, V: Data, A: Data> Processor<K, V, Windowed<K>, Change<A>>
    for WindowAggregate<K, V, A>
{
    fn init(&mut self, ctx: &mut Init<'_, Self, Windowed<K>, Change<A>>) -> Result {
        let size = self.size();
        self.kept.open(ctx, |last| last.saturating_sub(size).max(0).saturating_add(1))
    }

    fn flush(&mut self, ctx: &mut Context<'_, Windowed<K>, Change<A>>) -> Result {
        self.kept.flush(ctx)
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, Windowed<K>, Change<A>>,
        record: Record<K, V>,
    ) -> Result {
        if self.kept.key.is_null(&record.key) {
            return skip_null_key(ctx);
        }
        let Record { key, value, timestamp: time, headers } = record;
        let close = self.kept.advance(time, self.windows);
        let arrival = Arrival { key, value, time, headers, close };
        let size = self.windows.size();
        let through = (close - size).as_millis();
        self.kept.tell_closed(ctx, &arrival, through, |start| Window::new(start, start + size))?;
        for window in self.windows.around(time) {
            if window.end <= close {
                skip_closed(ctx);
                continue;
            }
            let before = self.kept.get(&arrival.key, window)?;
            let is_new = before.is_none();
            let (before, time) = match before {
                Some(before) => (Some(before.value), time.max(before.timestamp)),
                None => (self.kept.start(), time),
            };
            self.kept.update(ctx, &arrival, window, (before, time), is_new)?;
        }
        Ok(())
    }
}

impl<K, V, A> WindowAggregate<K, V, A> {
    fn size(&self) -> i64 {
        kstreams_core::time::millis(self.windows.size())
    }
}
