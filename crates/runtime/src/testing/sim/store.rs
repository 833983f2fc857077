//! A persistent key-value store on a simulated disk, with the commit contract of
//! [`StateStore`](kstreams_core::store::StateStore): an overlay of uncommitted writes over data
//! that is written in one batch with the offset it stands for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Headers, Offset, RawRecord};
use kstreams_core::serde::{At, Serde, read, write};
use kstreams_core::store::{
    ChangeBuffer, ChangelogConfig, StateStore, StoreBuilder, StoreContext, TaskTimes,
};
use kstreams_core::task::TaskId;
use parking_lot::Mutex;

use super::disk::{Disk, SimDisk};
use super::ledger::{StoreEvent, StoreStep};
use super::trace::Hash;
use super::wal::{self, Entries, NO_OFFSET};
use crate::probe::{CrashPoint, Probe};

/// So many batches are appended before the file is written anew.
const MAX_BATCHES: usize = 6;

/// Makes a [`SimStore`] for each task; from [`SimDisk::store`].
pub struct SimStoreBuilder<K, V> {
    disk: SimDisk,
    name: Arc<str>,
    key: Arc<K>,
    value: Arc<V>,
}

impl<K: Serde, V: Serde> SimStoreBuilder<K, V> {
    pub(super) fn new(disk: SimDisk, name: &str, key: K, value: V) -> Self {
        Self { disk, name: name.into(), key: Arc::new(key), value: Arc::new(value) }
    }
}

impl<K: Serde, V: Serde> StoreBuilder for SimStoreBuilder<K, V> {
    type Store = SimStore<K, V>;

    fn name(&self) -> &str {
        &self.name
    }

    fn changelog(&self) -> Option<ChangelogConfig> {
        Some(ChangelogConfig::compacted())
    }

    fn build(&self, context: StoreContext) -> Result<Self::Store> {
        let path = format!("{}/{}", context.task, self.name);
        let (file, bytes) = File::open(Arc::clone(&self.disk.0), path)?;
        let found = wal::recover(&bytes);
        if found.is_corrupted {
            let text = format!("store {}: checksum does not fit", self.name);
            return Err(Error::new(ErrorKind::Corrupted, text).at_task(context.task));
        }
        file.disk.truncate(&file.path, found.n_good);
        let hash =
            found.entries.iter().fold(0, |hash, (key, value)| hash ^ Hash::entry(key, value));
        let inner = Inner {
            overlay: BTreeMap::new(),
            frozen: None,
            base: found.entries,
            hash,
            offset: found.offset,
            n_bytes: found.n_good,
            n_batches: found.n_batches,
        };
        let store = SimStore {
            name: Arc::clone(&self.name),
            key: Arc::clone(&self.key),
            value: Arc::clone(&self.value),
            topic: context.changelog_topic,
            task: context.task,
            changes: context.changes,
            times: context.times,
            file,
            inner: Mutex::new(inner),
        };
        store.tell(&store.inner.lock(), StoreStep::Open);
        Ok(store)
    }
}

impl<K, V> fmt::Debug for SimStoreBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimStoreBuilder({})", self.name)
    }
}

/// A key-value store on a simulated disk.
pub struct SimStore<K, V> {
    name: Arc<str>,
    key: Arc<K>,
    value: Arc<V>,
    topic: Arc<str>,
    task: TaskId,
    changes: Option<Arc<ChangeBuffer>>,
    times: Arc<TaskTimes>,
    file: File,
    inner: Mutex<Inner>,
}

struct Inner {
    overlay: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// What the next commit writes, if it was fixed before.
    frozen: Option<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
    base: Entries,
    /// Of all entries of `base`.
    hash: u64,
    offset: Option<Offset>,
    n_bytes: usize,
    n_batches: usize,
}

impl Inner {
    fn forget(&mut self) {
        self.overlay.clear();
        self.frozen = None;
    }
}

/// The file of a store, closed when dropped.
struct File {
    disk: Arc<Disk>,
    path: String,
    is_open: AtomicBool,
}

impl File {
    fn open(disk: Arc<Disk>, path: String) -> Result<(Self, Vec<u8>)> {
        let bytes = disk.open(&path)?;
        Ok((Self { disk, path, is_open: AtomicBool::new(true) }, bytes))
    }

