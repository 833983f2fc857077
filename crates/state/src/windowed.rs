//! Spans of event time, keys that belong to one, and the iterators over such keys.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use kstreams_core::Result;
use kstreams_core::time::Timestamp;

use crate::codec::{Bounds, Codec};
use crate::core::Core;
use crate::keys;
use crate::scan::Scan;
use crate::segments::SegmentPages;

/// A span of event time. For time windows `end` is exclusive; for sessions it is the time of the
/// last record, so inclusive, as in Kafka Streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// Its first millisecond.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
}

impl Window {
    /// From `start` to `end`.
    pub fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }
}

/// A key in a window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Windowed<K> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
}

impl<K> Windowed<K> {
    /// `key` in `window`.
    pub fn new(key: K, window: Window) -> Self {
        Self { key, window }
    }
}

/// Entries of a window or session store: segment by segment, in each by the bytes of the keys.
///
/// As [`Entries`](crate::key_value::Entries), it owns its place and holds no lock.
pub struct WindowedEntries<K, V> {
    pages: SegmentPages,
    codec: Arc<Codec<K, V>>,
    filter: Filter,
}

/// The values of one key of a window store with the starts of their windows, in order of time.
pub struct WindowValues<K, V>(WindowedEntries<K, V>);

/// What an entry must be to be yielded; the bounds of a scan can say it only roughly.
pub(crate) struct Filter {
    pub(crate) layout: Layout,
    pub(crate) keys: Bounds,
    pub(crate) starts: (i64, i64),
    pub(crate) ends: (i64, i64),
}

/// How a composite key is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    /// A window of this size.
    Window(i64),
    Session,
}

impl Filter {
    /// Key and window of an entry that passes.
    fn pass<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], Window)> {
        let (key, start, end) = match self.layout {
            Layout::Window(size) => {
                let (key, start, _) = keys::split_window(bytes)?;
                (key, start, start.saturating_add(size))
            }
            Layout::Session => keys::split_session(bytes)?,
        };
        let within = |time: i64, (from, to): (i64, i64)| from <= time && time <= to;
        let (from, to) =
            (self.keys.0.as_ref().map(|k| &k[..]), self.keys.1.as_ref().map(|k| &k[..]));
        let passes = within(start, self.starts)
            && within(end, self.ends)
            && <(Bound<&[u8]>, Bound<&[u8]>) as RangeBounds<[u8]>>::contains(&(from, to), key);
        let window = Window::new(Timestamp::from_millis(start), Timestamp::from_millis(end));
        passes.then_some((key, window))
    }
}

impl<K: 'static, V: 'static> WindowedEntries<K, V> {
    pub(crate) fn new(core: &Core<K, V>, scans: VecDeque<Scan>, filter: Filter) -> Self {
        let pages = SegmentPages::new(&core.bytes, scans);
        Self { pages, codec: Arc::clone(&core.codec), filter }
    }

    /// The entries as values with starts, where there is one key.
    pub(crate) fn into_values(self) -> WindowValues<K, V> {
        WindowValues(self)
    }
}

impl<K: 'static, V: 'static> Iterator for WindowedEntries<K, V> {
    type Item = Result<(Windowed<K>, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (codec, filter) = (&self.codec, &self.filter);
        self.pages.find(|key, value| {
            let (key, window) = filter.pass(key)?;
            Some(codec.read_entry(key, value).map(|(key, v)| (Windowed::new(key, window), v)))
        })
    }
}

impl<K: 'static, V: 'static> Iterator for WindowValues<K, V> {
    type Item = Result<(Timestamp, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (codec, filter) = (&self.0.codec, &self.0.filter);
        self.0.pages.find(|key, value| {
            let (_, window) = filter.pass(key)?;
            Some(codec.read_value(value).map(|value| (window.start, value)))
        })
    }
}

impl<K: 'static, V: 'static> FusedIterator for WindowedEntries<K, V> {}
impl<K: 'static, V: 'static> FusedIterator for WindowValues<K, V> {}

impl<K, V> fmt::Debug for WindowedEntries<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WindowedEntries({})", self.codec.name)
    }
}

impl<K, V> fmt::Debug for WindowValues<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WindowValues({})", self.0.codec.name)
    }
}

/// The first and the last time of a range, both inclusive.
pub(crate) fn times(range: &impl RangeBounds<Timestamp>) -> (i64, i64) {
    let from = match range.start_bound() {
        Bound::Included(time) => time.as_millis(),
        Bound::Excluded(time) => time.as_millis().saturating_add(1),
        Bound::Unbounded => i64::MIN,
    };
    let to = match range.end_bound() {
        Bound::Included(time) => time.as_millis(),
        Bound::Excluded(time) => time.as_millis().saturating_sub(1),
        Bound::Unbounded => i64::MAX,
    };
    (from, to)
}

/// The byte bounds, behind the segment's number, of composite keys with these keys, whose suffix
/// is from `first` (for one key) up to `last`.
pub(crate) fn composite_bounds(
    keys: &Bounds,
    first: &[u8],
    last: &[u8],
) -> (Vec<u8>, Option<Vec<u8>>) {
    match keys {
        (Bound::Included(from), Bound::Included(to)) if from == to => {
            ([&from[..], first].concat(), Some([&to[..], last].concat()))
        }
        (from, to) => {
            let lower = match from {
                Bound::Included(key) | Bound::Excluded(key) => key.clone(),
                Bound::Unbounded => Vec::new(),
            };
            let upper = match to {
                Bound::Included(key) | Bound::Excluded(key) => Some(keys::upper_bound(key, last)),
                Bound::Unbounded => None,
            };
            (lower, upper)
        }
    }
}
