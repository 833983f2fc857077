//! The versioned key-value store.

use std::fmt;
use std::sync::Arc;

use kstreams_core::Result;
use kstreams_core::record::{Offset, RawRecord};
use kstreams_core::store::StateStore;
use kstreams_core::time::Timestamp;

use crate::bytes::Mark;
use crate::core::{Core, state_store_of_core};
use crate::scratch::with_scratch;
use crate::segments::Segments;
use crate::versioned::rows::{LAST, Rows, Version};

/// The values of each key with the times from which they are valid. Opened by a
/// [`Versioned`](crate::Versioned) builder.
///
/// Puts may come out of order. A put older than the history retention is refused and counted, but
/// still logged, as in Kafka Streams.
///
/// # Differs from Kafka Streams
/// What is read has its `valid_to`; there only interactive queries return it.
///
/// ```
/// # fn main() -> kstreams_core::Result {
/// use std::time::Duration;
/// use kstreams_core::serde::{U64, Utf8};
/// use kstreams_core::time::Timestamp;
/// use kstreams_state::{Versioned, testing};
///
/// let prices = testing::open(&Versioned::in_memory("prices", Duration::from_secs(60), Utf8, U64))?;
/// let (tea, at) = ("tea".to_owned(), Timestamp::from_millis);
/// prices.put(&tea, &30, at(100))?;
/// prices.put(&tea, &20, at(50))?;
/// assert_eq!(prices.get(&tea)?.map(|price| price.value), Some(30));
/// let before = prices.get_as_of(&tea, at(99))?.expect("was 20 then");
/// assert_eq!((before.value, before.valid_to), (20, Some(at(100))));
/// # Ok(()) }
/// ```
pub struct VersionedStore<K, V> {
    pub(super) core: Core<K, V>,
    rows: Rows,
}

/// A value with the times between which it is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionedRecord<V> {
    /// The value.
    pub value: V,
    /// From when on it is valid.
    pub timestamp: Timestamp,
    /// When it stops being valid (exclusive); `None` if it is the latest.
    pub valid_to: Option<Timestamp>,
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is the latest version (Java: `PUT_RETURN_CODE_VALID_TO_UNDEFINED`).
    Latest,
    /// It is valid until a version that was there already.
    ValidTo(Timestamp),
    /// It was refused as too old (Java: `PUT_RETURN_CODE_NOT_PUT`).
    TooOld,
}

impl<K: 'static, V: 'static> VersionedStore<K, V> {
    pub(super) fn new(core: Core<K, V>, segments: Arc<Segments>) -> Self {
        let rows = Rows { bytes: Arc::clone(&core.bytes), segments };
        Self { core, rows }
    }

    /// Makes `value` the value of `key` from `timestamp` on, until its next version; a value that
    /// its serde writes as null is a tombstone.
    ///
    /// # Errors
    /// If the key is null, the store is read only here, or the store or a serde fails.
    pub fn put(&self, key: &K, value: &V, timestamp: Timestamp) -> Result<Put> {
        self.core.check_writable()?;
        with_scratch(|scratch| {
            self.core.codec.key(key, &mut scratch.key)?;
            let present = self.core.codec.value(value, &mut scratch.value)?;
            self.write(&scratch.key, present.then_some(&scratch.value), timestamp)
        })
    }

