//! The window store, with or without the time of each value.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use kstreams_core::record::{Headers, Offset, RawRecord};
use kstreams_core::store::StateStore;
use kstreams_core::time::Timestamp;
use kstreams_core::{ErrorKind, Result};

use crate::Stamped;
use crate::bytes::{Mark, Writes};
use crate::codec::Bounds;
use crate::core::{Core, state_store_of_core};
use crate::keys;
use crate::scratch::{Scratch, with_scratch};
use crate::segments::{SEGMENT, Segments};
use crate::windowed::{Filter, Layout, WindowValues, WindowedEntries, composite_bounds, times};

/// One value for each key and start of a window. Opened by a [`Windows`](crate::Windows) builder.
///
/// Values are kept by *observed stream time*, the largest start this store has seen: a put that is
/// too old is dropped and counted, but still logged, and reads do not see what is older than the
/// retention time, even if it is still there.
///
/// # Differs from Kafka Streams
/// Observed stream time survives a restart together with the data; Java begins anew and lets old
/// records in once more. So do the numbers of duplicates, which there overwrite older entries.
///
/// ```
/// # fn main() -> kstreams_core::Result {
/// use std::time::Duration;
/// use kstreams_core::serde::{U64, Utf8};
/// use kstreams_core::time::Timestamp;
/// use kstreams_state::{Windows, testing};
///
/// let hour = Duration::from_secs(3600);
/// let counts = testing::open(&Windows::in_memory("counts", hour, 24 * hour, Utf8, U64))?;
/// let (tea, start) = ("tea".to_owned(), Timestamp::from_millis(0));
/// counts.put(&tea, &7, start)?;
/// assert_eq!(counts.fetch(&tea, start)?, Some(7));
/// let later = counts.fetch_range(&tea, start + hour..)?.count();
/// assert_eq!(later, 0);
/// # Ok(()) }
/// ```
pub struct WindowStore<K, V> {
    pub(super) core: Core<K, V>,
    shape: Shape,
    segments: Arc<Segments>,
}

/// A [`WindowStore`] that keeps the time of each value.
pub type TimestampedWindowStore<K, V> = WindowStore<K, Stamped<V>>;

/// What a builder says about the windows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) size: i64,
    pub(super) duplicates: bool,
}

impl<K: 'static, V: 'static> WindowStore<K, V> {
    pub(super) fn new(core: Core<K, V>, shape: Shape, segments: Arc<Segments>) -> Self {
        Self { core, shape, segments }
    }

    /// Sets the value of `key` in the window that starts at `start`; a value that its serde writes
    /// as null removes it. A store that keeps duplicates adds a value; null is only logged.
    ///
    /// # Errors
    /// If the key is null, the store is read only here, or the store or a serde fails.
    pub fn put(&self, key: &K, value: &V, start: Timestamp) -> Result {
        self.put_with_headers(key, value, start, &Headers::default())
    }

