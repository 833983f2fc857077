//! The built-in serdes, byte-equal to Java's `org.apache.kafka.common.serialization.Serdes`.

use super::{At, Serde};
use crate::error::{Error, ErrorKind, Result};

/// UTF-8 text (`Serdes.String`).
///
/// # Differs from Kafka Streams
/// Bytes that are not UTF-8 are refused; Java replaces them silently.
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8;

impl Serde for Utf8 {
    type Item = String;

    fn serialize(&self, item: &String, _: &At<'_>, out: &mut Vec<u8>) -> Result {
        out.extend_from_slice(item.as_bytes());
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8], _: &At<'_>) -> Result<String> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(malformed("UTF-8 text", bytes).with_source(error)),
        }
    }
}

/// Bytes as they are (`Serdes.ByteArray`, `Serdes.Bytes`).
#[derive(Clone, Copy, Debug, Default)]
pub struct ByteArray;

impl Serde for ByteArray {
    type Item = Vec<u8>;

    fn serialize(&self, item: &Vec<u8>, _: &At<'_>, out: &mut Vec<u8>) -> Result {
        out.extend_from_slice(item);
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8], _: &At<'_>) -> Result<Vec<u8>> {
        Ok(bytes.to_vec())
    }
}

macro_rules! big_endian {
    ($($(#[$doc:meta])* $name:ident: $item:ty;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        impl Serde for $name {
            type Item = $item;

            fn serialize(&self, item: &$item, _: &At<'_>, out: &mut Vec<u8>) -> Result {
                out.extend_from_slice(&item.to_be_bytes());
                Ok(())
            }

            fn deserialize(&self, bytes: &[u8], _: &At<'_>) -> Result<$item> {
                match bytes.try_into() {
                    Ok(bytes) => Ok(<$item>::from_be_bytes(bytes)),
                    Err(_) => Err(malformed(stringify!($item), bytes)),
                }
            }
        }
    )+};
}

big_endian! {
    /// Two bytes, big-endian (`Serdes.Short`).
    I16: i16;
    /// Four bytes, big-endian (`Serdes.Integer`).
    I32: i32;
    /// Eight bytes, big-endian (`Serdes.Long`).
    I64: i64;
    /// Four bytes, big-endian; equal to [`I32`] up to `i32::MAX`, Java has no unsigned type.
    U32: u32;
    /// Eight bytes, big-endian; equal to [`I64`] up to `i64::MAX`, Java has no unsigned type.
    U64: u64;
    /// IEEE 754, big-endian (`Serdes.Float`).
    F32: f32;
    /// IEEE 754, big-endian (`Serdes.Double`).
    F64: f64;
}

/// One byte, 0 or 1 (`Serdes.Boolean`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Bool;

impl Serde for Bool {
    type Item = bool;

    fn serialize(&self, item: &bool, _: &At<'_>, out: &mut Vec<u8>) -> Result {
        out.push(u8::from(*item));
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8], _: &At<'_>) -> Result<bool> {
        match bytes {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(malformed("bool", bytes)),
        }
    }
}

/// A UUID as 16 bytes in memory, 36 characters on the wire (`Serdes.UUID`).
#[derive(Clone, Copy, Debug, Default)]
pub struct UuidText;

impl Serde for UuidText {
    type Item = u128;

    fn serialize(&self, item: &u128, _: &At<'_>, out: &mut Vec<u8>) -> Result {
        for (index, digit) in format!("{item:032x}").bytes().enumerate() {
            if matches!(index, 8 | 12 | 16 | 20) {
                out.push(b'-');
            }
            out.push(digit);
        }
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8], _: &At<'_>) -> Result<u128> {
        let dashes = [8, 13, 18, 23];
        let shaped = bytes.len() == 36 && dashes.iter().all(|&at| bytes[at] == b'-');
        let digits: String = bytes.iter().filter(|b| **b != b'-').map(|b| char::from(*b)).collect();
        match u128::from_str_radix(&digits, 16) {
            Ok(item) if shaped && digits.len() == 32 => Ok(item),
            _ => Err(malformed("UUID", bytes)),
        }
    }
}

/// Nothing: always null (`Serdes.Void`). Use it for keys that a topic does not have.
///
/// # Differs from Kafka Streams
/// Bytes that are not null are ignored here, refused there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unit;

impl Serde for Unit {
    type Item = ();

    fn serialize(&self, _: &(), _: &At<'_>, _: &mut Vec<u8>) -> Result {
        Ok(())
    }

    fn deserialize(&self, _: &[u8], _: &At<'_>) -> Result {
        Ok(())
    }

    fn is_null(&self, _: &()) -> bool {
        true
    }

    fn null(&self) -> Option<()> {
        Some(())
    }
}

/// Reads null as `None` and writes `None` as null; everything else is the inner serde's.
///
/// ```
/// use kstreams_core::serde::{At, I64, Nullable, read};
/// let serde = Nullable(I64);
/// assert_eq!(read(&serde, None, &At::value("t"))?, None);
/// # Ok::<(), kstreams_core::error::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Nullable<S>(pub S);

impl<S: Serde> Serde for Nullable<S> {
    type Item = Option<S::Item>;

    fn serialize(&self, item: &Self::Item, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        match item {
            Some(item) => self.0.serialize(item, at, out),
            None => Ok(()),
        }
    }

    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<Self::Item> {
        self.0.deserialize(bytes, at).map(Some)
    }

    fn is_null(&self, item: &Self::Item) -> bool {
        item.as_ref().is_none_or(|item| self.0.is_null(item))
    }

    fn null(&self) -> Option<Self::Item> {
        Some(None)
    }
}

#[cold]
pub(super) fn malformed(what: &str, bytes: &[u8]) -> Error {
    let head: Vec<String> = bytes.iter().take(16).map(|b| format!("{b:02x}")).collect();
    let more = if bytes.len() > 16 { ".." } else { "" };
    Error::new(
        ErrorKind::Deserialization,
        format!("{} bytes are no {what}: {}{more}", bytes.len(), head.join("")),
    )
}

#[cfg(test)]
mod tests {
    use super::super::{read, write};
    use super::*;
    use std::fmt::Debug;

    #[track_caller]
    fn check<S: Serde>(serde: S, item: S::Item, bytes: &[u8])
    where
        S::Item: PartialEq + Debug,
    {
        let mut out = Vec::new();
        assert!(write(&serde, &item, &At::value("t"), &mut out).unwrap());
        assert_eq!(out, bytes);
        assert_eq!(read(&serde, Some(bytes), &At::value("t")).unwrap(), item);
    }

    #[test]
    fn java_bytes() {
        check(Utf8, "kö".into(), b"k\xc3\xb6");
        check(I16, -2, &[0xff, 0xfe]);
        check(I32, 1, &[0, 0, 0, 1]);
        check(I64, i64::MIN, &[0x80, 0, 0, 0, 0, 0, 0, 0]);
        check(F64, 1.0, &[0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
        check(Bool, true, &[1]);
        check(UuidText, 0x12, b"00000000-0000-0000-0000-000000000012");
    }

    #[test]
    fn wrong_bytes_are_refused_with_their_head() {
        let error = I64.deserialize(b"abc", &At::value("t")).unwrap_err();
        assert_eq!(error.to_string(), "3 bytes are no i64: 616263");
        assert!(Utf8.deserialize(&[0xff], &At::value("t")).is_err());
        assert!(UuidText.deserialize(&[b'-'; 36], &At::value("t")).is_err());
        assert!(read(&I64, None, &At::key("t")).is_err());
    }
}
