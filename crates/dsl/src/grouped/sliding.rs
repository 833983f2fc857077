//! The node of aggregates in sliding windows (`KStreamSlidingWindowAggregate`).
//!
//! A window is kept under its start; the time of its aggregate is that of its last record. Each
//! record has a window that ends with it (*left*), and one that starts right behind it (*right*) as
//! soon as there is something in it.

use std::collections::HashSet;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::serde::Serde;
use kstreams_core::time::{Timestamp, millis};
use kstreams_state::{Stamped, Window, Windowed};

use super::window_aggregate::{Arrival, Kept, skip_closed};
use crate::serdes::SerdeOf;
use crate::table::Change;
use crate::window::SlidingWindows;

pub(super) struct SlidingAggregate<K, V, A> {
    pub(super) kept: Kept<K, V, A>,
    pub(super) windows: SlidingWindows,
    pub(super) value: Option<SerdeOf<V>>,
}

type Out<'a, K, A> = Context<'a, Windowed<K>, Change<A>>;

/// What the windows that are there say about those that must be made.
struct Found<A> {
    starts: HashSet<Timestamp>,
    /// The aggregate of the window that ends last before the record.
    left: Option<A>,
    has_left: bool,
    /// The aggregate of the records behind this one, and its last record's time.
    right: Option<Stamped<A>>,
    has_right: bool,
    /// The last record before this one.
    previous: Option<Timestamp>,
}

impl<A> Default for Found<A> {
    fn default() -> Self {
        Self {
            starts: HashSet::new(),
            left: None,
            has_left: false,
            right: None,
            has_right: false,
            previous: None,
        }
    }
}

impl<K: Data, V: Data, A: Data> Processor<K, V, Windowed<K>, Change<A>>
    for SlidingAggregate<K, V, A>
{
    fn init(&mut self, ctx: &mut Init<'_, Self, Windowed<K>, Change<A>>) -> Result {
        let difference = self.difference();
        self.kept.open(ctx, |last| last.saturating_sub(difference).max(0))
    }

    fn process(&mut self, ctx: &mut Out<'_, K, A>, record: Record<K, V>) -> Result {
        let no_value = self.value.as_ref().is_some_and(|serde| serde.is_null(&record.value));
        if no_value || self.kept.key.is_null(&record.key) {
            log::warn!("node {}: record skipped: null key or value", ctx.node_name());
            ctx.record_dropped();
            return Ok(());
        }
        let Record { key, value, timestamp: time, headers } = record;
        let close = self.kept.advance(time, self.windows.into());
        // At the end of time Java's sum wraps, and the record counts as late.
        if time.as_millis().wrapping_add(self.difference()) < close.as_millis() {
            skip_closed(ctx);
            return Ok(());
        }
        let arrival = Arrival { key, value, time, headers, close };
        if time.as_millis() < self.difference() {
            return self.bring_in_early(ctx, &arrival);
        }
        let through = close.as_millis().saturating_sub(self.difference()).saturating_sub(1);
        let of = self.windows.difference;
        self.kept.tell_closed(ctx, &arrival, through, |start| Window::new(start, start + of))?;
        self.bring_in(ctx, &arrival)
    }
}

impl<K: Data, V: Data, A: Data> SlidingAggregate<K, V, A> {
    fn difference(&self) -> i64 {
        millis(self.windows.difference)
    }

    fn from(&self, start: Timestamp) -> Window {
        Window::new(start, start + self.windows.difference)
    }

    /// Updates the windows that the record falls in, the latest first, then makes those missing.
    fn bring_in(&mut self, ctx: &mut Out<'_, K, A>, arrival: &Arrival<K, V>) -> Result {
        let Some(store) = self.kept.store.clone() else { return Ok(()) };
        let time = arrival.time;
        let earliest = time - self.windows.difference - self.windows.difference;
        let starts = earliest.max(Timestamp::from_millis(0))..=behind(time);
        let mut found = Found::default();
        for entry in store.reverse_fetch_range(&arrival.key, starts)? {
            let (start, aggregate) = entry?;
            found.starts.insert(start);
            let window = self.from(start);
            let last = aggregate.timestamp;
            if start == behind(time) {
                found.has_right = true;
            } else if window.end > time {
                found.right.get_or_insert_with(|| aggregate.clone());
                self.update(ctx, arrival, window, aggregate)?;
            } else if window.end == time {
                found.has_left = true;
                self.update(ctx, arrival, window, aggregate)?;
                if last >= time {
                    // There is a record of this very time: all its windows are made.
                    return Ok(());
                }
                found.previous = Some(last);
            } else {
                found.left = Some(aggregate.value);
                found.previous = Some(last);
                break;
            }
        }
        self.make_missing(ctx, arrival, found)
    }

