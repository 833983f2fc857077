//! One memory budget for all RocksDB stores of the process.

use std::fmt;
use std::sync::OnceLock;

use kstreams_core::{Error, ErrorKind, Result};
use rocksdb::{Cache, WriteBufferManager};

/// The memory that RocksDB stores share: blocks read from disk, and writes not yet flushed, which
/// take at most half of it.
///
/// Kafka Streams gives each store, and each segment of a window store, 50 MiB of cache and 48 MiB
/// of write buffers of its own; here they compete for one budget, 256 MiB unless set.
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
    n_bytes: usize,
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
        Self { cache, write_buffers, n_bytes }
    }

    /// The budget of every store that was not given one.
    pub fn process() -> &'static Self {
        PROCESS.get_or_init(|| Self::new(DEFAULT))
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

    /// How large the budget is.
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// How much of it is in use.
    pub fn used_bytes(&self) -> usize {
        self.cache.get_usage()
    }
}

impl fmt::Debug for RocksMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksMemory").field("n_bytes", &self.n_bytes).finish_non_exhaustive()
    }
}

static PROCESS: OnceLock<RocksMemory> = OnceLock::new();

const DEFAULT: usize = 256 << 20;
