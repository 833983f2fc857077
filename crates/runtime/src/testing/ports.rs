//! Where a test puts records in and takes them out.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Headers, Offset, Record};
use kstreams_core::serde::{At, Serde, read, write};
use kstreams_core::time::{Clock, Timestamp};

use super::TestDriver;
use crate::transport::Log;
use crate::transport::memory::NewRecord;

/// A source topic of a [`TestDriver`].
pub struct TestInput<'a, KS, VS> {
    driver: &'a mut TestDriver,
    topic: String,
    key: KS,
    value: VS,
}

impl<'a, KS: Serde, VS: Serde> TestInput<'a, KS, VS> {
    pub(super) fn new(driver: &'a mut TestDriver, topic: &str, key: KS, value: VS) -> Self {
        Self { driver, topic: topic.to_owned(), key, value }
    }

    /// Pipes a record at the driver's wall-clock time.
    ///
    /// # Errors
    /// What a processor returned, if its handler decided to fail.
    pub fn pipe(&mut self, key: KS::Item, value: VS::Item) -> Result {
        let now = self.driver.clock.now();
        self.pipe_record(Record::new(key, value, now))
    }

    /// Pipes a record with its event time in milliseconds.
    ///
    /// # Errors
    /// As [`pipe`](Self::pipe).
    pub fn pipe_at(&mut self, key: KS::Item, value: VS::Item, millis: i64) -> Result {
        self.pipe_record(Record::new(key, value, Timestamp::from_millis(millis)))
    }

    /// Pipes a whole record.
    ///
    /// # Errors
    /// As [`pipe`](Self::pipe).
    pub fn pipe_record(&mut self, record: Record<KS::Item, VS::Item>) -> Result {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let at = At::key(&self.topic).with_headers(&record.headers);
        let has_key = write(&self.key, &record.key, &at, &mut key)?;
        let at = At::value(&self.topic).with_headers(&record.headers);
        let has_value = write(&self.value, &record.value, &at, &mut value)?;
        self.pipe_bytes(
            has_key.then_some(&key[..]),
            has_value.then_some(&value[..]),
            record.timestamp,
            &record.headers,
        )
    }

    /// Pipes raw bytes: what a serde refuses too.
    ///
    /// # Errors
    /// As [`pipe`](Self::pipe).
    pub fn pipe_bytes(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: Timestamp,
        headers: &Headers,
    ) -> Result {
        let headers = headers.clone();
        let record = NewRecord { partition: None, key, value, timestamp, headers };
        self.driver.log.produce_record(&self.topic, &record)?;
        self.driver.settle()
    }
}

impl<KS, VS> fmt::Debug for TestInput<'_, KS, VS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestInput({})", self.topic)
    }
}

/// A record that came out, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRecord<K, V> {
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
    /// The timestamp.
    pub timestamp: Timestamp,
    /// The headers.
    pub headers: Headers,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: Offset,
}

/// An output topic of a [`TestDriver`].
pub struct TestOutput<'a, KS, VS> {
    driver: &'a mut TestDriver,
    topic: String,
    key: KS,
    value: VS,
}

impl<'a, KS: Serde, VS: Serde> TestOutput<'a, KS, VS> {
    pub(super) fn new(driver: &'a mut TestDriver, topic: &str, key: KS, value: VS) -> Self {
        Self { driver, topic: topic.to_owned(), key, value }
    }

    /// All records that have not been read yet: by partition, then offset.
    ///
    /// # Errors
    /// If the topic does not exist or the bytes do not fit the serdes.
    pub fn read(&mut self) -> Result<Vec<TestRecord<KS::Item, VS::Item>>> {
        let topics = self.driver.log.admin()?.topics(Duration::ZERO)?;
        if !topics.iter().any(|topic| topic.name == self.topic) {
            let text = format!("topic {} does not exist; declare it with partitions()", self.topic);
            return Err(Error::new(ErrorKind::Topic, text));
        }
        let mut records = Vec::new();
        let mut seen = BTreeMap::new();
        for raw in self.driver.log.records(&self.topic) {
            let at = (self.topic.clone(), raw.partition);
            let n_seen: &mut usize = seen.entry(raw.partition).or_default();
            *n_seen += 1;
            if *n_seen <= self.driver.read.get(&at).copied().unwrap_or(0) {
                continue;
            }
            self.driver.read.insert(at, *n_seen);
            let at = At::key(&self.topic).with_headers(&raw.headers);
            let key = read(&self.key, raw.key.as_deref(), &at)?;
            let at = At::value(&self.topic).with_headers(&raw.headers);
            let value = read(&self.value, raw.value.as_deref(), &at)?;
            let (timestamp, headers) = (raw.timestamp, raw.headers.clone());
            let (partition, offset) = (raw.partition, raw.offset);
            records.push(TestRecord { key, value, timestamp, headers, partition, offset });
        }
        Ok(records)
    }

    /// As [`read`](Self::read), keys and values alone.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_pairs(&mut self) -> Result<Vec<(KS::Item, VS::Item)>> {
        Ok(self.read()?.into_iter().map(|record| (record.key, record.value)).collect())
    }

    /// As [`read`](Self::read), keys alone.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_keys(&mut self) -> Result<Vec<KS::Item>> {
        Ok(self.read()?.into_iter().map(|record| record.key).collect())
    }

    /// As [`read`](Self::read), values alone.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_values(&mut self) -> Result<Vec<VS::Item>> {
        Ok(self.read()?.into_iter().map(|record| record.value).collect())
    }
}

impl<KS, VS> fmt::Debug for TestOutput<'_, KS, VS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestOutput({})", self.topic)
    }
}