    /// As [`put`](Self::put); the changelog record gets the headers, as those of stream-stream
    /// joins do.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_with_headers(
        &self,
        key: &K,
        value: &V,
        start: Timestamp,
        headers: &Headers,
    ) -> Result {
        self.core.check_writable()?;
        with_scratch(|scratch| {
            let present = self.core.codec.value(value, &mut scratch.value)?;
            self.write(key, present, start.as_millis(), headers, scratch)
        })
    }

    /// Removes the value of `key` in the window that starts at `start`.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn remove(&self, key: &K, start: Timestamp) -> Result {
        self.core.check_writable()?;
        with_scratch(|scratch| {
            self.write(key, false, start.as_millis(), &Headers::default(), scratch)
        })
    }

    /// The value of `key` in the window that starts at `start`; of duplicates, the first.
    ///
    /// # Errors
    /// If the key is null, or the store or a serde fails.
    pub fn fetch(&self, key: &K, start: Timestamp) -> Result<Option<V>> {
        if self.shape.duplicates {
            let first = self.fetch_range(key, start..=start)?.next().transpose()?;
            return Ok(first.map(|(_, value)| value));
        }
        let start = start.as_millis();
        if start < self.segments.first_readable() {
            return Ok(None);
        }
        with_scratch(|scratch| {
            self.key(key, start, 0, &mut scratch.key)?;
            if !self.core.bytes.get(&scratch.key, &mut scratch.value)? {
                return Ok(None);
            }
            self.core.codec.read_value(&scratch.value).map(Some)
        })
    }

    /// The values of `key` in windows that start within `starts`, in order of time.
    ///
    /// # Errors
    /// If the key is null or cannot be serialized; items report what fails later.
    pub fn fetch_range(
        &self,
        key: &K,
        starts: impl RangeBounds<Timestamp>,
    ) -> Result<WindowValues<K, V>> {
        let key = (Bound::Included(key), Bound::Included(key));
        Ok(self.scan(self.core.codec.bounds(&key)?, &starts, false).into_values())
    }

    /// As [`fetch_range`](Self::fetch_range), from the last to the first.
    ///
    /// # Errors
    /// As [`fetch_range`](Self::fetch_range).
    pub fn reverse_fetch_range(
        &self,
        key: &K,
        starts: impl RangeBounds<Timestamp>,
    ) -> Result<WindowValues<K, V>> {
        let key = (Bound::Included(key), Bound::Included(key));
        Ok(self.scan(self.core.codec.bounds(&key)?, &starts, true).into_values())
    }

    /// The entries of several keys, compared as bytes, in windows that start within `starts`.
    ///
    /// # Errors
    /// If a bound cannot be serialized; items report what fails later.
    pub fn fetch_keys(
        &self,
        keys: impl RangeBounds<K>,
        starts: impl RangeBounds<Timestamp>,
    ) -> Result<WindowedEntries<K, V>> {
        Ok(self.scan(self.core.codec.bounds(&keys)?, &starts, false))
    }

    /// As [`fetch_keys`](Self::fetch_keys), from the last to the first.
    ///
    /// # Errors
    /// As [`fetch_keys`](Self::fetch_keys).
    pub fn reverse_fetch_keys(
        &self,
        keys: impl RangeBounds<K>,
        starts: impl RangeBounds<Timestamp>,
    ) -> Result<WindowedEntries<K, V>> {
        Ok(self.scan(self.core.codec.bounds(&keys)?, &starts, true))
    }

    /// The entries of all keys in windows that start within `starts`.
    pub fn fetch_all(&self, starts: impl RangeBounds<Timestamp>) -> WindowedEntries<K, V> {
        self.scan((Bound::Unbounded, Bound::Unbounded), &starts, false)
    }

    /// As [`fetch_all`](Self::fetch_all), from the last to the first.
    pub fn reverse_fetch_all(&self, starts: impl RangeBounds<Timestamp>) -> WindowedEntries<K, V> {
        self.scan((Bound::Unbounded, Bound::Unbounded), &starts, true)
    }

    /// Every entry that is not too old.
    pub fn all(&self) -> WindowedEntries<K, V> {
        self.fetch_all(..)
    }

    /// Every entry that is not too old, from the last to the first.
    pub fn reverse_all(&self) -> WindowedEntries<K, V> {
        self.reverse_fetch_all(..)
    }

    /// How many puts were too old since the store was opened.
    pub fn n_dropped(&self) -> u64 {
        self.segments.n_dropped()
    }

    /// The largest start of a window that this store has seen.
    pub fn observed_stream_time(&self) -> Timestamp {
        Timestamp::from_millis(self.segments.observed())
    }

    /// Appends segment and composite key.
    fn key(&self, key: &K, start: i64, sequence: i32, out: &mut Vec<u8>) -> Result {
        self.segments.prefix(start, out);
        self.core.codec.key(key, out)?;
        keys::window(b"", start, sequence, out);
        Ok(())
    }

    /// Writes the value in the scratch, if it is `present`.
    fn write(
        &self,
        key: &K,
        present: bool,
        start: i64,
        headers: &Headers,
        scratch: &mut Scratch,
    ) -> Result {
        let duplicates = self.shape.duplicates;
        let sequence = if duplicates { self.segments.next_sequence() } else { 0 };
        self.key(key, start, sequence, &mut scratch.key)?;
        let value = present.then_some(&scratch.value[..]);
        if self.is_seen(present) && self.segments.admit(start) {
            match value {
                Some(value) => self.core.bytes.put(&scratch.key, value)?,
                None => self.core.bytes.delete(&scratch.key)?,
            }
        }
        // What is too old is logged all the same, as in Java.
        self.core.log(&scratch.key[SEGMENT..], value, headers);
        Ok(())
    }

    /// False for null among duplicates, which removes none of them; in Java, stores in memory still
    /// take note of its time.
    fn is_seen(&self, present: bool) -> bool {
        present || !self.shape.duplicates || !self.core.persistent
    }

    fn scan(
        &self,
        keys: Bounds,
        starts: &impl RangeBounds<Timestamp>,
        reverse: bool,
    ) -> WindowedEntries<K, V> {
        let (from, to) = times(starts);
        let (from, to) =
            (from.max(self.segments.first_readable()), to.min(self.segments.observed()));
        let (mut first, mut last) = (Vec::new(), Vec::new());
        keys::window(b"", from, 0, &mut first);
        keys::window(b"", to, i32::MAX, &mut last);
        let (lower, upper) = composite_bounds(&keys, &first, &last);
        let scans = self.segments.scans(from, to, &lower, upper.as_deref(), reverse);
        let (starts, ends) = ((from, to), (i64::MIN, i64::MAX));
        let filter = Filter { layout: Layout::Window(self.shape.size), keys, starts, ends };
        WindowedEntries::new(&self.core, scans, filter)
    }
}

