//! One partition being read: its queue, what was taken from it, and how far it has got.

use std::collections::VecDeque;
use std::sync::Arc;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_runtime::transport::{Batch, Fetched};
use rdkafka::TopicPartitionList;
use rdkafka::error::RDKafkaErrorCode;

use super::fetcher::Fetcher;
use crate::error;
use crate::ffi::{self, Doorbell, Messages, Queue, Topic};

/// A partition that is being fetched.
pub(super) struct PartitionLane {
    partition: TopicPartition,
    /// Where fetching began.
    began: Offset,
    /// Taken from the queue, not yet given out; more than one piece only if there was an error.
    taken: VecDeque<Piece>,
    /// Behind what was given out.
    position: Offset,
    /// Behind what was taken, markers of transactions included.
    ahead: Offset,
    /// Where the broker last said that there is no more for us.
    end: Option<Offset>,
    lag: Option<i64>,
    /// librdkafka counts a note about an offset like a record at it: a position behind the last
    /// note is no news.
    noted: Option<Offset>,
    probe: TopicPartitionList,
    door: Arc<Doorbell>,
    queue: Queue,
    topic: Topic,
    fetcher: Arc<Fetcher>,
}

enum Piece {
    Records(Messages),
    Failed(Error),
}

impl PartitionLane {
    /// Begins to fetch.
    pub(super) fn start(
        fetcher: &Arc<Fetcher>,
        door: &Arc<Doorbell>,
        partition: TopicPartition,
        offset: Offset,
    ) -> Result<Self> {
        let failed = |code| {
            error::coded(code, "start reading").at_partition(&partition.topic, partition.partition)
        };
        let handle = fetcher.handle();
        let topic = Topic::new(handle, &partition.topic).map_err(failed)?;
        let queue = Queue::with_bell(handle, door);
        topic.start(partition.partition, offset, &queue).map_err(failed)?;
        let mut probe = TopicPartitionList::with_capacity(1);
        probe.add_partition(&partition.topic, partition.partition);
        Ok(Self {
            began: offset,
            taken: VecDeque::new(),
            position: offset,
            ahead: offset,
            end: None,
            lag: None,
            noted: None,
            probe,
            door: Arc::clone(door),
            queue,
            topic,
            fetcher: Arc::clone(fetcher),
            partition,
        })
    }

    pub(super) fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Who fetches it.
    pub(super) fn fetcher(&self) -> &Arc<Fetcher> {
        &self.fetcher
    }

    /// Ends fetching and drops what was fetched.
    pub(super) fn stop(&self) -> Result {
        self.topic.stop(self.partition.partition).map_err(|code| self.error(code, "stop reading"))
    }

    /// Begins to fetch at another offset.
    pub(super) fn seek(&mut self, offset: Offset) -> Result {
        *self = self.restarted(&self.fetcher, offset)?;
        Ok(())
    }

    /// Goes on where it is, fetched by another. What it knows of the end holds until the other
    /// one is told.
    pub(super) fn hand_over(&mut self, fetcher: &Arc<Fetcher>) -> Result {
        let restarted = self.restarted(fetcher, self.position)?;
        *self = Self { end: self.end, lag: self.lag, noted: self.noted, ..restarted };
        Ok(())
    }

    /// Ends, and begins anew.
    fn restarted(&self, fetcher: &Arc<Fetcher>, offset: Offset) -> Result<Self> {
        self.stop()?;
        Self::start(fetcher, &self.door, self.partition.clone(), offset)
    }

    /// True if everything that was fetched has been given out.
    fn is_empty(&self) -> bool {
        self.taken.is_empty() && !self.queue.may_have_messages()
    }

    /// True if it waits for the broker, which has much for it.
    pub(super) fn starves(&self) -> bool {
        self.is_empty() && self.lag.is_some_and(|lag| lag > MUCH)
    }

    /// True if it waits for the broker, which has nothing for it.
    pub(super) fn rests(&self) -> bool {
        self.is_empty() && self.end == Some(self.position)
    }

