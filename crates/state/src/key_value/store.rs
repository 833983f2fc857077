//! The key-value store, with or without the time of each value.

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

use kstreams_core::Result;
use kstreams_core::record::{Headers, Offset, RawRecord};
use kstreams_core::store::StateStore;

use crate::Stamped;
use crate::bytes::{End, Writes};
use crate::core::{Core, state_store_of_core};
use crate::key_value::Entries;
use crate::scan::Scan;
use crate::scratch::with_scratch;

/// One value for each key. Opened by a [`KeyValue`](crate::KeyValue) builder.
///
/// Its task writes it; any thread may read it. Reads of the task see its uncommitted writes.
///
/// ```
/// # fn main() -> kstreams_core::Result {
/// use kstreams_core::serde::{U64, Utf8};
/// use kstreams_state::{KeyValue, testing};
///
/// let counts = testing::open(&KeyValue::in_memory("counts", Utf8, U64))?;
/// counts.put(&"tea".to_owned(), &1)?;
/// counts.put(&"coffee".to_owned(), &2)?;
/// assert_eq!(counts.get(&"tea".to_owned())?, Some(1));
///
/// let all: Vec<(String, u64)> = counts.all().collect::<kstreams_core::Result<_>>()?;
/// assert_eq!(all, [("coffee".to_owned(), 2), ("tea".to_owned(), 1)]);
/// # Ok(()) }
/// ```
pub struct KeyValueStore<K, V> {
    core: Core<K, V>,
}

impl<K: 'static, V: 'static> KeyValueStore<K, V> {
    pub(crate) fn new(core: Core<K, V>) -> Self {
        Self { core }
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// If the key is null, or the store or a serde fails.
    pub fn get(&self, key: &K) -> Result<Option<V>> {
        with_scratch(|scratch| {
            self.core.codec.key(key, &mut scratch.key)?;
            self.read(&scratch.key, &mut scratch.value)
        })
    }

    /// Sets the value of `key`; a value that its serde writes as null removes it.
    ///
    /// # Errors
    /// As [`get`](Self::get), and if this store is read only here.
    pub fn put(&self, key: &K, value: &V) -> Result {
        self.put_with_headers(key, value, &Headers::default())
    }

    /// As [`put`](Self::put); the changelog record gets the headers, as those of the subscriptions
    /// of foreign-key joins do.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_with_headers(&self, key: &K, value: &V, headers: &Headers) -> Result {
        self.core.check_writable()?;
        with_scratch(|scratch| {
            self.core.codec.key(key, &mut scratch.key)?;
            let present = self.core.codec.value(value, &mut scratch.value)?;
            self.write(&scratch.key, present.then_some(&scratch.value), headers)
        })
    }

