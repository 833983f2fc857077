//! Restoring into an empty database: records are gathered, sorted and written as whole table files.
//!
//! A memtable pays for each record with a walk through its skip list, a flush and soon a
//! compaction; a sorted file is written once and taken in as it is.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rocksdb::{DB, IngestExternalFileOptions, Options, SstFileWriter};

use crate::bytes::Writes;
use crate::small::head;

/// What waits for the next table file.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Keys and values. One buffer that grows would be copied, and half of it unused.
    chunks: Vec<Vec<u8>>,
    n_bytes: usize,
    entries: Vec<Entry>,
    /// How much of [`WAITING`] is ours.
    counted: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    head: u64,
    chunk: u32,
    start: u32,
    key_len: u32,
    /// `u32::MAX` for a delete.
    value_len: u32,
}

impl Gathered {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// True if it is worth a file, and all stores together have gathered enough.
    pub(super) fn is_full(&self) -> bool {
        self.n_bytes >= LEAST_BYTES && WAITING.load(Ordering::Relaxed) > MAX_WAITING
    }

    /// Counts what came since the last call; done once per batch.
    pub(super) fn account(&mut self) {
        let n_bytes = self.n_bytes + self.entries.len() * size_of::<Entry>();
        WAITING.fetch_add(n_bytes - self.counted, Ordering::Relaxed);
        self.counted = n_bytes;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Writes everything from `floor` on into a table file and lets the database take it in.
    pub(super) fn ingest(
        &mut self,
        db: &DB,
        options: &Options,
        dir: &Path,
        floor: Option<&[u8]>,
    ) -> Result<(), rocksdb::Error> {
        // Stable, so that of equal keys the last one written comes last.
        let chunks = &self.chunks;
        self.entries
            .sort_by(|a, b| a.head.cmp(&b.head).then_with(|| a.key(chunks).cmp(b.key(chunks))));
        let path = table_path(dir);
        let mut writer = SstFileWriter::create(options);
        let mut n_written = 0;
        {
            let mut at = 0;
            writer.open(&path)?;
            while let Some(entry) = self.entries.get(at) {
                at += 1;
                let key = entry.key(chunks);
                let again = self.entries.get(at).is_some_and(|next| next.key(chunks) == key);
                if again || floor.is_some_and(|floor| key < floor) {
                    continue;
                }
                match entry.value(chunks) {
                    Some(value) => writer.put(key, value)?,
                    None => writer.delete(key)?,
                }
                n_written += 1;
            }
        }
        if n_written > 0 {
            writer.finish()?;
            let mut options = IngestExternalFileOptions::default();
            options.set_move_files(true);
            db.ingest_external_file_opts(&options, vec![&path])?;
        }
        self.clear();
        Ok(())
    }
}

impl Entry {
    fn key<'a>(&self, chunks: &'a [Vec<u8>]) -> &'a [u8] {
        let start = self.start as usize;
        &chunks[self.chunk as usize][start..start + self.key_len as usize]
    }

    fn value<'a>(&self, chunks: &'a [Vec<u8>]) -> Option<&'a [u8]> {
        let start = self.start as usize + self.key_len as usize;
        (self.value_len != u32::MAX)
            .then(|| &chunks[self.chunk as usize][start..start + self.value_len as usize])
    }
}

impl Writes for Gathered {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.push(key, Some(value));
    }

    fn delete(&mut self, key: &[u8]) {
        self.push(key, None);
    }
}

impl Gathered {
    fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let n_bytes = key.len() + value.map_or(0, <[u8]>::len);
        let (index, chunk) = self.chunk_for(n_bytes);
        // Records of Kafka are shorter than 2 GiB.
        let (start, key_len) = (chunk.len() as u32, key.len() as u32);
        chunk.extend_from_slice(key);
        chunk.extend_from_slice(value.unwrap_or_default());
        self.n_bytes += n_bytes;
        self.entries.push(Entry {
            head: u64::from_be_bytes(head(key)),
            chunk: index,
            start,
            key_len,
            value_len: value.map_or(u32::MAX, |value| value.len() as u32),
        });
    }

    /// The last chunk, a new one if it has no room for so many bytes.
    fn chunk_for(&mut self, n_bytes: usize) -> (u32, &mut Vec<u8>) {
        let has_room = |chunk: &Vec<u8>| chunk.capacity() - chunk.len() >= n_bytes;
        if !self.chunks.last().is_some_and(has_room) {
            self.chunks.push(Vec::with_capacity(n_bytes.max(CHUNK)));
        }
        let index = self.chunks.len() - 1;
        (index as u32, &mut self.chunks[index])
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        WAITING.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// Where the next table file of a database is written; a crash may leave one there.
fn table_path(dir: &Path) -> PathBuf {
    dir.join("restoring.sst.tmp")
}

/// What all stores of the process have gathered.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// What all stores together may gather. The larger a file, the fewer there are to merge afterwards:
/// one store alone makes files of this size, several that restore at a time smaller ones, but none
/// below `LEAST_BYTES`.
const MAX_WAITING: usize = 12 << 20;
const LEAST_BYTES: usize = 2 << 20;

/// The last one of each store has room to spare.
const CHUNK: usize = 256 << 10;
