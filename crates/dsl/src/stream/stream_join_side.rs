//! One side of a stream-stream join, and the records that wait for their other side.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::serde::{At, Serde};
use kstreams_core::time::{Timestamp, millis};
use kstreams_state::{KeyValueStore, TimestampedWindowStore};

use super::stream_join::Joiner;
use crate::serdes::SerdeOf;
use crate::store::{self, JoinTimes, Stores};
use crate::window::JoinWindows;

/// A record that waits: ordered by time first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting<K> {
    time: i64,
    is_left: bool,
    key: K,
}

/// i64 time, a byte for the side (1 is left), then the key.
pub(super) struct WaitingSerde<K>(pub(super) SerdeOf<K>);

impl<K: Data> Serde for WaitingSerde<K> {
    type Item = Waiting<K>;

    fn serialize(&self, item: &Waiting<K>, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        out.extend_from_slice(&item.time.to_be_bytes());
        out.push(item.is_left.into());
        self.0.serialize(&item.key, at, out)
    }

    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<Waiting<K>> {
        let Some((time, [is_left @ 0..=1, key @ ..])) = bytes.split_first_chunk() else {
            return Err(Error::new(ErrorKind::Corrupted, "not a key of a join"));
        };
        let (time, key) = (i64::from_be_bytes(*time), self.0.deserialize(key, at)?);
        Ok(Waiting { time, is_left: *is_left == 1, key })
    }
}

/// A value of either side.
#[derive(Clone, Debug)]
pub(super) enum LeftOrRight<V, V2> {
    Left(V),
    Right(V2),
}

/// A byte for the side (1 is left), then the value.
pub(super) struct SideSerde<V, V2> {
    pub(super) left: SerdeOf<V>,
    pub(super) right: SerdeOf<V2>,
}

impl<V: Data, V2: Data> Serde for SideSerde<V, V2> {
    type Item = LeftOrRight<V, V2>;

    fn serialize(&self, item: &Self::Item, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        match item {
            LeftOrRight::Left(value) => {
                out.push(1);
                self.left.serialize(value, at, out)
            }
            LeftOrRight::Right(value) => {
                out.push(0);
                self.right.serialize(value, at, out)
            }
        }
    }

    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<Self::Item> {
        match bytes {
            [1, value @ ..] => self.left.deserialize(value, at).map(LeftOrRight::Left),
            [0, value @ ..] => self.right.deserialize(value, at).map(LeftOrRight::Right),
            _ => Err(Error::new(ErrorKind::Corrupted, "not a value of a join")),
        }
    }
}

type Values<V, V2> = Vec<Option<LeftOrRight<V, V2>>>;
type WaitingStore<K, V, V2> = KeyValueStore<Waiting<K>, Values<V, V2>>;

/// What both sides share: the records that wait, and the times.
type Shared<K, V, V2> = (Arc<WaitingStore<K, V, V2>>, Arc<JoinTimes>);

/// What one side of a join is.
#[derive(Clone, Debug)]
pub(super) struct OnSide {
    pub(super) is_left: bool,
    /// True if its records come out alone, too.
    pub(super) outer: bool,
    pub(super) other_store: Arc<str>,
    pub(super) shared: Option<Arc<str>>,
    /// How much earlier, and later, the other side's records may be.
    pub(super) before: i64,
    pub(super) after: i64,
    pub(super) windows: JoinWindows,
}

/// How left and right lie as seen from one side.
pub(super) trait Sided<V, V2>: Send + Sync + 'static {
    /// The values of this side.
    type This: Data;
    /// The values of the other.
    type Other: Data;

    fn pair<'a>(
        this: Option<&'a Self::This>,
        other: Option<&'a Self::Other>,
    ) -> (Option<&'a V>, Option<&'a V2>);

    fn value(this: Self::This) -> LeftOrRight<V, V2>;
}

/// Seen from the left.
pub(super) struct FromLeft;

