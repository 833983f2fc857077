//! Join a stream with itself, with one store (KIP-862).

use std::any::Any;
use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::serde::Serde;
use kstreams_core::time::{Timestamp, millis};
use kstreams_state::TimestampedWindowStore;

use super::stream_join::Joiner;
use crate::serdes::SerdeOf;
use crate::store;
use crate::window::JoinWindows;

/// Both sides of a join at once (`KStreamKStreamSelfJoin`). `V` and `V2` are one type, since they
/// are the values of one stream; only the join's own signature does not know.
pub(super) struct SelfJoin<K, V, V2, R> {
    store_name: Arc<str>,
    store: Option<Arc<TimestampedWindowStore<K, V>>>,
    windows: JoinWindows,
    key: SerdeOf<K>,
    value: SerdeOf<V>,
    joiner: Joiner<K, V, V2, R>,
    stream_time: i64,
}

impl<K: Data, V: Data, V2: Data, R: Data> SelfJoin<K, V, V2, R> {
    /// What makes it for each task.
    pub(super) fn supplier(
        store_name: Arc<str>,
        windows: JoinWindows,
        key: SerdeOf<K>,
        value: SerdeOf<V>,
        joiner: Joiner<K, V, V2, R>,
    ) -> impl Fn() -> Self + Send + Sync + 'static {
        move || Self {
            store_name: Arc::clone(&store_name),
            store: None,
            windows,
            key: key.clone(),
            value: value.clone(),
            joiner: Arc::clone(&joiner),
            stream_time: i64::MIN,
        }
    }

    fn forward(
        &self,
        ctx: &mut Context<'_, K, R>,
        record: &Record<K, V>,
        (left, right): (&V, &V),
        timestamp: Timestamp,
    ) -> Result {
        let right: Option<&V2> = (right as &dyn Any).downcast_ref();
        match (self.joiner)(&record.key, Some(left), right) {
            Some(value) => {
                let (key, headers) = (record.key.clone(), record.headers.clone());
                ctx.forward(Record { key, value, timestamp, headers })
            }
            None => Ok(()),
        }
    }
}

impl<K: Data, V: Data, V2: Data, R: Data> Processor<K, V, K, R> for SelfJoin<K, V, V2, R> {
    fn init(&mut self, ctx: &mut Init<'_, Self, K, R>) -> Result {
        self.store = Some(store::open(ctx, &self.store_name)?);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_, K, R>, record: Record<K, V>) -> Result {
        if self.value.is_null(&record.value) || self.key.is_null(&record.key) {
            log::warn!("node {}: record skipped: null key or value", ctx.node_name());
            ctx.record_dropped();
            return Ok(());
        }
        let Some(store) = &self.store else { return Ok(()) };
        let (before, after) = (millis(self.windows.before), millis(self.windows.after));
        let (time, own) = (record.timestamp.as_millis(), &record.value);
        self.stream_time = self.stream_time.max(time);
        let between = |before: i64, after: i64| {
            let (from, to) =
                (time.saturating_sub(before).max(0), time.saturating_add(after).max(0));
            Timestamp::from_millis(from)..=Timestamp::from_millis(to)
        };
        // With itself a record is joined unless it comes too late for its own window.
        let retention = before.saturating_add(after).saturating_add(millis(self.windows.grace));
        let mut with_itself = time > self.stream_time.saturating_sub(retention).saturating_add(1);
        for entry in store.fetch_range(&record.key, between(before, after))? {
            let (other_time, other) = entry?;
            let later = record.timestamp.max(other_time);
            self.forward(ctx, &record, (own, &other.value), later)?;
        }
        // In a second pass, so that results come in the order of a join of two streams.
        for entry in store.fetch_range(&record.key, between(after, before))? {
            let (other_time, other) = entry?;
            if other_time > record.timestamp && std::mem::take(&mut with_itself) {
                self.forward(ctx, &record, (own, own), record.timestamp)?;
            }
            let later = record.timestamp.max(other_time);
            self.forward(ctx, &record, (&other.value, own), later)?;
        }
        if with_itself {
            self.forward(ctx, &record, (own, own), record.timestamp)?;
        }
        Ok(())
    }
}
