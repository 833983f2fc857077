//! The name of a task: which part of the topology, for which partition.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// `<sub-topology>_<partition>`, as Kafka Streams writes it.
///
/// ```
/// use kstreams_core::task::TaskId;
/// let id = TaskId { subtopology: 0, partition: 3 };
/// assert_eq!(id.to_string(), "0_3");
/// assert_eq!("0_3".parse::<TaskId>()?, id);
/// # Ok::<(), kstreams_core::error::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The index of the sub-topology.
    pub subtopology: u32,
    /// The partition of every source topic of that sub-topology that this task reads.
    pub partition: i32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.subtopology, self.partition)
    }
}

impl FromStr for TaskId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = text.split_once('_').and_then(|(subtopology, partition)| {
            Some(Self {
                subtopology: subtopology.parse().ok()?,
                partition: partition.parse().ok().filter(|p| *p >= 0)?,
            })
        });
        parsed.ok_or_else(|| Error::new(ErrorKind::Config, format!("`{text}` is no task id")))
    }
}
