//! Values with their time (`ValueAndTimestamp`), and their bytes: i64 big-endian, then the value.

use kstreams_core::time::Timestamp;
use kstreams_core::{ErrorKind, Result};

use crate::bytes::Writes;
use crate::codec::Codec;

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

/// Reads what a store holds for a timestamped value.
pub(crate) fn read_stamped<K: 'static, V: 'static>(
    codec: &Codec<K, V>,
    bytes: &[u8],
) -> Result<Stamped<V>> {
    let Some((time, value)) = bytes.split_first_chunk() else {
        return Err(codec.error(ErrorKind::Corrupted, "a value is too short for its time"));
    };
    let timestamp = Timestamp::from_millis(i64::from_be_bytes(*time));
    Ok(Stamped { value: codec.read_value(value)?, timestamp })
}

/// Turns a changelog record, which holds the plain value, back into what the store holds.
pub(crate) fn restore_stamped(
    writes: &mut dyn Writes,
    key: &[u8],
    value: Option<&[u8]>,
    timestamp: Timestamp,
    buffer: &mut Vec<u8>,
) {
    let Some(value) = value else { return writes.delete(key) };
    buffer.clear();
    buffer.extend_from_slice(&timestamp.as_millis().to_be_bytes());
    buffer.extend_from_slice(value);
    writes.put(key, buffer);
}

/// Bytes that the time takes in front of a stored value.
pub(crate) const TIME: usize = 8;
