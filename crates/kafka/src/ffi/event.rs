//! What the main queue brings: delivery reports, errors, log lines, answers.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use kstreams_core::record::{Headers, Offset};
use kstreams_core::time::Timestamp;
use rdkafka::bindings;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{RDKafkaEvent, RDKafkaMessage};

use super::{Handle, message, read_code, text};

/// An event, destroyed with this value.
pub(crate) struct Event {
    event: NonNull<RDKafkaEvent>,
    _client: Arc<dyn Handle>,
}

/// What an [`Event`] is about.
pub(crate) enum EventKind {
    /// Delivery reports: see [`Event::deliveries`].
    Deliveries,
    /// The client has something to say: level as in syslog, and the words.
    Log(i32, String),
    /// The client as a whole failed; the last one tells whether for good.
    Error(RDKafkaErrorCode, String, bool),
    /// Anything else.
    Other,
}

impl Event {
    /// # Safety
    /// The event is valid, the caller's, and made by `client`.
    pub(super) unsafe fn new(event: NonNull<RDKafkaEvent>, client: Arc<dyn Handle>) -> Self {
        Self { event, _client: client }
    }

    pub(super) fn as_ptr(&self) -> *mut RDKafkaEvent {
        self.event.as_ptr()
    }

    /// What it is about.
    pub(crate) fn kind(&self) -> EventKind {
        // SAFETY: the event is valid.
        match unsafe { bindings::rd_kafka_event_type(self.as_ptr()) } {
            bindings::RD_KAFKA_EVENT_DR => EventKind::Deliveries,
            bindings::RD_KAFKA_EVENT_LOG => self.log(),
            bindings::RD_KAFKA_EVENT_ERROR => match self.error() {
                Some((code, text)) => {
                    // SAFETY: the event is a valid error event.
                    let fatal = unsafe { bindings::rd_kafka_event_error_is_fatal(self.as_ptr()) };
                    EventKind::Error(code, text, fatal != 0)
                }
                None => EventKind::Other,
            },
            _ => EventKind::Other,
        }
    }

    fn log(&self) -> EventKind {
        let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the event is a valid log event; the strings belong to it and are copied.
        unsafe {
            bindings::rd_kafka_event_log(
                self.as_ptr(),
                &raw mut facility,
                &raw mut line,
                &raw mut level,
            );
            EventKind::Log(level, format!("{} {}", text(facility).trim(), text(line).trim()))
        }
    }

    /// The error that the whole event carries.
    pub(crate) fn error(&self) -> Option<(RDKafkaErrorCode, String)> {
        // SAFETY: the event is valid; the text belongs to it and is copied.
        unsafe {
            let code = bindings::rd_kafka_event_error(self.as_ptr());
            let code = read_code(&raw const code)?;
            Some((code, text(bindings::rd_kafka_event_error_string(self.as_ptr()))))
        }
    }

    /// The delivery reports in it, in order.
    pub(crate) fn deliveries(&self) -> impl Iterator<Item = Delivery<'_>> {
        std::iter::from_fn(|| {
            // SAFETY: the event is valid; each call returns its next message, at the end null.
            let message = unsafe { bindings::rd_kafka_event_message_next(self.as_ptr()) };
            NonNull::new(message.cast_mut()).map(|message| Delivery { message, event: PhantomData })
        })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: it is ours, its client is alive, and it is not used afterwards.
        unsafe { bindings::rd_kafka_event_destroy(self.as_ptr()) };
    }
}

/// What became of one record; the record itself is still there.
pub(crate) struct Delivery<'a> {
    message: NonNull<RDKafkaMessage>,
    event: PhantomData<&'a Event>,
}

impl<'a> Delivery<'a> {
    fn as_ptr(&self) -> *const RDKafkaMessage {
        self.message.as_ptr()
    }

    /// Why it was not delivered.
    pub(crate) fn error(&self) -> Option<RDKafkaErrorCode> {
        // SAFETY: the message lives as long as its event, and nobody writes to it.
        unsafe { read_code(&raw const (*self.as_ptr()).err) }
    }

    /// See [`Topic::identity`](super::Topic::identity).
    pub(crate) fn topic(&self) -> usize {
        // SAFETY: as in `error`.
        unsafe { (*self.as_ptr()).rkt }.addr()
    }

    /// The partition, negative if none was chosen.
    pub(crate) fn partition(&self) -> i32 {
        // SAFETY: as in `error`.
        unsafe { (*self.as_ptr()).partition }
    }

    /// Its offset, negative if unknown.
    pub(crate) fn offset(&self) -> Offset {
        // SAFETY: as in `error`.
        unsafe { (*self.as_ptr()).offset }
    }

    /// The tag given to [`produce`](super::produce).
    pub(crate) fn tag(&self) -> u64 {
        // SAFETY: as in `error`; the tag was made from a number, not a pointer.
        unsafe { (*self.as_ptr())._private }.addr() as u64
    }

    /// The key.
    pub(crate) fn key(&self) -> Option<&'a [u8]> {
        // SAFETY: as in `error`; the bytes live as long as the message.
        unsafe { message::bytes((*self.as_ptr()).key, (*self.as_ptr()).key_len) }
    }

    /// The value.
    pub(crate) fn value(&self) -> Option<&'a [u8]> {
        // SAFETY: as in `key`.
        unsafe { message::bytes((*self.as_ptr()).payload, (*self.as_ptr()).len) }
    }

    /// The timestamp.
    pub(crate) fn timestamp(&self) -> Timestamp {
        let message = self.message.as_ptr();
        // SAFETY: as in `error`. librdkafka keeps the timestamp of a failed record but does not
        // tell it, so the error is taken away for the time of the call. The message was allocated
        // for the application, and no other reference to it exists.
        unsafe {
            let code = (&raw mut (*message).err).cast::<i32>();
            let kept = code.replace(0);
            let timestamp = message::timestamp(message);
            code.write(kept);
            timestamp
        }
    }

    /// The headers.
    pub(crate) fn headers(&self) -> Headers {
        // SAFETY: as in `error`; the event is used by one thread at a time.
        unsafe { message::headers(self.as_ptr()) }
    }
}
