//! Names of operators and stores: the user's, or generated from positions as Kafka Streams does.

use std::sync::Arc;

use super::{DslFault, Plan};
use crate::table::Flag;

/// What to do about stores and internal topics whose names were generated from their positions.
///
/// A generated name moves when an operator is added in front of it, and what was stored under the
/// old one is lost. All modes generate the same names, those of Kafka Streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// Log one warning that lists them.
    #[default]
    Warn,
    /// Refuse to build (`ensure.explicit.internal.resource.naming`).
    Require,
    /// Accept them: for an application that is moved from Kafka Streams with its state.
    Positional,
}

impl Plan {
    /// The next name of that prefix; each call takes a number, as in Kafka Streams.
    pub(crate) fn new_name(&mut self, prefix: &str) -> Arc<str> {
        let index = self.next_index;
        self.next_index += 1;
        format!("{prefix}{index:010}").into()
    }

    /// The user's name; a number is taken all the same.
    pub(crate) fn name_or(&mut self, name: Option<&str>, prefix: &str) -> Arc<str> {
        let generated = self.new_name(prefix);
        match name {
            Some(name) => {
                self.check_name(name);
                name.into()
            }
            None => generated,
        }
    }

    /// The user's name with a suffix; a number is taken all the same.
    pub(crate) fn suffixed_or(
        &mut self,
        name: Option<&str>,
        suffix: &str,
        prefix: &str,
    ) -> Arc<str> {
        match name {
            Some(name) => self.name_or(Some(&format!("{name}{suffix}")), prefix),
            None => self.new_name(prefix),
        }
    }

    /// The name of a store without one.
    pub(crate) fn new_store_name(&mut self, prefix: &str) -> Arc<str> {
        self.new_name(&format!("{prefix}STATE-STORE-"))
    }

    /// Notes a store or an internal topic whose name was generated.
    pub(crate) fn note_unnamed(&mut self, what: &str, name: &str) {
        self.unnamed.push((format!("{what} {name}"), None));
    }

    /// As [`note_unnamed`](Self::note_unnamed), for a store that may turn out not to be needed.
    pub(crate) fn note_unnamed_if(&mut self, needed: &Flag, what: &str, name: &str) {
        self.unnamed.push((format!("{what} {name}"), Some(needed.clone())));
    }

    /// Warns or complains of generated names.
    pub(crate) fn check_naming(&mut self) {
        let unnamed = std::mem::take(&mut self.unnamed).into_iter();
        let unnamed = unnamed.filter(|(_, needed)| needed.as_ref().is_none_or(Flag::get));
        let resources: Vec<String> = unnamed.map(|(what, _)| what).collect();
        match self.naming {
            _ if resources.is_empty() => {}
            Naming::Positional => {}
            Naming::Require => self.faults.push(DslFault::Unnamed { resources }),
            Naming::Warn => log::warn!(
                "names generated from positions, which move when the topology changes: {}",
                resources.join(", ")
            ),
        }
    }
}

/// Kafka Streams' rule for names (`Named`). `Some` says what is wrong.
pub(crate) fn check_name(name: &str) -> Option<&'static str> {
    const MAX_LEN: usize = 249;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match name {
        "" => Some("it is empty"),
        "." | ".." => Some("it must not be `.` or `..`"),
        _ if name.len() > MAX_LEN => Some("it is longer than 249 characters"),
        _ if !name.bytes().all(legal) => {
            Some("it has a character other than ASCII letters, digits, `.`, `_` and `-`")
        }
        _ => None,
    }
}
