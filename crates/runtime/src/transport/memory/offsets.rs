//! The committed offsets of a group, and those that wait for the end of a transaction.

use std::collections::BTreeMap;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::TopicPartition;

use crate::transport::CommittedOffset;

/// What a group has committed.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    committed: BTreeMap<TopicPartition, CommittedOffset>,
    /// By producer id.
    pending: BTreeMap<i64, BTreeMap<TopicPartition, CommittedOffset>>,
}

impl Offsets {
    pub(super) fn commit(&mut self, offsets: &[(TopicPartition, CommittedOffset)]) {
        self.committed.extend(offsets.iter().cloned());
    }

    /// Keeps offsets until the transaction of this producer ends.
    pub(super) fn hold(&mut self, producer: i64, offsets: &[(TopicPartition, CommittedOffset)]) {
        self.pending.entry(producer).or_default().extend(offsets.iter().cloned());
    }

    /// The transaction of this producer has ended.
    pub(super) fn release(&mut self, producer: i64, is_commit: bool) {
        let held = self.pending.remove(&producer).unwrap_or_default();
        if is_commit {
            self.committed.extend(held);
        }
    }

    /// What is committed, in the order asked.
    ///
    /// An open transaction may be about to change it, so nobody may start from it before that has
    /// ended: Kafka's UNSTABLE_OFFSET_COMMIT (KIP-447).
    pub(super) fn stable(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>> {
        let is_pending = |name| self.pending.values().any(|offsets| offsets.contains_key(name));
        if let Some(name) = partitions.iter().find(|name| is_pending(name)) {
            let text = "an open transaction holds an offset of this partition";
            return Err(
                Error::new(ErrorKind::Unavailable, text).at_partition(&name.topic, name.partition)
            );
        }
        Ok(partitions.iter().map(|name| self.committed.get(name).cloned()).collect())
    }

    /// Everything committed.
    pub(super) fn committed(&self) -> &BTreeMap<TopicPartition, CommittedOffset> {
        &self.committed
    }
}
