//! One RocksDB: a column family with the data and one, `offsets`, with where it stands.
//!
//! # Durability
//! A commit is one write batch of data and offset, in the write-ahead log but not synced. Killing
//! the process loses nothing committed: the log is in the page cache, and what is replayed from
//! the changelog is what was not committed. Losing power loses the unsynced tail of the log, whole
//! batches of it, so the data still fits its offset and a longer tail is replayed.
//!
//! Restoring into an empty store goes without the log, in sorted table files (see
//! [`bulk`](super::bulk)), since it can be repeated. A file is taken in before its offset is
//! written, so a crash between leaves data that the offset does not tell of: restoring goes on from
//! the offset and writes it again. The mark [`BULK`] says that this may be so; without any offset
//! beside it, nothing in the database is used. The first commit ends all this.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kstreams_core::{Error, ErrorKind, Result};
use parking_lot::{Mutex, RwLock};
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, FlushOptions, Options, ReadOptions, WriteBatch,
    WriteOptions,
};

use super::Settings;
use super::bulk::Gathered;
use super::fault::{OPENING, fault, io_fault};
use super::memory::Share;
use crate::bytes::{End, Fill, Mark, Writes};
use crate::overlay::Base;
use crate::scan::{Page, Scan};

pub(super) struct Rocks {
    place: Place,
    db: RwLock<Option<DB>>,
    _share: Share,
    mark: Mutex<Mark>,
    /// True if what is restored goes into table files.
    bulk: AtomicBool,
    /// True if the database says so too.
    bulk_noted: AtomicBool,
    /// True if something waits in `gathered`.
    waits: AtomicBool,
    gathered: Mutex<(Gathered, Option<End>)>,
    table_options: Options,
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
        let share = place.settings.memory().enter();
        let Opened { db, mark, in_bulk } = place.open()?;
        Ok(Self {
            db: RwLock::new(Some(db)),
            _share: share,
            bulk: AtomicBool::new(in_bulk || mark.offset.is_none()),
            bulk_noted: AtomicBool::new(in_bulk),
            mark: Mutex::new(mark),
            waits: AtomicBool::new(false),
            gathered: Mutex::default(),
            table_options: place.settings.data_options(&place.name),
            reads: ReadOptions::default(),
            place,
        })
    }

    fn with<R>(&self, work: impl FnOnce(&DB) -> Result<R>) -> Result<R> {
        match &*self.db.read() {
            Some(db) => {
                if self.waits.load(Ordering::Acquire) {
                    self.ingest(db)?;
                }
                work(db)
            }
            None => Err(self.closed()),
        }
    }

    /// What RocksDB says of itself.
    #[cfg(test)]
    pub(super) fn property(&self, name: &str) -> Option<String> {
        self.with(|db| Ok(db.property_value(name).ok().flatten())).ok().flatten()
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

    /// Gathers what `fill` writes, and makes a table file of it when there is enough.
    fn gather(&self, db: &DB, fill: Fill<'_>) -> Result {
        let mut gathered = self.gathered.lock();
        let end = fill(&mut gathered.0)?;
        gathered.0.account();
        gathered.1 = Some(end.above(gathered.1.take()));
        self.waits.store(true, Ordering::Release);
        let is_full = gathered.0.is_full();
        drop(gathered);
        if is_full { self.ingest(db) } else { Ok(()) }
    }

    /// Writes what was gathered, then the offset it stands for.
    fn ingest(&self, db: &DB) -> Result {
        let mut gathered = self.gathered.lock();
        let Some(end) = gathered.1.clone() else { return Ok(()) };
        self.note_bulk(db)?;
        let floor = end.floor.as_deref();
        if !gathered.0.is_empty() {
            let ingested = gathered.0.ingest(db, &self.table_options, &self.place.path, floor);
            ingested.map_err(|error| self.fault("restoring", error))?;
        }
        self.write_end(db, WriteBatch::default(), end, false)?;
        self.flush(db)?;
        gathered.1 = None;
        self.waits.store(false, Ordering::Release);
        Ok(())
    }

    /// Notes, so that a crash does not undo it, that data may be ahead of its offset.
    fn note_bulk(&self, db: &DB) -> Result {
        if self.bulk_noted.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        // Files that come in at once are not worth a compaction one by one.
        let noted = db.set_options(&[("disable_auto_compactions", "true")]);
        noted.map_err(|error| self.fault("restoring", error))?;
        self.put_unlogged(db, BULK, &1_i64.to_be_bytes())?;
        self.flush(db)
    }

    fn put_unlogged(&self, db: &DB, key: &[u8], value: &[u8]) -> Result {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        db.put_cf_opt(self.place.family(db, OFFSETS)?, key, value, &options)
            .map_err(|error| self.fault("writing", error))
    }

    /// What a commit must do before it may rely on the log: a log without its beginning would not
    /// fit.
    fn end_bulk(&self, db: &DB) -> Result {
        if !self.bulk.load(Ordering::Acquire) {
            return Ok(());
        }
        if self.bulk_noted.swap(false, Ordering::AcqRel) {
            self.put_unlogged(db, BULK, &0_i64.to_be_bytes())?;
            self.flush(db)?;
            let ended = db.set_options(&[("disable_auto_compactions", "false")]);
            ended.map_err(|error| self.fault("restoring", error))?;
        }
        self.bulk.store(false, Ordering::Release);
        Ok(())
    }

    /// Writes the batch together with where the data stands then.
    fn write_end(&self, db: &DB, mut batch: WriteBatch, end: End, logged: bool) -> Result {
        let End { mark, floor } = end;
        if let Some(floor) = &floor {
            batch.delete_range(&[][..], floor);
        }
        let offsets = self.place.family(db, OFFSETS)?;
        let mut current = self.mark.lock();
        let mark = mark.after(*current);
        if let Some(offset) = mark.offset {
            batch.put_cf(offsets, &self.place.offset_key, offset.to_be_bytes());
        }
        if mark.time != current.time {
            batch.put_cf(offsets, TIME, mark.time.to_be_bytes());
        }
        if mark.sequence != current.sequence {
            batch.put_cf(offsets, SEQUENCE, i64::from(mark.sequence).to_be_bytes());
        }
        let mut options = WriteOptions::default();
        options.disable_wal(!logged);
        options.set_memtable_insert_hint_per_batch(true);
        db.write_opt(batch, &options).map_err(|error| self.fault("writing", error))?;
        *current = mark;
        Ok(())
    }
}

