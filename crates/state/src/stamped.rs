//! Values with their time (`ValueAndTimestamp`), and their bytes: i64 big-endian, then the value.
//!
//! A timestamped store is a store of such values: only the changelog treats them differently, where
//! the time is that of the record and the value stands alone (KIP-258).

use std::sync::Arc;

use kstreams_core::serde::{At, Serde};
use kstreams_core::time::Timestamp;
use kstreams_core::{Error, ErrorKind, Result};

use crate::values;

/// A value and its event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped<V> {
    /// The value.
    pub value: V,
    /// Its time.
    pub timestamp: Timestamp,
}

impl<V> Stamped<V> {
    /// `value` as of `timestamp`.
    pub fn new(value: V, timestamp: Timestamp) -> Self {
        Self { value, timestamp }
    }
}

/// What a store holds for a stamped value.
pub(crate) struct StampedSerde<V>(pub(crate) Arc<dyn Serde<Item = V>>);

impl<V: 'static> Serde for StampedSerde<V> {
    type Item = Stamped<V>;

    fn serialize(&self, item: &Stamped<V>, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        values::time(item.timestamp, out);
        self.0.serialize(&item.value, at, out)
    }

    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<Stamped<V>> {
        let Some((timestamp, value)) = values::split_time(bytes) else {
            return Err(Error::new(ErrorKind::Corrupted, "a value is too short for its time"));
        };
        Ok(Stamped { value: self.0.deserialize(value, at)?, timestamp })
    }

    fn is_null(&self, item: &Stamped<V>) -> bool {
        self.0.is_null(&item.value)
    }
}
