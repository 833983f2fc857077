//! The session store.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use kstreams_core::record::{Headers, Offset, RawRecord};
use kstreams_core::store::StateStore;
use kstreams_core::time::Timestamp;
use kstreams_core::{ErrorKind, Result};

use crate::bytes::{Mark, Writes};
use crate::codec::Bounds;
use crate::core::{Core, state_store_of_core};
use crate::keys;
use crate::scratch::with_scratch;
use crate::segments::{SEGMENT, Segments};
use crate::windowed::{Filter, Layout, Window, Windowed, WindowedEntries, composite_bounds, times};

/// One value for each key and session. Opened by a [`Sessions`](crate::Sessions) builder.
///
/// Retention counts from the end of a session, as that of a [`WindowStore`](crate::WindowStore)
/// from the start of a window.
///
/// ```
/// # fn main() -> kstreams_core::Result {
/// use std::time::Duration;
/// use kstreams_core::serde::{U64, Utf8};
/// use kstreams_core::time::Timestamp;
/// use kstreams_state::{Sessions, Window, Windowed, testing};
///
/// let clicks = testing::open(&Sessions::in_memory("clicks", Duration::from_secs(60), Utf8, U64))?;
/// let at = Timestamp::from_millis;
/// clicks.put(&Windowed::new("ann".to_owned(), Window::new(at(10), at(20))), &3)?;
/// // Sessions that a click at 25 with a gap of 10 would touch.
/// let found = clicks.find_sessions(&"ann".to_owned(), at(15), at(35))?.next();
/// assert_eq!(found.transpose()?.map(|(_, clicks)| clicks), Some(3));
/// # Ok(()) }
/// ```
pub struct SessionStore<K, V> {
    core: Core<K, V>,
    segments: Arc<Segments>,
}

impl<K: 'static, V: 'static> SessionStore<K, V> {
    pub(super) fn new(core: Core<K, V>, segments: Arc<Segments>) -> Self {
        Self { core, segments }
    }

    /// Sets the value of a session; a value that its serde writes as null removes it.
    ///
    /// # Errors
    /// If the key is null, the store is read only here, or the store or a serde fails.
    pub fn put(&self, session: &Windowed<K>, value: &V) -> Result {
        self.core.check_writable()?;
        with_scratch(|scratch| {
            let present = self.core.codec.value(value, &mut scratch.value)?;
            let value = present.then_some(&scratch.value[..]);
            self.key(&session.key, session.window, &mut scratch.key)?;
            let is_live = self.segments.admit(session.window.end.as_millis());
            self.write(&scratch.key, value, is_live)
        })
    }

