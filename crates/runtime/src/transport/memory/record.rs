//! Records written and read directly, without a client: for examples and tests.

use kstreams_core::error::Result;
use kstreams_core::record::{Headers, Offset};
use kstreams_core::time::Timestamp;

use super::broker::Broker;
use super::chunk::RecordRef;
use super::partition::Read;
use crate::transport::Isolation;

/// A record to be written directly.
#[derive(Clone, Debug, Default)]
pub struct NewRecord<'a> {
    /// The partition; `None` for murmur2 of the key, or one after the other without a key.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The timestamp.
    pub timestamp: Timestamp,
    /// The headers.
    pub headers: Headers,
}

/// A record of a topic, with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    /// The partition it lies in.
    pub partition: i32,
    /// Its offset there.
    pub offset: Offset,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The timestamp.
    pub timestamp: Timestamp,
    /// The headers.
    pub headers: Headers,
}

impl Broker {
    pub(super) fn produce_record(
        &self,
        topic: &str,
        record: &NewRecord<'_>,
    ) -> Result<(i32, Offset)> {
        let topic = self.topic(topic)?;
        let NewRecord { partition, key, value, timestamp, ref headers } = *record;
        let copy = RecordRef { key, value, timestamp, headers };
        topic.check(key, copy.size())?;
        let partition = partition.unwrap_or_else(|| topic.partition_of(key));
        let offset = topic.partition(partition)?.append_one(&copy, self.clock.now())?;
        self.signal.records();
        Ok((partition, offset))
    }

    pub(super) fn records(&self, topic: &str) -> Vec<OwnedRecord> {
        self.expire_transactions();
        let mut records = Vec::new();
        for partition in self.topics.get(topic).iter().flat_map(|topic| &topic.partitions) {
            let start = partition.bounds().start;
            let read = partition.read(start, usize::MAX, Isolation::ReadCommitted);
            let slices = read.map(|Read { slices, .. }| slices).unwrap_or_default();
            for slice in slices {
                for index in slice.from..slice.to {
                    let record = slice.chunk.get(index, slice.base, slice.leader_epoch);
                    records.push(OwnedRecord {
                        partition: partition.name.partition,
                        offset: record.offset,
                        key: record.key.map(<[u8]>::to_vec),
                        value: record.value.map(<[u8]>::to_vec),
                        timestamp: record.timestamp,
                        headers: record.headers,
                    });
                }
            }
        }
        records
    }
}
