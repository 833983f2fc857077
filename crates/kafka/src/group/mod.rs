//! Being a member of the application's group: the streams protocol (KIP-1071) where the broker
//! offers it, else the classic protocol, which any broker speaks.

mod choice;
mod classic;
mod context;
mod streams;
mod tasks;

use kstreams_core::error::Result;
use kstreams_core::record::TopicPartition;
use kstreams_runtime::transport::CommittedOffset;
use rdkafka::TopicPartitionList;

pub use choice::GroupProtocol;
pub(crate) use choice::{Choice, KafkaMember};

use crate::error;
use crate::ffi;

/// Offsets to be committed, as librdkafka takes them.
pub(crate) fn offset_list(
    offsets: &[(TopicPartition, CommittedOffset)],
) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (index, (TopicPartition { topic, partition }, committed)) in offsets.iter().enumerate() {
        let mut entry = list.add_partition(topic, *partition);
        entry.set_offset(rdkafka::Offset::Offset(committed.offset)).map_err(|failed| {
            error::wrapped(failed, "commit offsets").at_partition(topic, *partition)
        })?;
        if !committed.metadata.is_empty() {
            entry.set_metadata(&committed.metadata);
        }
        if let Some(epoch) = committed.leader_epoch {
            ffi::set_leader_epoch(&mut list, index, epoch);
        }
    }
    Ok(list)
}
