//! A byte store in memory that keeps only the entries used last (Java's `MemoryLRUCache`).
//!
//! It cannot roll back: the engine rebuilds it from its changelog, which is as small as it is.

use std::collections::{BTreeMap, HashMap};

use kstreams_core::Result;
use parking_lot::Mutex;

use crate::bytes::{ByteStore, End, Fill, Mark, Writes};
use crate::memory::Memory;
use crate::scan::{Page, Scan};
use crate::small::SmallKey;

#[derive(Debug)]
pub(crate) struct Lru {
    entries: Memory,
    usage: Mutex<Usage>,
}

impl Lru {
    pub(crate) fn new(max_entries: usize) -> Self {
        let usage = Usage { max_entries, ..Usage::default() };
        Self { entries: Memory::new(false), usage: Mutex::new(usage) }
    }
}

/// When each key was used last, by a counter.
#[derive(Debug, Default)]
struct Usage {
    max_entries: usize,
    now: u64,
    last_use: HashMap<SmallKey, u64>,
    oldest_first: BTreeMap<u64, SmallKey>,
    pushed_out: Option<SmallKey>,
}

impl Usage {
    /// Notes a use of `key`, which the store holds.
    fn touch(&mut self, key: &[u8]) {
        self.now += 1;
        if let Some(last) = self.last_use.get_mut(key) {
            let key = self.oldest_first.remove(last);
            *last = self.now;
            self.oldest_first.extend(key.map(|key| (self.now, key)));
        } else {
            self.last_use.insert(key.into(), self.now);
            self.oldest_first.insert(self.now, key.into());
        }
    }

    fn forget(&mut self, key: &[u8]) {
        if let Some(last) = self.last_use.remove(key) {
            self.oldest_first.remove(&last);
        }
    }

    /// The key that has to leave, if there are too many.
    fn push_out(&mut self) -> Option<SmallKey> {
        if self.last_use.len() <= self.max_entries {
            return None;
        }
        let (_, key) = self.oldest_first.pop_first()?;
        self.last_use.remove(&*key);
        Some(key)
    }
}

/// Keeps the usage right while restored writes pass.
struct Tracked<'a> {
    writes: &'a mut dyn Writes,
    usage: &'a mut Usage,
}

impl Writes for Tracked<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.writes.put(key, value);
        self.usage.touch(key);
        if let Some(oldest) = self.usage.push_out() {
            self.writes.delete(&oldest);
        }
    }

    fn delete(&mut self, key: &[u8]) {
        self.writes.delete(key);
        self.usage.forget(key);
    }
}

impl ByteStore for Lru {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let mut usage = self.usage.lock();
        let found = self.entries.get(key, out)?;
        if found {
            usage.touch(key);
        }
        Ok(found)
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result {
        let mut usage = self.usage.lock();
        self.entries.put(key, value)?;
        usage.touch(key);
        usage.pushed_out = usage.push_out();
        usage.pushed_out.as_deref().map_or(Ok(()), |oldest| self.entries.delete(oldest))
    }

    fn delete(&self, key: &[u8]) -> Result {
        let mut usage = self.usage.lock();
        usage.forget(key);
        self.entries.delete(key)
    }

    fn pushed_out(&self, out: &mut Vec<u8>) -> bool {
        match self.usage.lock().pushed_out.take() {
            Some(key) => {
                out.extend_from_slice(&key);
                true
            }
            None => false,
        }
    }

    fn page(&self, scan: &Scan, limit: usize, page: &mut Page) -> Result {
        self.entries.page(scan, limit, page)
    }

    fn approximate_len(&self) -> Result<u64> {
        self.entries.approximate_len()
    }

    fn mark(&self) -> Result<Mark> {
        self.entries.mark()
    }

    fn restore(&self, fill: Fill<'_>) -> Result {
        let mut usage = self.usage.lock();
        let mut tracked =
            |writes: &mut dyn Writes| fill(&mut Tracked { writes, usage: &mut usage });
        self.entries.restore(&mut tracked)
    }

    fn freeze(&self) {
        self.entries.freeze();
    }

    fn commit(&self, end: End) -> Result {
        self.entries.commit(end)
    }

    fn rollback(&self) -> bool {
        false
    }

    fn uncommitted_bytes(&self) -> usize {
        0
    }

    fn close(&self) -> Result {
        self.wipe()
    }

    fn wipe(&self) -> Result {
        let mut usage = self.usage.lock();
        *usage = Usage { max_entries: usage.max_entries, ..Usage::default() };
        self.entries.wipe()
    }
}
