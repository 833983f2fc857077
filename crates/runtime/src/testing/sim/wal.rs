//! The bytes of a simulated store: batches with a checksum, each with the offset it stands for.
//!
//! `len u32, checksum u64, offset i64, n u32, n x (key len u32, key, value len i32, value)`; the
//! first batch of a file is a snapshot. A tail that was torn is cut off; damage before it is told.

use std::collections::BTreeMap;

use super::trace::Hash;

pub(super) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// The offset of a store that stands for none.
pub(super) const NO_OFFSET: i64 = i64::MIN;

const HEADER: usize = 12;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) entries: Entries,
    pub(super) offset: Option<i64>,
    /// How much of the file is good.
    pub(super) n_good: usize,
    pub(super) n_batches: usize,
    /// Batches follow the damage: it is no torn tail.
    pub(super) is_corrupted: bool,
}

/// One batch, as it is written.
pub(super) fn encode<'a>(
    offset: i64,
    writes: impl ExactSizeIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes.extend_from_slice(&offset.to_le_bytes());
    bytes.extend_from_slice(&(writes.len() as u32).to_le_bytes());
    for (key, value) in writes {
        bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        bytes.extend_from_slice(key);
        let len = value.map_or(-1, |value| value.len() as i32);
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(value.unwrap_or_default());
    }
    let len = (bytes.len() - HEADER) as u32;
    let checksum = checksum(&bytes[HEADER..]);
    bytes[..4].copy_from_slice(&len.to_le_bytes());
    bytes[4..HEADER].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads a file up to the first damage.
pub(super) fn recover(bytes: &[u8]) -> Recovered {
    let mut found = Recovered::default();
    while found.n_good < bytes.len() {
        let rest = &bytes[found.n_good..];
        match batch(rest) {
            Some((payload, len)) => {
                if apply(payload, &mut found).is_none() {
                    found.is_corrupted = true;
                    return found;
                }
                found.n_good += len;
                found.n_batches += 1;
            }
            None => {
                // A file is made whole before it gets its name, so its first batch cannot be torn.
                found.is_corrupted = (1..rest.len()).any(|at| batch(&rest[at..]).is_some());
                return found;
            }
        }
    }
    found
}

/// The payload of the batch at the front, if it is whole.
fn batch(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let len = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let sum = u64::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    let payload = bytes.get(HEADER..HEADER.checked_add(len)?)?;
    (len >= 12 && checksum(payload) == sum).then_some((payload, HEADER + len))
}

fn apply(payload: &[u8], found: &mut Recovered) -> Option<()> {
    let offset = i64::from_le_bytes(*payload.first_chunk()?);
    let n = u32::from_le_bytes(*payload.get(8..)?.first_chunk()?);
    let mut rest = payload.get(12..)?;
    for _ in 0..n {
        let (key, after) = sized(rest)?;
        let len = i32::from_le_bytes(*after.first_chunk()?);
        if len < 0 {
            found.entries.remove(key);
            rest = after.get(4..)?;
        } else {
            let (value, after) = sized(after)?;
            found.entries.insert(key.to_vec(), value.to_vec());
            rest = after;
        }
    }
    if offset != NO_OFFSET {
        found.offset = Some(offset);
    }
    Some(())
}

fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    bytes.get(4..)?.split_at_checked(len)
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hash = Hash::default();
    hash.bytes(bytes);
    hash.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_batches() -> Vec<u8> {
        let mut bytes = encode(3, [(&b"a"[..], Some(&b"1"[..])), (b"b", Some(b"2"))].into_iter());
        bytes.extend(encode(7, [(&b"a"[..], None)].into_iter()));
        bytes
    }

    #[test]
    fn batches_come_back() {
        let found = recover(&two_batches());
        assert_eq!(found.offset, Some(7));
        assert_eq!(found.entries, Entries::from([(b"b".to_vec(), b"2".to_vec())]));
        assert!(!found.is_corrupted);
    }

    #[test]
    fn every_torn_tail_is_cut_off_and_every_flipped_bit_is_seen() {
        let whole = two_batches();
        let first = recover(&whole[..whole.len() - 1]);
        for len in 0..whole.len() {
            let found = recover(&whole[..len]);
            assert!(!found.is_corrupted);
            assert!(found.offset == if len < first.n_good { None } else { Some(3) });
        }
        for bit in 0..first.n_good * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(recover(&bytes).is_corrupted, "bit {bit}");
        }
    }
}
