//! Writing records, alone or in transactions.

use std::time::Duration;

use kstreams_core::error::{Error, Result};
use kstreams_core::record::{Headers, Offset, TopicPartition};
use kstreams_core::time::Timestamp;

use super::consumer::Waker;
use super::membership::{CommittedOffset, GroupMetadata};

/// A topic as a producer numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicHandle(pub usize);

/// A record to be sent; its bytes are copied by [`Producer::send`].
#[derive(Clone, Debug)]
pub struct OutgoingRecord<'a> {
    /// The topic.
    pub topic: TopicHandle,
    /// The partition; `None` for murmur2 of the key, and any partition without a key.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The timestamp. librdkafka takes 0 for "now", so Kafka gets 1 ms in its place.
    pub timestamp: Timestamp,
    /// The headers.
    pub headers: &'a Headers,
    /// Told again in [`FailedDelivery::tag`], but for its highest bit, which is the log's.
    pub tag: u64,
}

/// What became of a record given to [`Producer::send`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way; success or failure is known after a flush at the latest.
    Queued,
    /// The producer's queue is full: call [`Producer::poll`] and send it again.
    Full,
}

/// A record that the log refused for good.
#[derive(Debug)]
pub struct FailedDelivery {
    /// As given in [`OutgoingRecord::tag`].
    pub tag: u64,
    /// The topic.
    pub topic: String,
    /// The partition, if one was chosen.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The timestamp.
    pub timestamp: Timestamp,
    /// The headers.
    pub headers: Headers,
    /// Why.
    pub error: Error,
}

/// Writes records in order per partition, idempotently, acknowledged by all in-sync replicas.
pub trait Producer: Send {
    /// The number of a topic; given on first use and kept.
    ///
    /// # Errors
    /// If the name cannot be a topic's. That it does not exist shows when sending.
    fn topic(&mut self, name: &str) -> Result<TopicHandle>;

    /// Takes a record in. A transactional producer must be inside a transaction.
    ///
    /// # Errors
    /// If this record can never be sent (too large, no such partition or topic), or the producer
    /// is broken: kinds `Production`, `Topic`, `Fenced`, `Fatal`.
    fn send(&mut self, record: &OutgoingRecord<'_>) -> Result<Sent>;

    /// Lets it work on acknowledgements, for at most `wait`; returns at once if there are some.
    fn poll(&mut self, wait: Duration);

    /// Takes the refused records reported since the last call.
    fn failures(&mut self) -> Vec<FailedDelivery>;

    /// Waits until every record is acknowledged or refused.
    ///
    /// # Errors
    /// `Timeout` if some are still on their way; they stay so.
    fn flush(&mut self, timeout: Duration) -> Result;

    /// Draws a line under what was sent so far. False, and there is no new line, if a record from
    /// before the last one is still on its way.
    fn draw_line(&mut self) -> bool;

    /// True once every record above the line is acknowledged or refused, however many were sent
    /// since.
    fn has_reached_line(&self) -> bool;

    /// The largest offset acknowledged in this partition of a record above the line.
    fn last_offset(&self, partition: &TopicPartition) -> Option<Offset>;

    /// Fences older producers of the same transactional id and ends their transaction.
    ///
    /// # Errors
    /// `Timeout`, `Authorization`, `Fenced`, `Fatal`.
    fn init_transactions(&mut self, timeout: Duration) -> Result;

    /// Begins a transaction.
    ///
    /// # Errors
    /// If one is open, or the producer is broken.
    fn begin_transaction(&mut self) -> Result;

    /// Adds the next offsets to read to the transaction, on behalf of a group member.
    ///
    /// # Errors
    /// `Fenced` if the member has lost the partitions or another producer has taken over;
    /// `Timeout` means that the outcome is unknown: abort and discard the producer.
    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result;

    /// Commits: everything sent, and the offsets, become visible at once.
    ///
    /// # Errors
    /// `Fenced` if another producer has taken over. `Timeout` means that the outcome is unknown:
    /// discard the producer, and read the committed offsets again.
    fn commit_transaction(&mut self, timeout: Duration) -> Result;

    /// Begins to flush, to add the offsets and to commit, and returns: the caller goes on meanwhile,
    /// and asks [`poll_commit`](Self::poll_commit) for the outcome. Until then nothing may be sent.
    /// `done` is called when there is one, from any thread.
    ///
    /// This one is done with all of it before it returns.
    ///
    /// # Errors
    /// As [`flush`](Self::flush), [`send_offsets`](Self::send_offsets) and
    /// [`commit_transaction`](Self::commit_transaction).
    fn start_commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
        done: Waker,
    ) -> Result {
        let _ = done;
        self.flush(timeout)?;
        if !offsets.is_empty() {
            self.send_offsets(offsets, group, timeout)?;
        }
        self.commit_transaction(timeout)
    }

    /// True once the commit that was started is done; waits for it for at most `wait`.
    ///
    /// # Errors
    /// As [`start_commit`](Self::start_commit); the producer must then be discarded.
    fn poll_commit(&mut self, wait: Duration) -> Result<bool> {
        let _ = wait;
        Ok(true)
    }

    /// Gives up everything sent since `begin_transaction`.
    ///
    /// # Errors
    /// As [`commit_transaction`](Self::commit_transaction).
    fn abort_transaction(&mut self, timeout: Duration) -> Result;
}
