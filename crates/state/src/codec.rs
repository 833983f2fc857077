//! Typed keys and values of one store to bytes and back, with errors that name the store.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use kstreams_core::serde::{At, Serde, write};
use kstreams_core::{Error, ErrorKind, Result};

use crate::envelope::Envelope;
use crate::headed::{Headed, HeadedSerde};
use crate::stamped::{Stamped, StampedSerde};

/// Bounds of keys as bytes.
pub(crate) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The serdes of a store and the names it works under.
pub(crate) struct Codec<K, V> {
    pub(crate) name: Arc<str>,
    pub(crate) topic: Arc<str>,
    key: Arc<dyn Serde<Item = K>>,
    value: Arc<dyn Serde<Item = V>>,
    /// What stands in front of the values.
    pub(crate) envelope: Envelope,
}

impl<K: 'static, V: 'static> Codec<K, V> {
    pub(crate) fn new(serdes: &Serdes<K, V>, name: &Arc<str>, topic: &Arc<str>) -> Self {
        let Serdes { key, value, envelope } = serdes.clone();
        Self { name: Arc::clone(name), topic: Arc::clone(topic), key, value, envelope }
    }

    /// Appends the key's bytes; a null key has none and is refused.
    pub(crate) fn key(&self, key: &K, out: &mut Vec<u8>) -> Result {
        match write(&*self.key, key, &At::key(&self.topic), out) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.null_key()),
            Err(error) => Err(self.in_store(error)),
        }
    }

    /// Appends the value's bytes; false if it is null, which is a delete.
    pub(crate) fn value(&self, value: &V, out: &mut Vec<u8>) -> Result<bool> {
        write(&*self.value, value, &At::value(&self.topic), out).map_err(|e| self.in_store(e))
    }

    pub(crate) fn read_key(&self, bytes: &[u8]) -> Result<K> {
        self.key.deserialize(bytes, &At::key(&self.topic)).map_err(|e| self.in_store(e))
    }

    pub(crate) fn read_value(&self, bytes: &[u8]) -> Result<V> {
        self.value.deserialize(bytes, &At::value(&self.topic)).map_err(|e| self.in_store(e))
    }

    pub(crate) fn read_entry(&self, key: &[u8], value: &[u8]) -> Result<(K, V)> {
        Ok((self.read_key(key)?, self.read_value(value)?))
    }

    /// The bytes of typed bounds; as in Java, bytes are what is compared.
    pub(crate) fn bounds(&self, keys: &impl RangeBounds<K>) -> Result<Bounds> {
        let bytes = |bound: Bound<&K>| -> Result<Bound<Vec<u8>>> {
            let serialize = |key: &K| {
                let mut out = Vec::new();
                self.key(key, &mut out).map(|()| out)
            };
            Ok(match bound {
                Bound::Included(key) => Bound::Included(serialize(key)?),
                Bound::Excluded(key) => Bound::Excluded(serialize(key)?),
                Bound::Unbounded => Bound::Unbounded,
            })
        };
        Ok((bytes(keys.start_bound())?, bytes(keys.end_bound())?))
    }

    /// An error of this store.
    #[cold]
    pub(crate) fn error(&self, kind: ErrorKind, message: impl fmt::Display) -> Error {
        Error::new(kind, format!("store {}: {message}", self.name))
    }

    #[cold]
    fn null_key(&self) -> Error {
        self.error(ErrorKind::Serialization, "null keys cannot be stored")
    }

    #[cold]
    fn in_store(&self, error: Error) -> Error {
        self.error(error.kind(), error.message()).with_source(error)
    }
}

/// A key's and a value's serde, their types erased: a store is named by its items alone.
pub(crate) struct Serdes<K, V> {
    key: Arc<dyn Serde<Item = K>>,
    value: Arc<dyn Serde<Item = V>>,
    pub(crate) envelope: Envelope,
}

impl<K: 'static, V: 'static> Serdes<K, V> {
    pub(crate) fn new(key: impl Serde<Item = K>, value: impl Serde<Item = V>) -> Self {
        Self { key: Arc::new(key), value: Arc::new(value), envelope: Envelope::default() }
    }

    /// The same with a time in front of each value.
    pub(crate) fn stamped(self) -> Serdes<K, Stamped<V>> {
        let envelope = Envelope { time: true, ..self.envelope };
        Serdes { key: self.key, value: Arc::new(StampedSerde(self.value)), envelope }
    }

    /// The same with headers in front of each value.
    pub(crate) fn headed(self) -> Serdes<K, Headed<V>> {
        let envelope = Envelope { headers: true, ..self.envelope };
        Serdes { key: self.key, value: Arc::new(HeadedSerde(self.value)), envelope }
    }
}

impl<K, V> Clone for Serdes<K, V> {
    fn clone(&self) -> Self {
        Self { key: Arc::clone(&self.key), value: Arc::clone(&self.value), envelope: self.envelope }
    }
}