impl<V: Data, V2: Data> Sided<V, V2> for FromLeft {
    type This = V;
    type Other = V2;

    fn pair<'a>(this: Option<&'a V>, other: Option<&'a V2>) -> (Option<&'a V>, Option<&'a V2>) {
        (this, other)
    }

    fn value(this: V) -> LeftOrRight<V, V2> {
        LeftOrRight::Left(this)
    }
}

/// Seen from the right.
pub(super) struct FromRight;

impl<V: Data, V2: Data> Sided<V, V2> for FromRight {
    type This = V2;
    type Other = V;

    fn pair<'a>(this: Option<&'a V2>, other: Option<&'a V>) -> (Option<&'a V>, Option<&'a V2>) {
        (other, this)
    }

    fn value(this: V2) -> LeftOrRight<V, V2> {
        LeftOrRight::Right(this)
    }
}

/// One side of a join (`KStreamKStreamJoin`).
pub(super) struct Side<K, V, V2, S: Sided<V, V2>, R> {
    on: OnSide,
    key: SerdeOf<K>,
    value: SerdeOf<S::This>,
    joiner: Joiner<K, V, V2, R>,
    other: Option<Arc<TimestampedWindowStore<K, S::Other>>>,
    waiting: Option<Shared<K, V, V2>>,
}

impl<K: Data, V: Data, V2: Data, S: Sided<V, V2>, R: Data> Side<K, V, V2, S, R> {
    /// What makes this side for each task.
    pub(super) fn supplier(
        on: OnSide,
        key: SerdeOf<K>,
        value: SerdeOf<S::This>,
        joiner: Joiner<K, V, V2, R>,
    ) -> impl Fn() -> Self + Send + Sync + 'static {
        move || Self {
            on: on.clone(),
            key: key.clone(),
            value: value.clone(),
            joiner: Arc::clone(&joiner),
            other: None,
            waiting: None,
        }
    }

    fn joined(&self, key: &K, this: &S::This, other: Option<&S::Other>) -> Option<R> {
        let (left, right) = S::pair(Some(this), other);
        (self.joiner)(key, left, right)
    }

    /// Passes on the records of both sides whose windows have closed with nothing to join.
    ///
    /// The sums wrap, as in Java: after a restart nothing is known of the oldest record, and the
    /// wrapped sum lets the first record look (KIP-633).
    fn release(&self, ctx: &mut Context<'_, K, R>, record: &Record<K, S::This>) -> Result {
        let Some((store, times)) = &self.waiting else { return Ok(()) };
        let (grace, now) = (millis(self.on.windows.grace), times.stream.load(Relaxed));
        let is_open = |min: i64, look: i64| min.wrapping_add(look).wrapping_add(grace) >= now;
        if is_open(times.min.load(Relaxed), self.on.after) {
            return Ok(());
        }
        times.min.store(i64::MAX, Relaxed);
        let (mut left_open, mut right_open) = (false, false);
        for entry in store.all() {
            let (waiting, values) = entry?;
            times.min.store(waiting.time, Relaxed);
            if left_open && right_open {
                break;
            }
            let is_list = values.len() > 1;
            let windows = &self.on.windows;
            let look = millis(if waiting.is_left { windows.after } else { windows.before });
            if is_open(waiting.time, look) {
                left_open |= waiting.is_left;
                right_open |= !waiting.is_left;
                // Java looks at each value of a list: the second one ends the search.
                if is_list && left_open && right_open {
                    break;
                }
                continue;
            }
            for value in values.iter().flatten() {
                let joined = match value {
                    LeftOrRight::Left(left) => (self.joiner)(&waiting.key, Some(left), None),
                    LeftOrRight::Right(right) => (self.joiner)(&waiting.key, None, Some(right)),
                };
                if let Some(value) = joined {
                    let (key, headers) = (waiting.key.clone(), record.headers.clone());
                    let timestamp = Timestamp::from_millis(waiting.time);
                    ctx.forward(Record { key, value, timestamp, headers })?;
                }
            }
            store.delete(&waiting)?;
        }
        Ok(())
    }

    /// Keeps a record that nothing was found for.
    fn wait(&self, store: &WaitingStore<K, V, V2>, record: Record<K, S::This>) -> Result {
        let (time, is_left) = (record.timestamp.as_millis(), self.on.is_left);
        let waiting = Waiting { time, is_left, key: record.key };
        let mut values = store.get(&waiting)?.unwrap_or_default();
        values.push(Some(S::value(record.value)));
        store.put(&waiting, &values)
    }
}

