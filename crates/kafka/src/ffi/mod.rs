//! The librdkafka calls that rdkafka does not wrap: the only module of the workspace with `unsafe`.
//!
//! Each type here owns what it points to and keeps the client alive, so the rest of the crate uses
//! them as ordinary values. Used by the consumer, the producer, the admin client and the group.

mod event;
mod list;
mod message;
mod offsets;
mod queue;
mod reader;
mod topic;
pub(crate) mod transaction;

use std::ffi::CStr;
use std::os::raw::c_char;

use rdkafka::ClientContext;
use rdkafka::admin::AdminClient;
use rdkafka::bindings;
use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::types::{RDKafka, RDKafkaRespErr};

pub(crate) use event::{Delivery, Event, EventKind};
pub(crate) use list::{list_entries, set_leader_epoch};
pub(crate) use message::Messages;
pub(crate) use offsets::{commit, delete_records, offsets_for_times, position, watermarks};
pub(crate) use queue::{Doorbell, Queue};
pub(crate) use reader::reader;
pub(crate) use topic::{Topic, produce};
pub(crate) use transaction::MemberMetadata;

use crate::client::Context;

/// A librdkafka client that stays alive as long as this value.
///
/// # Safety
/// `native` must return the same valid pointer for as long as the value lives.
pub(crate) unsafe trait Handle: Send + Sync {
    fn native(&self) -> *mut RDKafka;
}

// SAFETY: the pointer belongs to the consumer's client, which is destroyed with the consumer.
unsafe impl<C: ConsumerContext> Handle for BaseConsumer<C> {
    fn native(&self) -> *mut RDKafka {
        self.client().native_ptr()
    }
}

// SAFETY: the pointer belongs to the client.
unsafe impl<C: ClientContext> Handle for Client<C> {
    fn native(&self) -> *mut RDKafka {
        self.native_ptr()
    }
}

// SAFETY: the pointer belongs to the producer's client, which is destroyed with the producer.
unsafe impl Handle for BaseProducer<Context> {
    fn native(&self) -> *mut RDKafka {
        self.client().native_ptr()
    }
}

// SAFETY: the pointer belongs to the admin's client, which is destroyed with the admin client.
unsafe impl Handle for AdminClient<Context> {
    fn native(&self) -> *mut RDKafka {
        self.inner().native_ptr()
    }
}

/// The text at `text`, or nothing if it is null.
///
/// # Safety
/// `text` is null or points to a string that ends with a zero byte and lives through the call.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Reads an error code from memory that librdkafka filled.
///
/// A broker may answer with a code that this version does not know; read as the enumeration it
/// would be an invalid value, so it is read as a number.
///
/// # Safety
/// `code` points to a valid C enumeration value.
unsafe fn read_code(code: *const RDKafkaRespErr) -> Option<RDKafkaErrorCode> {
    // SAFETY: a C enumeration has the size of an int, and the caller vouches for the pointer.
    match unsafe { code.cast::<i32>().read() } {
        0 => None,
        number => {
            Some(RDKafkaRespErr::try_from(number).map_or(RDKafkaErrorCode::Unknown, Into::into))
        }
    }
}

/// An error code as a result.
fn check(code: RDKafkaRespErr) -> Result<(), RDKafkaErrorCode> {
    match code {
        bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(code.into()),
    }
}