/// A database that was opened, and what it says of itself.
struct Opened {
    db: DB,
    mark: Mark,
    /// Restoring into table files was not ended.
    in_bulk: bool,
}

impl Place {
    /// Opens it; what a restore without any offset has left is deleted first.
    fn open(&self) -> Result<Opened> {
        let opened = self.open_as_is()?;
        if !opened.in_bulk || opened.mark.offset.is_some() {
            return Ok(opened);
        }
        drop(opened);
        self.delete()?;
        self.open_as_is()
    }

    fn delete(&self) -> Result {
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io_fault(&self.name, &self.path, "wiping", error))
            }
            _ => Ok(()),
        }
    }

    fn open_as_is(&self) -> Result<Opened> {
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
        let in_bulk = self.number(&db, BULK)?.is_some_and(|bulk| bulk != 0);
        self.set_status(&db, OPEN)?;
        Ok(Opened { db, mark, in_bulk })
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
        // With what is gathered, since that is about to be written.
        self.with(|_| Ok(*self.mark.lock()))
    }

    fn write(&self, fill: Fill<'_>, restoring: bool) -> Result {
        if restoring && self.bulk.load(Ordering::Acquire) {
            return match &*self.db.read() {
                Some(db) => self.gather(db, fill),
                None => Err(self.closed()),
            };
        }
        self.with(|db| {
            self.end_bulk(db)?;
            let mut batch = Batch(WriteBatch::default());
            let end = fill(&mut batch)?;
            self.write_end(db, batch.0, end, true)
        })
    }

    fn close(&self) -> Result {
        let Some(db) = self.db.write().take() else { return Ok(()) };
        // Restoring that is not done goes on at the next start: what is gathered is written, the
        // mark stays.
        self.ingest(&db)?;
        self.place.set_status(&db, CLEAN)?;
        // Flushed last, so that the next start finds no log to replay.
        self.flush(&db)
    }

    fn wipe(&self) -> Result {
        let mut db = self.db.write();
        drop(db.take());
        *self.gathered.lock() = Default::default();
        self.place.delete()?;
        let Opened { db: empty, mark, in_bulk } = self.place.open()?;
        *self.mark.lock() = mark;
        self.bulk.store(true, Ordering::Release);
        self.bulk_noted.store(in_bulk, Ordering::Release);
        self.waits.store(false, Ordering::Release);
        *db = Some(empty);
        Ok(())
    }
}

struct Batch(WriteBatch);

impl Writes for Batch {
    // It grows by doubling, each time beside what it was.
    fn reserve(&mut self, n_bytes: usize) {
        if self.0.is_empty() {
            self.0 = WriteBatch::with_capacity_bytes(n_bytes);
        }
    }

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

/// Keys of `offsets` beside the changelog's partition. Java's `status`, and four of our own.
const STATUS: &[u8] = b"status";
const FORMAT: &[u8] = b"format";
const TIME: &[u8] = b"stream-time";
const SEQUENCE: &[u8] = b"sequence";
const BULK: &[u8] = b"restoring";

const OPEN: i64 = 1;
const CLEAN: i64 = 0;