    /// Removes a session.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn remove(&self, session: &Windowed<K>) -> Result {
        self.core.check_writable()?;
        with_scratch(|scratch| {
            self.key(&session.key, session.window, &mut scratch.key)?;
            // As in Java: not counted as dropped, and in memory no sign of time.
            let end = session.window.end.as_millis();
            let is_live = !self.core.persistent || self.segments.observe(end);
            self.write(&scratch.key, None, is_live)
        })
    }

    /// As [`remove`](Self::remove), but the end of the session counts as a time that was seen, as
    /// with [`put`](Self::put): an update whose result is that there is no session.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_tombstone(&self, session: &Windowed<K>) -> Result {
        self.core.check_writable()?;
        with_scratch(|scratch| {
            self.key(&session.key, session.window, &mut scratch.key)?;
            let is_live = self.segments.admit(session.window.end.as_millis());
            self.write(&scratch.key, None, is_live)
        })
    }

    /// The value of the session of `key` with exactly this window.
    ///
    /// # Errors
    /// If the key is null, or the store or a serde fails.
    pub fn fetch_session(&self, key: &K, window: Window) -> Result<Option<V>> {
        if window.end.as_millis() < self.segments.first_readable() {
            return Ok(None);
        }
        with_scratch(|scratch| {
            self.key(key, window, &mut scratch.key)?;
            if !self.core.bytes.get(&scratch.key, &mut scratch.value)? {
                return Ok(None);
            }
            self.core.codec.read_value(&scratch.value).map(Some)
        })
    }

    /// The sessions of `key` that end at `earliest_end` or later and start at `latest_start` or
    /// earlier, in order of their ends.
    ///
    /// # Errors
    /// If the key is null or cannot be serialized; items report what fails later.
    pub fn find_sessions(
        &self,
        key: &K,
        earliest_end: Timestamp,
        latest_start: Timestamp,
    ) -> Result<WindowedEntries<K, V>> {
        let key = (Bound::Included(key), Bound::Included(key));
        self.find(&key, earliest_end, latest_start, false)
    }

    /// As [`find_sessions`](Self::find_sessions), from the last to the first.
    ///
    /// # Errors
    /// As [`find_sessions`](Self::find_sessions).
    pub fn reverse_find_sessions(
        &self,
        key: &K,
        earliest_end: Timestamp,
        latest_start: Timestamp,
    ) -> Result<WindowedEntries<K, V>> {
        let key = (Bound::Included(key), Bound::Included(key));
        self.find(&key, earliest_end, latest_start, true)
    }

    /// As [`find_sessions`](Self::find_sessions), for several keys, which are compared as bytes.
    ///
    /// # Errors
    /// As [`find_sessions`](Self::find_sessions).
    pub fn find_sessions_of(
        &self,
        keys: impl RangeBounds<K>,
        earliest_end: Timestamp,
        latest_start: Timestamp,
    ) -> Result<WindowedEntries<K, V>> {
        self.find(&keys, earliest_end, latest_start, false)
    }

    /// As [`find_sessions_of`](Self::find_sessions_of), from the last to the first.
    ///
    /// # Errors
    /// As [`find_sessions`](Self::find_sessions).
    pub fn reverse_find_sessions_of(
        &self,
        keys: impl RangeBounds<K>,
        earliest_end: Timestamp,
        latest_start: Timestamp,
    ) -> Result<WindowedEntries<K, V>> {
        self.find(&keys, earliest_end, latest_start, true)
    }

    /// The sessions of all keys that end within `ends` and are not too old.
    pub fn find_ending(&self, ends: impl RangeBounds<Timestamp>) -> WindowedEntries<K, V> {
        self.scan((Bound::Unbounded, Bound::Unbounded), times(&ends), i64::MAX, false)
    }

    /// As [`find_ending`](Self::find_ending), from the last to the first.
    pub fn reverse_find_ending(&self, ends: impl RangeBounds<Timestamp>) -> WindowedEntries<K, V> {
        self.scan((Bound::Unbounded, Bound::Unbounded), times(&ends), i64::MAX, true)
    }

    /// All sessions of `key` that are not too old, in order of their ends.
    ///
    /// # Errors
    /// As [`find_sessions`](Self::find_sessions).
    pub fn fetch(&self, key: &K) -> Result<WindowedEntries<K, V>> {
        self.find_sessions(key, Timestamp::MIN, Timestamp::MAX)
    }

    /// As [`fetch`](Self::fetch), from the last to the first.
    ///
    /// # Errors
    /// As [`find_sessions`](Self::find_sessions).
    pub fn reverse_fetch(&self, key: &K) -> Result<WindowedEntries<K, V>> {
        self.reverse_find_sessions(key, Timestamp::MIN, Timestamp::MAX)
    }

    /// All sessions of several keys that are not too old.
    ///
    /// # Errors
    /// As [`find_sessions`](Self::find_sessions).
    pub fn fetch_keys(&self, keys: impl RangeBounds<K>) -> Result<WindowedEntries<K, V>> {
        self.find(&keys, Timestamp::MIN, Timestamp::MAX, false)
    }

    /// As [`fetch_keys`](Self::fetch_keys), from the last to the first.
    ///
    /// # Errors
    /// As [`find_sessions`](Self::find_sessions).
    pub fn reverse_fetch_keys(&self, keys: impl RangeBounds<K>) -> Result<WindowedEntries<K, V>> {
        self.find(&keys, Timestamp::MIN, Timestamp::MAX, true)
    }

    /// Every session that is not too old.
    pub fn all(&self) -> WindowedEntries<K, V> {
        self.find_ending(..)
    }

    /// Every session that is not too old, from the last to the first.
    pub fn reverse_all(&self) -> WindowedEntries<K, V> {
        self.reverse_find_ending(..)
    }

    /// How many puts were too old since the store was opened.
    pub fn n_dropped(&self) -> u64 {
        self.segments.n_dropped()
    }

    /// The largest end of a session that this store has seen.
    pub fn observed_stream_time(&self) -> Timestamp {
        Timestamp::from_millis(self.segments.observed())
    }

    /// Appends segment and composite key.
    fn key(&self, key: &K, window: Window, out: &mut Vec<u8>) -> Result {
        let (start, end) = (window.start.as_millis(), window.end.as_millis());
        self.segments.prefix(end, out);
        self.core.codec.key(key, out)?;
        keys::session(b"", start, end, out);
        Ok(())
    }

    fn write(&self, key: &[u8], value: Option<&[u8]>, is_live: bool) -> Result {
        if is_live {
            match value {
                Some(value) => self.core.bytes.put(key, value)?,
                None => self.core.bytes.delete(key)?,
            }
        }
        // What is too old is logged all the same, as in Java.
        self.core.log(&key[SEGMENT..], value, &Headers::default());
        Ok(())
    }

    fn find(
        &self,
        keys: &impl RangeBounds<K>,
        earliest_end: Timestamp,
        latest_start: Timestamp,
        reverse: bool,
    ) -> Result<WindowedEntries<K, V>> {
        let keys = self.core.codec.bounds(keys)?;
        let ends = (earliest_end.as_millis(), i64::MAX);
        Ok(self.scan(keys, ends, latest_start.as_millis(), reverse))
    }

    fn scan(
        &self,
        keys: Bounds,
        (earliest_end, latest_end): (i64, i64),
        latest_start: i64,
        reverse: bool,
    ) -> WindowedEntries<K, V> {
        let from = earliest_end.max(self.segments.first_readable());
        let to = latest_end.min(self.segments.observed());
        let (mut first, mut last) = (Vec::new(), Vec::new());
        keys::session(b"", 0, from, &mut first);
        keys::session(b"", latest_start.max(0), to, &mut last);
        let (lower, upper) = composite_bounds(&keys, &first, &last);
        let scans = self.segments.scans(from, to, &lower, upper.as_deref(), reverse);
        let (starts, ends) = ((i64::MIN, latest_start), (from, to));
        WindowedEntries::new(
            &self.core,
            scans,
            Filter { layout: Layout::Session, keys, starts, ends },
        )
    }
}

impl<K: 'static, V: 'static> StateStore for SessionStore<K, V> {
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
                let Some((_, _, end)) = keys::split_session(bytes) else {
                    let message =
                        format!("the record at offset {} has no session key", record.offset);
                    return Err(self.core.codec.error(ErrorKind::Deserialization, message));
                };
                if self.segments.observe(end) {
                    key.clear();
                    self.segments.prefix(end, &mut key);
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
        Some(Arc::new(Self::new(self.core.reader(), Arc::clone(&self.segments))))
    }
}

impl<K, V> fmt::Debug for SessionStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionStore({})", self.core.codec.name)
    }
}
