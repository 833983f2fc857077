//! Time in stores with retention: which records are too old, and where the others lie.
//!
//! The bytes of an entry start with the number of its segment, a stretch of time. So what is too
//! old is everything below one key, which a commit removes in one stroke, and there is one
//! database for all segments, where Kafka Streams opens one for each.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use kstreams_core::Result;
use kstreams_core::record::Offset;
use kstreams_core::time::millis;
use parking_lot::Mutex;

use crate::bytes::{ByteStore, End, Mark};
use crate::scan::{Pages, Scan};

/// How long a store keeps its entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retention {
    pub(crate) retention: i64,
    pub(crate) segment_interval: i64,
}

impl Retention {
    /// With the segments that Java's window and session stores have.
    pub(crate) fn windows(retention: Duration) -> Self {
        let retention = millis(retention);
        Self { retention, segment_interval: (retention / 2).max(60_000) }
    }

    /// With the segments that Java's versioned stores have.
    pub(crate) fn versions(retention: Duration) -> Self {
        let retention = millis(retention);
        let segment_interval = match retention {
            0..=60_000 => (retention / 3).max(2_000),
            60_001..=300_000 => (retention / 5).max(20_000),
            300_001..=3_600_000 => (retention / 12).max(60_000),
            _ => (retention / 24).max(300_000),
        };
        Self { retention, segment_interval }
    }

    fn segment(&self, time: i64) -> i64 {
        time.max(0) / self.segment_interval
    }
}

/// The observed stream time of one store, and what follows from it.
///
/// The task's thread writes it; readers read it to not see what is too old.
#[derive(Debug)]
pub(crate) struct Segments {
    retention: Retention,
    observed: AtomicI64,
    sequence: AtomicI32,
    /// The first segment that was not removed yet.
    first_kept: AtomicI64,
    n_dropped: AtomicU64,
    /// What the next commit writes, if it was fixed before.
    frozen: Mutex<Option<End>>,
    /// True if an entry is too old by its own time, not by that of its segment: Java's stores in
    /// memory have no segments.
    is_exact: bool,
}

impl Segments {
    /// As the store stands at `mark`.
    pub(crate) fn new(retention: Retention, mark: Mark, is_exact: bool) -> Self {
        Self {
            retention,
            is_exact,
            observed: AtomicI64::new(mark.time),
            sequence: AtomicI32::new(mark.sequence),
            first_kept: AtomicI64::new(0),
            n_dropped: AtomicU64::new(0),
            frozen: Mutex::new(None),
        }
    }

    /// As [`observe`](Self::observe), and counts what is too old.
    pub(crate) fn admit(&self, time: i64) -> bool {
        let live = self.observe(time);
        if !live {
            self.n_dropped.fetch_add(1, Ordering::Relaxed);
        }
        live
    }

    /// Takes note of a version's time; false, and counted, if it is older than the retention.
    pub(crate) fn admit_exactly(&self, time: i64) -> bool {
        if time < self.horizon() {
            self.n_dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.observe(time);
        true
    }

    /// The time before which versions can neither be put nor read.
    pub(crate) fn horizon(&self) -> i64 {
        self.observed().saturating_sub(self.retention.retention).max(0)
    }

    /// Takes note of an entry's time; false if it is too old to be kept.
    ///
    /// As in Java, what is too old is kept on disk as long as its segment is.
    pub(crate) fn observe(&self, time: i64) -> bool {
        let observed = self.observed().max(time);
        self.observed.store(observed, Ordering::Relaxed);
        let last_expired = observed.saturating_sub(self.retention.retention);
        if self.is_exact {
            return time >= 0 && time > last_expired;
        }
        time >= 0 && self.retention.segment(time) >= self.retention.segment(last_expired)
    }

    pub(crate) fn n_dropped(&self) -> u64 {
        self.n_dropped.load(Ordering::Relaxed)
    }

    /// The largest time of an entry.
    pub(crate) fn observed(&self) -> i64 {
        self.observed.load(Ordering::Relaxed)
    }

    /// The time before which reads see nothing, whether it is removed yet or not.
    pub(crate) fn first_readable(&self) -> i64 {
        self.observed().saturating_sub(self.retention.retention).saturating_add(1).max(0)
    }

    /// The next number for an entry of a store that keeps duplicates.
    pub(crate) fn next_sequence(&self) -> i32 {
        let next = self.sequence.load(Ordering::Relaxed).wrapping_add(1) & i32::MAX;
        self.sequence.store(next, Ordering::Relaxed);
        next
    }

    /// Takes note of a number given before.
    pub(crate) fn saw_sequence(&self, sequence: i32) {
        self.sequence.fetch_max(sequence, Ordering::Relaxed);
    }

    /// Appends the segment's number of an entry with this time.
    pub(crate) fn prefix(&self, time: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.retention.segment(time).to_be_bytes());
    }

    /// Fixes what the next commit writes beside the entries: later ones may be given up.
    pub(crate) fn freeze(&self) {
        let mut frozen = self.frozen.lock();
        if frozen.is_none() {
            *frozen = Some(self.now(None));
        }
    }

