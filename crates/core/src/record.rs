//! Records: typed ones that processors see, raw ones that logs carry.

use std::fmt;
use std::sync::Arc;

use crate::time::Timestamp;

/// A position in a partition.
pub type Offset = i64;

/// One typed record on its way through a topology.
///
/// It is moved from node to node; only a fan-out clones it. Heavy values travel best as `Arc<T>`.
///
/// ```
/// use kstreams_core::record::Record;
/// use kstreams_core::time::Timestamp;
///
/// let record = Record::new("k", 20, Timestamp::from_millis(7));
/// let doubled = record.map_value(|v| v * 2);
/// assert_eq!((doubled.key, doubled.value), ("k", 40));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<K, V> {
    /// The key; `Option` where null keys are allowed.
    pub key: K,
    /// The value; `Option` where tombstones are allowed.
    pub value: V,
    /// Event time.
    pub timestamp: Timestamp,
    /// Headers of the record.
    pub headers: Headers,
}

impl<K, V> Record<K, V> {
    /// A record without headers.
    pub fn new(key: K, value: V, timestamp: Timestamp) -> Self {
        Self { key, value, timestamp, headers: Headers::default() }
    }

    /// The same record with another key.
    pub fn with_key<K2>(self, key: K2) -> Record<K2, V> {
        Record { key, value: self.value, timestamp: self.timestamp, headers: self.headers }
    }

    /// The same record with another value.
    pub fn with_value<V2>(self, value: V2) -> Record<K, V2> {
        Record { key: self.key, value, timestamp: self.timestamp, headers: self.headers }
    }

    /// The same record with the value passed through `f`.
    pub fn map_value<V2>(self, f: impl FnOnce(V) -> V2) -> Record<K, V2> {
        Record {
            key: self.key,
            value: f(self.value),
            timestamp: self.timestamp,
            headers: self.headers,
        }
    }

    /// The same record at another time.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = timestamp;
        self
    }

    /// The same record with other headers.
    #[must_use]
    pub fn with_headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }
}

/// A record whose key cannot be changed: it can only be made by the engine.
///
/// A [`FixedKeyProcessor`](crate::processor::FixedKeyProcessor) gets and forwards it, so the
/// records it forwards lie in the right partition by construction (KIP-820).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedKeyRecord<K, V>(pub(crate) Record<K, V>);

impl<K, V> FixedKeyRecord<K, V> {
    /// The key.
    pub fn key(&self) -> &K {
        &self.0.key
    }

    /// The value.
    pub fn value(&self) -> &V {
        &self.0.value
    }

    /// Event time.
    pub fn timestamp(&self) -> Timestamp {
        self.0.timestamp
    }

    /// Headers.
    pub fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// The same record with another value.
    pub fn with_value<V2>(self, value: V2) -> FixedKeyRecord<K, V2> {
        FixedKeyRecord(self.0.with_value(value))
    }

    /// The same record with the value passed through `f`.
    pub fn map_value<V2>(self, f: impl FnOnce(V) -> V2) -> FixedKeyRecord<K, V2> {
        FixedKeyRecord(self.0.map_value(f))
    }

    /// The same record at another time.
    #[must_use]
    pub fn with_timestamp(self, timestamp: Timestamp) -> Self {
        Self(self.0.with_timestamp(timestamp))
    }

    /// The same record with other headers.
    #[must_use]
    pub fn with_headers(self, headers: Headers) -> Self {
        Self(self.0.with_headers(headers))
    }
}

/// Record headers: ordered, keys may repeat, values may be null.
///
/// One word wide; a record without headers allocates nothing. Clones share the entries and copy
/// them only when changed.
///
/// # Differs from Kafka Streams
/// A change is seen by this record alone; in Java the object is shared and leaks to siblings.
///
/// ```
/// use kstreams_core::record::Headers;
/// let mut headers = Headers::default();
/// headers.push("trace", Some(b"abc"));
/// assert_eq!(headers.last("trace"), Some(Some(&b"abc"[..])));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Option<Arc<Vec<Header>>>);

/// One header: a name and bytes, or null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name.
    pub name: Box<str>,
    /// The bytes; `None` is Kafka's null.
    pub value: Option<Box<[u8]>>,
}

impl Headers {
    /// Appends a header.
    pub fn push(&mut self, name: &str, value: Option<&[u8]>) {
        let entries = Arc::make_mut(self.0.get_or_insert_default());
        entries.push(Header { name: name.into(), value: value.map(Into::into) });
    }

    /// Removes every header of that name.
    pub fn remove(&mut self, name: &str) {
        if self.iter().any(|header| &*header.name == name)
            && let Some(entries) = &mut self.0
        {
            Arc::make_mut(entries).retain(|header| &*header.name != name);
        }
    }

    /// The value of the last header of that name.
    pub fn last(&self, name: &str) -> Option<Option<&[u8]>> {
        let header = self.iter().rev().find(|header| &*header.name == name)?;
        Some(header.value.as_deref())
    }

    /// All headers in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.as_ref().map_or(&[][..], |entries| entries).iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A topic's partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Where the source record that is being processed came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMetadata<'a> {
    /// The source topic.
    pub topic: &'a str,
    /// The partition of that topic.
    pub partition: i32,
    /// The offset in that partition.
    pub offset: Offset,
}

/// A record as a log holds it, borrowed from the batch it was fetched in.
///
/// Topic and partition are known to whoever owns the batch; they are not repeated here.
#[derive(Clone, Debug)]
pub struct RawRecord<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp (create time or append time, as the topic is configured).
    pub timestamp: Timestamp,
    /// The key's bytes, or null.
    pub key: Option<&'a [u8]>,
    /// The value's bytes, or null.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers,
    /// The leader epoch it was written under, if the log knows it.
    pub leader_epoch: Option<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_record_is_four_words() {
        assert_eq!(size_of::<Record<u64, u64>>(), 32);
    }

    #[test]
    fn header_changes_do_not_leak_to_clones() {
        let mut one = Headers::default();
        one.push("a", None);
        let mut two = one.clone();
        two.push("b", Some(b"x"));
        two.remove("a");
        assert_eq!((one.len(), two.len()), (1, 1));
        assert_eq!(one.last("a"), Some(None));
        assert_eq!(one.last("b"), None);
    }
}
