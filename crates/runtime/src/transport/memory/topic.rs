//! A topic: its partitions and its settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::partition::partition_for;
use kstreams_core::record::TopicPartition;
use parking_lot::RwLock;

use super::chunk::MAX_RECORD;
use super::cleaning::{COMPACT_BYTES, DELETE_RETENTION};
use super::partition::Partition;

/// A topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    pub(super) config: Arc<TopicConfig>,
    pub(super) partitions: Vec<Arc<Partition>>,
    /// Where the next record without a key goes that is written directly.
    next: AtomicU32,
}

/// The settings that matter to the log.
#[derive(Clone, Debug)]
pub(super) struct TopicConfig {
    pub(super) max_message_bytes: usize,
    pub(super) is_compacted: bool,
    pub(super) retention: Option<Duration>,
    pub(super) retention_bytes: Option<usize>,
    pub(super) retention_records: Option<u64>,
    pub(super) delete_retention: Duration,
    /// Younger records are not compacted.
    pub(super) compaction_lag: Duration,
    pub(super) compact_bytes: usize,
    /// As they were given.
    pub(super) given: BTreeMap<String, String>,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            max_message_bytes: MAX_MESSAGE_BYTES,
            is_compacted: false,
            retention: None,
            retention_bytes: None,
            retention_records: None,
            delete_retention: DELETE_RETENTION,
            compaction_lag: Duration::ZERO,
            compact_bytes: COMPACT_BYTES,
            given: BTreeMap::new(),
        }
    }
}

impl TopicConfig {
    /// These settings, changed by those of a topic; what has no meaning here is only kept.
    pub(super) fn with(&self, topic: &str, configs: &[(String, String)]) -> Result<Self> {
        let mut config = self.clone();
        for (name, value) in configs {
            let number = || {
                value.parse::<i64>().map_err(|source| {
                    let text = format!("topic {topic}: {name}={value} is no number");
                    Error::new(ErrorKind::Topic, text).with_source(source)
                })
            };
            match name.as_str() {
                "cleanup.policy" => {
                    config.is_compacted = value.split(',').any(|policy| policy.trim() == "compact");
                }
                "retention.ms" => {
                    config.retention = u64::try_from(number()?).ok().map(Duration::from_millis);
                }
                "retention.bytes" => config.retention_bytes = usize::try_from(number()?).ok(),
                "delete.retention.ms" => {
                    let millis = u64::try_from(number()?).unwrap_or(0);
                    config.delete_retention = Duration::from_millis(millis);
                }
                "min.compaction.lag.ms" => {
                    let millis = u64::try_from(number()?).unwrap_or(0);
                    config.compaction_lag = Duration::from_millis(millis);
                }
                "max.message.bytes" => {
                    let limit = usize::try_from(number()?).unwrap_or(0);
                    config.max_message_bytes = limit.min(MAX_RECORD - 1);
                }
                _ => {}
            }
            config.given.insert(name.clone(), value.clone());
        }
        Ok(config)
    }
}

impl Topic {
    fn new(name: &str, n_partitions: i32, config: TopicConfig) -> Self {
        let (name, config): (Arc<str>, _) = (name.into(), Arc::new(config));
        let partition = |index| {
            let name = TopicPartition { topic: Arc::clone(&name), partition: index };
            Arc::new(Partition::new(name, Arc::clone(&config)))
        };
        let partitions = (0..n_partitions).map(partition).collect();
        Self { name, config, partitions, next: AtomicU32::new(0) }
    }

    pub(super) fn n_partitions(&self) -> i32 {
        self.partitions.len() as i32
    }

    /// The partition of that number.
    pub(super) fn partition(&self, partition: i32) -> Result<&Arc<Partition>> {
        usize::try_from(partition).ok().and_then(|index| self.partitions.get(index)).ok_or_else(
            || {
                let n = self.partitions.len();
                Error::new(ErrorKind::Topic, format!("no such partition, the topic has {n}"))
                    .at_partition(&self.name, partition)
            },
        )
    }

    /// Where a record goes that names no partition.
    pub(super) fn partition_of(&self, key: Option<&[u8]>) -> i32 {
        match key {
            Some(key) => partition_for(key, self.n_partitions()),
            None => {
                let next = self.next.fetch_add(1, Ordering::Relaxed);
                (next % self.partitions.len() as u32) as i32
            }
        }
    }

    /// Refuses records that are too large, or that have no key in a compacted topic.
    pub(super) fn check(&self, key: Option<&[u8]>, size: usize) -> Result {
        if size > self.config.max_message_bytes {
            let (name, limit) = (&self.name, self.config.max_message_bytes);
            let text = format!("record too large: {size} bytes, topic {name} takes {limit}");
            return Err(Error::new(ErrorKind::Production, text));
        }
        if self.config.is_compacted && key.is_none() {
            let text = format!("topic {} is compacted: a record needs a key", self.name);
            return Err(Error::new(ErrorKind::Production, text));
        }
        Ok(())
    }
}

/// All topics by name.
#[derive(Debug, Default)]
pub(super) struct Topics {
    by_name: RwLock<BTreeMap<Arc<str>, Arc<Topic>>>,
    version: AtomicU64,
}

impl Topics {
    /// The topic of that name.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name.read().get(name).cloned()
    }

    /// Makes a topic; one that exists already stays as it is.
    pub(super) fn create(&self, name: &str, n_partitions: i32, config: TopicConfig) -> Result {
        check_name(name)?;
        if n_partitions < 1 {
            let text = format!("topic {name}: {n_partitions} partitions are too few");
            return Err(Error::new(ErrorKind::Topic, text));
        }
        let mut topics = self.by_name.write();
        if !topics.contains_key(name) {
            let topic = Topic::new(name, n_partitions, config);
            topics.insert(Arc::clone(&topic.name), Arc::new(topic));
            self.version.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    /// Deletes a topic, if it exists.
    pub(super) fn delete(&self, name: &str) {
        let topic = self.by_name.write().remove(name);
        self.version.fetch_add(1, Ordering::Release);
        for partition in topic.iter().flat_map(|topic| &topic.partitions) {
            partition.close();
        }
    }

    /// Moves whenever a topic comes or goes.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// All of them in order of names.
    pub(super) fn all(&self) -> Vec<Arc<Topic>> {
        self.by_name.read().values().cloned().collect()
    }
}

/// Refuses what Kafka does not take as the name of a topic.
pub(super) fn check_name(name: &str) -> Result {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=249).contains(&name.len()) && name.chars().all(legal) && name != "." && name != ".." {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Topic, format!("`{name}` cannot be the name of a topic")))
    }
}

/// The error of a topic that is not there.
pub(super) fn unknown(name: &str) -> Error {
    Error::new(ErrorKind::Topic, format!("topic {name} does not exist"))
}

/// As Kafka's `message.max.bytes`.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024 + 12;
