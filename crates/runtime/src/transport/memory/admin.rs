//! The client for topics and offsets.

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::Result;
use kstreams_core::record::{Offset, TopicPartition};

use super::broker::Broker;
use super::fault::{Request, RequestKind};
use super::topic::unknown;
use crate::transport::{Admin, Isolation, NewTopic, OffsetSpec, TopicInfo};

/// Looks after the topics of a [`MemoryLog`](super::MemoryLog).
#[derive(Debug)]
pub(super) struct MemoryAdmin {
    broker: Arc<Broker>,
}

impl MemoryAdmin {
    pub(super) fn new(broker: Arc<Broker>) -> Self {
        Self { broker }
    }
}

impl Admin for MemoryAdmin {
    fn topics(&self, timeout: Duration) -> Result<Vec<TopicInfo>> {
        self.broker.retry(timeout, || {
            self.broker.ask(&REQUEST, || {
                let info = |topic: &Arc<super::topic::Topic>| TopicInfo {
                    name: topic.name.to_string(),
                    n_partitions: topic.n_partitions(),
                };
                Ok(self.broker.topics.all().iter().map(info).collect())
            })
        })
    }

    fn create_topics(&self, topics: &[NewTopic], timeout: Duration) -> Result {
        self.broker.retry(timeout, || {
            let topics = topics.to_vec();
            self.broker.call(&REQUEST, move |broker| broker.create_topics(&topics))
        })
    }

    fn delete_topics(&self, names: &[String], timeout: Duration) -> Result {
        self.broker.retry(timeout, || {
            let names = names.to_vec();
            self.broker.call(&REQUEST, move |broker| {
                broker.delete_topics(&names);
                Ok(())
            })
        })
    }

    fn offsets(
        &self,
        partitions: &[(TopicPartition, OffsetSpec)],
        timeout: Duration,
    ) -> Result<Vec<Offset>> {
        self.broker.retry(timeout, || {
            self.broker.ask(&REQUEST, || {
                self.broker.expire_transactions();
                partitions.iter().map(|(name, spec)| self.broker.offset(name, *spec)).collect()
            })
        })
    }

    fn delete_records(&self, before: &[(TopicPartition, Offset)], timeout: Duration) -> Result {
        self.broker.retry(timeout, || {
            let before = before.to_vec();
            self.broker.call(&REQUEST, move |broker| {
                before.iter().try_for_each(|(name, offset)| {
                    broker.existing_partition(name)?.delete_before(*offset)
                })
            })
        })
    }
}

impl Broker {
    pub(super) fn create_topics(&self, topics: &[NewTopic]) -> Result {
        for topic in topics {
            let config = self.topic_config.with(&topic.name, &topic.configs)?;
            self.topics.create(&topic.name, topic.n_partitions, config)?;
        }
        self.signal.control();
        Ok(())
    }

    pub(super) fn delete_topics(&self, names: &[String]) {
        for name in names {
            self.topics.delete(name);
        }
        self.signal.control();
    }

    fn offset(&self, name: &TopicPartition, spec: OffsetSpec) -> Result<Offset> {
        let partition = self.existing_partition(name)?;
        let bounds = partition.bounds();
        Ok(match spec {
            OffsetSpec::Earliest => bounds.start,
            OffsetSpec::Latest(Isolation::ReadCommitted) => bounds.stable,
            OffsetSpec::Latest(Isolation::ReadUncommitted) => bounds.end,
            OffsetSpec::At(timestamp) => partition.offset_at(timestamp).unwrap_or(bounds.end),
        })
    }

    /// The partition of that name; never makes a topic.
    pub(super) fn existing_partition(
        &self,
        name: &TopicPartition,
    ) -> Result<Arc<super::partition::Partition>> {
        let TopicPartition { topic, partition } = name;
        let found = self.topics.get(topic);
        let found = found.ok_or_else(|| unknown(topic).at_partition(topic, *partition))?;
        found.partition(*partition).cloned()
    }
}

const REQUEST: Request<'static> =
    Request { client_id: "admin", kind: RequestKind::Admin, partition: None };
