//! Entries one behind the other in one block of memory.
//!
//! An entry is what it is (one byte), the lengths of key and value (seven bits to a byte, as Kafka's
//! varints, unsigned), the key and the value: three bytes more than the two while they are short. One
//! that is replaced by another length stays where it is, as forgotten.

use std::ops::Range;

#[derive(Debug, Default)]
pub(super) struct Entries {
    bytes: Vec<u8>,
    /// Of those forgotten.
    n_dead: usize,
}

/// Where an entry begins; it stays there.
pub(super) type Place = usize;

/// A key with its value, or with its removal.
pub(super) type Entry<'a> = (&'a [u8], Option<&'a [u8]>);

impl Entries {
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Place {
        let place = self.bytes.len();
        self.bytes.push(if value.is_some() { VALUE } else { DELETE });
        let value = value.unwrap_or_default();
        push_len(&mut self.bytes, key.len());
        push_len(&mut self.bytes, value.len());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        place
    }

    pub(super) fn key(&self, place: Place) -> &[u8] {
        &self.bytes[Parts::of(&self.bytes, place).key]
    }

    pub(super) fn value(&self, place: Place) -> Option<&[u8]> {
        self.entry(place).1
    }

    pub(super) fn entry(&self, place: Place) -> Entry<'_> {
        let Parts { key, value } = Parts::of(&self.bytes, place);
        (&self.bytes[key], (self.bytes[place] == VALUE).then(|| &self.bytes[value]))
    }

    /// Puts `value` where the entry's is, if it fits there exactly.
    pub(super) fn replace(&mut self, place: Place, value: Option<&[u8]>) -> bool {
        let own = Parts::of(&self.bytes, place).value;
        match value {
            Some(value) if self.bytes[place] == VALUE && own.len() == value.len() => {
                self.bytes[own].copy_from_slice(value);
                true
            }
            None => self.bytes[place] == DELETE,
            Some(_) => false,
        }
    }

    /// Leaves the entry out of all that follows.
    pub(super) fn forget(&mut self, place: Place) {
        self.n_dead += Parts::of(&self.bytes, place).value.end - place;
        self.bytes[place] = FORGOTTEN;
    }

    /// Those not forgotten, with their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Place, Entry<'_>)> {
        let mut next = 0;
        let each = std::iter::from_fn(move || {
            let place = next;
            if place == self.bytes.len() {
                return None;
            }
            next = Parts::of(&self.bytes, place).value.end;
            Some(place)
        });
        each.filter(|place| self.bytes[*place] != FORGOTTEN).map(|place| (place, self.entry(place)))
    }

    /// True if most of its memory is of those forgotten.
    pub(super) fn is_wasteful(&self) -> bool {
        self.n_dead > self.bytes.len() / 2 && self.n_dead > LITTLE
    }

    pub(super) fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Moves those with a key that `keep` is true of together, in their order; places change.
    pub(super) fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        let (mut place, mut n_kept) = (0, 0);
        while place < self.bytes.len() {
            let Parts { key, value: Range { end, .. } } = Parts::of(&self.bytes, place);
            if self.bytes[place] != FORGOTTEN && keep(&self.bytes[key]) {
                self.bytes.copy_within(place..end, n_kept);
                n_kept += end - place;
            }
            place = end;
        }
        self.bytes.truncate(n_kept);
        self.n_dead = 0;
        self.fit(n_kept);
    }

    /// Empties it; it keeps no more memory than a few times what was in it.
    pub(super) fn clear(&mut self) {
        let n_bytes = self.bytes.len();
        self.bytes.clear();
        self.n_dead = 0;
        self.fit(n_bytes);
    }

    fn fit(&mut self, n_bytes: usize) {
        if self.bytes.capacity() > LITTLE.max(4 * n_bytes) {
            self.bytes.shrink_to(2 * n_bytes);
        }
    }
}

/// Where key and value of an entry are.
struct Parts {
    key: Range<usize>,
    value: Range<usize>,
}

impl Parts {
    #[inline]
    fn of(bytes: &[u8], place: Place) -> Self {
        let mut at = place + 1;
        let key_len = take_len(bytes, &mut at);
        let value_len = take_len(bytes, &mut at);
        let split = at + key_len;
        Self { key: at..split, value: split..split + value_len }
    }
}

fn push_len(bytes: &mut Vec<u8>, mut len: usize) {
    while len > 0x7f {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
}

#[inline]
fn take_len(bytes: &[u8], at: &mut usize) -> usize {
    let (mut len, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        len |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return len;
        }
        shift += 7;
    }
}

const VALUE: u8 = 0;
const DELETE: u8 = 1;
const FORGOTTEN: u8 = 2;

/// Bytes that are not worth being given back.
const LITTLE: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_back_whatever_their_lengths() {
        let lens = [0, 1, 127, 128, 16_383, 16_384, 3_000_000];
        let mut entries = Entries::default();
        let mut expected = Vec::new();
        for (n, key_len) in lens.into_iter().enumerate() {
            for value_len in lens.into_iter().map(Some).chain([None]) {
                let key = vec![n as u8; key_len];
                let value = value_len.map(|len| vec![0x80; len]);
                let place = entries.push(&key, value.as_deref());
                assert_eq!(entries.key(place), key);
                assert_eq!(entries.value(place), value.as_deref());
                expected.push((key, value));
            }
        }
        let owned =
            entries.iter().map(|(_, (key, value))| (key.to_vec(), value.map(<[u8]>::to_vec)));
        assert!(owned.eq(expected));
    }

    #[test]
    fn only_a_value_of_the_same_length_takes_the_place_of_another() {
        let mut entries = Entries::default();
        let (a, b) = (entries.push(b"a", Some(b"one")), entries.push(b"b", None));
        assert!(entries.replace(a, Some(b"two")) && !entries.replace(a, Some(b"three")));
        assert!(!entries.replace(a, None) && entries.replace(b, None));
        assert!(!entries.replace(b, Some(b"")), "no value is not an empty one");
        assert_eq!((entries.value(a), entries.value(b)), (Some(&b"two"[..]), None));
    }

    #[test]
    fn it_knows_what_is_wasted() {
        let mut entries = Entries::default();
        let places: Vec<Place> = (0..10).map(|_| entries.push(b"key", Some(&[0; 4096]))).collect();
        for place in &places[..5] {
            entries.forget(*place);
        }
        assert!(!entries.is_wasteful());
        entries.forget(places[9]);
        assert!(entries.is_wasteful());
        assert!(entries.iter().map(|(place, _)| place).eq(places[5..9].iter().copied()));
    }

    #[test]
    fn memory_of_a_peak_is_given_back() {
        let mut entries = Entries::default();
        for n_values in [1000, 1, 1] {
            for _ in 0..n_values {
                entries.push(b"key", Some(&[0; 1000]));
            }
            entries.clear();
        }
        assert!(entries.bytes.capacity() < LITTLE);
    }
}
