//! Writes of one span of time, by key.
//!
//! A hash table of places finds the entries, which lie in one block: nothing is allocated for an
//! entry, and what a commit or a cache goes through lies in a row. The order is an index that the
//! first scan builds, as in a [`ByteMap`](crate::map::ByteMap).

use std::collections::BTreeSet;
use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry::{Occupied, Vacant};

use super::entries::{Entries, Entry, Place};
use crate::map::walk;
use crate::scan::{Page, Scan};
use crate::small::{SmallKey, head};

/// Some writes; a value of `None` is a delete.
#[derive(Debug, Default)]
pub(super) struct Generation {
    places: HashTable<Place>,
    entries: Entries,
    order: Option<BTreeSet<SmallKey>>,
    hasher: RandomState,
}

/// A key with its hash, which serves all generations of one layering.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) hash: u64,
}

impl Generation {
    /// An empty one that hashes as this one does.
    pub(super) fn fresh(&self) -> Self {
        Self { hasher: self.hasher, ..Self::default() }
    }

    pub(super) fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, hash: self.hasher.hash_one(bytes) }
    }

    pub(super) fn get(&self, key: Key<'_>) -> Option<Option<&[u8]>> {
        let place = self.places.find(key.hash, |place| self.entries.key(*place) == key.bytes)?;
        Some(self.entries.value(*place))
    }

    pub(super) fn set(&mut self, key: Key<'_>, value: Option<&[u8]>) {
        let Self { places, entries, order, hasher } = self;
        let is_it = |place: &Place| entries.key(*place) == key.bytes;
        let rehash = |place: &Place| hasher.hash_one(entries.key(*place));
        match places.entry(key.hash, is_it, rehash) {
            Occupied(slot) => {
                let place = slot.into_mut();
                if !entries.replace(*place, value) {
                    entries.forget(*place);
                    *place = entries.push(key.bytes, value);
                }
            }
            Vacant(slot) => {
                slot.insert(entries.push(key.bytes, value));
                if let Some(order) = order {
                    order.insert(key.bytes.into());
                }
            }
        }
        if self.entries.is_wasteful() {
            self.retain(|_| true);
        }
    }

    /// Leaves only the keys that `keep` is true of, and gives memory back if they need little of it.
    #[cold]
    pub(super) fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        let Self { places, entries, order, hasher } = self;
        entries.retain(&keep);
        places.clear();
        for (place, (key, _)) in entries.iter() {
            places.insert_unique(hasher.hash_one(key), place, |place| {
                hasher.hash_one(entries.key(*place))
            });
        }
        if let Some(order) = order {
            order.retain(|key| keep(key));
        }
    }

    /// All keys with what each takes.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let size =
            |key: &[u8], value: Option<&[u8]>| key.len() + value.map_or(0, <[u8]>::len) + SLOT;
        self.entries.iter().map(move |(_, (key, value))| (key, size(key, value)))
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn n_bytes(&self) -> usize {
        self.entries.n_bytes() + self.len() * SLOT
    }

    /// Empties it; the wish for an order stays, and memory for as much again.
    pub(super) fn clear(&mut self) {
        let len = self.len();
        self.places.clear();
        if self.places.capacity() > FEW.max(4 * len) {
            self.places.shrink_to(2 * len, |_| 0);
        }
        self.entries.clear();
        if let Some(order) = &mut self.order {
            order.clear();
        }
    }

    /// Takes over what `newer` holds, and empties it.
    pub(super) fn absorb(&mut self, newer: &mut Self) {
        for (_, (key, value)) in newer.entries.iter() {
            self.set(self.key(key), value);
        }
        newer.clear();
    }

    /// All entries, by key.
    pub(super) fn sorted(&self) -> impl Iterator<Item = Entry<'_>> {
        let of_key = |entry: Entry<'_>| u128::from_be_bytes(head(entry.0));
        let entries = self.entries.iter();
        let mut all: Vec<_> = entries.map(|(place, entry)| (of_key(entry), place)).collect();
        // Most of them differ in their heads, which lie side by side.
        all.sort_unstable_by(|(a, place), (b, other)| {
            a.cmp(b).then_with(|| self.entries.key(*place).cmp(self.entries.key(*other)))
        });
        all.into_iter().map(|(_, place)| self.entries.entry(place))
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.order.is_some()
    }

    /// Builds the order, so that [`page`](Self::page) works.
    pub(super) fn order(&mut self) {
        if self.order.is_none() {
            self.order = Some(self.entries.iter().map(|(_, (key, _))| key.into()).collect());
        }
    }

    /// Adds its part of a scan to `page`, deletes included. It must be ordered, and the scan not
    /// empty.
    pub(super) fn page(&self, scan: &Scan, limit: usize, page: &mut Page) {
        let Some(order) = &self.order else {
            debug_assert!(false, "scan of a generation without order");
            page.complete = true;
            return;
        };
        page.complete = walk(order, scan, |key| {
            if page.is_full(limit) {
                return false;
            }
            if let Some(value) = self.get(self.key(key)) {
                page.push(key, value);
            }
            true
        });
    }
}

