//! Offsets: those the client knows already, and those only the broker knows.

use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::record::{Offset, TopicPartition};
use rdkafka::TopicPartitionList;
use rdkafka::bindings;
use rdkafka::bindings::rd_kafka_admin_op_t as operation;
use rdkafka::error::RDKafkaErrorCode;

use super::list::{ListEntry, entries};
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
        entries(list).into_iter().find(|entry| entry.error.is_some())
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

/// Asks the brokers, at the client's isolation level. In `partitions` the offset field is what is
/// asked for: a timestamp, or -1 for the end, or -2 for the beginning. Then it is the answer, or the
/// entry has an error.
pub(crate) fn offsets_for_times(
    client: &Arc<dyn Handle>,
    partitions: &mut TopicPartitionList,
    timeout: Duration,
) -> Result<(), RDKafkaErrorCode> {
    // SAFETY: client and list are valid; the list is borrowed mutably, and not used after the call.
    check(unsafe {
        bindings::rd_kafka_offsets_for_times(
            client.native(),
            partitions.ptr(),
            millis(timeout).max(1),
        )
    })
}

/// Has the brokers delete what lies before these offsets. `None` if no answer came in time.
///
/// The client should know the leaders of all partitions: librdkafka looks for them on this thread,
/// and if it has to wait for one, on its own too, at the same time. Its own time-out would have the
/// same effect, so it is long.
pub(crate) fn delete_records(
    client: &Arc<dyn Handle>,
    before: &TopicPartitionList,
    timeout: Duration,
) -> Option<Result<Vec<ListEntry>, (RDKafkaErrorCode, String)>> {
    let queue = Queue::new(client);
    // SAFETY: client, list and queue are valid; options and request are made and destroyed here,
    // and librdkafka copies both. A refused option would be a bug of ours: the default stays. If
    // the queue is gone by then, the answer is dropped.
    unsafe {
        let options = bindings::rd_kafka_AdminOptions_new(
            client.native(),
            operation::RD_KAFKA_ADMIN_OP_DELETERECORDS,
        );
        bindings::rd_kafka_AdminOptions_set_request_timeout(
            options,
            millis(timeout.max(LONG)),
            ptr::null_mut(),
            0,
        );
        let mut request = bindings::rd_kafka_DeleteRecords_new(before.ptr());
        bindings::rd_kafka_DeleteRecords(
            client.native(),
            &raw mut request,
            1,
            options,
            queue.as_ptr(),
        );
        bindings::rd_kafka_DeleteRecords_destroy(request);
        bindings::rd_kafka_AdminOptions_destroy(options);
    }
    let event = queue.poll(timeout)?;
    if let Some(error) = event.error() {
        return Some(Err(error));
    }
    // SAFETY: the event is the answer; everything read belongs to it and is copied.
    let entries = unsafe {
        let result = bindings::rd_kafka_event_DeleteRecords_result(event.as_ptr());
        let list = bindings::rd_kafka_DeleteRecords_result_offsets(result);
        entries(list)
    };
    Some(Ok(entries))
}

/// No caller waits that long for deleted records.
const LONG: Duration = Duration::from_secs(300);
