//! Any type that implements serde's traits, through the bincode format.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{At, Serde};
use crate::error::{Error, ErrorKind, Result};

/// A ready-made serde for Rust-only topics: bincode 2, standard configuration.
///
/// Its bytes have no version and no field names: a changed type cannot read old records. For data
/// that outlives a release, or that others read, write a [`Serde`] of your own.
pub struct Bincode<T>(PhantomData<fn() -> T>);

impl<T> Bincode<T> {
    /// The serde of `T`.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Bincode<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Bincode<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Bincode<T> {}

impl<T> fmt::Debug for Bincode<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bincode<{}>", std::any::type_name::<T>())
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Serde for Bincode<T> {
    type Item = T;

    fn serialize(&self, item: &T, _: &At<'_>, out: &mut Vec<u8>) -> Result {
        bincode::serde::encode_into_std_write(item, out, bincode::config::standard())
            .map(drop)
            .map_err(|e| Error::new(ErrorKind::Serialization, e.to_string()).with_source(e))
    }

    fn deserialize(&self, bytes: &[u8], _: &At<'_>) -> Result<T> {
        let refuse = |text: String| Error::new(ErrorKind::Deserialization, text);
        let (item, read) = bincode::serde::decode_from_slice(bytes, bincode::config::standard())
            .map_err(|e| refuse(e.to_string()).with_source(e))?;
        if read != bytes.len() {
            return Err(refuse(format!("{} bytes after the value", bytes.len() - read)));
        }
        Ok(item)
    }
}
