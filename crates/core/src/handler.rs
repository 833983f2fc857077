//! Handlers: what to do with a record that cannot be read, processed or written.
//!
//! A verdict is asked where the error happens; nothing is skipped without one.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::record::{Headers, RawRecord, RecordMetadata};
use crate::task::TaskId;
use crate::time::Timestamp;

/// What to do with the record that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Stop: the error goes to the uncaught-error policy. Nothing is lost, the record comes again.
    Fail,
    /// Drop this record at this node, count it, go on.
    Continue,
    /// As `Continue`, and write the source record to this topic with the error in its headers
    /// (KIP-1034), in the same transaction as everything else.
    DeadLetter(Arc<str>),
}

/// What to do when the log refused an outgoing record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProductionVerdict {
    /// The input is not committed past the record that led to this output. After a retriable error
    /// all since the last commit is done again, after another one the thread ends.
    Fail,
    /// Give up this output record, count it, go on.
    Continue,
    /// Send it again; only sensible for a retriable error.
    Retry,
    /// Give up this output record and write it to this topic instead.
    DeadLetter(Arc<str>),
}

/// The place and cause of a failure, as a handler sees it.
#[derive(Debug)]
pub struct Failure<'a> {
    /// What happened.
    pub error: &'a Error,
    /// The node it happened at.
    pub node: &'a str,
    /// The task.
    pub task: TaskId,
    /// The source record in work; `None` in a punctuator.
    pub record: Option<RecordMetadata<'a>>,
    /// Event time of that record.
    pub timestamp: Timestamp,
    /// The source record's bytes, where they are at hand (reading a source).
    pub raw: Option<&'a RawRecord<'a>>,
}

/// An outgoing record that was refused.
#[derive(Debug)]
pub struct FailedOutput<'a> {
    /// What happened.
    pub error: &'a Error,
    /// The task.
    pub task: TaskId,
    /// The topic it was meant for.
    pub topic: &'a str,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its headers.
    pub headers: &'a Headers,
}

type OnFailure = dyn Fn(&Failure<'_>) -> Verdict + Send + Sync;
type OnProduction = dyn Fn(&FailedOutput<'_>) -> ProductionVerdict + Send + Sync;

/// The three handlers of an application. The default fails on everything, as Java's do.
///
/// ```
/// use kstreams_core::handler::{Handlers, Verdict};
///
/// let handlers = Handlers::default()
///     .on_deserialization(|failure| {
///         log::warn!("skipped: {}", failure.error);
///         Verdict::DeadLetter("bad-records".into())
///     })
///     .on_processing(|_| Verdict::Fail);
/// # drop(handlers);
/// ```
#[derive(Clone)]
pub struct Handlers {
    pub(crate) deserialization: Arc<OnFailure>,
    pub(crate) processing: Arc<OnFailure>,
    pub(crate) production: Arc<OnProduction>,
}

impl Handlers {
    /// Decides about source records that cannot be read.
    #[must_use]
    pub fn on_deserialization(
        mut self,
        f: impl Fn(&Failure<'_>) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.deserialization = Arc::new(f);
        self
    }

    /// Decides about errors of processors and punctuators (KIP-1033).
    #[must_use]
    pub fn on_processing(
        mut self,
        f: impl Fn(&Failure<'_>) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.processing = Arc::new(f);
        self
    }

    /// Decides about records that cannot be written, be it by their serde or by the broker.
    #[must_use]
    pub fn on_production(
        mut self,
        f: impl Fn(&FailedOutput<'_>) -> ProductionVerdict + Send + Sync + 'static,
    ) -> Self {
        self.production = Arc::new(f);
        self
    }

    /// Sends every record that cannot be read or processed to `topic` and goes on
    /// (`errors.dead.letter.queue.topic.name`).
    #[must_use]
    pub fn dead_letter_to(self, topic: &str) -> Self {
        let (one, two): (Arc<str>, Arc<str>) = (topic.into(), topic.into());
        self.on_deserialization(move |_| Verdict::DeadLetter(one.clone()))
            .on_processing(move |_| Verdict::DeadLetter(two.clone()))
    }

    /// Asks the production handler.
    pub fn ask_production(&self, failed: &FailedOutput<'_>) -> ProductionVerdict {
        (self.production)(failed)
    }
}

impl Default for Handlers {
    fn default() -> Self {
        Self {
            deserialization: Arc::new(|_| Verdict::Fail),
            processing: Arc::new(|_| Verdict::Fail),
            production: Arc::new(|_| ProductionVerdict::Fail),
        }
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handlers")
    }
}

/// The headers KIP-1034 adds to a dead-letter record.
pub fn dead_letter_headers(
    mut headers: Headers,
    error: &Error,
    record: Option<RecordMetadata<'_>>,
) -> Headers {
    let mut put = |name: &str, text: &str| headers.push(name, Some(text.as_bytes()));
    put("__streams.errors.exception", &format!("{:?}", error.kind()));
    put("__streams.errors.message", error.message());
    put("__streams.errors.stacktrace", &causes(error));
    if let Some(record) = record {
        put("__streams.errors.topic", record.topic);
        put("__streams.errors.partition", &record.partition.to_string());
        put("__streams.errors.offset", &record.offset.to_string());
    }
    headers
}

/// Rust has no stack trace in an error; the chain of causes stands in its place.
fn causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text.push_str("\ncaused by: ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
