//! Compares what was written with what had to be, per channel: from one input partition to one
//! output partition. Every value begins with `partition:offset:` of the record that it comes from.

use std::collections::{BTreeMap, BTreeSet};

use kstreams::testing::sim::History;
use kstreams::{Guarantee, partition::partition_for};

/// A record as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) time: i64,
}

/// The records of a partition from the `from`th on, those that the application is done with.
pub(crate) fn done(history: &History, topic: &str, partition: i32, from: usize) -> Vec<Text> {
    history.done(topic, partition).iter().skip(from).map(text).collect()
}

/// As [`done`], all that are committed.
pub(crate) fn all(history: &History, topic: &str, partition: i32, from: usize) -> Vec<Text> {
    history.records(topic, partition).iter().skip(from).map(text).collect()
}

fn text(record: &kstreams::log::memory::OwnedRecord) -> Text {
    let read = |bytes: &Option<Vec<u8>>| {
        String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned()
    };
    Text {
        partition: record.partition,
        offset: record.offset,
        key: read(&record.key),
        value: read(&record.value),
        time: record.timestamp.as_millis(),
    }
}

/// `partition:offset:` at the front of a value, and what follows.
pub(crate) fn origin(value: &str) -> Option<(i32, i64, &str)> {
    let (partition, rest) = value.split_once(':')?;
    let (offset, rest) = rest.split_once(':')?;
    Some((partition.parse().ok()?, offset.parse().ok()?, rest))
}

/// How a value that was written may differ from the expected one, at least once.
pub(crate) type Tolerance = fn(expected: &str, written: &str) -> bool;

/// All channels of one output topic.
#[derive(Debug)]
pub(crate) struct Channels {
    topic: String,
    source: String,
    guarantee: Guarantee,
    tolerance: Tolerance,
    n_read: BTreeMap<i32, usize>,
    channels: BTreeMap<(i32, i32), Channel>,
}

#[derive(Debug, Default)]
struct Channel {
    expected: Vec<(i64, String, String)>,
    written: Vec<(i64, String, String)>,
    n_same: usize,
}

impl Channels {
    /// Of `topic`, whose records come from `source`.
    pub(crate) fn new(
        topic: String,
        source: String,
        guarantee: Guarantee,
        tolerance: Tolerance,
    ) -> Self {
        let (n_read, channels) = (BTreeMap::new(), BTreeMap::new());
        Self { topic, source, guarantee, tolerance, n_read, channels }
    }

    /// The record `from` must lead to this output.
    pub(crate) fn expect(&mut self, from: &Text, key: &str, value: String, n_partitions: i32) {
        let to = partition_for(key.as_bytes(), n_partitions);
        let channel = self.channels.entry((from.partition, to)).or_default();
        channel.expected.push((from.offset, key.to_owned(), value));
    }

    /// Reads what is new in the log and compares.
    pub(crate) fn check(&mut self, history: &History) -> Result<(), String> {
        for partition in 0..history.n_partitions(&self.topic) {
            let n_read = self.n_read.entry(partition).or_default();
            for record in all(history, &self.topic, partition, *n_read) {
                *n_read += 1;
                let Some((from, offset, _)) = origin(&record.value) else {
                    return Err(format!("{}: no origin in {record:?}", self.topic));
                };
                let channel = self.channels.entry((from, partition)).or_default();
                channel.written.push((offset, record.key, record.value));
            }
        }
        match self.guarantee {
            Guarantee::ExactlyOnce => self.are_equal(history),
            Guarantee::AtLeastOnce => self.are_there(history),
        }
    }

    /// Exactly once: nothing is missing, doubled, changed or out of order.
    fn are_equal(&mut self, history: &History) -> Result<(), String> {
        for ((from, to), channel) in &mut self.channels {
            let n_both = channel.expected.len().min(channel.written.len());
            for index in channel.n_same..n_both {
                let (expected, written) = (&channel.expected[index], &channel.written[index]);
                if expected != written {
                    let place = format!("{}-{from} to {}-{to}", self.source, self.topic);
                    return Err(format!("{place}: {written:?} instead of {expected:?}"));
                }
            }
            channel.n_same = n_both;
            let is_hidden = !history.is_complete(&self.topic, *to);
            let differ = if is_hidden {
                channel.written.len() > n_both
            } else {
                channel.expected.len() != channel.written.len()
            };
            if differ {
                let place = format!("{}-{from} to {}-{to}", self.source, self.topic);
                let (n_expected, n_written) = (channel.expected.len(), channel.written.len());
                let next = channel.expected.get(n_both).or(channel.written.get(n_both));
                return Err(format!(
                    "{place}: {n_written} records where {n_expected} are expected, next {next:?}"
                ));
            }
        }
        Ok(())
    }

    /// At least once: everything is there, in the end in order, no more often than it was processed.
    /// What comes for the first time may come late: after records behind it, if it was not written and
    /// they were; then they come again.
    fn are_there(&self, history: &History) -> Result<(), String> {
        for ((from, to), channel) in &self.channels {
            let place = || format!("{}-{from} to {}-{to}", self.source, self.topic);
            let mut first: BTreeMap<i64, (&str, &str)> = BTreeMap::new();
            let mut counts: BTreeMap<i64, u32> = BTreeMap::new();
            for (offset, key, value) in &channel.written {
                *counts.entry(*offset).or_default() += 1;
                first.entry(*offset).or_insert((key, value));
            }
            let done = channel.expected.last().map_or(-1, |(offset, ..)| *offset);
            let mut later = BTreeSet::new();
            for (offset, ..) in channel.written.iter().rev().filter(|(at, ..)| *at <= done) {
                if later.insert(*offset)
                    && let Some(next) = later.range(..offset).next_back()
                {
                    return Err(format!("{}: {next} came after {offset}", place()));
                }
            }
            for (offset, n) in counts {
                let n_seen = history.n_seen(&self.source, *from, offset);
                if n > n_seen {
                    let text = "times the output of a record that was processed";
                    return Err(format!("{}: {n} {text} {n_seen} times: {offset}", place()));
                }
            }
            for (offset, key, value) in &channel.expected {
                match first.get(offset) {
                    Some((k, v)) if k == key && (self.tolerance)(value, v) => {}
                    other => {
                        return Err(format!(
                            "{}: offset {offset} must give {key} = {value}, found {other:?}",
                            place()
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}
