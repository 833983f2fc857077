//! The record cache of a table: its last changes, until they are written and told.
//!
//! It lies in front of the table's store, so whoever looks a key up sees what is held back. Its
//! table's processor writes and forwards it before each commit and when it is full.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use kstreams_core::context::{Context, RecordContext};
use kstreams_core::error::Result;
use kstreams_core::processor::Data;
use kstreams_core::record::{Headers, Record};
use kstreams_core::serde::{At, Serde};
use kstreams_core::time::Timestamp;
use kstreams_state::Stamped;

use crate::serdes::SerdeOf;
use crate::table::Change;

/// The changes of one table in one task.
pub(crate) struct TableCache<K, V> {
    key: SerdeOf<K>,
    value: SerdeOf<V>,
    topic: Arc<str>,
    limit: usize,
    held: Mutex<Held<K, V>>,
}

/// The last change of a key.
#[derive(Clone)]
pub(crate) struct Cached<K, V> {
    pub(crate) key: K,
    pub(crate) new: Option<Stamped<V>>,
    /// The record that made it.
    pub(crate) context: RecordContext,
    pub(crate) headers: Headers,
}

struct Held<K, V> {
    entries: HashMap<Arc<[u8]>, Entry<K, V>>,
    /// Keys by when they changed last.
    order: BTreeMap<u64, Arc<[u8]>>,
    n_changes: u64,
    n_bytes: usize,
}

struct Entry<K, V> {
    cached: Cached<K, V>,
    changed: u64,
    n_bytes: usize,
}

impl<K: Clone + 'static, V: Clone + 'static> TableCache<K, V> {
    pub(crate) fn new(key: SerdeOf<K>, value: SerdeOf<V>, topic: Arc<str>, limit: usize) -> Self {
        let held =
            Held { entries: HashMap::new(), order: BTreeMap::new(), n_changes: 0, n_bytes: 0 };
        Self { key, value, topic, limit, held: Mutex::new(held) }
    }

    /// What is held back of a key: a value, or its absence.
    #[expect(clippy::option_option, reason = "nothing held, a deletion held, a value held")]
    pub(crate) fn get(&self, key: &K) -> Result<Option<Option<Stamped<V>>>> {
        let bytes = self.bytes(key)?;
        let held = self.held.lock();
        Ok(held.entries.get(&*bytes).map(|entry| entry.cached.new.clone()))
    }

    /// Holds a change back; true if it has become too much.
    pub(crate) fn put(&self, cached: Cached<K, V>) -> Result<bool> {
        let key = self.bytes(&cached.key)?;
        let mut value = Vec::new();
        if let Some(new) = &cached.new {
            self.value.serialize(&new.value, &At::value(&self.topic), &mut value)?;
        }
        let n_bytes = key.len() + value.len() + OVERHEAD;
        let held = &mut *self.held.lock();
        held.n_changes += 1;
        let changed = held.n_changes;
        let key: Arc<[u8]> = key.into();
        let entry = Entry { cached, changed, n_bytes };
        if let Some(before) = held.entries.insert(Arc::clone(&key), entry) {
            held.order.remove(&before.changed);
            held.n_bytes -= before.n_bytes;
        }
        held.order.insert(changed, key);
        held.n_bytes += n_bytes;
        Ok(held.n_bytes > self.limit)
    }

    /// Takes the change that has been there longest.
    fn pop(&self) -> Option<Cached<K, V>> {
        let held = &mut *self.held.lock();
        let (_, key) = held.order.pop_first()?;
        let entry = held.entries.remove(&key)?;
        held.n_bytes -= entry.n_bytes;
        Some(entry.cached)
    }

    /// Writes and forwards what is held back, each change on behalf of the record that made it; what
    /// came and went again is forgotten. `written` is what the store has of a key, `write` sets it.
    pub(crate) fn flush(
        &self,
        ctx: &mut Context<'_, K, Change<V>>,
        sends_old: bool,
        written: impl Fn(&K) -> Result<Option<Stamped<V>>>,
        write: impl Fn(&K, Option<&Stamped<V>>, Timestamp) -> Result,
    ) -> Result
    where
        K: Data,
        V: Data,
    {
        while let Some(Cached { key, new, context, headers }) = self.pop() {
            let needs_old = sends_old || new.is_none();
            let old = if needs_old { written(&key)? } else { None };
            if new.is_none() && old.is_none() {
                continue;
            }
            let timestamp = new.as_ref().map_or(context.timestamp(), |new| new.timestamp);
            ctx.within(context, |ctx| {
                write(&key, new.as_ref(), timestamp)?;
                let old = old.filter(|_| sends_old).map(|old| old.value);
                let value = Change::new(new.map(|new| new.value), old);
                ctx.forward(Record { key, value, timestamp, headers })
            })?;
        }
        Ok(())
    }

    fn bytes(&self, key: &K) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.key.serialize(key, &At::key(&self.topic), &mut bytes)?;
        Ok(bytes)
    }
}

/// What an entry takes besides its bytes, roughly.
const OVERHEAD: usize = 96;

/// How much a cache holds where nothing is said (`statestore.cache.max.bytes`).
pub(crate) const DEFAULT_BYTES: usize = 10 << 20;

#[cfg(test)]
mod tests {
    use kstreams_core::serde::Utf8;

    use super::*;

    fn change(key: &str, value: Option<&str>) -> Cached<String, String> {
        let timestamp = Timestamp::from_millis(1);
        let new = value.map(|value| Stamped::new(value.to_owned(), timestamp));
        let (context, headers) = (RecordContext::default(), Headers::default());
        Cached { key: key.to_owned(), new, context, headers }
    }

    #[test]
    fn the_last_change_counts_and_its_place_is_new() {
        let serde = || SerdeOf::new(Utf8);
        let cache = TableCache::new(serde(), serde(), "t".into(), 3 * (OVERHEAD + 2));
        for (key, value) in [("a", Some("1")), ("b", Some("1")), ("a", None), ("c", Some("1"))] {
            assert!(!cache.put(change(key, value)).unwrap());
        }
        assert!(cache.get(&"a".to_owned()).unwrap().unwrap().is_none());
        assert!(cache.get(&"d".to_owned()).unwrap().is_none());
        assert!(cache.put(change("d", Some("1"))).unwrap());
        let keys: Vec<String> = std::iter::from_fn(|| cache.pop()).map(|c| c.key).collect();
        assert_eq!(keys, ["b", "a", "c", "d"]);
        assert!(!cache.put(change("e", Some("1"))).unwrap());
    }
}
