//! The byte layer under every typed store: ordered keys, uncommitted writes, and where it stands.
//!
//! Its two implementations are [`Memory`](crate::memory::Memory) and the
//! [`Overlay`](crate::overlay::Overlay) over RocksDB; typed stores know only this trait.

use kstreams_core::Result;
use kstreams_core::record::Offset;

use crate::scan::{Page, Scan};

/// An ordered map of bytes with one writer and any number of readers.
pub(crate) trait ByteStore: Send + Sync + 'static {
    /// Appends the value of `key` to `out`; false if there is none.
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool>;

    /// Sets the value of `key`, uncommitted.
    fn put(&self, key: &[u8], value: &[u8]) -> Result;

    /// Removes `key`, uncommitted.
    fn delete(&self, key: &[u8]) -> Result;

    /// Reads the first entries of `scan`, which is not empty, into the cleared `page`: at least
    /// one if there is one, and more until [`Page::is_full`]. It never yields deletes.
    fn page(&self, scan: &Scan, limit: usize, page: &mut Page) -> Result;

    /// Roughly how many keys it holds.
    fn approximate_len(&self) -> Result<u64>;

    /// Where the committed data stands.
    fn mark(&self) -> Result<Mark>;

    /// Writes what `fill` writes, as committed data, atomically with the end it returns.
    fn restore(&self, fill: Fill<'_>) -> Result;

    /// Fixes what the next commit makes durable.
    fn freeze(&self);

    /// Makes the uncommitted writes durable, atomically with `end`: those before the last freeze, if
    /// there was one since the last commit.
    fn commit(&self, end: End) -> Result;

    /// Forgets the uncommitted writes, or says that it cannot.
    fn rollback(&self) -> bool;

    /// Roughly how many bytes are uncommitted.
    fn uncommitted_bytes(&self) -> usize;

    /// Forgets the uncommitted writes and closes.
    fn close(&self) -> Result;

    /// Deletes everything.
    fn wipe(&self) -> Result;

    /// If the last put pushed a key out (a bounded store), appends that key to `out`.
    fn pushed_out(&self, _out: &mut Vec<u8>) -> bool {
        false
    }
}

/// Writes into what is about to become durable, and says what else belongs to it.
pub(crate) type Fill<'a> = &'a mut dyn FnMut(&mut dyn Writes) -> Result<End>;

/// Takes writes.
pub(crate) trait Writes {
    /// Makes room for about so many bytes of keys and values, if nothing was written yet.
    fn reserve(&mut self, _n_bytes: usize) {}

    fn put(&mut self, key: &[u8], value: &[u8]);
    fn delete(&mut self, key: &[u8]);

    fn set(&mut self, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => self.put(key, value),
            None => self.delete(key),
        }
    }
}

/// What is written in one batch with some writes.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// Where the data stands then; without an offset, the offset stays as it is.
    pub(crate) mark: Mark,
    /// Every key less than this is removed.
    pub(crate) floor: Option<Vec<u8>>,
}

impl End {
    /// Of a store without retention.
    pub(crate) fn at(offset: Option<Offset>) -> Self {
        Self { mark: Mark { offset, ..Mark::EMPTY }, floor: None }
    }

    /// This end with what `before` says and this does not.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn above(self, before: Option<Self>) -> Self {
        let Some(before) = before else { return self };
        Self { mark: self.mark.after(before.mark), floor: self.floor.max(before.floor) }
    }
}

/// Where committed data stands; written in one batch with the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The last changelog offset that is applied.
    pub(crate) offset: Option<Offset>,
    /// The observed stream time of a store with retention; -1 before the first record.
    ///
    /// Java forgets it with the process and then lets records in again that it had refused.
    pub(crate) time: i64,
    /// The last sequence number of a store that keeps duplicates.
    pub(crate) sequence: i32,
}

impl Mark {
    pub(crate) const EMPTY: Self = Self { offset: None, time: -1, sequence: 0 };

    /// This mark with the offset of `before` where it has none.
    pub(crate) fn after(self, before: Self) -> Self {
        Self { offset: self.offset.or(before.offset), ..self }
    }
}
