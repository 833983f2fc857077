//! The records of one partition that wait for their task.

use std::collections::VecDeque;
use std::time::Duration;

use kstreams_core::error::Result;
use kstreams_core::flow::Flow;
use kstreams_core::record::{Offset, RawRecord, TopicPartition};
use kstreams_core::time::Timestamp;

use crate::transport::{Batch, CommittedOffset, Fetched, Lane};

/// One partition of a task: fetched batches, the head with its event time, and the position.
pub(crate) struct PartitionQueue {
    pub(crate) partition: TopicPartition,
    pub(crate) lane: Lane,
    batches: VecDeque<Box<dyn Batch>>,
    /// The index of the head in the first batch.
    cursor: usize,
    n_buffered: usize,
    head_time: Option<Timestamp>,
    /// The largest time taken from this partition; stored with the committed offset.
    pub(crate) partition_time: Timestamp,
    /// Behind everything fetched.
    position: Offset,
    lag: Option<i64>,
    last_epoch: Option<i32>,
    committed: Option<Offset>,
    /// Of the commit that is going on.
    frozen: Option<Offset>,
    /// Since when it has been empty with nothing left on the broker.
    pub(crate) idle_since: Option<Duration>,
}

impl PartitionQueue {
    pub(crate) fn new(
        partition: TopicPartition,
        lane: Lane,
        start: Offset,
        partition_time: Timestamp,
    ) -> Self {
        Self {
            partition,
            lane,
            batches: VecDeque::new(),
            cursor: 0,
            n_buffered: 0,
            head_time: None,
            partition_time,
            position: start,
            lag: None,
            last_epoch: None,
            committed: Some(start),
            frozen: None,
            idle_since: None,
        }
    }

    pub(crate) fn n_buffered(&self) -> usize {
        self.n_buffered
    }

    pub(crate) fn push(&mut self, fetched: Fetched) {
        self.position = fetched.position;
        self.lag = fetched.lag;
        if let Some(batch) = fetched.records.filter(|batch| !batch.is_empty()) {
            self.n_buffered += batch.len();
            self.idle_since = None;
            self.batches.push_back(batch);
        }
    }

    /// True if it is not known that the broker has nothing more.
    pub(crate) fn may_have_more(&self) -> bool {
        self.lag != Some(0)
    }

    /// The event time of the head. A record that has just become the head is asked for it, and
    /// skipped if it has none.
    #[inline]
    pub(crate) fn head_time(&mut self, input: usize, flow: &mut Flow) -> Result<Option<Timestamp>> {
        if self.head_time.is_some() || self.batches.is_empty() {
            return Ok(self.head_time);
        }
        self.find_head(input, flow)
    }

    fn find_head(&mut self, input: usize, flow: &mut Flow) -> Result<Option<Timestamp>> {
        while let Some(batch) = self.batches.front() {
            let time = flow.timestamp(input, &batch.get(self.cursor), self.partition_time)?;
            if time.is_some() {
                self.head_time = time;
                return Ok(time);
            }
            self.advance();
        }
        Ok(None)
    }

    /// The head itself.
    #[inline]
    pub(crate) fn head(&self) -> Option<RawRecord<'_>> {
        self.batches.front().map(|batch| batch.get(self.cursor))
    }

    /// Drops the head: it is processed or skipped.
    #[inline]
    pub(crate) fn advance(&mut self) {
        if let Some(time) = self.head_time.take()
            && time > self.partition_time
        {
            self.partition_time = time;
        }
        let Some(batch) = self.batches.front() else { return };
        self.n_buffered -= 1;
        self.cursor += 1;
        if self.cursor == batch.len() {
            self.last_epoch = batch.get(self.cursor - 1).leader_epoch;
            self.cursor = 0;
            self.batches.pop_front();
        }
    }

    /// The next offset to read: that of the head, or behind everything fetched.
    pub(crate) fn next_offset(&self) -> Offset {
        self.head().map_or(self.position, |head| head.offset)
    }

    /// Behind everything fetched.
    pub(crate) fn fetched_to(&self) -> Offset {
        self.position
    }

    /// What is to be committed, if it has moved or `is_wanted` in any case.
    pub(crate) fn to_commit(
        &self,
        is_wanted: bool,
        metadata: impl FnOnce(Timestamp) -> String,
    ) -> Option<CommittedOffset> {
        let offset = self.next_offset();
        if self.committed == Some(offset) && !is_wanted {
            return None;
        }
        Some(CommittedOffset {
            offset,
            leader_epoch: self.last_epoch,
            metadata: metadata(self.partition_time),
        })
    }

    /// The position that the group has, as far as it is known here.
    pub(crate) fn committed(&self) -> Option<Offset> {
        self.committed
    }

    /// What a commit that begins is of, as far as this queue goes.
    pub(crate) fn freeze(&mut self) {
        self.frozen = Some(self.next_offset());
    }

    /// The log has what [`freeze`](Self::freeze) fixed.
    pub(crate) fn mark_committed(&mut self) {
        self.committed = self.frozen.take().or(self.committed);
    }

    /// Goes on at `offset`; everything buffered is dropped.
    pub(crate) fn restart(&mut self, offset: Offset) {
        self.batches.clear();
        (self.cursor, self.n_buffered, self.head_time) = (0, 0, None);
        (self.position, self.lag, self.committed) = (offset, None, Some(offset));
        self.frozen = None;
    }
}

impl std::fmt::Debug for PartitionQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionQueue")
            .field("partition", &self.partition)
            .field("n_buffered", &self.n_buffered)
            .finish_non_exhaustive()
    }
}
