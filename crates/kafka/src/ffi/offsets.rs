//! Offsets: those the client knows already, and those only the broker knows.

use std::ptr;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::record::{Offset, TopicPartition};
use kstreams_runtime::transport::Isolation;
use rdkafka::TopicPartitionList;
use rdkafka::bindings;
use rdkafka::bindings::rd_kafka_IsolationLevel_t as level;
use rdkafka::bindings::rd_kafka_admin_op_t as operation;
use rdkafka::error::RDKafkaErrorCode;

use super::list::{ListEntry, entry};
use super::{Handle, Queue, Topic, check, list_entries};
use crate::client::millis;

/// Behind the last message or transaction marker taken from the partition's queue. Asks no broker.
pub(crate) fn position(
    client: &Arc<dyn Handle>,
    partition: &mut TopicPartitionList,
) -> Option<Offset> {
    // SAFETY: client and list are valid; the list is borrowed mutably.
    unsafe { bindings::rd_kafka_position(client.native(), partition.ptr()) };
    list_entries(partition).first().map(|entry| entry.offset).filter(|offset| *offset >= 0)
}

/// The first offset and the one behind the last, as the last fetch told. Asks no broker.
pub(crate) fn watermarks(topic: &Topic, partition: i32) -> Option<(Offset, Offset)> {
    let (mut low, mut high) = (-1, -1);
    // SAFETY: client and name are valid, and the numbers are ours.
    unsafe {
        bindings::rd_kafka_get_watermark_offsets(
            topic.client().native(),
            topic.name().as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        );
    }
    (high >= 0).then_some((low, high))
}

/// Commits offsets as a member of the client's group. `None` if no answer came in time; what is
/// committed is unknown then.
pub(crate) fn commit(
    client: &Arc<dyn Handle>,
    offsets: &TopicPartitionList,
    timeout: Duration,
) -> Option<Result<(), Refusal>> {
    let queue = Queue::new(client);
    // SAFETY: client, list and queue are valid; the list is copied; without a callback the answer
    // comes to the queue, and is dropped by librdkafka if the queue is gone by then.
    let code = unsafe {
        bindings::rd_kafka_commit_queue(
            client.native(),
            offsets.ptr(),
            queue.as_ptr(),
            None,
            ptr::null_mut(),
        )
    };
    if let Err(code) = check(code) {
        return Some(Err((code, None)));
    }
    let event = queue.poll(timeout)?;
    // SAFETY: the event is valid; the list belongs to it and is copied, entry by entry.
    let failed = unsafe {
        let list = bindings::rd_kafka_event_topic_partition_list(event.as_ptr());
        let entries = match list.as_ref() {
            Some(list) if list.cnt > 0 => {
                slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0))
            }
            _ => &[],
        };
        entries.iter().map(entry).find(|entry| entry.error.is_some())
    };
    Some(match (failed, event.error()) {
        (Some(entry), _) => {
            let code = entry.error.unwrap_or(RDKafkaErrorCode::Unknown);
            Err((code, Some(TopicPartition::new(entry.topic, entry.partition))))
        }
        (None, Some((code, _))) => Err((code, None)),
        (None, None) => Ok(()),
    })
}

/// Why a commit was refused, and the partition it is about if it is about one.
pub(crate) type Refusal = (RDKafkaErrorCode, Option<TopicPartition>);

/// Asks the brokers. In `partitions` the offset field is what is asked for: a timestamp, or -1
/// for the end, or -2 for the beginning. `None` if no answer came in time.
pub(crate) fn list_offsets(
    client: &Arc<dyn Handle>,
    partitions: &TopicPartitionList,
    isolation: Isolation,
    timeout: Duration,
) -> Option<Result<Vec<ListEntry>, (RDKafkaErrorCode, String)>> {
    let queue = Queue::new(client);
    let isolation = match isolation {
        Isolation::ReadCommitted => level::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
        Isolation::ReadUncommitted => level::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
    };
    // SAFETY: client, list and queue are valid; the options are made and destroyed here, and
    // librdkafka copies both options and list. Refused options would be a bug of ours: their
    // errors are destroyed and the defaults stay.
    unsafe {
        let options = bindings::rd_kafka_AdminOptions_new(
            client.native(),
            operation::RD_KAFKA_ADMIN_OP_LISTOFFSETS,
        );
        let refused = bindings::rd_kafka_AdminOptions_set_isolation_level(options, isolation);
        if !refused.is_null() {
            bindings::rd_kafka_error_destroy(refused);
        }
        bindings::rd_kafka_AdminOptions_set_request_timeout(
            options,
            millis(timeout).max(1),
            ptr::null_mut(),
            0,
        );
        bindings::rd_kafka_ListOffsets(client.native(), partitions.ptr(), options, queue.as_ptr());
        bindings::rd_kafka_AdminOptions_destroy(options);
    }
    // librdkafka answers by itself when the request's time is over.
    let event = queue.poll(timeout + Duration::from_millis(500))?;
    if let Some(error) = event.error() {
        return Some(Err(error));
    }
    // SAFETY: the event is the answer; everything read belongs to it and is copied.
    let entries = unsafe {
        let result = bindings::rd_kafka_event_ListOffsets_result(event.as_ptr());
        let mut len = 0;
        let infos = bindings::rd_kafka_ListOffsets_result_infos(result, &raw mut len);
        let infos = if len == 0 { &[] } else { slice::from_raw_parts(infos, len) };
        let partition = bindings::rd_kafka_ListOffsetsResultInfo_topic_partition;
        infos.iter().map(|info| entry(&*partition(*info))).collect()
    };
    Some(Ok(entries))
}
