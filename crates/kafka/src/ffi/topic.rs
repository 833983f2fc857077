//! A topic as one client knows it: partitions to read without a group, and records to write.

use std::ffi::CString;
use std::os::raw::c_void;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use kstreams_core::record::{Headers, Offset};
use rdkafka::bindings;
use rdkafka::bindings::rd_kafka_vtype_t as vtype;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{RDKafkaRespErr, RDKafkaTopic};

use super::{Handle, Queue, check};

/// A topic of a client, which it keeps alive.
pub(crate) struct Topic {
    topic: NonNull<RDKafkaTopic>,
    name: CString,
    client: Arc<dyn Handle>,
}

// SAFETY: librdkafka's topics may be used from any thread.
unsafe impl Send for Topic {}
// SAFETY: as above.
unsafe impl Sync for Topic {}

impl Topic {
    /// The topic of that name; asks no broker.
    pub(crate) fn new(client: &Arc<dyn Handle>, name: &str) -> Result<Self, RDKafkaErrorCode> {
        let name = CString::new(name).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
        // SAFETY: client and name are valid; without settings those of the client hold.
        let topic = unsafe {
            bindings::rd_kafka_topic_new(client.native(), name.as_ptr(), ptr::null_mut())
        };
        let topic = NonNull::new(topic).ok_or(RDKafkaErrorCode::InvalidTopic)?;
        Ok(Self { topic, name, client: Arc::clone(client) })
    }

    /// The same for the same topic of the same client, and for its delivery reports.
    pub(crate) fn identity(&self) -> usize {
        self.topic.as_ptr().addr()
    }

    /// Fetches a partition into `queue` from now on, without any group.
    pub(crate) fn start(
        &self,
        partition: i32,
        offset: Offset,
        queue: &Queue,
    ) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: topic and queue are valid and of one client.
        let failed = unsafe {
            bindings::rd_kafka_consume_start_queue(
                self.topic.as_ptr(),
                partition,
                offset,
                queue.as_ptr(),
            )
        };
        if failed == 0 { Ok(()) } else { Err(last_error()) }
    }

    /// Ends what [`start`](Self::start) began. Waits for the client's main thread alone, never for
    /// a broker.
    pub(crate) fn stop(&self, partition: i32) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: the topic is valid.
        let failed = unsafe { bindings::rd_kafka_consume_stop(self.topic.as_ptr(), partition) };
        if failed == 0 { Ok(()) } else { Err(last_error()) }
    }

    pub(super) fn name(&self) -> &CString {
        &self.name
    }

    pub(super) fn client(&self) -> &Arc<dyn Handle> {
        &self.client
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: it is ours, its client is alive, and it is not used afterwards.
        unsafe { bindings::rd_kafka_topic_destroy(self.topic.as_ptr()) };
    }
}

/// Hands a record over; its bytes are copied. A negative `timestamp` is the time of the call, and
/// so is 0 (librdkafka cannot tell them apart).
pub(crate) fn produce(
    topic: &Topic,
    partition: Option<i32>,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    timestamp: i64,
    headers: &Headers,
    tag: u64,
) -> Result<(), RDKafkaErrorCode> {
    let (key, key_len) = raw(key);
    let (value, value_len) = raw(value);
    let list = HeaderList::new(headers)?;
    // SAFETY: every kind is followed by the arguments that `rdkafka.h` names for it, in their C
    // types; client and topic are valid; key and value are copied (MSG_F_COPY). The list of
    // headers becomes the client's if the call succeeds, and stays ours if not.
    let code = unsafe {
        bindings::rd_kafka_producev(
            topic.client.native(),
            vtype::RD_KAFKA_VTYPE_RKT,
            topic.topic.as_ptr(),
            vtype::RD_KAFKA_VTYPE_PARTITION,
            partition.unwrap_or(-1),
            vtype::RD_KAFKA_VTYPE_MSGFLAGS,
            bindings::RD_KAFKA_MSG_F_COPY,
            vtype::RD_KAFKA_VTYPE_VALUE,
            value,
            value_len,
            vtype::RD_KAFKA_VTYPE_KEY,
            key,
            key_len,
            vtype::RD_KAFKA_VTYPE_OPAQUE,
            ptr::without_provenance_mut::<c_void>(tag as usize),
            vtype::RD_KAFKA_VTYPE_TIMESTAMP,
            timestamp.max(0),
            vtype::RD_KAFKA_VTYPE_HEADERS,
            list.0,
            vtype::RD_KAFKA_VTYPE_END,
        )
    };
    check(code)?;
    std::mem::forget(list);
    Ok(())
}

/// A tag travels as a pointer.
const _: () = assert!(size_of::<usize>() >= size_of::<u64>(), "64-bit targets only");

fn raw(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}

/// Headers on their way to librdkafka; null if there are none.
struct HeaderList(*mut bindings::rd_kafka_headers_t);

impl HeaderList {
    fn new(headers: &Headers) -> Result<Self, RDKafkaErrorCode> {
        if headers.is_empty() {
            return Ok(Self(ptr::null_mut()));
        }
        // SAFETY: the call has no preconditions; Drop gives the list back.
        let list = Self(unsafe { bindings::rd_kafka_headers_new(headers.len()) });
        for header in headers.iter() {
            let (value, len) = raw(header.value.as_deref());
            // SAFETY: the list is ours; name and value are valid for their lengths and copied.
            let code = unsafe {
                bindings::rd_kafka_header_add(
                    list.0,
                    header.name.as_ptr().cast(),
                    header.name.len().cast_signed(),
                    value,
                    len.cast_signed(),
                )
            };
            check(code)?;
        }
        Ok(list)
    }
}

impl Drop for HeaderList {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it is ours; `produce` forgets a list that it gave away.
            unsafe { bindings::rd_kafka_headers_destroy(self.0) };
        }
    }
}

/// Why the last call of the simple consumer on this thread failed.
fn last_error() -> RDKafkaErrorCode {
    // SAFETY: the call has no preconditions.
    match unsafe { bindings::rd_kafka_last_error() } {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => RDKafkaErrorCode::Fail,
        code => code.into(),
    }
}