impl<K: 'static, V: 'static> StateStore for WindowStore<K, V> {
    state_store_of_core!();

    fn n_dropped(&self) -> u64 {
        self.segments.n_dropped()
    }

    fn restore(&self, records: &mut dyn Iterator<Item = RawRecord<'_>>, through: Offset) -> Result {
        self.core.check_writable()?;
        let (mut key, mut buffer) = (Vec::new(), Vec::new());
        let mut fill = |writes: &mut dyn Writes| {
            for record in &mut *records {
                let Some(bytes) = record.key else { continue };
                let Some((_, start, sequence)) = keys::split_window(bytes) else {
                    let message =
                        format!("the record at offset {} has no windowed key", record.offset);
                    return Err(self.core.codec.error(ErrorKind::Deserialization, message));
                };
                self.segments.saw_sequence(sequence);
                if self.is_seen(record.value.is_some()) && self.segments.observe(start) {
                    key.clear();
                    self.segments.prefix(start, &mut key);
                    key.extend_from_slice(bytes);
                    writes.set(&key, self.core.restored(&record, &mut buffer));
                }
            }
            Ok(self.segments.end(Some(through)))
        };
        self.core.bytes.restore(&mut fill)
    }

    fn can_freeze(&self) -> bool {
        true
    }

    fn freeze(&self) {
        self.segments.freeze();
        self.core.bytes.freeze();
    }

    fn commit(&self, changelog_offset: Option<Offset>) -> Result {
        self.core.check_writable()?;
        self.core.bytes.commit(self.segments.end(changelog_offset))
    }

    fn rollback(&self) -> bool {
        if self.core.is_reader() || !self.core.bytes.rollback() {
            return false;
        }
        self.core.bytes.mark().map(|mark| self.segments.reset(mark)).is_ok()
    }

    fn wipe(&self) -> Result {
        self.core.check_writable()?;
        self.segments.reset(Mark::EMPTY);
        self.core.bytes.wipe()
    }

    fn reader(&self) -> Option<Arc<dyn StateStore>> {
        Some(Arc::new(Self::new(self.core.reader(), self.shape, Arc::clone(&self.segments))))
    }
}

impl<K, V> fmt::Debug for WindowStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WindowStore({})", self.core.codec.name)
    }
}
