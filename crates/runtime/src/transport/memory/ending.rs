//! A commit that takes several polls, as on a real broker: what happens in between meets it half
//! done. For simulation; a log in memory has nothing to wait for.

use std::time::Duration;

use kstreams_core::error::Result;
use kstreams_core::record::TopicPartition;

use super::producer::MemoryProducer;
use crate::transport::{CommittedOffset, GroupMetadata, Producer};

/// How far a commit is.
#[derive(Debug)]
pub(super) struct Ending {
    offsets: Vec<(TopicPartition, CommittedOffset)>,
    group: GroupMetadata,
    timeout: Duration,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Flush,
    Offsets,
    Commit,
}

impl Ending {
    pub(super) fn new(
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Self {
        Self { offsets: offsets.to_vec(), group: group.clone(), timeout, step: Step::Flush }
    }

    /// Does the next step; true after the last one.
    pub(super) fn advance(&mut self, producer: &mut MemoryProducer) -> Result<bool> {
        match self.step {
            Step::Flush => {
                producer.flush(self.timeout)?;
                self.step = if self.offsets.is_empty() { Step::Commit } else { Step::Offsets };
            }
            Step::Offsets => {
                producer.send_offsets(&self.offsets, &self.group, self.timeout)?;
                self.step = Step::Commit;
            }
            Step::Commit => {
                producer.commit_transaction(self.timeout)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}