    fn close(&self) {
        if self.is_open.swap(false, Ordering::Relaxed) {
            self.disk.close(&self.path);
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.close();
    }
}

impl<K: Serde, V: Serde> SimStore<K, V> {
    /// The value of `key`.
    ///
    /// # Errors
    /// If a serde fails.
    pub fn get(&self, key: &K::Item) -> Result<Option<V::Item>> {
        let key = self.key_bytes(key)?;
        let inner = self.inner.lock();
        let frozen = inner.frozen.as_ref();
        let found = match inner.overlay.get(&key).or_else(|| frozen?.get(&key)) {
            Some(own) => own.as_deref(),
            None => inner.base.get(&key).map(Vec::as_slice),
        };
        found.map(|bytes| read(&*self.value, Some(bytes), &At::value(&self.topic))).transpose()
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// If a serde fails.
    pub fn put(&self, key: &K::Item, value: &V::Item) -> Result {
        let mut bytes = Vec::new();
        let present = write(&*self.value, value, &At::value(&self.topic), &mut bytes)?;
        self.set(self.key_bytes(key)?, present.then_some(bytes));
        Ok(())
    }

    /// Removes `key`.
    ///
    /// # Errors
    /// If a serde fails.
    pub fn delete(&self, key: &K::Item) -> Result {
        self.set(self.key_bytes(key)?, None);
        Ok(())
    }

    /// All entries, in the order of the keys' bytes.
    ///
    /// # Errors
    /// If a serde fails.
    pub fn all(&self) -> Result<Vec<(K::Item, V::Item)>> {
        let inner = self.inner.lock();
        let mut all: BTreeMap<&[u8], &[u8]> =
            inner.base.iter().map(|(key, value)| (&**key, &**value)).collect();
        for (key, value) in inner.frozen.iter().flatten().chain(&inner.overlay) {
            match value {
                Some(value) => all.insert(key, value),
                None => all.remove(&**key),
            };
        }
        let typed = |(key, value): (&[u8], &[u8])| {
            Ok((
                read(&*self.key, Some(key), &At::key(&self.topic))?,
                read(&*self.value, Some(value), &At::value(&self.topic))?,
            ))
        };
        all.into_iter().map(typed).collect()
    }

    fn key_bytes(&self, key: &K::Item) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if write(&*self.key, key, &At::key(&self.topic), &mut bytes)? {
            return Ok(bytes);
        }
        Err(Error::new(ErrorKind::Serialization, format!("store {}: null key", self.name)))
    }

    fn set(&self, key: Vec<u8>, value: Option<Vec<u8>>) {
        if let Some(changes) = &self.changes {
            changes.append(&key, value.as_deref(), self.times.record(), &Headers::default());
        }
        self.inner.lock().overlay.insert(key, value);
        self.file.disk.probe.pass(CrashPoint::StorePut);
    }
}

impl<K, V> SimStore<K, V> {
    /// Writes a batch and makes it the truth.
    fn apply(&self, writes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>, offset: Option<Offset>) -> Result {
        let mut inner = self.inner.lock();
        let offset = offset.or(inner.offset);
        if writes.is_empty() && offset == inner.offset {
            return Ok(());
        }
        let (disk, path) = (&self.file.disk, &self.file.path);
        let number = offset.unwrap_or(NO_OFFSET);
        let len_before = inner.n_bytes;
        if disk.writes_offset_first() {
            let early = wal::encode(number, std::iter::empty());
            disk.append(path, &early)?;
            inner.n_bytes += early.len();
        }
        let bytes =
            wal::encode(number, writes.iter().map(|(key, value)| (&**key, value.as_deref())));
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let appended = disk.append(path, first).and_then(|()| {
            disk.probe.pass(CrashPoint::HalfWritten);
            disk.append(path, second)
        });
        if let Err(error) = appended {
            inner.n_bytes = len_before;
            disk.truncate(path, len_before);
            return Err(error);
        }
        disk.probe.pass(CrashPoint::Written);
        inner.n_bytes += bytes.len();
        inner.n_batches += 1;
        for (key, value) in writes {
            let old = match value {
                Some(value) => inner.base.insert(key.clone(), value.clone()),
                None => inner.base.remove(key),
            };
            inner.hash ^= old.map_or(0, |old| Hash::entry(key, &old));
            inner.hash ^= value.as_ref().map_or(0, |value| Hash::entry(key, value));
        }
        inner.offset = offset;
        if inner.n_batches >= MAX_BATCHES {
            self.write_anew(&mut inner)?;
        }
        Ok(())
    }