    /// Sets the value of `key` if it has none, and returns the one it has.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_if_absent(&self, key: &K, value: &V) -> Result<Option<V>> {
        self.core.check_writable()?;
        with_scratch(|scratch| {
            self.core.codec.key(key, &mut scratch.key)?;
            let existing = self.read(&scratch.key, &mut scratch.value)?;
            if existing.is_none() {
                scratch.value.clear();
                let present = self.core.codec.value(value, &mut scratch.value)?;
                let value = present.then_some(&scratch.value);
                self.write(&scratch.key, value, &Headers::default())?;
            }
            Ok(existing)
        })
    }

    /// Sets many values.
    ///
    /// # Errors
    /// As [`put`](Self::put); entries before the failing one are set.
    pub fn put_all(&self, entries: impl IntoIterator<Item = (K, V)>) -> Result {
        entries.into_iter().try_for_each(|(key, value)| self.put(&key, &value))
    }

    /// Removes `key` and returns the value it had.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&self, key: &K) -> Result<Option<V>> {
        self.delete_with_headers(key, &Headers::default())
    }

    /// As [`delete`](Self::delete); the changelog record gets the headers.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete_with_headers(&self, key: &K, headers: &Headers) -> Result<Option<V>> {
        self.core.check_writable()?;
        with_scratch(|scratch| {
            self.core.codec.key(key, &mut scratch.key)?;
            let previous = self.read(&scratch.key, &mut scratch.value)?;
            self.write(&scratch.key, None, headers)?;
            Ok(previous)
        })
    }

    /// The entries between two keys, ordered by the keys' *serialized bytes*, as the bounds are.
    ///
    /// # Errors
    /// If a bound cannot be serialized; items report what fails later.
    pub fn range(&self, keys: impl RangeBounds<K>) -> Result<Entries<K, V>> {
        Ok(Entries::new(&self.core, Scan::between(self.core.codec.bounds(&keys)?)))
    }

    /// As [`range`](Self::range), from the last to the first.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub fn reverse_range(&self, keys: impl RangeBounds<K>) -> Result<Entries<K, V>> {
        Ok(Entries::new(&self.core, Scan::between(self.core.codec.bounds(&keys)?).reversed()))
    }

    /// Every entry, ordered by the keys' serialized bytes.
    pub fn all(&self) -> Entries<K, V> {
        Entries::new(&self.core, Scan::all())
    }

    /// Every entry, from the last to the first.
    pub fn reverse_all(&self) -> Entries<K, V> {
        Entries::new(&self.core, Scan::all().reversed())
    }

    /// The entries whose serialized keys start with `prefix`.
    pub fn prefix_scan(&self, prefix: impl AsRef<[u8]>) -> Entries<K, V> {
        Entries::new(&self.core, Scan::prefix(prefix.as_ref()))
    }

    /// Roughly how many entries there are; exact in memory.
    ///
    /// # Errors
    /// If the store is closed.
    pub fn approximate_len(&self) -> Result<u64> {
        self.core.bytes.approximate_len()
    }

    fn read(&self, key: &[u8], buffer: &mut Vec<u8>) -> Result<Option<V>> {
        if !self.core.bytes.get(key, buffer)? {
            return Ok(None);
        }
        self.core.codec.read_value(buffer).map(Some)
    }

    fn write(&self, key: &[u8], value: Option<&Vec<u8>>, headers: &Headers) -> Result {
        self.core.set(key, value.map(Vec::as_slice), headers)?;
        self.core.log_pushed_out();
        Ok(())
    }
}

impl<K: 'static, V: 'static> StateStore for KeyValueStore<K, V> {
    state_store_of_core!();

    fn restore(&self, records: &mut dyn Iterator<Item = RawRecord<'_>>, through: Offset) -> Result {
        self.core.check_writable()?;
        let mut buffer = Vec::new();
        let mut fill = |writes: &mut dyn Writes| {
            for record in &mut *records {
                // Java skips records without a key too: nothing could ever ask for them.
                if let Some(key) = record.key {
                    writes.set(key, self.core.restored(&record, &mut buffer));
                }
            }
            Ok(End::at(Some(through)))
        };
        self.core.bytes.restore(&mut fill)
    }

    fn can_freeze(&self) -> bool {
        true
    }

    fn freeze(&self) {
        self.core.bytes.freeze();
    }

    fn commit(&self, changelog_offset: Option<Offset>) -> Result {
        self.core.check_writable()?;
        self.core.bytes.commit(End::at(changelog_offset))
    }

    fn rollback(&self) -> bool {
        !self.core.is_reader() && self.core.bytes.rollback()
    }

    fn wipe(&self) -> Result {
        self.core.check_writable()?;
        self.core.bytes.wipe()
    }

    fn reader(&self) -> Option<Arc<dyn StateStore>> {
        Some(Arc::new(Self::new(self.core.reader())))
    }
}

/// A [`KeyValueStore`] that keeps the time of each value; its changelog holds the plain value, and
/// the value's time as the time of the record. Opened by [`KeyValue::timestamped`](crate::KeyValue).
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
pub type TimestampedKeyValueStore<K, V> = KeyValueStore<K, Stamped<V>>;

impl<K, V> fmt::Debug for KeyValueStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyValueStore({})", self.core.codec.name)
    }
}
