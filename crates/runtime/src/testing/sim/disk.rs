//! A disk that outlives the simulated process: it loses or tears what was not synced when the
//! machine dies, flips bits, and can be full.
//!
//! Simulated stores write to it; the world decides what it suffers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::random::Random;
use kstreams_core::serde::Serde;
use kstreams_core::task::TaskId;
use parking_lot::Mutex;

use super::instance_probe::InstanceProbe;
use super::ledger::Ledger;
use super::store::SimStoreBuilder;

/// The disk of one simulated instance; clones share it.
///
/// Topologies get it from [`SimEnv`](super::SimEnv) and make their stores on it.
#[derive(Clone)]
pub struct SimDisk(pub(super) Arc<Disk>);

pub(super) struct Disk {
    files: Mutex<BTreeMap<String, File>>,
    is_full: AtomicBool,
    pub(super) probe: Arc<InstanceProbe>,
    pub(super) ledger: Ledger,
    /// A planted bug: the offset of a commit is written before its data.
    writes_offset_first: AtomicBool,
}

#[derive(Debug, Default)]
struct File {
    bytes: Vec<u8>,
    /// What survives the machine.
    n_synced: usize,
    is_open: bool,
}

impl SimDisk {
    pub(super) fn new(probe: Arc<InstanceProbe>, ledger: Ledger) -> Self {
        Self(Arc::new(Disk {
            files: Mutex::default(),
            is_full: AtomicBool::new(false),
            probe,
            ledger,
            writes_offset_first: AtomicBool::new(false),
        }))
    }

    pub(super) fn set_writes_offset_first(&self, is_so: bool) {
        self.0.writes_offset_first.store(is_so, Ordering::Relaxed);
    }

    /// A persistent key-value store on this disk.
    pub fn store<K: Serde, V: Serde>(&self, name: &str, key: K, value: V) -> SimStoreBuilder<K, V> {
        SimStoreBuilder::new(self.clone(), name, key, value)
    }

    /// The machine dies: of what was not synced, a part is lost, and the end of the rest is torn.
    pub(super) fn lose_unsynced(&self, random: &Random) {
        for file in self.0.files.lock().values_mut() {
            file.is_open = false;
            let n_unsynced = (file.bytes.len() - file.n_synced) as u64;
            if n_unsynced == 0 {
                continue;
            }
            let kept = file.n_synced + random.below(n_unsynced + 1) as usize;
            file.bytes.truncate(kept);
            if random.below(2) == 0 {
                let n_torn = (kept - file.n_synced).min(random.below(512) as usize);
                for byte in &mut file.bytes[kept - n_torn..] {
                    *byte = random.next() as u8;
                }
            }
        }
    }

    /// The process dies: its files are closed.
    pub(super) fn close_all(&self) {
        for file in self.0.files.lock().values_mut() {
            file.is_open = false;
        }
    }

    /// One bit of one file changes; false if there is none.
    pub(super) fn flip_bit(&self, random: &Random) -> bool {
        let mut files = self.0.files.lock();
        let mut files: Vec<&mut File> =
            files.values_mut().filter(|file| !file.bytes.is_empty()).collect();
        let chosen = random.below(files.len() as u64) as usize;
        let Some(file) = files.get_mut(chosen) else { return false };
        // Rather at the front, where it is no torn tail.
        let at = random.below((file.bytes.len() as u64).div_ceil(2)) as usize;
        file.bytes[at] ^= 1 << random.below(8);
        true
    }

    /// Everything is gone, as with a new machine.
    pub(super) fn lose_all(&self) {
        self.0.files.lock().clear();
    }

    pub(super) fn set_full(&self, is_full: bool) {
        self.0.is_full.store(is_full, Ordering::Relaxed);
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.is_full.load(Ordering::Relaxed)
    }

    /// Deletes what belongs to a task.
    pub(super) fn wipe_task(&self, task: TaskId) {
        let prefix = format!("{task}/");
        self.0.files.lock().retain(|name, _| !name.starts_with(&prefix));
    }
}

impl Disk {
    /// Opens a file for its one owner and reads it.
    pub(super) fn open(&self, name: &str) -> Result<Vec<u8>> {
        let mut files = self.files.lock();
        let file = files.entry(name.to_owned()).or_default();
        if std::mem::replace(&mut file.is_open, true) {
            let text = format!("{name} is open already: two owners of one store");
            return Err(Error::new(ErrorKind::StateDir, text));
        }
        Ok(file.bytes.clone())
    }

    pub(super) fn writes_offset_first(&self) -> bool {
        self.writes_offset_first.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self, name: &str) {
        if let Some(file) = self.files.lock().get_mut(name) {
            file.is_open = false;
        }
    }

    /// Appends; a full disk takes a part at most.
    pub(super) fn append(&self, name: &str, bytes: &[u8]) -> Result {
        let mut files = self.files.lock();
        let file = files.entry(name.to_owned()).or_default();
        if self.is_full.load(Ordering::Relaxed) {
            file.bytes.extend_from_slice(&bytes[..bytes.len() / 3]);
            let text = format!("no space left on the disk: {name}");
            return Err(Error::new(ErrorKind::Store, text));
        }
        file.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Cuts off what a failed append has left.
    pub(super) fn truncate(&self, name: &str, len: usize) {
        if let Some(file) = self.files.lock().get_mut(name) {
            file.bytes.truncate(len);
            file.n_synced = file.n_synced.min(len);
        }
    }

    pub(super) fn sync(&self, name: &str) {
        if let Some(file) = self.files.lock().get_mut(name) {
            file.n_synced = file.bytes.len();
        }
    }

    /// Gives a file another's content, synced before, in one step.
    pub(super) fn rename(&self, from: &str, to: &str) {
        let mut files = self.files.lock();
        if let Some(file) = files.remove(from) {
            let is_open = files.get(to).is_some_and(|old| old.is_open);
            files.insert(to.to_owned(), File { is_open, ..file });
        }
    }

    pub(super) fn remove(&self, name: &str) {
        let mut files = self.files.lock();
        if let Some(file) = files.get_mut(name) {
            *file = File { is_open: file.is_open, ..File::default() };
        }
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.0.files.lock();
        let sizes: Vec<_> = files.iter().map(|(name, file)| (name, file.bytes.len())).collect();
        f.debug_struct("SimDisk").field("files", &sizes).finish_non_exhaustive()
    }
}
