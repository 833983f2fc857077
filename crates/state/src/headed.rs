//! Values with headers (KIP-1271): in the store the headers stand in front of the value, which in
//! most stores is a [`Stamped`](crate::Stamped) one; in the changelog they are the record's.

use std::sync::Arc;

use kstreams_core::record::Headers;
use kstreams_core::serde::{At, Serde};
use kstreams_core::{Error, ErrorKind, Result};

use crate::values;

/// A value and headers (`ValueTimestampHeaders` around a [`Stamped`](crate::Stamped) value,
/// `AggregationWithHeaders` in a session).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headed<V> {
    /// The value.
    pub value: V,
    /// Its headers.
    pub headers: Headers,
}

impl<V> Headed<V> {
    /// `value` with `headers`.
    pub fn new(value: V, headers: Headers) -> Self {
        Self { value, headers }
    }
}

/// What a store holds for a value with headers.
pub(crate) struct HeadedSerde<V>(pub(crate) Arc<dyn Serde<Item = V>>);

impl<V: 'static> Serde for HeadedSerde<V> {
    type Item = Headed<V>;

    fn serialize(&self, item: &Headed<V>, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        values::headers(&item.headers, out);
        self.0.serialize(&item.value, &at.with_headers(&item.headers), out)
    }

    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<Headed<V>> {
        let Some((headers, value)) = values::split_headers(bytes) else {
            return Err(Error::new(ErrorKind::Corrupted, "a value has no headers in front of it"));
        };
        Ok(Headed { value: self.0.deserialize(value, &at.with_headers(&headers))?, headers })
    }

    fn is_null(&self, item: &Headed<V>) -> bool {
        self.0.is_null(&item.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kstreams_core::random::Random;
    use kstreams_core::serde::Utf8;

    #[test]
    fn what_is_cut_or_garbled_is_refused() {
        let serde = HeadedSerde(Arc::new(Utf8) as Arc<dyn Serde<Item = String>>);
        let mut headers = Headers::default();
        headers.push("a", Some(b"1"));
        headers.push("b", None);
        let mut bytes = Vec::new();
        let headed = Headed::new("text".to_owned(), headers);
        serde.serialize(&headed, &At::value("t"), &mut bytes).unwrap();
        assert_eq!(serde.deserialize(&bytes, &At::value("t")).unwrap(), headed);
        for len in 0..bytes.len() - 4 {
            let error = serde.deserialize(&bytes[..len], &At::value("t")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupted);
        }
        let random = Random::seeded(5);
        for _ in 0..5000 {
            let garbled: Vec<u8> = (0..random.below(12)).map(|_| random.below(256) as u8).collect();
            if let Ok(read) = serde.deserialize(&garbled, &At::value("t")) {
                assert!(read.headers.len() <= garbled.len());
            }
        }
    }
}
