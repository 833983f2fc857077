//! One memory budget for all RocksDB stores of the process.

use std::fmt;
use std::sync::{Arc, OnceLock};

use kstreams_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use rocksdb::{Cache, WriteBufferManager};

/// The memory that RocksDB stores share: blocks read from disk, and writes not yet flushed, which
/// take at most half of it.
///
/// Kafka Streams gives each store, and each segment of a window store, 50 MiB of cache and 48 MiB
/// of write buffers of its own; here they compete for one budget. Unless it is set, it is 10 MiB for
/// each store that is open, but 32 MiB at least and 256 MiB at most.
///
/// ```
/// use kstreams_core::serde::{U64, Utf8};
/// use kstreams_state::KeyValue;
/// use kstreams_state::rocks::RocksMemory;
///
/// let small = RocksMemory::new(64 << 20);
/// let builder = KeyValue::persistent("counts", Utf8, U64).rocksdb_memory(&small);
/// # drop(builder);
/// ```
#[derive(Clone)]
pub struct RocksMemory {
    pub(super) cache: Cache,
    pub(super) write_buffers: WriteBufferManager,
    /// How many stores are open, if they decide how large it is.
    n_open: Option<Arc<Mutex<usize>>>,
}

impl RocksMemory {
    /// A budget of its own, for the stores that are given it.
    pub fn new(n_bytes: usize) -> Self {
        let cache = Cache::new_lru_cache(n_bytes);
        let write_buffers = WriteBufferManager::new_write_buffer_manager_with_cache(
            n_bytes / 2,
            false,
            cache.clone(),
        );
        Self { cache, write_buffers, n_open: None }
    }

    /// The budget of every store that was not given one.
    pub fn process() -> &'static Self {
        PROCESS.get_or_init(Self::by_stores)
    }

    /// Sets the process's budget; to be called before the first store opens.
    ///
    /// # Errors
    /// If it is in use already.
    pub fn set_process(n_bytes: usize) -> Result {
        PROCESS.set(Self::new(n_bytes)).map_err(|_| {
            Error::new(
                ErrorKind::Config,
                "the memory of RocksDB is in use already: set it before the first store opens",
            )
        })
    }

    /// How large the budget is now.
    pub fn n_bytes(&self) -> usize {
        2 * self.write_buffers.get_buffer_size()
    }

    /// How much of it is in use.
    pub fn used_bytes(&self) -> usize {
        self.cache.get_usage()
    }

    /// A budget that grows with the stores.
    fn by_stores() -> Self {
        Self { n_open: Some(Arc::default()), ..Self::new(budget_of(0)) }
    }

    /// Counts a store that is open, until what is returned is dropped.
    pub(super) fn enter(&self) -> Share {
        self.count(|n_open| n_open + 1);
        Share(self.clone())
    }

    fn count(&self, change: impl FnOnce(usize) -> usize) {
        let Some(n_open) = &self.n_open else { return };
        let mut n_open = n_open.lock();
        *n_open = change(*n_open);
        let n_bytes = budget_of(*n_open);
        self.cache.clone().set_capacity(n_bytes);
        self.write_buffers.set_buffer_size(n_bytes / 2);
    }
}

fn budget_of(n_open: usize) -> usize {
    (n_open * BY_STORE).clamp(LEAST, MOST)
}

/// A store's part of a budget.
pub(super) struct Share(RocksMemory);

impl Drop for Share {
    fn drop(&mut self) {
        self.0.count(|n_open| n_open - 1);
    }
}

impl fmt::Debug for RocksMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksMemory").field("n_bytes", &self.n_bytes()).finish_non_exhaustive()
    }
}

static PROCESS: OnceLock<RocksMemory> = OnceLock::new();

const BY_STORE: usize = 10 << 20;
const LEAST: usize = 32 << 20;
const MOST: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_shrinks_with_the_stores_unless_it_is_set() {
        let memory = RocksMemory::by_stores();
        let shares: Vec<Share> = (0..40).map(|_| memory.enter()).collect();
        assert_eq!(memory.n_bytes(), MOST);
        let mut sizes: Vec<usize> = Vec::new();
        for share in shares {
            sizes.push(memory.n_bytes());
            drop(share);
        }
        assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes.contains(&(4 * BY_STORE)), "{sizes:?}");
        assert_eq!(memory.n_bytes(), LEAST);
        let set = RocksMemory::new(3 << 20);
        let _share = set.enter();
        assert_eq!(set.n_bytes(), 3 << 20);
    }
}
