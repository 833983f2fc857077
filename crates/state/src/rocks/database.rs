//! One RocksDB: a column family with the data and one, `offsets`, with where it stands.
//!
//! # Durability
//! A commit is one write batch of data and offset, in the write-ahead log but not synced. Killing
//! the process loses nothing committed: the log is in the page cache, and what is replayed from
//! the changelog is what was not committed. Losing power loses the unsynced tail of the log, whole
//! batches of it, so the data still fits its offset and a longer tail is replayed.
//!
//! Restoring into an empty store goes without the log, since it can be repeated: a crash then
//! falls back to the last flush, which is atomic over both column families. The first commit
//! flushes before it uses the log, because a log without its beginning would not fit.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kstreams_core::{Error, ErrorKind, Result};
use parking_lot::{Mutex, RwLock};
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, FlushOptions, ReadOptions, WriteBatch, WriteOptions,
};

use super::Settings;
use super::fault::{OPENING, fault, io_fault};
use crate::bytes::{End, Fill, Mark, Writes};
use crate::overlay::Base;
use crate::scan::{Page, Scan};

pub(super) struct Rocks {
    place: Place,
    db: RwLock<Option<DB>>,
    mark: Mutex<Mark>,
    /// True if what is restored goes without the log.
    bulk: AtomicBool,
    /// True if something without log may not be flushed.
    unlogged: AtomicBool,
    reads: ReadOptions,
}

/// Which database it is.
pub(super) struct Place {
    pub(super) name: Arc<str>,
    pub(super) path: PathBuf,
    /// The layout of the data's bytes.
    pub(super) format: String,
    pub(super) offset_key: String,
    pub(super) settings: Settings,
}

impl Rocks {
    pub(super) fn open(place: Place) -> Result<Self> {
        let (db, mark) = place.open()?;
        Ok(Self {
            place,
            db: RwLock::new(Some(db)),
            bulk: AtomicBool::new(mark.offset.is_none()),
            mark: Mutex::new(mark),
            unlogged: AtomicBool::new(false),
            reads: ReadOptions::default(),
        })
    }

    fn with<R>(&self, work: impl FnOnce(&DB) -> Result<R>) -> Result<R> {
        match &*self.db.read() {
            Some(db) => work(db),
            None => Err(self.closed()),
        }
    }

    #[cold]
    fn closed(&self) -> Error {
        Error::new(ErrorKind::Closed, format!("store {} is closed", self.place.name))
    }

    #[cold]
    fn fault(&self, doing: &str, error: rocksdb::Error) -> Error {
        fault(&self.place.name, &self.place.path, doing, error)
    }

    fn flush(&self, db: &DB) -> Result {
        let families = [self.place.family(db, DATA)?, self.place.family(db, OFFSETS)?];
        db.flush_cfs_opt(&families, &FlushOptions::default())
            .map_err(|error| self.fault("flushing", error))
    }

    /// What a commit must do before it may rely on the log.
    fn end_bulk(&self, db: &DB) -> Result {
        if self.unlogged.load(Ordering::Acquire) {
            self.flush(db)?;
            self.unlogged.store(false, Ordering::Release);
        }
        self.bulk.store(false, Ordering::Release);
        Ok(())
    }
}

impl Place {
    fn open(&self) -> Result<(DB, Mark)> {
        std::fs::create_dir_all(&self.path)
            .map_err(|error| io_fault(&self.name, &self.path, OPENING, error))?;
        let options = self.settings.data_options(&self.name);
        let families = [
            ColumnFamilyDescriptor::new(DATA, options.clone()),
            ColumnFamilyDescriptor::new(OFFSETS, self.settings.offset_options()),
        ];
        let db = DB::open_cf_descriptors(&options, &self.path, families)
            .map_err(|error| fault(&self.name, &self.path, OPENING, error))?;
        self.check_format(&db)?;
        let mark = Mark {
            offset: self.number(&db, self.offset_key.as_bytes())?.filter(|offset| *offset >= 0),
            time: self.number(&db, TIME)?.unwrap_or(Mark::EMPTY.time),
            sequence: self.number(&db, SEQUENCE)?.and_then(|n| n.try_into().ok()).unwrap_or(0),
        };
        self.set_status(&db, OPEN)?;
        Ok((db, mark))
    }

    /// Refuses data in another layout: it must be rebuilt, not misread.
    fn check_format(&self, db: &DB) -> Result {
        let offsets = self.family(db, OFFSETS)?;
        let written = db.get_cf(offsets, FORMAT).map_err(|e| self.fault(e))?;
        match written {
            Some(format) if format == self.format.as_bytes() => Ok(()),
            None if db.iterator(rocksdb::IteratorMode::Start).next().is_none() => {
                db.put_cf(offsets, FORMAT, &self.format).map_err(|e| self.fault(e))
            }
            other => Err(Error::new(
                ErrorKind::Corrupted,
                format!(
                    "store {}: {} holds data of the format `{}`, not `{}`",
                    self.name,
                    self.path.display(),
                    String::from_utf8_lossy(other.as_deref().unwrap_or(b"unknown")),
                    self.format
                ),
            )),
        }
    }