    /// See [`Consumer::fetch`](kstreams_runtime::transport::Consumer::fetch).
    pub(super) fn fetch(&mut self, max: usize) -> Result<Fetched> {
        if self.taken.is_empty() && self.queue.may_have_messages() {
            self.fill(max.max(1));
        }
        let records = match self.taken.pop_front() {
            Some(piece @ Piece::Records(_)) if max == 0 => {
                self.taken.push_front(piece);
                None
            }
            Some(Piece::Records(mut records)) => {
                if records.len() > max {
                    self.taken.push_front(Piece::Records(records.split_off(max)));
                }
                self.position = records.offset(records.len() - 1) + 1;
                Some(Box::new(records) as Box<dyn Batch>)
            }
            Some(Piece::Failed(error)) => return Err(error),
            None => None,
        };
        if self.taken.is_empty() {
            self.position = self.position.max(self.ahead);
        } else {
            self.door.ring();
        }
        if records.is_some() || self.lag.is_none() || self.end == Some(self.position) {
            self.lag = self.lag();
        }
        Ok(Fetched { records, position: self.position, lag: self.lag })
    }

    /// Goes on behind what was taken, and keeps that.
    fn begin_anew(&mut self) -> Result {
        let restarted = self.restarted(&self.fetcher, self.ahead)?;
        let taken = std::mem::take(&mut self.taken);
        *self = Self { taken, position: self.position, end: self.end, lag: self.lag, ..restarted };
        Ok(())
    }

    /// Takes what the queue has and sorts records from notes.
    fn fill(&mut self, max: usize) {
        let mut rest = self.queue.take(max);
        let mut is_doubtful = false;
        while let Some((index, code)) =
            (0..rest.len()).find_map(|index| Some((index, rest.error(index)?)))
        {
            let mut note = rest.split_off(index);
            let records = std::mem::replace(&mut rest, note.split_off(1));
            self.push(records);
            self.noted = Some(note.offset(0) + 1);
            if code == RDKafkaErrorCode::PartitionEOF {
                self.end = Some(note.offset(0));
                self.ahead = self.ahead.max(note.offset(0));
            } else if error::kind(code) == ErrorKind::OffsetReset && note.offset(0) != self.began {
                is_doubtful = true;
            } else {
                self.fail(code, &note.error_text(0));
            }
        }
        self.push(rest);
        if let Some((code, reason)) = self.fetcher.context().take_partition_error() {
            self.fail(code, &reason);
        }
        if let Some(position) = ffi::position(self.fetcher.handle(), &mut self.probe)
            && Some(position) != self.noted
        {
            self.ahead = self.ahead.max(position);
        }
        // librdkafka tells of a position outside of the log without the version that all else has by
        // which it drops what came late. So this may be about an earlier reading of the partition, and
        // has ended this one too. If it is about this one, the broker says so again, of its beginning.
        if is_doubtful && let Err(error) = self.begin_anew() {
            self.taken.push_back(Piece::Failed(error));
        }
    }

    fn push(&mut self, records: Messages) {
        if !records.is_empty() {
            self.ahead = self.ahead.max(records.offset(records.len() - 1) + 1);
            self.taken.push_back(Piece::Records(records));
        }
    }

    fn fail(&mut self, code: RDKafkaErrorCode, reason: &str) {
        let error = Error::new(fetch_kind(code), format!("read: {reason}"))
            .at_partition(&self.partition.topic, self.partition.partition);
        self.taken.push_back(Piece::Failed(error));
    }

    /// At the end that was told there is no lag, even if the high watermark lies behind the last
    /// stable offset. Before that the watermark is the best that is known: too much if
    /// transactions are open, until the end is told.
    fn lag(&self) -> Option<i64> {
        if self.end == Some(self.position) {
            return Some(0);
        }
        let (_, high) = ffi::watermarks(&self.topic, self.partition.partition)?;
        Some((high - self.position).max(0))
    }

    fn error(&self, code: RDKafkaErrorCode, doing: &str) -> Error {
        error::coded(code, doing).at_partition(&self.partition.topic, self.partition.partition)
    }
}

/// So many records are worth a moment in which nobody fetches.
const MUCH: i64 = 1000;

/// The kinds that a fetch may fail with.
fn fetch_kind(code: RDKafkaErrorCode) -> ErrorKind {
    match error::kind(code) {
        ErrorKind::Timeout => ErrorKind::Unavailable,
        kind @ (ErrorKind::OffsetReset
        | ErrorKind::Topic
        | ErrorKind::Authorization
        | ErrorKind::Unavailable) => kind,
        _ => ErrorKind::Fatal,
    }
}
