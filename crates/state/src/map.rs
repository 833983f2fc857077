//! A map of bytes that is fast at points and has an order when asked for it.
//!
//! Points go through a hash table (one probe, where an ordered map of a million keys walks five
//! levels); the order is an index that the first range read builds and that only new and removed
//! keys touch afterwards. A store that is never read by range never pays for it.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use foldhash::quality::RandomState;

use crate::scan::Scan;
use crate::small::SmallKey;

#[derive(Debug)]
pub(crate) struct ByteMap<V> {
    /// Keys come from outside: the hash is seeded, as the standard one, which costs several times as
    /// much for keys as short as these.
    entries: HashMap<SmallKey, V, RandomState>,
    order: Option<BTreeSet<SmallKey>>,
}

impl<V> Default for ByteMap<V> {
    fn default() -> Self {
        Self { entries: HashMap::default(), order: None }
    }
}

impl<V> ByteMap<V> {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        self.entries.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    pub(crate) fn insert(&mut self, key: SmallKey, value: V) {
        if let Some(order) = &mut self.order {
            order.insert(key.clone());
        }
        self.entries.insert(key, value);
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<(SmallKey, V)> {
        let removed = self.entries.remove_entry(key)?;
        if let Some(order) = &mut self.order {
            order.remove(key);
        }
        Some(removed)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_ordered(&self) -> bool {
        self.order.is_some()
    }

    /// Builds the order, so that [`scan`](Self::scan) works.
    pub(crate) fn order(&mut self) {
        if self.order.is_none() {
            self.order = Some(self.entries.keys().cloned().collect());
        }
    }

    /// Visits the entries of a scan in its direction, until `visit` returns false; true if it came
    /// to the end. The map must be ordered, and the scan not empty.
    pub(crate) fn scan(&self, scan: &Scan, mut visit: impl FnMut(&SmallKey, &V) -> bool) -> bool {
        let Some(order) = &self.order else {
            debug_assert!(false, "scan of a map without order");
            return true;
        };
        walk(order, scan, |key| self.entries.get(key).is_none_or(|v| visit(key, v)))
    }
}

/// Visits the keys of a scan in its direction, until `visit` returns false; true if it came to the
/// end. The scan is not empty.
pub(crate) fn walk(
    order: &BTreeSet<SmallKey>,
    scan: &Scan,
    mut visit: impl FnMut(&SmallKey) -> bool,
) -> bool {
    let to = scan.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let range = order.range::<[u8], _>((Bound::Included(&scan.from[..]), to));
    if scan.reverse { range.rev().all(&mut visit) } else { { range }.all(&mut visit) }
}
