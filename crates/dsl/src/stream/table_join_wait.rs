//! Records that wait for the updates of a versioned table before they are joined with it
//! (`RocksDBTimeOrderedKeyValueBuffer`).
//!
//! Their changelog has the bytes of Kafka Streams: a key is `0x00`, the i64 time, the key and an
//! i32 number that tells equal ones apart.

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::serde::{At, ByteArray, Serde};
use kstreams_core::time::Timestamp;
use kstreams_state::{KeyValue, KeyValueStore};

use super::table_join::LookUp;
use crate::buffer::{Buffered, Origin, read_v3, write_logged};
use crate::plan::StoreDef;
use crate::serdes::SerdeOf;
use crate::store::{self, Erased};

/// How records wait.
pub(super) struct Waiting<K, V> {
    pub(super) store: Arc<str>,
    pub(super) grace: Duration,
    pub(super) key: SerdeOf<K>,
    pub(super) value: SerdeOf<V>,
}

impl<K, V> Clone for Waiting<K, V> {
    fn clone(&self) -> Self {
        let (key, value) = (self.key.clone(), self.value.clone());
        Self { store: Arc::clone(&self.store), grace: self.grace, key, value }
    }
}

type Rows = KeyValueStore<Vec<u8>, Vec<u8>>;

impl<K, V> Waiting<K, V> {
    /// The store of what waits.
    pub(super) fn store_def(&self) -> StoreDef {
        #[cfg(feature = "rocksdb")]
        let store = KeyValue::persistent(&self.store, ByteArray, ByteArray);
        #[cfg(not(feature = "rocksdb"))]
        let store = KeyValue::in_memory(&self.store, ByteArray, ByteArray);
        let (name, builder) = (Arc::clone(&self.store), Arc::new(Erased::new(store)));
        StoreDef { name, builder, cached: None }
    }
}

/// Joins records in the order of their times, once the grace period has passed.
pub(super) struct WaitingLookUp<K, V, GK, T, R, F> {
    join: LookUp<K, V, GK, T, R, F>,
    how: Waiting<K, V>,
    rows: Option<Arc<Rows>>,
    stream_time: Timestamp,
    n_rows: i32,
    topic: String,
}

impl<K, V, GK, T, R, F> WaitingLookUp<K, V, GK, T, R, F> {
    pub(super) fn new(join: LookUp<K, V, GK, T, R, F>, how: Waiting<K, V>) -> Self {
        let (stream_time, topic) = (Timestamp::NONE, String::new());
        Self { join, how, rows: None, stream_time, n_rows: 0, topic }
    }
}

impl<K, V, GK, T, R, F> Processor<K, V, K, R> for WaitingLookUp<K, V, GK, T, R, F>
where
    K: Data,
    V: Data,
    GK: Data,
    T: Data,
    R: Data,
    F: Fn(&K, &V) -> Option<GK> + Send + 'static,
{
    fn init(&mut self, ctx: &mut Init<'_, Self, K, R>) -> Result {
        self.join.open(ctx)?;
        self.topic = format!("{}-{}-changelog", ctx.application_id(), self.how.store);
        let rows: Arc<Rows> = store::open(ctx, &self.how.store)?;
        // Numbers go on where they were, so that no record takes another's place.
        for row in rows.all() {
            let number = split(&row?.0).map_or(0, |(_, _, number)| number);
            self.n_rows = self.n_rows.max(number);
        }
        self.rows = Some(rows);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_, K, R>, record: Record<K, V>) -> Result {
        if !self.join.takes(ctx, &record) {
            return Ok(());
        }
        let Some(rows) = self.rows.clone() else { return Ok(()) };
        let is_late = self.stream_time - self.how.grace > record.timestamp;
        // A record without a key meets nothing, whenever.
        if is_late || self.join.join_key(&record).is_none() {
            return self.join.join(ctx, record);
        }
        self.stream_time = self.stream_time.max(record.timestamp);
        self.wait(ctx, &rows, &record)?;
        let due = (self.stream_time - self.how.grace).as_millis();
        if due < 0 {
            return Ok(());
        }
        for row in rows.range(..first_behind(due))? {
            let (key, value) = row?;
            let record = self.read(&key, &value)?;
            self.join.join(ctx, record)?;
            rows.delete(&key)?;
        }
        Ok(())
    }
}

impl<K: Data, V: Data, GK, T, R, F> WaitingLookUp<K, V, GK, T, R, F> {
    fn wait(&mut self, ctx: &Context<'_, K, R>, rows: &Rows, record: &Record<K, V>) -> Result {
        self.n_rows = self.n_rows.wrapping_add(1) & i32::MAX;
        let mut row = row_start(record.timestamp.as_millis());
        let at = At::key(&self.topic).with_headers(&record.headers);
        self.how.key.serialize(&record.key, &at, &mut row)?;
        row.extend(self.n_rows.to_be_bytes());
        let mut new = Vec::new();
        let at = At::value(&self.topic).with_headers(&record.headers);
        self.how.value.serialize(&record.value, &at, &mut new)?;
        let from = ctx.record_metadata();
        let origin = Origin {
            timestamp: record.timestamp.as_millis(),
            offset: from.map_or(-1, |from| from.offset),
            topic: from.map_or("", |from| from.topic).into(),
            partition: from.map_or(-1, |from| from.partition),
            headers: record.headers.clone(),
        };
        let mut value = Vec::new();
        let buffered = Buffered { origin, prior: None, old: None, new: Some(new.into()) };
        write_logged(0, &buffered, &mut value)?;
        rows.put(&row, &value)
    }

    fn read(&self, row: &[u8], value: &[u8]) -> Result<Record<K, V>> {
        let read = split(row).zip(read_v3(value));
        let Some(((_, key, _), logged)) = read else { return Err(self.malformed()) };
        let Buffered { origin, new, .. } = logged.buffered;
        let new = new.ok_or_else(|| self.malformed())?;
        let at = At::key(&self.topic).with_headers(&origin.headers);
        let key = self.how.key.deserialize(key, &at)?;
        let at = At::value(&self.topic).with_headers(&origin.headers);
        let value = self.how.value.deserialize(&new, &at)?;
        let timestamp = Timestamp::from_millis(origin.timestamp);
        Ok(Record { key, value, timestamp, headers: origin.headers })
    }

    #[cold]
    fn malformed(&self) -> Error {
        let text = format!("store {}: an entry is no waiting record", self.how.store);
        Error::new(ErrorKind::Corrupted, text)
    }
}

/// What the rows of one moment begin with.
fn row_start(time: i64) -> Vec<u8> {
    let mut row = vec![0];
    row.extend(time.to_be_bytes());
    row
}

/// Less than all rows later than `time`, more than all others.
fn first_behind(time: i64) -> Vec<u8> {
    time.checked_add(1).map_or_else(|| vec![1], row_start)
}

fn split(row: &[u8]) -> Option<(i64, &[u8], i32)> {
    let (time, rest) = row.strip_prefix(&[0])?.split_first_chunk()?;
    let (key, number) = rest.split_last_chunk()?;
    Some((i64::from_be_bytes(*time), key, i32::from_be_bytes(*number)))
}
