//! Committed positions of a group: written with a member's epoch, read once they are stable.

use std::collections::BTreeMap;

use kstreams_core::error::Result;
use kstreams_core::record::TopicPartition;
use kstreams_runtime::transport::CommittedOffset;

use super::Request;
use super::bytes::{Reader, Writer};

/// Commits positions outside of a transaction.
#[derive(Debug)]
pub(crate) struct OffsetCommit<'a> {
    pub(crate) group: &'a str,
    pub(crate) member: &'a str,
    pub(crate) epoch: i32,
    pub(crate) offsets: &'a [(TopicPartition, CommittedOffset)],
}

impl Request for OffsetCommit<'_> {
    const KEY: i16 = 8;
    // The first that checks a member's epoch; from 10 on topics go by id.
    const VERSION: i16 = 9;
    const NAME: &'static str = "OffsetCommit";

    /// An error code for each partition.
    type Answer = Vec<(TopicPartition, i16)>;

    fn write(&self, to: &mut Writer) {
        to.string(self.group);
        to.int32(self.epoch);
        to.string(self.member);
        to.optional_string(None);
        let pairs = self.offsets.iter().map(|(at, committed)| (at, committed));
        to.array(by_topic(pairs), |to, (topic, partitions)| {
            to.string(topic);
            to.array(partitions, |to, (partition, committed)| {
                to.int32(partition);
                to.int64(committed.offset);
                to.int32(committed.leader_epoch.unwrap_or(-1));
                to.optional_string(Some(&committed.metadata));
                to.end();
            });
            to.end();
        });
        to.end();
    }

    fn read(from: &mut Reader<'_>) -> Result<Self::Answer> {
        from.int32()?;
        let topics = from.array(|from| {
            let topic = from.string()?;
            let codes = from.array(|from| {
                let partition = TopicPartition::new(topic.as_str(), from.int32()?);
                let code = from.int16()?;
                from.end()?;
                Ok((partition, code))
            })?;
            from.end()?;
            Ok(codes)
        })?;
        from.end()?;
        Ok(topics.into_iter().flatten().collect())
    }
}

/// Reads committed positions; waits for no transaction, but says that there is one.
#[derive(Debug)]
pub(crate) struct OffsetFetch<'a> {
    pub(crate) group: &'a str,
    pub(crate) partitions: &'a [TopicPartition],
}

/// What a group has committed.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) code: i16,
    /// For each partition a position or an error code.
    pub(crate) partitions: Vec<(TopicPartition, std::result::Result<Option<CommittedOffset>, i16>)>,
}

impl Request for OffsetFetch<'_> {
    const KEY: i16 = 9;
    const VERSION: i16 = 9;
    const NAME: &'static str = "OffsetFetch";

    /// One for each group: one.
    type Answer = Vec<Fetched>;

    fn write(&self, to: &mut Writer) {
        to.array([()], |to, ()| {
            to.string(self.group);
            // No member: reading is free, whatever the epoch.
            to.optional_string(None);
            to.int32(-1);
            let pairs = self.partitions.iter().map(|at| (at, ()));
            to.array(by_topic(pairs), |to, (topic, partitions)| {
                to.string(topic);
                to.array(partitions, |to, (partition, ())| to.int32(partition));
                to.end();
            });
            to.end();
        });
        to.bool(true);
        to.end();
    }

    fn read(from: &mut Reader<'_>) -> Result<Self::Answer> {
        from.int32()?;
        let groups = from.array(|from| {
            from.string()?;
            let topics = from.array(|from| {
                let topic = from.string()?;
                let partitions = from.array(|from| read_position(from, &topic))?;
                from.end()?;
                Ok(partitions)
            })?;
            let code = from.int16()?;
            from.end()?;
            Ok(Fetched { code, partitions: topics.into_iter().flatten().collect() })
        })?;
        from.end()?;
        Ok(groups)
    }
}

fn read_position(
    from: &mut Reader<'_>,
    topic: &str,
) -> Result<(TopicPartition, std::result::Result<Option<CommittedOffset>, i16>)> {
    let partition = TopicPartition::new(topic, from.int32()?);
    let (offset, epoch) = (from.int64()?, from.int32()?);
    let metadata = from.optional_string()?.unwrap_or_default();
    let code = from.int16()?;
    from.end()?;
    let leader_epoch = (epoch >= 0).then_some(epoch);
    let committed = (offset >= 0).then_some(CommittedOffset { offset, leader_epoch, metadata });
    Ok((partition, if code == 0 { Ok(committed) } else { Err(code) }))
}

fn by_topic<'a, T>(
    pairs: impl Iterator<Item = (&'a TopicPartition, T)>,
) -> BTreeMap<&'a str, Vec<(i32, T)>> {
    let mut topics: BTreeMap<&str, Vec<(i32, T)>> = BTreeMap::new();
    for (at, value) in pairs {
        topics.entry(&at.topic).or_default().push((at.partition, value));
    }
    topics
}
