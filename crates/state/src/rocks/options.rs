//! The options of a store's RocksDB: Java's where they are right, ours where reasons differ.

use std::fmt;
use std::sync::Arc;

use rocksdb::{
    BlockBasedOptions, DBCompactionStyle, DBCompressionType, InfoLogger, LogLevel, Options,
};

use super::RocksMemory;

/// What a builder says about the RocksDB of its store.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    /// Called last, so that the user wins.
    pub(crate) configure: Option<Arc<Configure>>,
    /// `None` is the process's.
    pub(crate) memory: Option<RocksMemory>,
}

type Configure = dyn Fn(&mut Options) + Send + Sync;

impl Settings {
    pub(super) fn memory(&self) -> &RocksMemory {
        self.memory.as_ref().unwrap_or_else(|| RocksMemory::process())
    }

    /// Options of the database and of the column family with the data.
    pub(super) fn data_options(&self, store: &str) -> Options {
        let memory = self.memory();
        let mut options = common(memory);
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        // A flush of one column family alone would separate data from offset; the WAL covers a
        // killed process, this covers a torn WAL and writes without WAL.
        options.set_atomic_flush(true);
        options.set_paranoid_checks(true);
        options.set_write_buffer_manager(&memory.write_buffers);
        options.set_write_buffer_size(WRITE_BUFFER);
        // A get passes every memtable; walking a skip list costs more than all else in it.
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM);
        options.set_max_write_buffer_number(3);
        options.set_max_background_jobs(BACKGROUND_JOBS);
        // A restore leaves as many files as it has taken in. They are merged in the background: a
        // commit that waited for that would take its thread out of the group.
        options.set_level_zero_slowdown_writes_trigger(NEVER);
        options.set_level_zero_stop_writes_trigger(NEVER);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        let store = store.to_owned();
        options.set_info_logger(InfoLogger::new_callback_logger(
            LogLevel::Error,
            move |level, message| match level {
                LogLevel::Error | LogLevel::Fatal => {
                    log::warn!("store {store}: rocksdb: {message}");
                }
                // All its options, hundreds of lines, come at each opening whatever is asked for.
                _ => log::trace!("store {store}: rocksdb: {message}"),
            },
        ));
        if let Some(configure) = &self.configure {
            configure(&mut options);
        }
        options
    }

    /// Options of the column family with the offset.
    pub(super) fn offset_options(&self) -> Options {
        let mut options = common(self.memory());
        options.set_write_buffer_size(OFFSETS_WRITE_BUFFER);
        options
    }
}

fn common(memory: &RocksMemory) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&memory.cache);
    blocks.set_block_size(4 << 10);
    // On every level: unlike Java's optimizeFiltersForHits, since a store is asked for each key
    // before that key's first put.
    blocks.set_bloom_filter(10.0, false);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_cache_index_and_filter_blocks_with_high_priority(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.set_arena_block_size(ARENA_BLOCK);
    options.set_writable_file_max_buffer_size(FILE_BUFFER);
    options.set_block_based_table_factory(&blocks);
    options.set_compaction_style(DBCompactionStyle::Universal);
    options.set_compression_type(DBCompressionType::None);
    options
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { configure, memory } = self;
        f.debug_struct("Settings")
            .field("configured", &configure.is_some())
            .field("memory", memory)
            .finish()
    }
}

/// Java's sizes.
const WRITE_BUFFER: usize = 16 << 20;
const OFFSETS_WRITE_BUFFER: usize = 1 << 20;
/// What an empty memtable takes counts against the budget, and a store that writes while it is used up
/// flushes at once, however little it has: so a block is small (1 MiB by default), and a filter no
/// larger than some 10 bits for each entry of a full memtable.
const ARENA_BLOCK: usize = 32 << 10;
const MEMTABLE_BLOOM: f64 = 0.01;

/// What a log keeps for good once a commit was larger; 1 MiB by default. More does not save system calls
/// that matter: it all goes to the page cache.
const FILE_BUFFER: u64 = 64 << 10;

/// More files than a level ever has.
const NEVER: i32 = 1 << 30;

/// RocksDB's threads are shared by all databases of the process.
const BACKGROUND_JOBS: i32 = 2;
