//! Reading partitions.

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::Result;
use kstreams_core::record::{Offset, RawRecord, TopicPartition};

/// Which records a consumer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// All, also those of open and aborted transactions.
    ReadUncommitted,
    /// Those of committed transactions and those outside of any, up to the last stable offset.
    ReadCommitted,
}

/// The number that a consumer gave to an assigned partition; valid until it is unassigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane(pub usize);

/// Consecutive records of one partition, owned; their bytes are borrowed from it, not copied.
pub trait Batch: Send {
    /// How many records.
    fn len(&self) -> usize;

    /// True if there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record at `index`, which is below [`len`](Self::len).
    fn get(&self, index: usize) -> RawRecord<'_>;
}

/// What a fetch brought.
pub struct Fetched {
    /// New records, if any.
    pub records: Option<Box<dyn Batch>>,
    /// The offset of the next record to come: behind the last one returned, and behind
    /// transaction markers that are known.
    pub position: Offset,
    /// How many offsets lie between `position` and the end that this consumer may see, as far as
    /// it was told by the log; `None` before the first answer.
    pub lag: Option<i64>,
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetched")
            .field("n_records", &self.records.as_ref().map(|batch| batch.len()))
            .field("position", &self.position)
            .field("lag", &self.lag)
            .finish()
    }
}

/// Ends a [`Consumer::wait`] early; called from any thread.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Reads the partitions it is told to.
///
/// Records wait inside, per partition and within bounds; a partition that is not fetched holds
/// back neither the others nor the connection. That is the back-pressure: the executor fetches a
/// lane only when its task has room.
pub trait Consumer: Send {
    /// Starts to read these partitions at these offsets, beside those assigned before.
    ///
    /// # Errors
    /// If a partition is assigned already, or the client failed.
    fn assign(&mut self, partitions: &[(TopicPartition, Offset)]) -> Result<Vec<Lane>>;

    /// Stops reading these lanes and drops what was prefetched.
    ///
    /// # Errors
    /// If the client failed.
    fn unassign(&mut self, lanes: &[Lane]) -> Result;

    /// Goes on at another offset; drops what was prefetched.
    ///
    /// # Errors
    /// If the client failed.
    fn seek(&mut self, lane: Lane, offset: Offset) -> Result;

    /// Takes up to `max` records of a lane; never waits.
    ///
    /// # Errors
    /// - `OffsetReset` if the position is outside of what the log holds,
    /// - `Topic` if the topic or partition is gone,
    /// - `Authorization`, `Unavailable`, `Fatal` as the broker says.
    fn fetch(&mut self, lane: Lane, max: usize) -> Result<Fetched>;

    /// Waits until some lane may have records, the waker was called, or the time is over.
    ///
    /// # Errors
    /// If the client failed as a whole.
    fn wait(&mut self, timeout: Duration) -> Result;

    /// Ends a wait from another thread; also one that begins just afterwards.
    fn waker(&self) -> Waker;
}
