//! Messages taken from a queue: owned in bulk, read in place.

use std::os::raw::{c_char, c_void};
use std::ptr;
use std::slice;
use std::sync::Arc;

use kstreams_core::record::{Headers, Offset, RawRecord};
use kstreams_core::time::Timestamp;
use kstreams_runtime::transport::Batch;
use rdkafka::bindings;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{RDKafkaMessage, RDKafkaRespErr};

use super::{Handle, read_code, text};

/// Consecutive messages of one queue; destroyed with this value, before the client can be.
pub(crate) struct Messages {
    list: Vec<*mut RDKafkaMessage>,
    client: Arc<dyn Handle>,
}

// SAFETY: a message belongs to nobody else, and may be read and destroyed on any thread.
unsafe impl Send for Messages {}

impl Messages {
    /// # Safety
    /// The messages are valid, owned by the caller and made by `client`.
    pub(super) unsafe fn new(list: Vec<*mut RDKafkaMessage>, client: Arc<dyn Handle>) -> Self {
        Self { list, client }
    }

    /// What is told instead of a record: an error, or the end of the partition.
    pub(crate) fn error(&self, index: usize) -> Option<RDKafkaErrorCode> {
        // SAFETY: the message is valid, so is its field.
        unsafe { read_code(&raw const (*self.list[index]).err) }
    }

    /// The words to an error.
    pub(crate) fn error_text(&self, index: usize) -> String {
        // SAFETY: the message is valid; the text belongs to it and is copied.
        unsafe { text(bindings::rd_kafka_message_errstr(self.list[index])) }
    }

    /// The offset of a record, or the one at which an error happened.
    pub(crate) fn offset(&self, index: usize) -> Offset {
        // SAFETY: the message is valid.
        unsafe { (*self.list[index]).offset }
    }

    /// Takes off everything from `index` on.
    pub(crate) fn split_off(&mut self, index: usize) -> Self {
        Self { list: self.list.split_off(index), client: Arc::clone(&self.client) }
    }
}

impl Batch for Messages {
    fn len(&self) -> usize {
        self.list.len()
    }

    fn get(&self, index: usize) -> RawRecord<'_> {
        let message = self.list[index];
        // SAFETY: the message is valid as long as `self` is borrowed: nothing destroys it before
        // Drop, and nobody writes to it.
        unsafe {
            let leader_epoch = bindings::rd_kafka_message_leader_epoch(message);
            RawRecord {
                offset: (*message).offset,
                timestamp: timestamp(message),
                key: bytes((*message).key, (*message).key_len),
                value: bytes((*message).payload, (*message).len),
                headers: headers(message),
                leader_epoch: (leader_epoch >= 0).then_some(leader_epoch),
            }
        }
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        for message in self.list.drain(..) {
            // SAFETY: the message is ours, its client is still alive, and it is dropped once.
            unsafe { bindings::rd_kafka_message_destroy(message) };
        }
    }
}

/// # Safety
/// `message` is valid.
pub(super) unsafe fn timestamp(message: *const RDKafkaMessage) -> Timestamp {
    // SAFETY: the caller vouches for the message; a null type is allowed.
    let millis = unsafe { bindings::rd_kafka_message_timestamp(message, ptr::null_mut()) };
    Timestamp::from_millis(millis)
}

/// # Safety
/// `data` is null, or points to `len` bytes that nobody changes during `'a`.
pub(super) unsafe fn bytes<'a>(data: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: not null, and the caller vouches for the rest.
    (!data.is_null()).then(|| unsafe { slice::from_raw_parts(data.cast::<u8>(), len) })
}

/// The headers, which librdkafka parses only when asked. Names that are no UTF-8 are made so.
///
/// # Safety
/// `message` is valid, and nobody else uses it.
pub(super) unsafe fn headers(message: *const RDKafkaMessage) -> Headers {
    let mut headers = Headers::default();
    let mut list = ptr::null_mut();
    // SAFETY: the caller vouches for the message, which keeps the list.
    let found = unsafe { bindings::rd_kafka_message_headers(message, &raw mut list) };
    if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return headers;
    }
    for index in 0.. {
        let mut name: *const c_char = ptr::null();
        let mut value: *const c_void = ptr::null();
        let mut len = 0;
        // SAFETY: the list is valid, and an index behind its end is reported as an error.
        let found = unsafe {
            bindings::rd_kafka_header_get_all(
                list,
                index,
                &raw mut name,
                &raw mut value,
                &raw mut len,
            )
        };
        if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            break;
        }
        // SAFETY: name and value belong to the message and are copied.
        unsafe { headers.push(&text(name), bytes(value, len)) };
    }
    headers
}