    /// What a commit at this offset writes beside the entries.
    pub(crate) fn end(&self, offset: Option<Offset>) -> End {
        match self.frozen.lock().take() {
            Some(end) => End { mark: Mark { offset, ..end.mark }, ..end },
            None => self.now(offset),
        }
    }

    fn now(&self, offset: Option<Offset>) -> End {
        let (time, sequence) = (self.observed(), self.sequence.load(Ordering::Relaxed));
        let first = self.retention.segment(time.saturating_sub(self.retention.retention));
        let removed = self.first_kept.swap(first, Ordering::Relaxed);
        let floor = (first > removed).then(|| first.to_be_bytes().to_vec());
        End { mark: Mark { offset, time, sequence }, floor }
    }

    /// Goes back to where the store stands.
    pub(crate) fn reset(&self, mark: Mark) {
        self.observed.store(mark.time, Ordering::Relaxed);
        self.sequence.store(mark.sequence, Ordering::Relaxed);
        self.first_kept.store(0, Ordering::Relaxed);
        *self.frozen.lock() = None;
    }

    /// The scans, one for each segment, of entries with times from `from` to `to` (inclusive, cut
    /// to what is readable) and the given bounds behind the segment's number.
    pub(crate) fn scans(
        &self,
        from: i64,
        to: i64,
        lower: &[u8],
        upper: Option<&[u8]>,
        reverse: bool,
    ) -> VecDeque<Scan> {
        self.scans_of(
            from.max(self.first_readable()),
            to.min(self.observed()),
            lower,
            upper,
            reverse,
        )
    }

    /// As [`scans`](Self::scans), with times that are known to be stored.
    pub(crate) fn scans_of(
        &self,
        from: i64,
        to: i64,
        lower: &[u8],
        upper: Option<&[u8]>,
        reverse: bool,
    ) -> VecDeque<Scan> {
        if from > to {
            return VecDeque::new();
        }
        let scan = |segment: i64| {
            let bound = |bytes: &[u8]| [&segment.to_be_bytes()[..], bytes].concat();
            let upper = match upper {
                Some(upper) => Bound::Included(bound(upper)),
                None => Bound::Excluded((segment + 1).to_be_bytes().to_vec()),
            };
            let scan = Scan::between((Bound::Included(bound(lower)), upper));
            if reverse { scan.reversed() } else { scan }
        };
        let segments = self.retention.segment(from)..=self.retention.segment(to);
        if reverse { segments.rev().map(scan).collect() } else { segments.map(scan).collect() }
    }
}

/// A cursor over several segments, one after the other.
pub(crate) struct SegmentPages {
    store: Arc<dyn ByteStore>,
    scans: VecDeque<Scan>,
    current: Option<Pages>,
}

impl SegmentPages {
    pub(crate) fn new(store: &Arc<dyn ByteStore>, scans: VecDeque<Scan>) -> Self {
        Self { store: Arc::clone(store), scans, current: None }
    }

    /// Asks `read` about each next entry (without its segment's number), until it takes one.
    pub(crate) fn find<T>(
        &mut self,
        mut read: impl FnMut(&[u8], &[u8]) -> Option<Result<T>>,
    ) -> Option<Result<T>> {
        loop {
            if let Some(pages) = &mut self.current {
                loop {
                    match pages.next() {
                        Ok(Some((key, value))) => {
                            let key = key.get(SEGMENT..).unwrap_or_default();
                            if let Some(found) = read(key, value) {
                                return Some(found);
                            }
                        }
                        Ok(None) => break,
                        Err(error) => {
                            self.current = None;
                            self.scans.clear();
                            return Some(Err(error));
                        }
                    }
                }
            }
            let scan = self.scans.pop_front();
            self.current = scan.map(|scan| Pages::new(Arc::clone(&self.store), scan));
            self.current.as_ref()?;
        }
    }
}

/// Bytes that a segment's number takes in front of a stored key.
pub(crate) const SEGMENT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_entries_are_dropped_by_segment_and_hidden_by_time() {
        let retention = Retention { retention: 100, segment_interval: 60 };
        let segments = Segments::new(retention, Mark::EMPTY, false);
        assert!(segments.admit(0) && !segments.admit(-1));
        assert!(segments.admit(200));
        assert_eq!(segments.first_readable(), 101);
        assert!(segments.admit(60), "older than the retention, but its segment is alive");
        assert!(!segments.admit(59));
        assert_eq!(segments.n_dropped(), 2);
        assert_eq!(segments.end(None).floor, Some(1_i64.to_be_bytes().to_vec()));
        assert_eq!(segments.end(None).floor, None);
        assert_eq!(segments.scans(0, i64::MAX, b"", None, false).len(), 3);
        assert_eq!(segments.scans(201, i64::MAX, b"", None, false).len(), 0);
    }

    #[test]
    fn javas_segments() {
        let interval = |secs| Retention::windows(Duration::from_secs(secs)).segment_interval;
        assert_eq!((interval(10), interval(3600)), (60_000, 1_800_000));
        let interval = |secs| Retention::versions(Duration::from_secs(secs)).segment_interval;
        assert_eq!([3, 60, 300, 3600].map(interval), [2_000, 20_000, 60_000, 300_000]);
        assert_eq!(interval(86_400), 3_600_000);
    }
}
