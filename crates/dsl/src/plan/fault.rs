//! What can be wrong with streams and tables, and the error that lists all of it.
//!
//! `StreamsBuilder::build` returns it, together with what the topology found.

use std::error::Error as StdError;
use std::fmt;

use kstreams_core::error::{Error, ErrorKind};
use kstreams_topology::{Fault, TopologyErrors};

/// One mistake in a program of streams and tables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DslFault {
    /// A name that no node, store or topic can have.
    IllegalName {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An operator needs a serde, and none was given or came down the stream.
    MissingSerde {
        /// The operator.
        node: String,
        /// `key` or `value`.
        part: &'static str,
        /// The type.
        of: &'static str,
    },
    /// Stores and internal topics have generated names though names are required.
    Unnamed {
        /// What they are, and the generated names.
        resources: Vec<String>,
    },
    /// Two streams read some topics together, but not all.
    OverlappingTopics {
        /// The topic.
        topic: String,
        /// The sources.
        nodes: (String, String),
    },
    /// Two streams read the same topics with different offset resets.
    DifferentOffsetResets {
        /// The sources.
        nodes: (String, String),
    },
    /// Two streams read the same topics as different types.
    DifferentTypes {
        /// The sources.
        nodes: (String, String),
    },
    /// A stream or table of another builder was given to an operator.
    OtherBuilder {
        /// The operator.
        node: String,
    },
    /// A window, grace period or retention that cannot be.
    Window {
        /// The operator or store.
        node: String,
        /// What is wrong.
        why: String,
    },
    /// An operator cannot be used here.
    NotSupported {
        /// The operator.
        node: String,
        /// Why.
        why: &'static str,
    },
}

impl fmt::Display for DslFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IllegalName { name, why } => write!(f, "name `{name}` is illegal: {why}"),
            Self::MissingSerde { node, part, of } => {
                write!(f, "{node} has no serde for its {part} of type {of}; give it one")
            }
            Self::Unnamed { resources } => {
                write!(f, "names are required, but generated for: {}", resources.join(", "))
            }
            Self::OverlappingTopics { topic, nodes: (one, two) } => write!(
                f,
                "sources {one} and {two} both read topic {topic}, but not the same set of topics"
            ),
            Self::DifferentOffsetResets { nodes: (one, two) } => {
                write!(
                    f,
                    "sources {one} and {two} read the same topics with different offset resets"
                )
            }
            Self::DifferentTypes { nodes: (one, two) } => {
                write!(f, "sources {one} and {two} read the same topics as different types")
            }
            Self::OtherBuilder { node } => {
                write!(f, "{node} was given a stream or table of another builder")
            }
            Self::Window { node, why } => write!(f, "{node}: {why}"),
            Self::NotSupported { node, why } => write!(f, "{node}: {why}"),
        }
    }
}

/// All that is wrong with a program of streams and tables, at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildErrors {
    faults: Vec<DslFault>,
    topology: Option<TopologyErrors>,
}

impl BuildErrors {
    pub(crate) fn new(faults: Vec<DslFault>, topology: Option<TopologyErrors>) -> Self {
        Self { faults, topology }
    }

    /// What is wrong with operators.
    pub fn faults(&self) -> &[DslFault] {
        &self.faults
    }

    /// What is wrong with the topology they became.
    pub fn topology_faults(&self) -> &[Fault] {
        self.topology.as_ref().map_or(&[], TopologyErrors::faults)
    }
}

impl fmt::Display for BuildErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.faults.iter().map(ToString::to_string);
        let all: Vec<String> =
            all.chain(self.topology_faults().iter().map(ToString::to_string)).collect();
        match all.as_slice() {
            [only] => write!(f, "the topology has a fault: {only}"),
            faults => {
                write!(f, "the topology has {} faults:", faults.len())?;
                faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

impl StdError for BuildErrors {}

impl From<BuildErrors> for Error {
    fn from(errors: BuildErrors) -> Self {
        Self::new(ErrorKind::Topology, errors.to_string()).with_source(errors)
    }
}