    fn make_missing(
        &mut self,
        ctx: &mut Out<'_, K, A>,
        arrival: &Arrival<K, V>,
        found: Found<A>,
    ) -> Result {
        let time = arrival.time;
        if let Some(previous) = found.previous {
            let right = self.from(behind(previous));
            if !found.starts.contains(&right.start) && right.end >= time {
                self.begin(ctx, arrival, right, self.kept.start())?;
            }
        }
        let left = Window::new(time - self.windows.difference, time);
        if !found.has_left {
            let holds = found.previous.is_some_and(|previous| left.start <= previous);
            let before = if holds { found.left } else { self.kept.start() };
            self.begin(ctx, arrival, left, before)?;
        }
        self.make_right(ctx, arrival, found.right.filter(|_| !found.has_right))
    }

    /// A record less than the time difference after the epoch would start windows before it: all
    /// such records share the window that starts there.
    fn bring_in_early(&mut self, ctx: &mut Out<'_, K, A>, arrival: &Arrival<K, V>) -> Result {
        let Some(store) = self.kept.store.clone() else { return Ok(()) };
        let (zero, time) = (Timestamp::from_millis(0), arrival.time);
        let mut found = Found::default();
        let mut shared = None;
        for entry in store.fetch_range(&arrival.key, zero..=behind(time))? {
            let (start, aggregate) = entry?;
            found.starts.insert(start);
            if start == zero {
                found.previous = Some(aggregate.timestamp).filter(|last| *last < time);
                shared = Some(aggregate);
            } else if start <= time {
                found.right = Some(aggregate.clone());
                self.update(ctx, arrival, self.from(start), aggregate)?;
            } else {
                found.has_right = true;
            }
        }
        if found.right.is_none() {
            found.right = shared.clone().filter(|shared| shared.timestamp > time);
        }
        self.make_right(ctx, arrival, found.right.filter(|_| !found.has_right))?;
        let right = found.previous.map(behind);
        if let Some(start) = right.filter(|start| !found.starts.contains(start)) {
            self.begin(ctx, arrival, self.from(start), self.kept.start())?;
        }
        match shared {
            Some(shared) => self.update(ctx, arrival, self.from(zero), shared),
            None => self.begin(ctx, arrival, self.from(zero), self.kept.start()),
        }
    }

    /// Makes the window behind the record, of what is there already.
    fn make_right(
        &mut self,
        ctx: &mut Out<'_, K, A>,
        arrival: &Arrival<K, V>,
        right: Option<Stamped<A>>,
    ) -> Result {
        let Some(right) = right.filter(|right| right.timestamp > arrival.time) else {
            return Ok(());
        };
        let (window, time) = (self.from(behind(arrival.time)), right.timestamp);
        self.kept.set(ctx, arrival, window, Some(right), None, (time, true))
    }

    /// Brings the record into a window that is there.
    fn update(
        &mut self,
        ctx: &mut Out<'_, K, A>,
        arrival: &Arrival<K, V>,
        window: Window,
        aggregate: Stamped<A>,
    ) -> Result {
        let time = arrival.time.max(aggregate.timestamp);
        self.bring_into(ctx, arrival, window, (Some(aggregate.value), time), false)
    }

    /// Brings the record into a window that is made for it.
    fn begin(
        &mut self,
        ctx: &mut Out<'_, K, A>,
        arrival: &Arrival<K, V>,
        window: Window,
        before: Option<A>,
    ) -> Result {
        self.bring_into(ctx, arrival, window, (before, arrival.time), true)
    }

    fn bring_into(
        &mut self,
        ctx: &mut Out<'_, K, A>,
        arrival: &Arrival<K, V>,
        window: Window,
        before: (Option<A>, Timestamp),
        is_new: bool,
    ) -> Result {
        if window.end < arrival.close {
            skip_closed(ctx);
            return Ok(());
        }
        self.kept.update(ctx, arrival, window, before, is_new)
    }
}

/// The next moment.
fn behind(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_millis().saturating_add(1))
}
