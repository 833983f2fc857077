//! The one error type of kstreams: one word wide, and it says where it happened.
//!
//! Every crate raises it; handlers and the executor decide by its [`ErrorKind`].

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::record::Offset;
use crate::task::TaskId;

/// What every fallible call of kstreams returns.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// An error with its kind, its place (node, task, topic, partition, offset) and its cause.
///
/// It is one word wide, so that a successful `Result<()>` travels in a register.
///
/// ```
/// use kstreams_core::error::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::User, "amount is negative").at_node("check").at_record("in", 3, 42);
/// assert_eq!(error.kind(), ErrorKind::User);
/// assert_eq!(error.to_string(), "node check: record in-3@42: amount is negative");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    node: Option<Arc<str>>,
    task: Option<TaskId>,
    record: Option<(String, i32, Option<Offset>)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    handled: bool,
}

/// What went wrong, as far as the program can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A processor, punctuator or other code of the user returned it.
    User,
    /// Code of the user panicked.
    Panic,
    /// Bytes from a topic could not be read as the declared type.
    Deserialization,
    /// A value could not be written as bytes.
    Serialization,
    /// A record's timestamp is not usable.
    Timestamp,
    /// The topology has faults; the message lists all of them.
    Topology,
    /// A setting is missing, contradictory or out of range.
    Config,
    /// The state directory cannot be used (missing rights, locked by another process, full).
    StateDir,
    /// A store failed to read or write.
    Store,
    /// Local state does not fit its changelog or fails its checksum: it must be rebuilt.
    Corrupted,
    /// A topic is missing or has another shape than the topology needs.
    Topic,
    /// The broker refused a record (too large, unknown topic, not authorized ..).
    Production,
    /// The broker refused credentials or an operation.
    Authorization,
    /// The broker did not answer within its bound; the same call may succeed later.
    Timeout,
    /// The broker or the connection failed; the same call may succeed later.
    Unavailable,
    /// Another member owns what this one tried to write: its tasks must be given up.
    Fenced,
    /// No committed offset, or the committed offset is gone, and no reset policy applies.
    OffsetReset,
    /// The log client is broken for good and must be replaced.
    Fatal,
    /// The thing asked was closed.
    Closed,
}

impl Error {
    /// An error of `kind` with a sentence for people (lower case, no full stop).
    #[cold]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            node: None,
            task: None,
            record: None,
            source: None,
            handled: false,
        }))
    }

    /// Wraps any error of user code, kept as [`source`](StdError::source).
    ///
    /// ```
    /// use kstreams_core::error::{Error, Result};
    /// fn parse(text: &str) -> Result<u64> {
    ///     text.parse().map_err(Error::user)
    /// }
    /// assert!(parse("x").is_err());
    /// ```
    #[cold]
    pub fn user(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = source.into();
        Self::new(ErrorKind::User, source.to_string()).with_source(source)
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says at which node of the topology it happened; the first one told is kept.
    #[must_use]
    pub fn at_node(mut self, node: impl Into<Arc<str>>) -> Self {
        self.0.node.get_or_insert_with(|| node.into());
        self
    }

    /// Says in which task it happened; the first one told is kept.
    #[must_use]
    pub fn at_task(mut self, task: TaskId) -> Self {
        self.0.task.get_or_insert(task);
        self
    }

    /// Says which source record was being processed; the first one told is kept.
    #[must_use]
    pub fn at_record(mut self, topic: &str, partition: i32, offset: Offset) -> Self {
        self.0.record.get_or_insert_with(|| (topic.to_owned(), partition, Some(offset)));
        self
    }

    /// Says which partition it is about; the first one told is kept.
    #[must_use]
    pub fn at_partition(mut self, topic: &str, partition: i32) -> Self {
        self.0.record.get_or_insert_with(|| (topic.to_owned(), partition, None));
        self
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The node it happened at, if known.
    pub fn node(&self) -> Option<&str> {
        self.0.node.as_deref()
    }

    /// The task it happened in, if known.
    pub fn task(&self) -> Option<TaskId> {
        self.0.task
    }

    /// The topic and partition it is about, if known.
    pub fn partition(&self) -> Option<(&str, i32)> {
        self.0.record.as_ref().map(|(topic, partition, _)| (topic.as_str(), *partition))
    }

    /// The message without its place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// True if the same call may succeed later without any change.
    pub fn is_retriable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Timeout | ErrorKind::Unavailable)
    }

    /// True if another member owns the task now.
    pub fn is_fenced(&self) -> bool {
        self.0.kind == ErrorKind::Fenced
    }

    /// Gives a kind to an error of user code that has told none, as a serde's plain text.
    pub(crate) fn or_kind(mut self, kind: ErrorKind) -> Self {
        if self.0.kind == ErrorKind::User {
            self.0.kind = kind;
        }
        self
    }

    /// Marks that a handler has seen this error and decided that it stops the task.
    ///
    /// Nodes above the failing one pass it on instead of asking the handler again.
    pub(crate) fn handled(mut self) -> Self {
        self.0.handled = true;
        self
    }

    pub(crate) fn is_handled(&self) -> bool {
        self.0.handled
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(task) = self.0.task {
            write!(f, "task {task}: ")?;
        }
        if let Some(node) = &self.0.node {
            write!(f, "node {node}: ")?;
        }
        match &self.0.record {
            Some((topic, partition, Some(offset))) => {
                write!(f, "record {topic}-{partition}@{offset}: ")?;
            }
            Some((topic, partition, None)) => write!(f, "partition {topic}-{partition}: ")?,
            None => {}
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({self})", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<std::io::Error> for Error {
    fn from(source: std::io::Error) -> Self {
        Self::user(source)
    }
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self::new(ErrorKind::User, message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Self {
        Self::new(ErrorKind::User, message)
    }
}

impl From<Box<dyn StdError + Send + Sync>> for Error {
    fn from(source: Box<dyn StdError + Send + Sync>) -> Self {
        Self::user(source)
    }
}

macro_rules! from_std {
    ($($error:ty),+) => {$(
        impl From<$error> for Error {
            fn from(source: $error) -> Self {
                Self::user(source)
            }
        }
    )+};
}
from_std!(
    std::num::ParseIntError,
    std::num::ParseFloatError,
    std::num::TryFromIntError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    fmt::Error
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_and_success_is_free() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result>(), size_of::<usize>());
    }

    #[test]
    fn the_first_place_told_is_kept() {
        let task = TaskId { subtopology: 0, partition: 1 };
        let error = Error::from("bad").at_node("inner").at_node("outer").at_task(task);
        assert_eq!(error.to_string(), "task 0_1: node inner: bad");
    }
}
