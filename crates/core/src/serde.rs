//! Serdes: how a typed key or value becomes bytes and back.
//!
//! The built-ins write what Java's `Serdes` write: integers big-endian, text UTF-8.

#[cfg(feature = "bincode")]
mod bincode;
mod builtin;
mod list;

use crate::error::{Error, ErrorKind, Result};
use crate::record::Headers;

#[cfg(feature = "bincode")]
pub use self::bincode::Bincode;
pub use builtin::{
    Bool, ByteArray, F32, F64, I16, I32, I64, Nullable, U32, U64, Unit, Utf8, UuidText,
};
pub use list::{FixedList, List};

/// Turns items of one type into bytes and back.
///
/// Null is not bytes: Kafka has null keys and null values (tombstones). A serde refuses them
/// unless it says what they mean; [`Nullable`] reads them as `None`.
///
/// ```
/// use kstreams_core::error::Result;
/// use kstreams_core::serde::{At, Serde};
///
/// /// Two bytes: red and blue.
/// struct Colour;
/// impl Serde for Colour {
///     type Item = (u8, u8);
///     fn serialize(&self, item: &(u8, u8), _: &At<'_>, out: &mut Vec<u8>) -> Result {
///         out.extend([item.0, item.1]);
///         Ok(())
///     }
///     fn deserialize(&self, bytes: &[u8], _: &At<'_>) -> Result<(u8, u8)> {
///         match bytes {
///             [red, blue] => Ok((*red, *blue)),
///             _ => Err(format!("a colour is 2 bytes, not {}", bytes.len()).into()),
///         }
///     }
/// }
///
/// let mut out = Vec::new();
/// Colour.serialize(&(1, 2), &At::value("t"), &mut out)?;
/// assert_eq!(Colour.deserialize(&out, &At::value("t"))?, (1, 2));
/// # Ok::<(), kstreams_core::error::Error>(())
/// ```
pub trait Serde: Send + Sync + 'static {
    /// The typed side.
    type Item;

    /// Appends the bytes of `item` to `out`.
    ///
    /// # Errors
    /// If the item cannot be written; the production handler then decides.
    fn serialize(&self, item: &Self::Item, at: &At<'_>, out: &mut Vec<u8>) -> Result;

    /// Reads an item; must not trust the bytes.
    ///
    /// # Errors
    /// If the bytes are not such an item; the deserialization handler then decides.
    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<Self::Item>;

    /// True if `item` is written as null instead of bytes.
    fn is_null(&self, _item: &Self::Item) -> bool {
        false
    }

    /// What null reads as; `None` refuses null.
    fn null(&self) -> Option<Self::Item> {
        None
    }
}

/// What a serde may know of the place it works at.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The topic read from or written to; for a store, its changelog topic.
    pub topic: &'a str,
    /// True for a key.
    pub is_key: bool,
    /// The record's headers, if it has any.
    pub headers: Option<&'a Headers>,
}

impl<'a> At<'a> {
    /// A key in `topic`.
    pub fn key(topic: &'a str) -> Self {
        Self { topic, is_key: true, headers: None }
    }

    /// A value in `topic`.
    pub fn value(topic: &'a str) -> Self {
        Self { topic, is_key: false, headers: None }
    }

    /// The same place with the record's headers in sight.
    #[must_use]
    pub fn with_headers(mut self, headers: &'a Headers) -> Self {
        self.headers = Some(headers);
        self
    }
}

/// Reads bytes or null.
///
/// # Errors
/// As [`Serde::deserialize`], and if null is refused.
pub fn read<S: Serde + ?Sized>(serde: &S, bytes: Option<&[u8]>, at: &At<'_>) -> Result<S::Item> {
    match bytes {
        Some(bytes) => {
            serde.deserialize(bytes, at).map_err(|e| e.or_kind(ErrorKind::Deserialization))
        }
        None => serde.null().ok_or_else(|| refused_null(at)),
    }
}

/// Appends bytes to `out`; false if the item is null.
///
/// # Errors
/// As [`Serde::serialize`].
pub fn write<S: Serde + ?Sized>(
    serde: &S,
    item: &S::Item,
    at: &At<'_>,
    out: &mut Vec<u8>,
) -> Result<bool> {
    if serde.is_null(item) {
        return Ok(false);
    }
    let written = serde.serialize(item, at, out);
    written.map(|()| true).map_err(|e| e.or_kind(ErrorKind::Serialization))
}

#[cold]
fn refused_null(at: &At<'_>) -> Error {
    let part = if at.is_key { "key" } else { "value" };
    Error::new(
        ErrorKind::Deserialization,
        format!("null {part} in topic {}; wrap the serde in Nullable to accept null", at.topic),
    )
}
