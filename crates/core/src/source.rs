//! Where records enter: timestamp rules, and the spec of a source node.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::record::{Record, RecordMetadata};
use crate::serde::Serde;
use crate::time::Timestamp;

/// Gives a record its event time.
///
/// Closures `Fn(&Record<K, V>, RecordMetadata<'_>, Timestamp) -> Result<Timestamp>` are extractors;
/// `record.timestamp` is what the log says, the last argument is the partition time: the largest
/// time seen in that partition ([`Timestamp::NONE`] before the first record).
pub trait TimestampExtractor<K, V>: Send + Sync + 'static {
    /// The time; a negative one drops the record with a warning, as in Java.
    ///
    /// # Errors
    /// Stops the task.
    fn extract(
        &self,
        record: &Record<K, V>,
        metadata: RecordMetadata<'_>,
        partition_time: Timestamp,
    ) -> Result<Timestamp>;
}

impl<F, K, V> TimestampExtractor<K, V> for F
where
    F: Fn(&Record<K, V>, RecordMetadata<'_>, Timestamp) -> Result<Timestamp>
        + Send
        + Sync
        + 'static,
{
    fn extract(
        &self,
        record: &Record<K, V>,
        metadata: RecordMetadata<'_>,
        partition_time: Timestamp,
    ) -> Result<Timestamp> {
        self(record, metadata, partition_time)
    }
}

/// The rule by which a source's records get their time.
pub enum EventTime<K, V> {
    /// The record's own; a negative one fails (`FailOnInvalidTimestamp`, the default).
    FailOnInvalid,
    /// The record's own; a negative one is skipped with a warning (`LogAndSkipOnInvalidTimestamp`).
    SkipInvalid,
    /// The record's own; a negative one becomes the partition time, and fails if there is none
    /// yet (`UsePartitionTimeOnInvalidTimestamp`).
    PartitionTimeOnInvalid,
    /// The clock, when the record is looked at (`WallclockTimestampExtractor`).
    WallClock,
    /// The user's own rule.
    Custom(Arc<dyn TimestampExtractor<K, V>>),
}

impl<K, V> EventTime<K, V> {
    /// The user's own rule.
    pub fn custom(extractor: impl TimestampExtractor<K, V>) -> Self {
        Self::Custom(Arc::new(extractor))
    }
}

impl<K, V> Clone for EventTime<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::FailOnInvalid => Self::FailOnInvalid,
            Self::SkipInvalid => Self::SkipInvalid,
            Self::PartitionTimeOnInvalid => Self::PartitionTimeOnInvalid,
            Self::WallClock => Self::WallClock,
            Self::Custom(extractor) => Self::Custom(Arc::clone(extractor)),
        }
    }
}

impl<K, V> fmt::Debug for EventTime<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FailOnInvalid => "FailOnInvalid",
            Self::SkipInvalid => "SkipInvalid",
            Self::PartitionTimeOnInvalid => "PartitionTimeOnInvalid",
            Self::WallClock => "WallClock",
            Self::Custom(_) => "Custom",
        })
    }
}

/// Where a source starts when its group has no committed offset, or that offset is gone
/// (`auto.offset.reset`, KIP-1106).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OffsetReset {
    /// At the first record there is.
    Earliest,
    /// At the end: only records that come later.
    Latest,
    /// Nowhere: an error.
    None,
    /// At the first record not older than this.
    ByDuration(Duration),
}

/// How a source node reads its records.
#[derive(Debug)]
pub struct SourceSpec<KS: Serde, VS: Serde> {
    /// The key's serde.
    pub key: Arc<KS>,
    /// The value's serde.
    pub value: Arc<VS>,
    /// The rule for event time.
    pub event_time: EventTime<KS::Item, VS::Item>,
}
