//! How many partitions each topic has, as sinks with a partitioner ask for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::sink::PartitionCounts;
use parking_lot::RwLock;

use crate::transport::Admin;

/// Counts read from the log once and kept; an unknown topic is looked up again.
pub(crate) struct TopicCounts {
    admin: Arc<dyn Admin>,
    timeout: Duration,
    counts: RwLock<BTreeMap<Arc<str>, i32>>,
}

impl TopicCounts {
    /// # Errors
    /// If the log does not answer in time.
    pub(crate) fn read(admin: Arc<dyn Admin>, timeout: Duration) -> Result<Self> {
        let counts = Self { admin, timeout, counts: RwLock::default() };
        counts.refresh()?;
        Ok(counts)
    }

    /// Reads all topics anew.
    ///
    /// # Errors
    /// If the log does not answer in time.
    pub(crate) fn refresh(&self) -> Result {
        let topics = self.admin.topics(self.timeout)?;
        let counts =
            topics.into_iter().map(|topic| (topic.name.into(), topic.n_partitions)).collect();
        *self.counts.write() = counts;
        Ok(())
    }

    pub(crate) fn get(&self, topic: &str) -> Option<i32> {
        self.counts.read().get(topic).copied()
    }

    pub(crate) fn all(&self) -> BTreeMap<Arc<str>, i32> {
        self.counts.read().clone()
    }
}

impl PartitionCounts for TopicCounts {
    fn partition_count(&self, topic: &str) -> Result<i32> {
        if let Some(count) = self.get(topic) {
            return Ok(count);
        }
        self.refresh()?;
        self.get(topic).ok_or_else(|| {
            Error::new(ErrorKind::Topic, format!("topic {topic} does not exist; create it first"))
        })
    }
}

impl std::fmt::Debug for TopicCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicCounts").field("counts", &self.counts.read()).finish_non_exhaustive()
    }
}