impl<K: Data, V: Data, V2: Data, S: Sided<V, V2>, R: Data> Processor<K, S::This, K, R>
    for Side<K, V, V2, S, R>
{
    fn init(&mut self, ctx: &mut Init<'_, Self, K, R>) -> Result {
        self.other = Some(store::open(ctx, &self.on.other_store)?);
        if let Some(shared) = &self.on.shared {
            let shared = ctx.any(shared)?;
            self.waiting = Some((shared.typed()?, shared.join_times()));
        }
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_, K, R>, record: Record<K, S::This>) -> Result {
        let time = record.timestamp.as_millis();
        if let Some((_, times)) = &self.waiting {
            times.stream.fetch_max(time, Relaxed);
        }
        let no_value = self.value.is_null(&record.value);
        if no_value || self.key.is_null(&record.key) {
            if self.on.outer && !no_value {
                let joined = self.joined(&record.key, &record.value, None);
                return joined.map_or(Ok(()), |value| ctx.forward(record.with_value(value)));
            }
            log::warn!("node {}: record skipped: null key or value", ctx.node_name());
            ctx.record_dropped();
            return Ok(());
        }
        if self.waiting.as_ref().is_some_and(|(_, times)| times.stream.load(Relaxed) == time) {
            self.release(ctx, &record)?;
        }
        let Some(other) = &self.other else { return Ok(()) };
        let from = time.saturating_sub(self.on.before).max(0);
        let to = time.saturating_add(self.on.after).max(0);
        let times = Timestamp::from_millis(from)..=Timestamp::from_millis(to);
        let mut found = false;
        for entry in other.fetch_range(&record.key, times)? {
            let (other_time, value) = entry?;
            found = true;
            if let Some((store, _)) = &self.waiting {
                let (time, is_left) = (other_time.as_millis(), !self.on.is_left);
                let waiting = Waiting { time, is_left, key: record.key.clone() };
                // A tombstone for what does not wait would be logged all the same.
                if store.get(&waiting)?.is_some() {
                    store.delete(&waiting)?;
                }
            }
            if let Some(joined) = self.joined(&record.key, &record.value, Some(&value.value)) {
                let (key, headers) = (record.key.clone(), record.headers.clone());
                let timestamp = record.timestamp.max(other_time);
                ctx.forward(Record { key, value: joined, timestamp, headers })?;
            }
        }
        if found || !self.on.outer {
            return Ok(());
        }
        match &self.waiting {
            Some((store, times)) if to >= times.stream.load(Relaxed) => {
                times.min.fetch_min(time, Relaxed);
                self.wait(store, record)
            }
            _ => {
                let joined = self.joined(&record.key, &record.value, None);
                joined.map_or(Ok(()), |value| ctx.forward(record.with_value(value)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kstreams_core::serde::{I64, Utf8};
    use kstreams_core::testing::take_hostile_inputs;

    use super::*;

    #[test]
    fn any_bytes() {
        assert!(take_hostile_inputs(&WaitingSerde(SerdeOf::new(Utf8)), 17) > 10);
        let (left, right) = (SerdeOf::new(Utf8), SerdeOf::new(I64));
        assert!(take_hostile_inputs(&SideSerde { left, right }, 17) > 10);
    }
}
