//! The store of changes that are held back, by the time they wait for
//! (`InMemoryTimeOrderedKeyValueChangeBuffer`).
//!
//! It lies in memory. Changed keys are logged once for each commit, before it: the processor says
//! when, in its `flush`.

mod format;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use kstreams_core::error::Result;
use kstreams_core::record::{Headers, Offset, RawRecord};
use kstreams_core::store::{ChangelogConfig, StateStore, StoreBuilder, StoreContext};
use kstreams_core::time::Timestamp;

pub(crate) use format::{Buffered, Bytes, Origin, read_v3, write_logged};

/// Changes of keys, in the order of the times they wait for, then of the keys' bytes.
pub(crate) struct TimeOrderedBuffer {
    name: Arc<str>,
    context: StoreContext,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    times: HashMap<Arc<[u8]>, i64>,
    entries: BTreeMap<(i64, Arc<[u8]>), Buffered>,
    /// Keys that have changed since the last commit, in the order they first did.
    dirty: Vec<Arc<[u8]>>,
    is_dirty: HashSet<Arc<[u8]>>,
    n_bytes: u64,
    offset: Option<Offset>,
}

impl TimeOrderedBuffer {
    /// The topic its serdes are told.
    pub(crate) fn topic(&self) -> &str {
        &self.context.changelog_topic
    }

    /// Holds back a change. A key that is there keeps its time, and what downstream saw before it.
    pub(crate) fn put(&self, time: Timestamp, key: &[u8], mut buffered: Buffered) {
        let held = &mut *self.held.lock();
        if let Some(before) = held.get(key) {
            buffered.prior = before.prior.clone();
        }
        let key = held.set(time.as_millis(), key, buffered);
        held.touch(key);
    }

    /// The time that the first entry waits for.
    pub(crate) fn first_time(&self) -> Option<Timestamp> {
        let held = self.held.lock();
        held.entries.first_key_value().map(|((time, _), _)| Timestamp::from_millis(*time))
    }

    /// The first entry.
    pub(crate) fn first(&self) -> Option<(Arc<[u8]>, Buffered)> {
        let held = self.held.lock();
        held.entries.first_key_value().map(|((_, key), value)| (Arc::clone(key), value.clone()))
    }

    /// Removes the entry of a key.
    pub(crate) fn remove(&self, key: &Arc<[u8]>) {
        let held = &mut *self.held.lock();
        held.remove(key);
        held.touch(Arc::clone(key));
    }

    /// What downstream saw before the change that is held back, if one is.
    pub(crate) fn prior(&self, key: &[u8]) -> Option<Bytes> {
        self.held.lock().get(key).map(|buffered| buffered.prior.clone())
    }

    /// How many keys are held back.
    pub(crate) fn len(&self) -> u64 {
        self.held.lock().times.len() as u64
    }

    /// How many bytes they take.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.held.lock().n_bytes
    }

    /// Writes to the changelog what has changed since the last call.
    pub(crate) fn log(&self, now: Timestamp) -> Result {
        let held = &mut *self.held.lock();
        let dirty = std::mem::take(&mut held.dirty);
        held.is_dirty.clear();
        let Some(changes) = &self.context.changes else { return Ok(()) };
        let mut current = Headers::default();
        current.push(format::VERSION, Some(&[format::CURRENT]));
        for key in dirty {
            let Some(time) = held.times.get(&key) else {
                changes.append(&key, None, now, &Headers::default());
                continue;
            };
            let Some(buffered) = held.entries.get(&(*time, Arc::clone(&key))) else { continue };
            let mut value = Vec::new();
            write_logged(*time, buffered, &mut value)?;
            changes.append(&key, Some(&value), now, &current);
        }
        Ok(())
    }
}

impl Held {
    fn get(&self, key: &[u8]) -> Option<&Buffered> {
        let (key, time) = self.times.get_key_value(key)?;
        self.entries.get(&(*time, Arc::clone(key)))
    }

    fn set(&mut self, time: i64, key: &[u8], buffered: Buffered) -> Arc<[u8]> {
        let (time, key) = match self.times.get_key_value(key) {
            Some((key, time)) => (*time, Arc::clone(key)),
            None => (time, Arc::from(key)),
        };
        self.times.insert(Arc::clone(&key), time);
        let overhead = size_of::<i64>() as u64 + key.len() as u64;
        self.n_bytes += overhead + buffered.size();
        if let Some(before) = self.entries.insert((time, Arc::clone(&key)), buffered) {
            self.n_bytes -= overhead + before.size();
        }
        key
    }

    fn remove(&mut self, key: &[u8]) {
        let Some((key, time)) = self.times.remove_entry(key) else { return };
        let overhead = size_of::<i64>() as u64 + key.len() as u64;
        if let Some(before) = self.entries.remove(&(time, key)) {
            self.n_bytes -= overhead + before.size();
        }
    }

    fn touch(&mut self, key: Arc<[u8]>) {
        if self.is_dirty.insert(Arc::clone(&key)) {
            self.dirty.push(key);
        }
    }
}

impl StateStore for TimeOrderedBuffer {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_persistent(&self) -> bool {
        false
    }

    fn committed_offset(&self) -> Result<Option<Offset>> {
        Ok(self.held.lock().offset)
    }

    fn restore(&self, records: &mut dyn Iterator<Item = RawRecord<'_>>, through: Offset) -> Result {
        let held = &mut *self.held.lock();
        let place = (&*self.context.changelog_topic, self.context.task.partition);
        for record in records {
            let Some(key) = record.key else { continue };
            let Some(value) = record.value else {
                held.remove(key);
                continue;
            };
            let prior = held.get(key).map(|buffered| buffered.prior.clone());
            let logged = format::read_logged(&record, value, prior, place)?;
            // A key that left and came again between two commits has left no tombstone, and waits
            // anew.
            held.remove(key);
            held.set(logged.time, key, logged.buffered);
        }
        held.offset = Some(through);
        Ok(())
    }

    /// A commit notes an offset alone; what is given up is given up whole, and restored.
    fn can_freeze(&self) -> bool {
        true
    }

    fn commit(&self, changelog_offset: Option<Offset>) -> Result {
        let held = &mut *self.held.lock();
        held.offset = changelog_offset.or(held.offset);
        Ok(())
    }

    fn rollback(&self) -> bool {
        false
    }

    fn close(&self) -> Result {
        self.wipe()
    }

    fn wipe(&self) -> Result {
        *self.held.lock() = Held::default();
        Ok(())
    }
}

/// Makes a [`TimeOrderedBuffer`] for each task.
pub(crate) struct BufferBuilder {
    pub(crate) name: Arc<str>,
    pub(crate) logging: Option<Vec<(String, String)>>,
}

impl StoreBuilder for BufferBuilder {
    type Store = TimeOrderedBuffer;

    fn name(&self) -> &str {
        &self.name
    }

    fn changelog(&self) -> Option<ChangelogConfig> {
        let overrides = self.logging.clone()?;
        Some(ChangelogConfig { overrides, ..ChangelogConfig::compacted() })
    }

    fn is_persistent(&self) -> bool {
        false
    }

    fn build(&self, context: StoreContext) -> Result<TimeOrderedBuffer> {
        Ok(TimeOrderedBuffer { name: Arc::clone(&self.name), context, held: Mutex::default() })
    }
}
