//! Writes of one span of time, by key.

use crate::map::ByteMap;
use crate::memory::entry_bytes;
use crate::scan::{Page, Scan};
use crate::small::SmallBytes;

/// Some writes; `None` is a delete.
#[derive(Debug, Default)]
pub(super) struct Generation {
    pub(super) writes: ByteMap<Option<SmallBytes>>,
    pub(super) n_bytes: usize,
}

impl Generation {
    pub(super) fn set(&mut self, key: &[u8], value: Option<&[u8]>) {
        match (self.writes.get_mut(key), value) {
            (Some(Some(own)), Some(value)) => own.set(value),
            (Some(own), value) => *own = value.map(SmallBytes::from),
            (None, value) => {
                self.n_bytes += entry_bytes(key, value.unwrap_or_default());
                self.writes.insert(key.into(), value.map(SmallBytes::from));
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.writes.clear();
        self.n_bytes = 0;
    }

    /// Takes over what `newer` holds, and empties it.
    pub(super) fn absorb(&mut self, newer: &mut Self) {
        for (key, value) in newer.writes.drain() {
            // Values may grow from commit to commit, so the one replaced counts as it is.
            if let Some(old) = self.writes.get(&key) {
                self.n_bytes -= entry_bytes(&key, old.as_deref().unwrap_or_default());
            }
            self.n_bytes += entry_bytes(&key, value.as_deref().unwrap_or_default());
            self.writes.insert(key, value);
        }
        newer.n_bytes = 0;
    }

    /// Adds its part of a scan to `page`, deletes included.
    pub(super) fn page(&self, scan: &Scan, limit: usize, page: &mut Page) {
        if self.writes.is_empty() {
            page.complete = true;
            return;
        }
        page.complete = self.writes.scan(scan, |key, value| {
            if page.is_full(limit) {
                return false;
            }
            page.push(key, value.as_deref());
            true
        });
    }
}
