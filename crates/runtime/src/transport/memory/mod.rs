//! A log inside the process, with the semantics of Kafka that the engine relies on: offsets,
//! transactions with markers and fencing, groups whose tasks change hands, retention, compaction.
//!
//! It is the default of every example, the log of the test driver and, with [`Faults`], the
//! faulty broker of simulation. Nothing outlives the process.
//!
//! Not modelled: replicas, log append time, more partitions for a topic that exists, static
//! members, authorization.

mod broker;
mod builder;
mod fault;
mod record;
mod signal;

mod chunk;
mod cleaning;
mod partition;
mod producer_state;
mod topic;

mod consumer;
mod delivery;
mod ending;
mod producer;
mod transaction;
mod transactional;

mod assignor;
mod classic;
mod group;
mod member;
mod offsets;
mod plan;
mod streams;

mod admin;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kstreams_core::error::Result;
use kstreams_core::record::{Headers, Offset, TopicPartition};
use kstreams_core::time::Timestamp;

pub use builder::MemoryLogBuilder;
pub use fault::{Fault, Faults, Request, RequestKind};
pub use group::GroupMode;
pub use record::{NewRecord, OwnedRecord};

use self::broker::Broker;
use self::group::Groups;
use super::{
    Admin, CommittedOffset, Consumer, ConsumerOptions, Log, MemberOptions, Membership, NewTopic,
    Producer, ProducerOptions,
};

/// A log in memory; clones share it.
///
/// ```
/// use kstreams_core::time::Timestamp;
/// use kstreams_runtime::transport::memory::MemoryLog;
///
/// let log = MemoryLog::new();
/// log.create_topic("words", 2)?;
/// log.produce("words", "key", "hello", Timestamp::from_millis(7))?;
/// let records = log.records("words");
/// assert_eq!(records[0].value.as_deref(), Some(&b"hello"[..]));
/// # Ok::<(), kstreams_core::error::Error>(())
/// ```
#[derive(Clone)]
pub struct MemoryLog(Arc<Broker>);

impl MemoryLog {
    /// A log for real use: on the system clock, and clients wait for each other.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// The log is of no use any more: drops its groups and the requests that have not arrived. They
    /// hold topologies, whose simulated stores hold the disks, and those the log.
    pub(crate) fn dissolve(&self) {
        *self.0.groups.lock() = Groups::default();
        if let Some(network) = &self.0.network {
            network.forget();
        }
    }

    /// A log with other settings.
    pub fn builder() -> MemoryLogBuilder {
        MemoryLogBuilder::default()
    }

    /// Makes a topic; one of that name that exists already stays as it is.
    ///
    /// # Errors
    /// `Topic` if the name or the number of partitions cannot be.
    pub fn create_topic(&self, name: &str, n_partitions: i32) -> Result {
        self.create_topic_with(name, n_partitions, &[])
    }

    /// Makes a topic with settings, as `cleanup.policy` or `max.message.bytes`.
    ///
    /// # Errors
    /// `Topic` if the name, the number of partitions or a setting cannot be.
    pub fn create_topic_with(
        &self,
        name: &str,
        n_partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result {
        let configs = configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let topic = NewTopic { name: name.to_owned(), n_partitions, replication: None, configs };
        self.0.create_topics(&[topic])
    }

    /// Deletes a topic, if it exists.
    pub fn delete_topic(&self, name: &str) {
        self.0.delete_topics(&[name.to_owned()]);
    }

    /// Writes a record with a key and a value directly, outside of any transaction; tells where
    /// it lies.
    ///
    /// # Errors
    /// As [`produce_record`](Self::produce_record).
    pub fn produce(
        &self,
        topic: &str,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        timestamp: Timestamp,
    ) -> Result<(i32, Offset)> {
        let (key, value) = (Some(key.as_ref()), Some(value.as_ref()));
        let headers = Headers::default();
        self.produce_record(topic, &NewRecord { partition: None, key, value, timestamp, headers })
    }

    /// Writes any record directly, outside of any transaction; tells where it lies.
    ///
    /// # Errors
    /// `Topic` if the topic or partition does not exist, `Production` if the record is too large.
    pub fn produce_record(&self, topic: &str, record: &NewRecord<'_>) -> Result<(i32, Offset)> {
        self.0.produce_record(topic, record)
    }

    /// All committed records of a topic, by partition and offset; none if there is no such topic.
    pub fn records(&self, topic: &str) -> Vec<OwnedRecord> {
        self.0.records(topic)
    }

    /// What a group has committed.
    pub fn committed(&self, group: &str) -> BTreeMap<TopicPartition, CommittedOffset> {
        let groups = self.0.groups.lock();
        groups.by_id.get(group).map(|group| group.offsets.committed().clone()).unwrap_or_default()
    }

    /// Forgets a group with its offsets and its topology; members that are left find themselves
    /// expelled.
    pub fn delete_group(&self, group: &str) {
        self.0.groups.lock().by_id.remove(group);
        self.0.signal.control();
    }

    /// The settings that a topic was made with.
    pub fn topic_config(&self, topic: &str) -> BTreeMap<String, String> {
        self.0.topics.get(topic).map(|topic| topic.config.given.clone()).unwrap_or_default()
    }

    /// Applies retention, also by age, and compaction to a topic now.
    ///
    /// By itself the log keeps to bounds of size and compacts what has grown; it does not
    /// look at ages, so that records of any time can be used on any clock.
    pub fn clean(&self, topic: &str) {
        for partition in self.0.topics.get(topic).iter().flat_map(|topic| &topic.partitions) {
            partition.clean(self.0.clock.now());
        }
    }

    /// Lets another leader take over a partition; tells its epoch.
    ///
    /// # Errors
    /// `Topic` if there is no such partition.
    pub fn elect_leader(&self, partition: &TopicPartition) -> Result<i32> {
        Ok(self.0.existing_partition(partition)?.elect())
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Log for MemoryLog {
    fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        Ok(Box::new(consumer::MemoryConsumer::new(Arc::clone(&self.0), options)))
    }

    fn producer(&self, options: ProducerOptions) -> Result<Box<dyn Producer>> {
        Ok(Box::new(producer::MemoryProducer::new(Arc::clone(&self.0), options)))
    }

    fn membership(&self, options: MemberOptions) -> Result<Box<dyn Membership>> {
        Ok(Box::new(member::MemoryMember::new(Arc::clone(&self.0), options)))
    }

    fn admin(&self) -> Result<Arc<dyn Admin>> {
        Ok(Arc::new(admin::MemoryAdmin::new(Arc::clone(&self.0))))
    }
}

#[cfg(test)]
mod tests;
