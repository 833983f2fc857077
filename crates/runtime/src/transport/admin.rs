//! Topics and offsets.

use std::time::Duration;

use kstreams_core::error::Result;
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::time::Timestamp;

use super::consumer::Isolation;

/// A topic as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub n_partitions: i32,
}

/// A topic to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub n_partitions: i32,
    /// How many replicas; `None` is the broker's default.
    pub replication: Option<i16>,
    /// Topic settings.
    pub configs: Vec<(String, String)>,
}

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// That of the first record kept.
    Earliest,
    /// The one after the last record this isolation level may see.
    Latest(Isolation),
    /// That of the first record not older than this; the end if there is none.
    At(Timestamp),
}

/// Looks after topics and offsets; shared by all threads.
pub trait Admin: Send + Sync {
    /// All topics that can be seen.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`, `Authorization`.
    fn topics(&self, timeout: Duration) -> Result<Vec<TopicInfo>>;

    /// Makes topics; those that exist already are left as they are.
    ///
    /// # Errors
    /// `Timeout`, `Authorization`, `Topic` if the broker refuses one: named in the message.
    fn create_topics(&self, topics: &[NewTopic], timeout: Duration) -> Result;

    /// Deletes topics; those that do not exist are ignored.
    ///
    /// # Errors
    /// `Timeout`, `Authorization`.
    fn delete_topics(&self, names: &[String], timeout: Duration) -> Result;

    /// Offsets of partitions, in the order asked.
    ///
    /// # Errors
    /// `Topic` if one does not exist; `Timeout`, `Unavailable`, `Authorization`.
    fn offsets(
        &self,
        partitions: &[(TopicPartition, OffsetSpec)],
        timeout: Duration,
    ) -> Result<Vec<Offset>>;

    /// Deletes the records before these offsets (repartition topics after a commit).
    ///
    /// # Errors
    /// `Timeout`, `Authorization`, `Topic`.
    fn delete_records(&self, before: &[(TopicPartition, Offset)], timeout: Duration) -> Result;
}
