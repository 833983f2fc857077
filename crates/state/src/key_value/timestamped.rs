//! The key-value store that keeps the time of each value (KIP-258).

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

use kstreams_core::Result;
use kstreams_core::record::{Offset, RawRecord};
use kstreams_core::store::StateStore;

use crate::bytes::{Mark, Writes};
use crate::core::{Core, state_store_of_core};
use crate::key_value::{StampedEntries, entries};
use crate::scan::Scan;
use crate::scratch::with_scratch;
use crate::stamped::{Stamped, TIME, read_stamped, restore_stamped};

/// One value and its time for each key. Opened by [`KeyValue::timestamped`](crate::KeyValue).
///
/// As [`KeyValueStore`](crate::KeyValueStore); its changelog holds the plain value, and the time of
/// the value as the time of the record.
///
/// ```
/// # fn main() -> kstreams_core::Result {
/// use kstreams_core::serde::{U64, Utf8};
/// use kstreams_core::time::Timestamp;
/// use kstreams_state::{KeyValue, Stamped, testing};
///
/// let counts = testing::open(&KeyValue::in_memory("counts", Utf8, U64).timestamped())?;
/// counts.put(&"tea".to_owned(), &Stamped::new(1, Timestamp::from_millis(5)))?;
/// let tea = counts.get(&"tea".to_owned())?.expect("just put");
/// assert_eq!((tea.value, tea.timestamp.as_millis()), (1, 5));
/// # Ok(()) }
/// ```
pub struct TimestampedKeyValueStore<K, V> {
    core: Core<K, V>,
}

impl<K: 'static, V: 'static> TimestampedKeyValueStore<K, V> {
    pub(crate) fn new(core: Core<K, V>) -> Self {
        Self { core }
    }

    /// The value of `key` and its time.
    ///
    /// # Errors
    /// If the key is null, or the store or a serde fails.
    pub fn get(&self, key: &K) -> Result<Option<Stamped<V>>> {
        with_scratch(|scratch| {
            self.core.codec.key(key, &mut scratch.key)?;
            self.read(&scratch.key, &mut scratch.value)
        })
    }

    /// Sets the value of `key`; a value that its serde writes as null removes it.
    ///
    /// # Errors
    /// As [`get`](Self::get), and if this store is read only here.
    pub fn put(&self, key: &K, value: &Stamped<V>) -> Result {
        self.core.check_writable()?;
        with_scratch(|scratch| {
            self.core.codec.key(key, &mut scratch.key)?;
            self.write(&scratch.key, Some(value), &mut scratch.value)
        })
    }

    /// Sets the value of `key` if it has none, and returns the one it has.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_if_absent(&self, key: &K, value: &Stamped<V>) -> Result<Option<Stamped<V>>> {
        self.core.check_writable()?;
        with_scratch(|scratch| {
            self.core.codec.key(key, &mut scratch.key)?;
            let existing = self.read(&scratch.key, &mut scratch.value)?;
            if existing.is_none() {
                self.write(&scratch.key, Some(value), &mut scratch.value)?;
            }
            Ok(existing)
        })
    }

    /// Sets many values.
    ///
    /// # Errors
    /// As [`put`](Self::put); entries before the failing one are set.
    pub fn put_all(&self, entries: impl IntoIterator<Item = (K, Stamped<V>)>) -> Result {
        entries.into_iter().try_for_each(|(key, value)| self.put(&key, &value))
    }

    /// Removes `key` and returns the value it had.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&self, key: &K) -> Result<Option<Stamped<V>>> {
        self.core.check_writable()?;
        with_scratch(|scratch| {
            self.core.codec.key(key, &mut scratch.key)?;
            let previous = self.read(&scratch.key, &mut scratch.value)?;
            self.write(&scratch.key, None, &mut scratch.value)?;
            Ok(previous)
        })
    }

    /// The entries between two keys, ordered by the keys' *serialized bytes*, as the bounds are.
    ///
    /// # Errors
    /// If a bound cannot be serialized; items report what fails later.
    pub fn range(&self, keys: impl RangeBounds<K>) -> Result<StampedEntries<K, V>> {
        Ok(StampedEntries::new(&self.core, entries::range(&self.core, &keys)?))
    }

    /// As [`range`](Self::range), from the last to the first.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub fn reverse_range(&self, keys: impl RangeBounds<K>) -> Result<StampedEntries<K, V>> {
        Ok(StampedEntries::new(&self.core, entries::range(&self.core, &keys)?.reversed()))
    }

    /// Every entry, ordered by the keys' serialized bytes.
    pub fn all(&self) -> StampedEntries<K, V> {
        StampedEntries::new(&self.core, Scan::all())
    }

    /// Every entry, from the last to the first.
    pub fn reverse_all(&self) -> StampedEntries<K, V> {
        StampedEntries::new(&self.core, Scan::all().reversed())
    }

    /// The entries whose serialized keys start with `prefix`.
    pub fn prefix_scan(&self, prefix: impl AsRef<[u8]>) -> StampedEntries<K, V> {
        StampedEntries::new(&self.core, Scan::prefix(prefix.as_ref()))
    }

    /// Roughly how many entries there are; exact in memory.
    ///
    /// # Errors
    /// If the store is closed.
    pub fn approximate_len(&self) -> Result<u64> {
        self.core.bytes.approximate_len()
    }

    fn read(&self, key: &[u8], buffer: &mut Vec<u8>) -> Result<Option<Stamped<V>>> {
        if !self.core.bytes.get(key, buffer)? {
            return Ok(None);
        }
        read_stamped(&self.core.codec, buffer).map(Some)
    }

    fn write(&self, key: &[u8], value: Option<&Stamped<V>>, buffer: &mut Vec<u8>) -> Result {
        buffer.clear();
        let mut timestamp = self.core.record_time();
        let mut present = false;
        if let Some(stamped) = value {
            buffer.extend_from_slice(&stamped.timestamp.as_millis().to_be_bytes());
            present = self.core.codec.value(&stamped.value, buffer)?;
            timestamp = if present { stamped.timestamp } else { timestamp };
        }
        let stored = present.then_some(&buffer[..]);
        self.core.set(key, stored, stored.map(|bytes| &bytes[TIME..]), timestamp)?;
        self.core.log_pushed_out();
        Ok(())
    }
}

impl<K: 'static, V: 'static> StateStore for TimestampedKeyValueStore<K, V> {
    state_store_of_core!();

    fn restore(&self, records: &mut dyn Iterator<Item = RawRecord<'_>>, through: Offset) -> Result {
        self.core.check_writable()?;
        let mut buffer = Vec::new();
        let mut fill = |writes: &mut dyn Writes| {
            for record in &mut *records {
                if let Some(key) = record.key {
                    restore_stamped(writes, key, record.value, record.timestamp, &mut buffer);
                }
            }
            Ok(())
        };
        self.core.bytes.restore(&mut fill, Mark::at(Some(through)))
    }

    fn commit(&self, changelog_offset: Option<Offset>) -> Result {
        self.core.check_writable()?;
        self.core.bytes.commit(Mark::at(changelog_offset), None)
    }

    fn reader(&self) -> Option<Arc<dyn StateStore>> {
        Some(Arc::new(Self::new(self.core.reader())))
    }
}

impl<K, V> fmt::Debug for TimestampedKeyValueStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimestampedKeyValueStore({})", self.core.codec.name)
    }
}
