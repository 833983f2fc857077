//! The byte store that lives and dies with its task.
//!
//! Writes go straight into one map. Where the engine may roll back (exactly-once), the first write
//! to a key after a commit leaves the value before it in a journal, so that a commit costs nothing
//! and a rollback costs what is undone.

use kstreams_core::Result;
use parking_lot::{RwLock, RwLockWriteGuard};

use crate::bytes::{ByteStore, End, Fill, Mark, Writes};
use crate::map::ByteMap;
use crate::scan::{Page, Scan};
use crate::small::{SmallBytes, SmallKey};

#[derive(Debug)]
pub(crate) struct Memory {
    inner: RwLock<Inner>,
}

#[derive(Debug)]
struct Inner {
    map: ByteMap<Slot>,
    mark: Mark,
    /// What rollback puts back, in the order of the writes; `None` where nothing may be undone.
    journal: Option<Vec<(SmallKey, Option<SmallBytes>)>>,
    /// Counts commits and freezes: a slot of this epoch is in the journal already.
    epoch: u32,
    /// How much of the journal the next commit settles, if not all.
    frozen: Option<usize>,
    uncommitted_bytes: usize,
}

#[derive(Debug)]
struct Slot {
    value: SmallBytes,
    epoch: u32,
}

impl Memory {
    /// Empty; it can roll back if it is `transactional`.
    pub(crate) fn new(transactional: bool) -> Self {
        let journal = transactional.then(Vec::new);
        let (map, mark) = (ByteMap::default(), Mark::EMPTY);
        Self {
            inner: RwLock::new(Inner {
                map,
                mark,
                journal,
                epoch: 1,
                frozen: None,
                uncommitted_bytes: 0,
            }),
        }
    }
}

impl Inner {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        let epoch = self.epoch;
        if let Some(slot) = self.map.get_mut(key) {
            if let Some(journal) = &mut self.journal
                && slot.epoch != epoch
            {
                let old = std::mem::replace(&mut slot.value, value.into());
                self.uncommitted_bytes += entry_bytes(key, &old);
                journal.push((key.into(), Some(old)));
                slot.epoch = epoch;
            } else {
                slot.value.set(value);
            }
            return;
        }
        let key = SmallKey::from(key);
        if let Some(journal) = &mut self.journal {
            self.uncommitted_bytes += entry_bytes(&key, value);
            journal.push((key.clone(), None));
        }
        self.map.insert(key, Slot { value: value.into(), epoch });
    }

    fn delete(&mut self, key: &[u8]) {
        let Some((key, slot)) = self.map.remove(key) else { return };
        if let Some(journal) = &mut self.journal
            && slot.epoch != self.epoch
        {
            self.uncommitted_bytes += entry_bytes(&key, &slot.value);
            journal.push((key, Some(slot.value)));
        }
    }

    /// Starts a new epoch: what was written is not undone any more.
    fn settle(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.uncommitted_bytes = 0;
        let frozen = self.frozen.take();
        if let Some(journal) = &mut self.journal {
            journal.drain(..frozen.unwrap_or(journal.len()).min(journal.len()));
            journal.shrink_to(KEPT_JOURNAL);
        }
    }

    fn end(&mut self, end: End) {
        self.mark = end.mark.after(self.mark);
        if let Some(floor) = end.floor {
            self.remove_below(floor);
        }
    }

    fn remove_below(&mut self, floor: Vec<u8>) {
        let scan = Scan { from: Vec::new(), to: Some(floor), reverse: false };
        if scan.is_empty() {
            return;
        }
        self.map.order();
        let mut below = Vec::new();
        self.map.scan(&scan, |key, _| {
            below.push(key.clone());
            true
        });
        for key in below {
            self.map.remove(&key);
        }
    }
}

impl Writes for Inner {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.put(key, value);
    }

    fn delete(&mut self, key: &[u8]) {
        self.delete(key);
    }
}

impl ByteStore for Memory {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let inner = self.inner.read();
        let Some(slot) = inner.map.get(key) else { return Ok(false) };
        out.extend_from_slice(&slot.value);
        Ok(true)
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result {
        self.inner.write().put(key, value);
        Ok(())
    }

    fn delete(&self, key: &[u8]) -> Result {
        self.inner.write().delete(key);
        Ok(())
    }

    fn page(&self, scan: &Scan, limit: usize, page: &mut Page) -> Result {
        let mut inner = self.inner.read();
        if !inner.map.is_ordered() {
            drop(inner);
            let mut writing = self.inner.write();
            writing.map.order();
            inner = RwLockWriteGuard::downgrade(writing);
        }
        page.complete = inner.map.scan(scan, |key, slot| {
            if page.is_full(limit) {
                return false;
            }
            page.push(key, Some(&slot.value));
            true
        });
        Ok(())
    }

    fn approximate_len(&self) -> Result<u64> {
        Ok(self.inner.read().map.len() as u64)
    }

    fn mark(&self) -> Result<Mark> {
        Ok(self.inner.read().mark)
    }

    fn restore(&self, fill: Fill<'_>) -> Result {
        let mut inner = self.inner.write();
        // Restored data is committed, so the journal must not see it.
        let journal = inner.journal.take();
        let filled = fill(&mut *inner);
        inner.journal = journal;
        // Restored slots are as old as the last commit: the next write to one must be journaled.
        inner.epoch = inner.epoch.wrapping_add(1);
        inner.end(filled?);
        Ok(())
    }

    fn freeze(&self) {
        let mut inner = self.inner.write();
        if inner.frozen.is_none() {
            inner.frozen = inner.journal.as_ref().map(Vec::len);
            // What is written now has its value of before in the journal behind the frozen part.
            inner.epoch = inner.epoch.wrapping_add(1);
        }
    }

    fn commit(&self, end: End) -> Result {
        let mut inner = self.inner.write();
        inner.end(end);
        inner.settle();
        Ok(())
    }

    fn rollback(&self) -> bool {
        let mut inner = self.inner.write();
        let Some(mut journal) = inner.journal.take() else { return false };
        inner.frozen = None;
        for (key, old) in journal.drain(..).rev() {
            inner.map.remove(&key);
            if let Some(value) = old {
                inner.map.insert(key, Slot { value, epoch: 0 });
            }
        }
        inner.journal = Some(journal);
        inner.settle();
        true
    }

    fn uncommitted_bytes(&self) -> usize {
        self.inner.read().uncommitted_bytes
    }

    fn close(&self) -> Result {
        self.wipe()
    }

    fn wipe(&self) -> Result {
        let mut inner = self.inner.write();
        inner.map = ByteMap::default();
        inner.mark = Mark::EMPTY;
        inner.frozen = None;
        inner.settle();
        Ok(())
    }
}

/// What an entry of a map or journal takes beside its bytes, roughly.
fn entry_bytes(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + size_of::<(SmallKey, SmallBytes)>()
}

/// Entries of the journal that are kept as memory from commit to commit.
const KEPT_JOURNAL: usize = 4096;
