//! What stands in front of a value in its store and, in the changelog, in the record around it: its
//! headers, its time, both or neither.

use kstreams_core::record::{Headers, RawRecord};
use kstreams_core::time::Timestamp;

use crate::values;

/// Which of the two there are; headers come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) headers: bool,
    pub(crate) time: bool,
}

/// A stored value, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened<'a> {
    pub(crate) headers: Option<Headers>,
    pub(crate) time: Option<Timestamp>,
    pub(crate) value: &'a [u8],
}

impl Envelope {
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Takes stored bytes apart; `None` if they cannot be what this store wrote.
    pub(crate) fn open(self, stored: &[u8]) -> Option<Opened<'_>> {
        let mut opened = Opened { headers: None, time: None, value: stored };
        if self.headers {
            let (headers, rest) = values::split_headers(opened.value)?;
            (opened.headers, opened.value) = (Some(headers), rest);
        }
        if self.time {
            let (time, rest) = values::split_time(opened.value)?;
            (opened.time, opened.value) = (Some(time), rest);
        }
        Some(opened)
    }

    /// Appends what the store holds for `value` of a changelog record.
    pub(crate) fn seal(self, record: &RawRecord<'_>, value: &[u8], out: &mut Vec<u8>) {
        if self.headers {
            values::headers(&record.headers, out);
        }
        if self.time {
            values::time(record.timestamp, out);
        }
        out.extend_from_slice(value);
    }

    /// What a format's name starts with.
    pub(crate) fn prefix(self) -> &'static str {
        match (self.headers, self.time) {
            (false, false) => "",
            (false, true) => "timestamped-",
            (true, true) => "timestamped-headed-",
            (true, false) => "headed-",
        }
    }
}
