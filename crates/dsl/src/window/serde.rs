//! Windowed keys as bytes in topics, as Kafka Streams writes them.

use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::serde::{At, Serde};
use kstreams_core::time::{Timestamp, millis};
use kstreams_state::{Window, Windowed};

use crate::DefaultSerde;
use crate::serdes::SerdeOf;

/// A key in a time window: the key's bytes, then the i64 start. The end follows from the size.
///
/// ```
/// use std::time::Duration;
/// use kstreams_core::serde::{At, Serde, Utf8};
/// use kstreams_core::time::Timestamp;
/// use kstreams_dsl::{TimeWindowedSerde, Window, Windowed};
///
/// let serde = TimeWindowedSerde::new(Utf8, Duration::from_millis(10));
/// let at = Timestamp::from_millis;
/// let key = Windowed::new("k".to_owned(), Window::new(at(20), at(30)));
/// let mut bytes = Vec::new();
/// serde.serialize(&key, &At::key("t"), &mut bytes)?;
/// assert_eq!(bytes, b"k\0\0\0\0\0\0\0\x14");
/// assert_eq!(serde.deserialize(&bytes, &At::key("t"))?, key);
/// # Ok::<(), kstreams_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TimeWindowedSerde<S> {
    inner: S,
    size: i64,
}

impl<S: Serde> TimeWindowedSerde<S> {
    /// For windows of `size`.
    pub fn new(inner: S, size: Duration) -> Self {
        Self { inner, size: millis(size) }
    }
}

impl<S: Serde> Serde for TimeWindowedSerde<S> {
    type Item = Windowed<S::Item>;

    fn serialize(&self, item: &Self::Item, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        self.inner.serialize(&item.key, at, out)?;
        out.extend_from_slice(&item.window.start.as_millis().to_be_bytes());
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<Self::Item> {
        let (key, start) = bytes.split_last_chunk().ok_or_else(|| too_short(bytes))?;
        let start = i64::from_be_bytes(*start);
        let end = Timestamp::from_millis(start.saturating_add(self.size));
        let window = Window::new(Timestamp::from_millis(start), end);
        Ok(Windowed::new(self.inner.deserialize(key, at)?, window))
    }

    fn is_null(&self, item: &Self::Item) -> bool {
        self.inner.is_null(&item.key)
    }
}

/// A key in a session: the key's bytes, the i64 end, then the i64 start.
#[derive(Clone, Copy, Debug)]
pub struct SessionWindowedSerde<S>(pub S);

impl<S: Serde> Serde for SessionWindowedSerde<S> {
    type Item = Windowed<S::Item>;

    fn serialize(&self, item: &Self::Item, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        self.0.serialize(&item.key, at, out)?;
        out.extend_from_slice(&item.window.end.as_millis().to_be_bytes());
        out.extend_from_slice(&item.window.start.as_millis().to_be_bytes());
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<Self::Item> {
        let (rest, start) = bytes.split_last_chunk().ok_or_else(|| too_short(bytes))?;
        let (key, end) = rest.split_last_chunk().ok_or_else(|| too_short(bytes))?;
        let time = |bytes: &[u8; 8]| Timestamp::from_millis(i64::from_be_bytes(*bytes));
        Ok(Windowed::new(self.0.deserialize(key, at)?, Window::new(time(start), time(end))))
    }

    fn is_null(&self, item: &Self::Item) -> bool {
        self.0.is_null(&item.key)
    }
}

/// The key alone: what partitions are chosen by.
struct KeyOnly<S>(S);

impl<S: Serde> Serde for KeyOnly<S> {
    type Item = Windowed<S::Item>;

    fn serialize(&self, item: &Self::Item, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        self.0.serialize(&item.key, at, out)
    }

    fn deserialize(&self, bytes: &[u8], _: &At<'_>) -> Result<Self::Item> {
        Err(too_short(bytes))
    }
}

/// The serde of the keys of a windowed table.
pub(crate) fn time_windowed<K: 'static>(key: SerdeOf<K>, size: Duration) -> SerdeOf<Windowed<K>> {
    SerdeOf::parted(TimeWindowedSerde::new(key.clone(), size), KeyOnly(key))
}

/// The serde of the keys of a table of sessions.
pub(crate) fn session_windowed<K: 'static>(key: SerdeOf<K>) -> SerdeOf<Windowed<K>> {
    SerdeOf::parted(SessionWindowedSerde(key.clone()), KeyOnly(key))
}

/// Windowed keys are written as those of time windows unless the stream knows better; the end of
/// what is read is unknown, and stands at the end of time.
impl<K: DefaultSerde> DefaultSerde for Windowed<K> {
    type Serde = TimeWindowedSerde<K::Serde>;

    fn default_serde() -> Self::Serde {
        TimeWindowedSerde { inner: K::default_serde(), size: i64::MAX }
    }
}

#[cold]
fn too_short(bytes: &[u8]) -> Error {
    Error::new(ErrorKind::Deserialization, format!("{} bytes are no windowed key", bytes.len()))
}

#[cfg(test)]
mod tests {
    use kstreams_core::serde::Utf8;
    use kstreams_core::testing::take_hostile_inputs;

    use super::*;

    #[test]
    fn any_bytes() {
        assert!(
            take_hostile_inputs(&TimeWindowedSerde::new(Utf8, Duration::from_secs(60)), 17) > 10
        );
        assert!(take_hostile_inputs(&SessionWindowedSerde(Utf8), 17) > 10);
    }
}
