//! What can go wrong in the harness: one word, with a kind. Returned by every public function.

use std::{fmt, io};

/// The result of a harness call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the harness could not do what a test asked of it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<io::Error>,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A program the harness runs is not installed.
    Missing,
    /// The jars could not be fetched or the Java sources did not compile.
    Prepare,
    /// The broker did not start in time or stopped while starting.
    Start,
    /// A Java program ended with a failure.
    Program,
    /// A file or a process could not be used.
    Io,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Turns an operating system error into ours, with what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { kind: ErrorKind::Io, message: doing.into(), source: Some(source) }
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}: {source}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
