//! A change of a table, and its bytes in repartition topics.

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::serde::{At, Serde};

use crate::serdes::SerdeOf;

/// What happened to the value of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<V> {
    /// The value now; `None` if it was deleted.
    pub new: Option<V>,
    /// The value before, where a downstream operator asked for it and there was one.
    pub old: Option<V>,
    /// False for a change that a versioned table put behind a later one.
    pub is_latest: bool,
}

impl<V> Change<V> {
    pub(crate) fn new(new: Option<V>, old: Option<V>) -> Self {
        Self { new, old, is_latest: true }
    }
}

/// A change as Kafka Streams writes it: the values, then a byte that says which there are (KIP-904).
#[derive(Debug)]
pub(crate) struct ChangeSerde<V>(pub(crate) SerdeOf<V>);

const OLD: u8 = 0;
const NEW: u8 = 1;
const BOTH: u8 = 2;
/// Flags from here on have a byte in front that says whether the change is the latest.
const WITH_LATEST: u8 = 3;

impl<V: 'static> Serde for ChangeSerde<V> {
    type Item = Change<V>;

    fn serialize(&self, item: &Change<V>, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        match (&item.new, &item.old) {
            (Some(new), Some(old)) => {
                let mut bytes = Vec::new();
                self.0.serialize(new, at, &mut bytes)?;
                put_varint(bytes.len(), out)?;
                out.extend_from_slice(&bytes);
                self.0.serialize(old, at, out)?;
                out.push(BOTH);
            }
            (Some(new), None) => {
                self.0.serialize(new, at, out)?;
                out.push(NEW);
            }
            (None, Some(old)) => {
                self.0.serialize(old, at, out)?;
                out.push(OLD);
            }
            (None, None) => {
                let text = "a change from nothing to nothing cannot be written";
                return Err(Error::new(ErrorKind::Serialization, text));
            }
        }
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<Change<V>> {
        let (flag, rest) = bytes.split_last().ok_or_else(|| malformed(bytes))?;
        let (flag, is_latest, rest) = match (*flag, rest) {
            (flag @ OLD..=BOTH, rest) => (flag, true, rest),
            (flag @ WITH_LATEST..=5, [rest @ .., latest @ 0..=1]) => {
                (flag - WITH_LATEST, *latest == 1, rest)
            }
            _ => return Err(malformed(bytes)),
        };
        let read = |bytes: &[u8]| self.0.deserialize(bytes, at).map(Some);
        let (new, old) = match flag {
            OLD => (None, read(rest)?),
            NEW => (read(rest)?, None),
            _ => {
                let (len, rest) = take_varint(rest).ok_or_else(|| malformed(bytes))?;
                let (new, old) = rest.split_at_checked(len).ok_or_else(|| malformed(bytes))?;
                (read(new)?, read(old)?)
            }
        };
        Ok(Change { new, old, is_latest })
    }
}

/// A zigzag variable-length number, as Kafka writes signed ones.
pub(crate) fn put_varint(len: usize, out: &mut Vec<u8>) -> Result {
    let len = i32::try_from(len)
        .map_err(|_| Error::new(ErrorKind::Serialization, "a value is longer than 2 GiB"))?;
    let mut rest = (len as u32) << 1;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    Ok(())
}

fn take_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u32;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u32::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            // A length is not negative, so its zigzag form is even.
            let len = value.is_multiple_of(2).then_some(value as usize / 2)?;
            return Some((len, &bytes[index + 1..]));
        }
    }
    None
}

#[cold]
fn malformed(bytes: &[u8]) -> Error {
    Error::new(ErrorKind::Deserialization, format!("{} bytes are no change", bytes.len()))
}

#[cfg(test)]
mod tests {
    use kstreams_core::serde::Utf8;
    use kstreams_core::testing::take_hostile_inputs;

    use super::*;

    #[track_caller]
    fn check(change: Change<String>, bytes: &[u8]) {
        let serde = ChangeSerde(SerdeOf::new(Utf8));
        let mut out = Vec::new();
        serde.serialize(&change, &At::value("t"), &mut out).unwrap();
        assert_eq!(out, bytes);
        assert_eq!(serde.deserialize(bytes, &At::value("t")).unwrap(), change);
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn the_flag_says_which_values_there_are() {
        check(Change::new(None, some("o")), b"o\x00");
        check(Change::new(some("n"), None), b"n\x01");
        check(Change::new(some("new"), some("o")), b"\x06newo\x02");
    }

    #[test]
    fn changes_of_a_newer_writer_are_read() {
        let serde = ChangeSerde(SerdeOf::new(Utf8));
        let read = |bytes: &[u8]| serde.deserialize(bytes, &At::value("t"));
        let late = Change { new: some("n"), old: None, is_latest: false };
        assert_eq!(read(b"n\x00\x04").unwrap(), late);
        assert_eq!(read(b"\x02no\x01\x05").unwrap(), Change::new(some("n"), some("o")));
        for bytes in [&b""[..], b"\x06", b"x\x05", b"\x08new\x02", b"n\x02\x04"] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn long_values_have_long_lengths() {
        let long = "x".repeat(300);
        let serde = ChangeSerde(SerdeOf::new(Utf8));
        let change = Change::new(some(&long), some("o"));
        let mut out = Vec::new();
        serde.serialize(&change, &At::value("t"), &mut out).unwrap();
        assert_eq!(out[..2], [0xd8, 0x04]);
        assert_eq!(serde.deserialize(&out, &At::value("t")).unwrap(), change);
    }

    #[test]
    fn any_bytes() {
        assert!(take_hostile_inputs(&ChangeSerde(SerdeOf::new(Utf8)), 17) > 10);
    }
}
