//! How the versions of keys lie in a byte store, and the rule by which a put changes them.
//!
//! Three kinds of rows, told apart by their first eight bytes:
//! - segment of `to`, key, i64 `to` -> a version that was valid until `to`;
//! - `TOMBSTONES`, segment of `from`, key -> i64 `from`: tombstones that may be swept later;
//! - `LATEST`, key -> the latest version, which never expires unless it is a tombstone.
//!
//! A version is i64 `from`, one byte (1 value, 0 tombstone), the value. From the first version on
//! there are no gaps, since tombstones are versions too. Java packs all versions of a key and
//! segment into one value and copies it with each put; here a put in order writes two rows.

use std::ops::Bound;
use std::sync::Arc;

use kstreams_core::Result;

use crate::bytes::ByteStore;
use crate::scan::{Pages, Scan};
use crate::segments::{SEGMENT, SegmentPages, Segments};
use crate::versioned::Put;

/// The rows of one store.
pub(super) struct Rows {
    pub(super) bytes: Arc<dyn ByteStore>,
    pub(super) segments: Arc<Segments>,
}

/// One version; `to` is `i64::MAX` for the latest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) value: Option<Vec<u8>>,
}

impl Rows {
    /// Puts a version in its place among those of `key`.
    pub(super) fn put(&self, key: &[u8], value: Option<&[u8]>, from: i64) -> Result<Put> {
        if !self.segments.admit_exactly(from) {
            return Ok(Put::TooOld);
        }
        let new = Version { from, to: LAST, value: value.map(<[u8]>::to_vec) };
        match self.latest(key)? {
            Some(latest) if latest.from > from => self.insert(key, new, latest.from),
            Some(latest) if latest.from < from => {
                self.write_past(key, &Version { to: from, ..latest })?;
                self.write_latest(key, &new)
            }
            _ => self.write_latest(key, &new),
        }
    }

    /// The version that is valid at `time`, a tombstone too, if it is not too old to be read.
    pub(super) fn at(&self, key: &[u8], time: i64) -> Result<Option<Version>> {
        let Some(latest) = self.latest(key)? else { return Ok(None) };
        if latest.from <= time {
            return Ok(Some(latest));
        }
        if time < self.segments.horizon() {
            return Ok(None);
        }
        let first = self.first_after(key, time, latest.from)?;
        Ok(first.filter(|version| version.from <= time))
    }

    pub(super) fn latest(&self, key: &[u8]) -> Result<Option<Version>> {
        let mut row = Vec::new();
        if !self.bytes.get(&[&LATEST[..], key].concat(), &mut row)? {
            return Ok(None);
        }
        Ok(read_version(&row, LAST))
    }

    /// Forgets tombstones from before `segment`: nothing older can be put any more.
    pub(super) fn sweep(&self, segment: &[u8]) -> Result {
        let to = Bound::Excluded([&TOMBSTONES[..], segment].concat());
        let scan = Scan::between((Bound::Included(TOMBSTONES.to_vec()), to));
        let mut pages = Pages::new(Arc::clone(&self.bytes), scan);
        while let Some((row, from)) = pages.next()? {
            self.bytes.delete(row)?;
            let key = row.get(2 * SEGMENT..).unwrap_or_default();
            if let Some(latest) = self.latest(key)?
                && latest.value.is_none()
                && latest.from.to_be_bytes() == *from
            {
                self.bytes.delete(&[&LATEST[..], key].concat())?;
            }
        }
        Ok(())
    }

    /// Puts a version below the one that starts at `next`.
    fn insert(&self, key: &[u8], new: Version, next: i64) -> Result<Put> {
        let to = match self.first_after(key, new.from, next)? {
            None => next,
            Some(after) if after.from > new.from => after.from,
            Some(hit) => {
                if hit.from < new.from {
                    self.write_past(key, &Version { to: new.from, ..hit.clone() })?;
                }
                hit.to
            }
        };
        self.write_past(key, &Version { to, ..new })?;
        Ok(Put::ValidTo(kstreams_core::time::Timestamp::from_millis(to)))
    }

    /// Of the versions valid until some time after `time` and not after `until`, the first.
    fn first_after(&self, key: &[u8], time: i64, until: i64) -> Result<Option<Version>> {
        let bound = |time: i64| [key, &time.to_be_bytes()].concat();
        let (lower, upper) = (bound(time.saturating_add(1)), bound(until));
        let scans = self.segments.scans_of(time, until, &lower, Some(&upper), false);
        let mut pages = SegmentPages::new(&self.bytes, scans);
        let found = pages.find(|row, value| {
            let (row_key, to) = row.split_last_chunk()?;
            // Other keys may lie between the bounds; they are longer or shorter.
            let version = (row_key == key).then(|| read_version(value, i64::from_be_bytes(*to)))?;
            version.map(Ok)
        });
        found.transpose()
    }

    fn write_past(&self, key: &[u8], version: &Version) -> Result {
        let mut row = Vec::with_capacity(2 * SEGMENT + key.len());
        self.segments.prefix(version.to, &mut row);
        row.extend_from_slice(key);
        row.extend_from_slice(&version.to.to_be_bytes());
        self.bytes.put(&row, &version.bytes())
    }

    fn write_latest(&self, key: &[u8], version: &Version) -> Result<Put> {
        if version.value.is_none() {
            let mut row = TOMBSTONES.to_vec();
            self.segments.prefix(version.from, &mut row);
            row.extend_from_slice(key);
            self.bytes.put(&row, &version.from.to_be_bytes())?;
        }
        self.bytes.put(&[&LATEST[..], key].concat(), &version.bytes())?;
        Ok(Put::Latest)
    }
}

impl Version {
    fn bytes(&self) -> Vec<u8> {
        let value = self.value.as_deref();
        let mut out = Vec::with_capacity(9 + value.map_or(0, <[u8]>::len));
        out.extend_from_slice(&self.from.to_be_bytes());
        out.push(u8::from(value.is_some()));
        out.extend_from_slice(value.unwrap_or_default());
        out
    }
}

fn read_version(bytes: &[u8], to: i64) -> Option<Version> {
    let (from, rest) = bytes.split_first_chunk()?;
    let (present, value) = rest.split_first()?;
    let value = (*present == 1).then(|| value.to_vec());
    Some(Version { from: i64::from_be_bytes(*from), to, value })
}

/// The end of what has no end yet.
pub(super) const LAST: i64 = i64::MAX;

/// Above every segment's number.
const TOMBSTONES: [u8; SEGMENT] = [0xfe; SEGMENT];
const LATEST: [u8; SEGMENT] = [0xff; SEGMENT];