    fn family<'a>(&self, db: &'a DB, family: &str) -> Result<&'a ColumnFamily> {
        db.cf_handle(family).ok_or_else(|| {
            Error::new(
                ErrorKind::Corrupted,
                format!("store {}: no column family {family}", self.name),
            )
        })
    }

    /// A number of the family `offsets`; one that is no number counts as absent.
    fn number(&self, db: &DB, key: &[u8]) -> Result<Option<i64>> {
        let bytes = db.get_cf(self.family(db, OFFSETS)?, key).map_err(|e| self.fault(e))?;
        Ok(bytes.and_then(|bytes| Some(i64::from_be_bytes(bytes.try_into().ok()?))))
    }

    fn set_status(&self, db: &DB, status: i64) -> Result {
        db.put_cf(self.family(db, OFFSETS)?, STATUS, status.to_be_bytes())
            .map_err(|error| self.fault(error))
    }

    #[cold]
    fn fault(&self, error: rocksdb::Error) -> Error {
        fault(&self.name, &self.path, OPENING, error)
    }
}

impl Base for Rocks {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        self.with(|db| match db.get_pinned_opt(key, &self.reads) {
            Ok(Some(value)) => {
                out.extend_from_slice(&value);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => Err(self.fault("reading", error)),
        })
    }

    fn page(&self, scan: &Scan, limit: usize, page: &mut Page) -> Result {
        self.with(|db| {
            let mut reads = ReadOptions::default();
            reads.set_iterate_lower_bound(&scan.from[..]);
            if let Some(to) = &scan.to {
                reads.set_iterate_upper_bound(&to[..]);
            }
            let mut entries = db.raw_iterator_opt(reads);
            if scan.reverse {
                entries.seek_to_last();
            } else {
                entries.seek_to_first();
            }
            while let Some((key, value)) = entries.item() {
                if page.is_full(limit) {
                    return Ok(());
                }
                page.push(key, Some(value));
                if scan.reverse { entries.prev() } else { entries.next() }
            }
            page.complete = true;
            entries.status().map_err(|error| self.fault("reading", error))
        })
    }

    fn approximate_len(&self) -> Result<u64> {
        self.with(|db| {
            let number = db.property_int_value("rocksdb.estimate-num-keys");
            number.map(Option::unwrap_or_default).map_err(|error| self.fault("reading", error))
        })
    }

    fn mark(&self) -> Result<Mark> {
        Ok(*self.mark.lock())
    }

    fn write(&self, fill: Fill<'_>, restoring: bool) -> Result {
        self.with(|db| {
            if !restoring {
                self.end_bulk(db)?;
            }
            let bulk = restoring && self.bulk.load(Ordering::Acquire);
            let mut batch = Batch(WriteBatch::default());
            let End { mark, floor } = fill(&mut batch)?;
            if let Some(floor) = &floor {
                batch.0.delete_range(&[][..], floor);
            }
            let offsets = self.place.family(db, OFFSETS)?;
            let mut current = self.mark.lock();
            let mark = mark.after(*current);
            if let Some(offset) = mark.offset {
                batch.0.put_cf(offsets, &self.place.offset_key, offset.to_be_bytes());
            }
            if mark.time != current.time {
                batch.0.put_cf(offsets, TIME, mark.time.to_be_bytes());
            }
            if mark.sequence != current.sequence {
                batch.0.put_cf(offsets, SEQUENCE, i64::from(mark.sequence).to_be_bytes());
            }
            let mut options = WriteOptions::default();
            options.disable_wal(bulk);
            options.set_memtable_insert_hint_per_batch(true);
            if bulk {
                self.unlogged.store(true, Ordering::Release);
            }
            db.write_opt(batch.0, &options).map_err(|error| self.fault("writing", error))?;
            *current = mark;
            Ok(())
        })
    }

    fn close(&self) -> Result {
        let Some(db) = self.db.write().take() else { return Ok(()) };
        // Flushed last, so that the next start finds no log to replay.
        self.end_bulk(&db)?;
        self.place.set_status(&db, CLEAN)?;
        self.flush(&db)
    }

    fn wipe(&self) -> Result {
        let mut db = self.db.write();
        drop(db.take());
        if let Err(error) = std::fs::remove_dir_all(&self.place.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(io_fault(&self.place.name, &self.place.path, "wiping", error));
        }
        let (empty, mark) = self.place.open()?;
        *self.mark.lock() = mark;
        self.bulk.store(true, Ordering::Release);
        self.unlogged.store(false, Ordering::Release);
        *db = Some(empty);
        Ok(())
    }
}

struct Batch(WriteBatch);

impl Writes for Batch {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.put(key, value);
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.delete(key);
    }
}

/// The column families: the data, and beside it what KIP-1035 keeps there.
const DATA: &str = "default";
const OFFSETS: &str = "offsets";

/// Keys of `offsets` beside the changelog's partition. Java's `status`, and three of our own.
const STATUS: &[u8] = b"status";
const FORMAT: &[u8] = b"format";
const TIME: &[u8] = b"stream-time";
const SEQUENCE: &[u8] = b"sequence";

const OPEN: i64 = 1;
const CLEAN: i64 = 0;
