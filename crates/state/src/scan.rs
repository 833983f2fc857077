//! What a range read asks for, the page it gets, and the cursor that asks for page after page.
//!
//! No lock and no borrowed iterator lives between two pages, so a processor may write to a store,
//! or commit it, while it reads a range of it.

use std::ops::Bound;
use std::sync::Arc;

use kstreams_core::Result;

use crate::bytes::ByteStore;
use crate::codec::Bounds;

/// The keys from `from` (inclusive) to `to` (exclusive; `None` is no end), in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Option<Vec<u8>>,
    pub(crate) reverse: bool,
}

impl Scan {
    pub(crate) fn all() -> Self {
        Self { from: Vec::new(), to: None, reverse: false }
    }

    /// Between two bounds.
    pub(crate) fn between((from, to): Bounds) -> Self {
        let from = match from {
            Bound::Included(key) => key,
            Bound::Excluded(key) => successor(key),
            Bound::Unbounded => Vec::new(),
        };
        let to = match to {
            Bound::Included(key) => Some(successor(key)),
            Bound::Excluded(key) => Some(key),
            Bound::Unbounded => None,
        };
        Self { from, to, reverse: false }
    }

    /// All keys that start with `prefix`.
    pub(crate) fn prefix(prefix: &[u8]) -> Self {
        Self { from: prefix.to_vec(), to: after_prefix(prefix), reverse: false }
    }

    #[must_use]
    pub(crate) fn reversed(mut self) -> Self {
        self.reverse = !self.reverse;
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }

    /// Leaves only what comes behind `last`.
    pub(crate) fn advance(&mut self, last: &[u8]) {
        if self.reverse {
            self.to = Some(last.to_vec());
        } else {
            self.from.clear();
            self.from.extend_from_slice(last);
            self.from.push(0);
        }
    }
}

/// The smallest key greater than `key`.
fn successor(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// The smallest key greater than all that start with `prefix`; `None` if there is none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut key = prefix[..=last].to_vec();
    key[last] += 1;
    Some(key)
}

/// Some entries in order, in one arena; a value of `None` is a delete that hides lower layers.
#[derive(Debug, Default)]
pub(crate) struct Page {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// True if nothing is left behind the last entry.
    pub(crate) complete: bool,
}

#[derive(Debug)]
struct Entry {
    start: usize,
    key_len: usize,
    value_len: Option<usize>,
}

impl Page {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.complete = false;
    }

    pub(crate) fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let (key_len, value_len) = (key.len(), value.map(<[u8]>::len));
        self.entries.push(Entry { start, key_len, value_len });
    }

    pub(crate) fn get(&self, index: usize) -> Option<(&[u8], Option<&[u8]>)> {
        let entry = self.entries.get(index)?;
        let split = entry.start + entry.key_len;
        let value = entry.value_len.map(|len| &self.bytes[split..split + len]);
        Some((&self.bytes[entry.start..split], value))
    }

    pub(crate) fn last_key(&self) -> Option<&[u8]> {
        self.get(self.entries.len().checked_sub(1)?).map(|(key, _)| key)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if it holds what one page may: `limit` entries, or many bytes.
    pub(crate) fn is_full(&self, limit: usize) -> bool {
        self.entries.len() >= limit || self.bytes.len() >= MAX_PAGE_BYTES
    }
}

/// A cursor over a store: owns its place, holds no lock.
pub(crate) struct Pages {
    store: Arc<dyn ByteStore>,
    scan: Scan,
    page: Page,
    index: usize,
    limit: usize,
}

impl Pages {
    pub(crate) fn new(store: Arc<dyn ByteStore>, scan: Scan) -> Self {
        let page = Page { complete: scan.is_empty(), ..Page::default() };
        Self { store, scan, page, index: 0, limit: FIRST_PAGE }
    }

    /// The next entry.
    pub(crate) fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if self.index == self.page.len() && !self.page.complete {
            self.read_page()?;
        }
        let Some((key, value)) = self.page.get(self.index) else { return Ok(None) };
        self.index += 1;
        Ok(Some((key, value.unwrap_or_default())))
    }

    fn read_page(&mut self) -> Result {
        if let Some(last) = self.page.last_key() {
            self.scan.advance(last);
        }
        self.page.clear();
        self.index = 0;
        // A failed or a finished scan must not start again.
        self.page.complete = true;
        if self.scan.is_empty() {
            return Ok(());
        }
        let mut page = std::mem::take(&mut self.page);
        let read = self.store.page(&self.scan, self.limit, &mut page);
        self.limit = (self.limit * 2).min(MAX_PAGE);
        if read.is_ok() {
            self.page = page;
        } else {
            self.page.complete = true;
        }
        read
    }
}

/// Most scans end early; those that do not soon read in larger pages.
const FIRST_PAGE: usize = 16;
const MAX_PAGE: usize = 512;
const MAX_PAGE_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prefix: &[u8], after: Option<&[u8]>) {
        assert_eq!(after_prefix(prefix).as_deref(), after);
    }

    #[test]
    fn the_end_of_a_prefix() {
        check(b"ab", Some(b"ac"));
        check(&[1, 255], Some(&[2]));
        check(&[255, 255], None);
        check(b"", None);
    }

    #[test]
    fn bounds() {
        let scan = Scan::between((Bound::Excluded(vec![1]), Bound::Included(vec![2])));
        assert_eq!((scan.from, scan.to), (vec![1, 0], Some(vec![2, 0])));
        let mut scan = Scan::between((Bound::Included(vec![2]), Bound::Included(vec![1])));
        assert!(scan.is_empty());
        scan = Scan::all().reversed();
        scan.advance(&[3]);
        assert_eq!(scan.to, Some(vec![3]));
    }
}
