//! A run of records in one byte arena: built by a producer, then shared as it is by the partition
//! and by every batch fetched from it, so a record's bytes are copied once.

use kstreams_core::record::{Headers, Offset, RawRecord};
use kstreams_core::time::Timestamp;

/// Records one after the other; never changed once others can see it.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Those that are not empty; most records have none.
    headers: Vec<Headers>,
    max_timestamp: Timestamp,
}

/// Where one record lies: key and value follow each other from `start`.
#[derive(Clone, Copy, Debug)]
struct Entry {
    timestamp: Timestamp,
    start: u32,
    key_len: u32,
    value_len: u32,
    headers: u32,
    /// Its offset less that of the chunk; above its index once compaction left gaps.
    delta: u32,
}

/// The length of a null, and the place of empty headers.
const NONE: u32 = u32::MAX;

/// A record to be copied into a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordRef<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) timestamp: Timestamp,
    pub(super) headers: &'a Headers,
}

impl RecordRef<'_> {
    /// What it counts against the largest message size: key, value and headers.
    pub(super) fn size(&self) -> usize {
        let headers: usize = if self.headers.is_empty() {
            0
        } else {
            let one = |header: &kstreams_core::record::Header| {
                header.name.len() + header.value.as_ref().map_or(0, |value| value.len())
            };
            self.headers.iter().map(one).sum()
        };
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }
}

impl Chunk {
    /// Makes room for as much as another chunk took.
    pub(super) fn reserve(&mut self, (n_records, n_bytes): (usize, usize)) {
        self.entries.reserve(n_records);
        self.bytes.reserve(n_bytes);
    }

    /// What it takes: records, and bytes of keys and values.
    pub(super) fn extent(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes.len())
    }

    /// Appends a record directly behind the last one.
    pub(super) fn push(&mut self, record: &RecordRef<'_>) {
        self.push_at(self.next_delta(), record);
    }

    /// Appends a record `delta` offsets behind the start of the chunk.
    ///
    /// Lengths fit 32 bits: a record is below [`MAX_RECORD`] and a chunk is closed at
    /// [`FULL_BYTES`].
    pub(super) fn push_at(&mut self, delta: u32, record: &RecordRef<'_>) {
        debug_assert!(delta >= self.next_delta());
        let start = self.bytes.len() as u32;
        let mut append = |bytes: Option<&[u8]>| {
            bytes.map_or(NONE, |bytes| {
                self.bytes.extend_from_slice(bytes);
                bytes.len() as u32
            })
        };
        let (key_len, value_len) = (append(record.key), append(record.value));
        let headers = if record.headers.is_empty() {
            NONE
        } else {
            self.headers.push(record.headers.clone());
            self.headers.len() as u32 - 1
        };
        let timestamp = record.timestamp;
        if self.entries.is_empty() || timestamp > self.max_timestamp {
            self.max_timestamp = timestamp;
        }
        self.entries.push(Entry { timestamp, start, key_len, value_len, headers, delta });
    }

    /// How many records.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// True if it should be closed and handed over.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= FULL_RECORDS || self.bytes.len() >= FULL_BYTES
    }

    /// What it holds in memory, about.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    /// The largest timestamp in it.
    pub(super) fn max_timestamp(&self) -> Timestamp {
        self.max_timestamp
    }

    /// One behind the largest delta: how many offsets the chunk spans.
    pub(super) fn next_delta(&self) -> u32 {
        self.entries.last().map_or(0, |entry| entry.delta + 1)
    }

    /// The index of the first record whose delta is not below `delta`.
    pub(super) fn index_of(&self, delta: u32) -> usize {
        if self.next_delta() as usize == self.entries.len() {
            return self.entries.len().min(delta as usize);
        }
        self.entries.partition_point(|entry| entry.delta < delta)
    }

    /// The delta of the record at `index`.
    pub(super) fn delta(&self, index: usize) -> u32 {
        self.entries[index].delta
    }

    /// The timestamp of the record at `index`.
    pub(super) fn timestamp(&self, index: usize) -> Timestamp {
        self.entries[index].timestamp
    }

    /// The record at `index` of a chunk that starts at `base`.
    pub(super) fn get(&self, index: usize, base: Offset, leader_epoch: i32) -> RawRecord<'_> {
        let entry = &self.entries[index];
        let (key, rest) = self.bytes[entry.start as usize..].split_at(len_of(entry.key_len));
        RawRecord {
            offset: base + Offset::from(entry.delta),
            timestamp: entry.timestamp,
            key: (entry.key_len != NONE).then_some(key),
            value: (entry.value_len != NONE).then(|| &rest[..len_of(entry.value_len)]),
            headers: match entry.headers {
                NONE => Headers::default(),
                at => self.headers[at as usize].clone(),
            },
            leader_epoch: Some(leader_epoch),
        }
    }

    /// Gives back what was reserved and not used, if that is much.
    pub(super) fn close(mut self) -> Self {
        if self.bytes.len() < self.bytes.capacity() / 2 {
            self.bytes.shrink_to_fit();
        }
        if self.entries.len() < self.entries.capacity() / 2 {
            self.entries.shrink_to_fit();
        }
        self
    }
}

fn len_of(stored: u32) -> usize {
    if stored == NONE { 0 } else { stored as usize }
}

/// A chunk with so many records is handed over.
const FULL_RECORDS: usize = 1024;

/// A chunk of so many bytes is handed over.
const FULL_BYTES: usize = 256 * 1024;

/// No record may be larger, whatever the log allows.
pub(super) const MAX_RECORD: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_empty_bytes_stay_apart() {
        let none = Headers::default();
        let mut some = Headers::default();
        some.push("h", None);
        let cases = [
            (None, Some(&b"v"[..]), &none),
            (Some(&b""[..]), None, &some),
            (Some(&b"key"[..]), Some(&b""[..]), &none),
        ];
        let mut chunk = Chunk::default();
        for (index, (key, value, headers)) in cases.iter().enumerate() {
            let timestamp = Timestamp::from_millis(index as i64);
            chunk.push(&RecordRef { key: *key, value: *value, timestamp, headers });
        }
        for (index, (key, value, headers)) in cases.iter().enumerate() {
            let record = chunk.get(index, 10, 0);
            assert_eq!((record.key, record.value, &record.headers), (*key, *value, *headers));
            assert_eq!(record.offset, 10 + index as i64);
        }
        assert_eq!(chunk.max_timestamp(), Timestamp::from_millis(2));
    }
}
