//! Where records leave: topic and partition rules, the spec of a sink node, and the outbox.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::record::{Headers, Record, RecordMetadata};
use crate::serde::Serde;
use crate::time::Timestamp;

/// Chooses a topic for each record (`TopicNameExtractor`); closures implement it.
pub trait TopicChooser<K, V>: Send + Sync + 'static {
    /// The topic's name; the topic must exist.
    fn topic(&self, record: &Record<K, V>, metadata: Option<RecordMetadata<'_>>) -> Arc<str>;
}

impl<F, K, V> TopicChooser<K, V> for F
where
    F: Fn(&Record<K, V>, Option<RecordMetadata<'_>>) -> Arc<str> + Send + Sync + 'static,
{
    fn topic(&self, record: &Record<K, V>, metadata: Option<RecordMetadata<'_>>) -> Arc<str> {
        self(record, metadata)
    }
}

/// A sink's topic: fixed, or chosen for each record.
pub enum SinkTopic<K, V> {
    /// Always this one.
    Fixed(Arc<str>),
    /// Asked for each record.
    PerRecord(Arc<dyn TopicChooser<K, V>>),
}

impl<K, V> Clone for SinkTopic<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::Fixed(topic) => Self::Fixed(Arc::clone(topic)),
            Self::PerRecord(chooser) => Self::PerRecord(Arc::clone(chooser)),
        }
    }
}

impl<K, V> fmt::Debug for SinkTopic<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(topic) => write!(f, "Fixed({topic})"),
            Self::PerRecord(_) => f.write_str("PerRecord"),
        }
    }
}

/// Which partitions of its topic a record goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partitions {
    /// By Java's default rule: murmur2 of the key's bytes; without a key any partition.
    Default,
    /// None: the record is dropped and counted.
    Drop,
    /// This one.
    One(i32),
    /// Each of these: the record is sent several times.
    Many(Vec<i32>),
}

/// Chooses partitions (`StreamPartitioner`); closures `Fn(&str, &Record<K, V>, i32) -> Partitions`
/// implement it.
pub trait Partitioner<K, V>: Send + Sync + 'static {
    /// The partitions of `topic`, which has `n_partitions`, that the record goes to.
    fn partitions(&self, topic: &str, record: &Record<K, V>, n_partitions: i32) -> Partitions;
}

impl<F, K, V> Partitioner<K, V> for F
where
    F: Fn(&str, &Record<K, V>, i32) -> Partitions + Send + Sync + 'static,
{
    fn partitions(&self, topic: &str, record: &Record<K, V>, n_partitions: i32) -> Partitions {
        self(topic, record, n_partitions)
    }
}

/// How many partitions a topic has; asked by sinks that have a partitioner.
pub trait PartitionCounts: Send + Sync {
    /// The number of partitions of `topic`.
    ///
    /// # Errors
    /// If the topic does not exist or the log does not answer.
    fn partition_count(&self, topic: &str) -> Result<i32>;
}

/// How a sink node writes its records.
pub struct SinkSpec<KS: Serde, VS: Serde> {
    /// The topic.
    pub topic: SinkTopic<KS::Item, VS::Item>,
    /// The key's serde.
    pub key: Arc<KS>,
    /// The value's serde.
    pub value: Arc<VS>,
    /// The partition rule; `None` is Java's default.
    pub partitioner: Option<Arc<dyn Partitioner<KS::Item, VS::Item>>>,
}

impl<KS: Serde, VS: Serde> fmt::Debug for SinkSpec<KS, VS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkSpec").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// A topic as an [`Outbox`] numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutTopic(pub u32);

/// One record on its way out, borrowed from the outbox.
#[derive(Clone, Debug)]
pub struct OutRecord<'a> {
    /// Its topic, by the outbox's numbering.
    pub topic: OutTopic,
    /// Its partition; `None` for Java's default rule.
    pub partition: Option<i32>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its headers.
    pub headers: &'a Headers,
}

/// Records that wait to be handed to the producer; one arena, so that a record allocates nothing.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    topics: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, OutTopic>,
}

#[derive(Debug)]
struct Entry {
    topic: OutTopic,
    partition: Option<i32>,
    start: usize,
    key_len: Option<usize>,
    value_len: Option<usize>,
    timestamp: Timestamp,
    headers: Headers,
}

impl Outbox {
    /// The number of `topic`, given on first use and kept.
    pub fn topic(&mut self, topic: &str) -> OutTopic {
        if let Some(number) = self.numbers.get(topic) {
            return *number;
        }
        let (name, number): (Arc<str>, _) = (topic.into(), OutTopic(self.topics.len() as u32));
        self.topics.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        number
    }

    /// The name behind a number; empty for a number of another outbox.
    pub fn topic_name(&self, topic: OutTopic) -> &str {
        self.topics.get(topic.0 as usize).map_or("", |name| name)
    }

    /// Appends a record of bytes.
    pub fn push(&mut self, record: OutRecord<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record.key.unwrap_or_default());
        self.bytes.extend_from_slice(record.value.unwrap_or_default());
        self.entries.push(Entry {
            topic: record.topic,
            partition: record.partition,
            start,
            key_len: record.key.map(<[u8]>::len),
            value_len: record.value.map(<[u8]>::len),
            timestamp: record.timestamp,
            headers: record.headers.clone(),
        });
    }

    /// Writes a record's key and value straight into the arena; nothing stays if `write` fails.
    ///
    /// # Errors
    /// What `write` returns.
    pub(crate) fn push_with(
        &mut self,
        topic: OutTopic,
        partition: Option<i32>,
        timestamp: Timestamp,
        headers: Headers,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(Option<usize>, Option<usize>)>,
    ) -> Result {
        let start = self.bytes.len();
        match write(&mut self.bytes) {
            Ok((key_len, value_len)) => {
                self.entries.push(Entry {
                    topic,
                    partition,
                    start,
                    key_len,
                    value_len,
                    timestamp,
                    headers,
                });
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(start);
                Err(error)
            }
        }
    }

    /// Sends the last record once more, to another partition.
    pub(crate) fn repeat_last(&mut self, partition: i32) {
        if let Some(last) = self.entries.last() {
            let copy = Entry { partition: Some(partition), headers: last.headers.clone(), ..*last };
            self.entries.push(copy);
        }
    }

    /// The waiting records, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = OutRecord<'_>> {
        self.entries.iter().map(|entry| self.view(entry))
    }

    /// The waiting record at `index`.
    pub fn get(&self, index: usize) -> Option<OutRecord<'_>> {
        self.entries.get(index).map(|entry| self.view(entry))
    }

    fn view<'a>(&'a self, entry: &'a Entry) -> OutRecord<'a> {
        let split = entry.start + entry.key_len.unwrap_or(0);
        OutRecord {
            topic: entry.topic,
            partition: entry.partition,
            key: entry.key_len.map(|len| &self.bytes[entry.start..entry.start + len]),
            value: entry.value_len.map(|len| &self.bytes[split..split + len]),
            timestamp: entry.timestamp,
            headers: &entry.headers,
        }
    }

    /// How many records wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if none waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many bytes of keys and values wait.
    pub fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all waiting records; topic numbers and memory stay.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }
}