    /// Removes the value of `key` as of `timestamp`, and says as [`put`](Self::put) what became of
    /// that.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_tombstone(&self, key: &K, timestamp: Timestamp) -> Result<Put> {
        self.core.check_writable()?;
        with_scratch(|scratch| {
            self.core.codec.key(key, &mut scratch.key)?;
            self.write(&scratch.key, None, timestamp)
        })
    }

    /// Ends the value of `key` at `timestamp`, and returns the version that was valid then; `None`
    /// too if `timestamp` is too old, and nothing was done.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&self, key: &K, timestamp: Timestamp) -> Result<Option<VersionedRecord<V>>> {
        self.core.check_writable()?;
        with_scratch(|scratch| {
            self.core.codec.key(key, &mut scratch.key)?;
            let version = self.rows.at(&scratch.key, timestamp.as_millis())?;
            let existing = self.record(version)?;
            let put = self.write(&scratch.key, None, timestamp)?;
            Ok(existing.filter(|_| put != Put::TooOld))
        })
    }

    /// The latest version of `key`; `None` if there is none or it is a tombstone.
    ///
    /// # Errors
    /// If the key is null, or the store or a serde fails.
    pub fn get(&self, key: &K) -> Result<Option<VersionedRecord<V>>> {
        with_scratch(|scratch| {
            self.core.codec.key(key, &mut scratch.key)?;
            self.record(self.rows.latest(&scratch.key)?)
        })
    }

    /// The version of `key` that is valid at `time`; of what is older than the history retention,
    /// only the latest version can be read.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_as_of(&self, key: &K, time: Timestamp) -> Result<Option<VersionedRecord<V>>> {
        with_scratch(|scratch| {
            self.core.codec.key(key, &mut scratch.key)?;
            self.record(self.rows.at(&scratch.key, time.as_millis())?)
        })
    }

    /// How many puts were too old since the store was opened.
    pub fn n_dropped(&self) -> u64 {
        self.rows.segments.n_dropped()
    }

    /// The largest time of a version that this store has seen.
    pub fn observed_stream_time(&self) -> Timestamp {
        Timestamp::from_millis(self.rows.segments.observed())
    }

    fn write(&self, key: &[u8], value: Option<&Vec<u8>>, timestamp: Timestamp) -> Result<Put> {
        let value = value.map(Vec::as_slice);
        let put = self.rows.put(key, value, timestamp.as_millis())?;
        // What is refused is logged all the same: restoring refuses it again.
        self.core.log_at(key, value, timestamp);
        Ok(put)
    }

    fn record(&self, version: Option<Version>) -> Result<Option<VersionedRecord<V>>> {
        let Some(Version { from, to, value: Some(value) }) = version else { return Ok(None) };
        Ok(Some(VersionedRecord {
            value: self.core.codec.read_value(&value)?,
            timestamp: Timestamp::from_millis(from),
            valid_to: (to != LAST).then(|| Timestamp::from_millis(to)),
        }))
    }

    fn commit_at(&self, offset: Option<Offset>) -> Result {
        let end = self.rows.segments.end(offset);
        if let Some(floor) = &end.floor {
            self.rows.sweep(floor)?;
        }
        self.core.bytes.commit(end)
    }
}

impl<K: 'static, V: 'static> StateStore for VersionedStore<K, V> {
    state_store_of_core!();

    fn n_dropped(&self) -> u64 {
        self.rows.segments.n_dropped()
    }

    fn restore(&self, records: &mut dyn Iterator<Item = RawRecord<'_>>, through: Offset) -> Result {
        self.core.check_writable()?;
        // A put depends on the versions before it, so these records are put like new ones.
        for record in records {
            if let Some(key) = record.key {
                self.rows.put(key, record.value, record.timestamp.as_millis())?;
            }
        }
        self.commit_at(Some(through))
    }

    fn commit(&self, changelog_offset: Option<Offset>) -> Result {
        self.core.check_writable()?;
        self.commit_at(changelog_offset)
    }

    fn rollback(&self) -> bool {
        if self.core.is_reader() || !self.core.bytes.rollback() {
            return false;
        }
        self.core.bytes.mark().map(|mark| self.rows.segments.reset(mark)).is_ok()
    }

    fn wipe(&self) -> Result {
        self.core.check_writable()?;
        self.rows.segments.reset(Mark::EMPTY);
        self.core.bytes.wipe()
    }

    fn reader(&self) -> Option<Arc<dyn StateStore>> {
        Some(Arc::new(Self::new(self.core.reader(), Arc::clone(&self.rows.segments))))
    }
}

impl<K, V> fmt::Debug for VersionedStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VersionedStore({})", self.core.codec.name)
    }
}