    /// Replaces the file by one that holds the same in one batch.
    fn write_anew(&self, inner: &mut Inner) -> Result {
        let (disk, path) = (&self.file.disk, &self.file.path);
        let new = format!("{path}.tmp");
        disk.remove(&new);
        let entries = inner.base.iter().map(|(key, value)| (&**key, Some(&**value)));
        let bytes = wal::encode(inner.offset.unwrap_or(NO_OFFSET), entries);
        // The old file is whole: a disk that is full leaves it as it is.
        if disk.append(&new, &bytes).is_err() {
            disk.remove(&new);
            return Ok(());
        }
        disk.sync(&new);
        disk.probe.pass(CrashPoint::SnapshotWritten);
        disk.rename(&new, path);
        disk.probe.pass(CrashPoint::SnapshotRenamed);
        (inner.n_bytes, inner.n_batches) = (bytes.len(), 1);
        Ok(())
    }

    fn tell(&self, inner: &Inner, step: StoreStep) {
        self.file.disk.ledger.store(StoreEvent {
            instance: self.file.disk.probe.index(),
            step,
            task: self.task,
            topic: Arc::clone(&self.topic),
            offset: inner.offset,
            hash: inner.hash,
        });
    }
}

impl<K: Serde, V: Serde> StateStore for SimStore<K, V> {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_persistent(&self) -> bool {
        true
    }

    fn committed_offset(&self) -> Result<Option<Offset>> {
        Ok(self.inner.lock().offset)
    }

    fn restore(&self, records: &mut dyn Iterator<Item = RawRecord<'_>>, through: Offset) -> Result {
        let mut writes = BTreeMap::new();
        for record in records {
            if let Some(key) = record.key {
                writes.insert(key.to_vec(), record.value.map(<[u8]>::to_vec));
            }
        }
        self.apply(&writes, Some(through))?;
        self.tell(&self.inner.lock(), StoreStep::Restore);
        Ok(())
    }

    fn can_freeze(&self) -> bool {
        true
    }

    fn freeze(&self) {
        let inner = &mut *self.inner.lock();
        inner.frozen.get_or_insert_with(|| std::mem::take(&mut inner.overlay));
    }

    fn commit(&self, changelog_offset: Option<Offset>) -> Result {
        let writes = {
            let inner = &mut *self.inner.lock();
            inner.frozen.take().unwrap_or_else(|| std::mem::take(&mut inner.overlay))
        };
        if let Err(error) = self.apply(&writes, changelog_offset) {
            // Newer writes win.
            let mut inner = self.inner.lock();
            for (key, value) in writes {
                inner.overlay.entry(key).or_insert(value);
            }
            return Err(error);
        }
        self.tell(&self.inner.lock(), StoreStep::Commit);
        Ok(())
    }

    fn rollback(&self) -> bool {
        self.inner.lock().forget();
        true
    }

    fn uncommitted_bytes(&self) -> usize {
        let entry = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| {
            key.len() + value.as_ref().map_or(0, Vec::len)
        };
        let inner = self.inner.lock();
        inner.frozen.iter().flatten().chain(&inner.overlay).map(entry).sum()
    }

    fn close(&self) -> Result {
        self.inner.lock().forget();
        self.file.disk.sync(&self.file.path);
        self.file.close();
        Ok(())
    }

    fn wipe(&self) -> Result {
        let mut inner = self.inner.lock();
        self.file.disk.remove(&self.file.path);
        inner.forget();
        inner.base.clear();
        (inner.hash, inner.offset, inner.n_bytes, inner.n_batches) = (0, None, 0, 0);
        self.tell(&inner, StoreStep::Wipe);
        Ok(())
    }
}

impl<K, V> fmt::Debug for SimStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStore").field("name", &self.name).finish_non_exhaustive()
    }
}
