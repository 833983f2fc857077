//! The client of a consumer without a group.

use std::os::raw::{c_char, c_int, c_void};

use rdkafka::ClientConfig;
use rdkafka::bindings;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::{RDKafka, RDKafkaRespErr, RDKafkaType};

use super::text;
use crate::client::Context;

/// Makes a client that reads without a group.
///
/// rdkafka's own consumer sets no callback for errors, and librdkafka then swallows those that it
/// puts into the queue of a partition: that the topic does not exist, for one.
pub(crate) fn reader(config: &ClientConfig) -> Result<Client<Context>, KafkaError> {
    let native = config.create_native_config()?;
    // SAFETY: the configuration is valid and not used by a client yet. `Client::new` sets the
    // callback's opaque pointer to the context, and keeps the context as long as the client.
    unsafe {
        bindings::rd_kafka_conf_set_error_cb(native.ptr(), Some(partition_failed));
        bindings::rd_kafka_conf_set_events(native.ptr(), bindings::RD_KAFKA_EVENT_ERROR);
    }
    Client::new(config, native, RDKafkaType::RD_KAFKA_CONSUMER, Context::default())
}

/// Called inside [`Queue::take`](super::Queue::take), for errors of that queue's partition; those of
/// the client come as events.
unsafe extern "C" fn partition_failed(
    _: *mut RDKafka,
    code: c_int,
    reason: *const c_char,
    context: *mut c_void,
) {
    let code = RDKafkaRespErr::try_from(code).map_or(RDKafkaErrorCode::Unknown, Into::into);
    // SAFETY: `Client::new` set the pointer to a context that lives as long as the client, which
    // makes the call; the reason ends with a zero byte and is copied.
    let (context, reason) = unsafe { (&*context.cast_const().cast::<Context>(), text(reason)) };
    context.partition_failed(code, reason);
}