/// What the table takes for an entry, roughly: three of four slots are in use.
const SLOT: usize = 12;
/// Slots that are not worth being given back.
const FEW: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kstreams_core::random::Random;

    use super::*;

    type Model = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

    fn set(generation: &mut Generation, key: &[u8], value: Option<&[u8]>) {
        generation.set(generation.key(key), value);
    }

    fn owned<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        entries.map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect()
    }

    fn agrees(generation: &mut Generation, model: &Model) {
        let mut expected: Vec<_> = model.clone().into_iter().collect();
        assert_eq!(generation.len(), expected.len());
        assert_eq!(owned(generation.sorted()), expected);
        for (key, value) in &expected {
            assert_eq!(generation.get(generation.key(key)), Some(value.as_deref()));
        }
        assert_eq!(generation.get(generation.key(b"absent")), None);
        generation.order();
        for reverse in [false, true] {
            let mut page = Page::default();
            generation.page(&Scan { reverse, ..Scan::all() }, usize::MAX, &mut page);
            assert_eq!(owned((0..page.len()).filter_map(|index| page.get(index))), expected);
            expected.reverse();
        }
    }

    #[test]
    fn random_writes_are_those_of_a_map() {
        let random = Random::seeded(9);
        let (mut older, mut newer) = (Generation::default(), Generation::default());
        older.hasher = newer.hasher;
        let (mut of_older, mut of_newer) = (Model::new(), Model::new());
        for round in 0..200 {
            for _ in 0..random.below(300) {
                let key = random.below(200).to_string().into_bytes();
                let value =
                    (random.below(4) > 0).then(|| vec![round as u8; random.below(300) as usize]);
                set(&mut newer, &key, value.as_deref());
                of_newer.insert(key, value);
            }
            agrees(&mut newer, &of_newer);
            if random.below(3) == 0 {
                older.absorb(&mut newer);
                of_older.append(&mut of_newer);
                agrees(&mut older, &of_older);
                agrees(&mut newer, &of_newer);
            }
            if random.below(20) == 0 {
                older.clear();
                of_older.clear();
            }
            if random.below(20) == 0 {
                older.retain(|key| key[0] % 2 == 0);
                of_older.retain(|key, _| key[0] % 2 == 0);
            }
        }
    }

    #[test]
    fn a_value_that_grows_does_not_leave_all_that_it_was() {
        let mut generation = Generation::default();
        let mut value = Vec::new();
        for _ in 0..2000 {
            value.extend_from_slice(&[7; 100]);
            set(&mut generation, b"a", Some(&value));
            set(&mut generation, b"b", Some(b"small"));
            assert!(generation.n_bytes() < 4 * value.len() + (40 << 10));
        }
        assert_eq!(generation.get(generation.key(b"a")), Some(Some(&value[..])));
    }

    #[test]
    fn sorted_as_bytes_are() {
        let head = [7; 16];
        let long = |tail: &[u8]| [&head[..], tail].concat();
        let keys: [&[u8]; 9] = [
            b"",
            b"\0",
            b"\0\0",
            b"\0\x01",
            b"\x01",
            &head[..15],
            &head,
            &long(b"\0"),
            &long(b"\xff\0"),
        ];
        let mut generation = Generation::default();
        for key in keys.iter().rev() {
            set(&mut generation, key, None);
        }
        assert!(generation.sorted().map(|(key, _)| key).eq(keys));
    }
}
