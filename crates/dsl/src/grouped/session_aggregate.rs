//! The node of aggregates in sessions (`KStreamSessionWindowAggregate`).

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::{Headers, Record};
use kstreams_core::serde::Serde;
use kstreams_core::time::Timestamp;
use kstreams_state::{SessionStore, Window, Windowed};

use super::aggregate::{Aggregation, Initial, Step};
use super::emit::{Closing, EmitStrategy};
use crate::plan::{NodeId, Plan};
use crate::serdes::SerdeOf;
use crate::store;
use crate::table::{Change, Flag, skip_null_key};
use crate::window::SessionWindows;

/// Makes one aggregate of those of two sessions.
pub(super) type Merger<K, A> = Arc<dyn Fn(&K, Option<A>, A) -> A + Send + Sync>;

/// The merger of aggregates that always have a start.
pub(super) fn merger_of<K: 'static, A: 'static>(
    merger: impl Fn(&K, A, A) -> A + Send + Sync + 'static,
) -> Merger<K, A> {
    Arc::new(move |key, one, two| match one {
        Some(one) => merger(key, one, two),
        None => two,
    })
}

/// Which sessions, how long they are kept, when they are told, and what becomes of two.
pub(super) struct Sessions<K, A> {
    pub(super) windows: SessionWindows,
    pub(super) retention: Duration,
    pub(super) emit: EmitStrategy,
    pub(super) merger: Merger<K, A>,
}

impl<K, A> Clone for Sessions<K, A> {
    fn clone(&self) -> Self {
        let (windows, retention) = (self.windows, self.retention);
        Self { windows, retention, emit: self.emit, merger: Arc::clone(&self.merger) }
    }
}

/// Plans the node of an aggregation in sessions; as `plan_aggregate`.
pub(super) fn plan_sessions<K: Data, V: Data, A: Data>(
    plan: &mut Plan,
    name: Arc<str>,
    parent: NodeId,
    of: Option<Aggregation<K, A>>,
    how: Sessions<K, A>,
    step: Step<K, V, A>,
) -> NodeId {
    // A session that is over may still be joined to a later one, for as long as its gap.
    let grace = how.windows.gap.saturating_add(how.windows.grace);
    let node = plan.add(name, &[parent], move |to, at| {
        let Some(of) = of else { return };
        to.store(&of.store);
        let stores = [Arc::clone(&of.store.name)];
        to.processor(&at.name, &at.parents, &stores, move || {
            let closes = how.emit == EmitStrategy::OnWindowClose;
            SessionAggregate {
                name: Arc::clone(&of.store.name),
                store: None,
                windows: how.windows,
                retention: how.retention,
                key: of.key.clone(),
                initial: of.initial.clone(),
                step: Arc::clone(&step),
                merger: Arc::clone(&how.merger),
                send_old: of.send_old.clone(),
                stream_time: Timestamp::NONE,
                closing: closes.then(|| Closing::new(&of.store.name, &of.key)),
            }
        });
    });
    plan.node(node).grace = Some(grace);
    node
}

/// `KStreamSessionWindowAggregate`.
struct SessionAggregate<K, V, A> {
    name: Arc<str>,
    store: Option<Arc<SessionStore<K, A>>>,
    windows: SessionWindows,
    retention: Duration,
    key: SerdeOf<K>,
    initial: Option<Initial<A>>,
    step: Step<K, V, A>,
    merger: Merger<K, A>,
    send_old: Flag,
    stream_time: Timestamp,
    /// There if results come out when sessions are over.
    closing: Option<Closing<K>>,
}

impl<K: Data, V: Data, A: Data> SessionAggregate<K, V, A> {
    /// A change of a session; its time is the session's end.
    fn tell(
        &mut self,
        ctx: &mut Context<'_, Windowed<K>, Change<A>>,
        key: Windowed<K>,
        new: Option<A>,
        old: Option<A>,
    ) -> Result {
        if let Some(closing) = &mut self.closing {
            if new.is_some() {
                closing.add(place(key.window), key.key);
            }
            return Ok(());
        }
        let old = old.filter(|_| self.send_old.get());
        let (timestamp, value) = (key.window.end, Change::new(new, old));
        ctx.forward(Record { key, value, timestamp, headers: Headers::default() })
    }

    /// Tells the results of sessions that ended before `close`. Called before the record that closed
    /// them is brought in: it belongs to none of them, and the store still has them all.
    fn tell_closed(
        &mut self,
        ctx: &mut Context<'_, Windowed<K>, Change<A>>,
        close: Timestamp,
        headers: &Headers,
    ) -> Result {
        let (Some(closing), Some(store)) = (&mut self.closing, &self.store) else { return Ok(()) };
        let close = close.as_millis();
        if close < 1 {
            return Ok(());
        }
        for ((end, start), key) in closing.take(ctx, close, (close - 1, i64::MAX))? {
            let time = Timestamp::from_millis;
            let window = Window::new(time(start), time(end));
            // It may have been joined to another.
            let Some(value) = store.fetch_session(&key, window)? else { continue };
            let (key, value) = (Windowed::new(key, window), Change::new(Some(value), None));
            let headers = headers.clone();
            ctx.forward(Record { key, value, timestamp: window.end, headers })?;
        }
        Ok(())
    }
}

/// Sessions come out by their ends, then their starts.
fn place(window: Window) -> (i64, i64) {
    (window.end.as_millis(), window.start.as_millis())
}

impl<K: Data, V: Data, A: Data> Processor<K, V, Windowed<K>, Change<A>>
    for SessionAggregate<K, V, A>
{
    fn init(&mut self, ctx: &mut Init<'_, Self, Windowed<K>, Change<A>>) -> Result {
        let store: Arc<SessionStore<K, A>> = store::open(ctx, &self.name)?;
        if let Some(closing) = &mut self.closing {
            closing.resume(ctx, |last| last);
            for entry in store.all() {
                let (session, _) = entry?;
                closing.add(place(session.window), session.key);
            }
        }
        self.store = Some(store);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, Windowed<K>, Change<A>>,
        record: Record<K, V>,
    ) -> Result {
        let Record { key, value, timestamp: time, headers } = record;
        if self.key.is_null(&key) {
            return skip_null_key(ctx);
        }
        let Some(store) = self.store.clone() else { return Ok(()) };
        self.stream_time = self.stream_time.max(time);
        let close = self.stream_time - self.windows.grace - self.windows.gap;
        self.tell_closed(ctx, close, &headers)?;
        let alone = Window::new(time, time);
        let (mut window, mut merged) = (alone, Vec::new());
        let gone = store.observed_stream_time() - self.retention;
        let mut total = self.initial.as_ref().map(|initial| initial());
        for session in
            store.find_sessions(&key, time - self.windows.gap, time + self.windows.gap)?
        {
            let (session, value) = session?;
            // Kept a moment longer to be told, but joined no more.
            if session.window.end <= gone {
                continue;
            }
            total = Some((self.merger)(&key, total, value.clone()));
            window.start = window.start.min(session.window.start);
            window.end = window.end.max(session.window.end);
            merged.push((session, value));
        }
        if window.end < close {
            log::warn!("node {}: record skipped: its session is closed", ctx.node_name());
            ctx.record_dropped();
            return Ok(());
        }
        if window != alone {
            for (session, value) in merged {
                store.remove(&session)?;
                self.tell(ctx, session, None, Some(value))?;
            }
        }
        let new = (self.step)(&key, value, total);
        let session = Windowed::new(key, window);
        match &new {
            Some(new) => store.put(&session, new)?,
            None => store.put_tombstone(&session)?,
        }
        self.tell(ctx, session, new, None)
    }
}
