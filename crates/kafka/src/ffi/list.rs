//! Lists of partitions: what rdkafka's own view lacks (leader epochs) or would panic on (metadata
//! that is no text).

use std::slice;

use kstreams_core::record::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::bindings;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{RDKafkaTopicPartition, RDKafkaTopicPartitionList};

use super::{message, read_code, text};

/// One entry of a list.
#[derive(Debug)]
pub(crate) struct ListEntry {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// Negative: none, or one of librdkafka's special values.
    pub(crate) offset: Offset,
    pub(crate) leader_epoch: Option<i32>,
    pub(crate) metadata: Vec<u8>,
    pub(crate) error: Option<RDKafkaErrorCode>,
}

/// What a list holds, in its order.
pub(crate) fn list_entries(list: &TopicPartitionList) -> Vec<ListEntry> {
    // SAFETY: the list is valid, and borrowed.
    unsafe { entries(list.ptr()) }
}

/// Sets the leader epoch of the entry at `index`, which is below the list's count.
pub(crate) fn set_leader_epoch(list: &mut TopicPartitionList, index: usize, epoch: i32) {
    assert!(index < list.count(), "no such entry");
    // SAFETY: the list is valid and borrowed mutably, and the index was checked.
    unsafe {
        let entry = (*list.ptr()).elems.add(index);
        bindings::rd_kafka_topic_partition_set_leader_epoch(entry, epoch);
    }
}

/// The leader epoch of an entry.
fn leader_epoch(entry: &RDKafkaTopicPartition) -> Option<i32> {
    // SAFETY: a reference is valid.
    let epoch = unsafe { bindings::rd_kafka_topic_partition_get_leader_epoch(entry) };
    (epoch >= 0).then_some(epoch)
}

/// What a list of librdkafka's holds, in its order; nothing if it is null.
///
/// # Safety
/// The list is null, or it and its entries are valid.
pub(super) unsafe fn entries(list: *const RDKafkaTopicPartitionList) -> Vec<ListEntry> {
    // SAFETY: the caller vouches for the list, which has that many entries.
    let entries = unsafe {
        match list.as_ref() {
            Some(list) if list.cnt > 0 => {
                slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0))
            }
            _ => &[],
        }
    };
    entries.iter().map(entry).collect()
}

fn entry(entry: &RDKafkaTopicPartition) -> ListEntry {
    // SAFETY: the strings and bytes belong to the entry and are copied.
    let (topic, metadata, error) = unsafe {
        let metadata = message::bytes(entry.metadata, entry.metadata_size);
        (text(entry.topic), metadata.unwrap_or_default().to_vec(), read_code(&raw const entry.err))
    };
    ListEntry {
        topic,
        partition: entry.partition,
        offset: entry.offset,
        leader_epoch: leader_epoch(entry),
        metadata,
        error,
    }
}
