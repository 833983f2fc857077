//! One partition: batches of records and transaction markers in offset order, the end that each
//! isolation level sees, and what of it is kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::time::Timestamp;
use parking_lot::Mutex;

use super::chunk::{Chunk, RecordRef};
use super::producer_state::{Identity, ProducerStates, SequenceFault, Verdict};
use super::topic::TopicConfig;
use crate::transport::Isolation;

/// A partition; all clients share it.
#[derive(Debug)]
pub(super) struct Partition {
    /// Its name.
    pub(super) name: TopicPartition,
    pub(super) config: Arc<TopicConfig>,
    pub(super) state: Mutex<State>,
}

/// What the lock of a partition guards.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) segments: VecDeque<Segment>,
    /// The first offset kept.
    pub(super) start: Offset,
    /// The offset of the next record: the high watermark, as there are no replicas.
    pub(super) end: Offset,
    pub(super) leader_epoch: i32,
    pub(super) producers: ProducerStates,
    /// The first offset of each open transaction, by producer id.
    pub(super) open: BTreeMap<i64, Offset>,
    pub(super) n_bytes: usize,
    /// What [`n_bytes`](Self::n_bytes) was when the partition was compacted.
    pub(super) clean_bytes: usize,
    /// True once the topic was deleted.
    pub(super) is_gone: bool,
}

/// Consecutive offsets: a producer's batch, or a marker.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base: Offset,
    /// One behind its last offset.
    pub(super) end: Offset,
    pub(super) chunk: Arc<Chunk>,
    pub(super) kind: Kind,
    pub(super) leader_epoch: i32,
}

/// What a segment is to readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records outside of any transaction, or of a committed one: for all.
    Committed,
    /// Records of the open transaction of this producer id.
    Open(i64),
    /// Records of an aborted transaction: for `read_uncommitted` alone.
    Aborted,
    /// The end of a transaction: takes an offset, no reader gets it.
    Marker,
}

/// A batch as a producer hands it over.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) chunk: &'a Arc<Chunk>,
    pub(super) producer: Identity,
    pub(super) sequence: i32,
    pub(super) is_transactional: bool,
    /// The coordinator has said that the transaction is open and has this partition.
    pub(super) is_verified: bool,
}

/// Why a partition did not take a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The topic was deleted.
    Gone,
    /// The coordinator must be asked first (KIP-890, part 1).
    Unverified,
    /// The producer's epoch or sequence is wrong.
    Sequence(SequenceFault),
}

/// Some records of one segment: those at `from..to` of the chunk.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) chunk: Arc<Chunk>,
    pub(super) base: Offset,
    pub(super) leader_epoch: i32,
    pub(super) from: usize,
    pub(super) to: usize,
}

/// What a read found.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) slices: Vec<Slice>,
    pub(super) position: Offset,
    pub(super) lag: i64,
    /// True if an open transaction hides what lies behind.
    pub(super) is_blocked: bool,
}

/// The offsets that bound a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) start: Offset,
    pub(super) stable: Offset,
    pub(super) end: Offset,
}

impl Partition {
    pub(super) fn new(name: TopicPartition, config: Arc<TopicConfig>) -> Self {
        Self { name, config, state: Mutex::default() }
    }

    /// Writes a batch; tells the offset of its last record.
    pub(super) fn append(&self, batch: &Batch<'_>, now: Timestamp) -> Result<Offset, Refusal> {
        let mut state = self.state.lock();
        if state.is_gone {
            return Err(Refusal::Gone);
        }
        let (producer, n) = (batch.producer, batch.chunk.len());
        match state.producers.check(producer, batch.sequence, n).map_err(Refusal::Sequence)? {
            Verdict::Duplicate(last) => return Ok(last),
            Verdict::New => {}
        }
        let kind = if batch.is_transactional {
            if !batch.is_verified && !state.open.contains_key(&producer.id) {
                return Err(Refusal::Unverified);
            }
            let first = state.end;
            state.open.entry(producer.id).or_insert(first);
            Kind::Open(producer.id)
        } else {
            Kind::Committed
        };
        let last = state.push(Arc::clone(batch.chunk), kind);
        state.producers.wrote(producer, batch.sequence, n, last);
        state.clean(&self.config, now);
        Ok(last)
    }

    /// Writes one record of nobody's, without a batch of its own where that is possible.
    pub(super) fn append_one(&self, record: &RecordRef<'_>, now: Timestamp) -> Result<Offset> {
        let mut state = self.state.lock();
        if state.is_gone {
            return Err(self.gone());
        }
        let offset = state.end;
        let State { segments, end, n_bytes, leader_epoch, .. } = &mut *state;
        if let Some(last) = segments.back_mut()
            && last.kind == Kind::Committed
            && last.end == *end
            && last.leader_epoch == *leader_epoch
            && !last.chunk.is_full()
            && let Some(chunk) = Arc::get_mut(&mut last.chunk)
        {
            let delta = (offset - last.base) as u32;
            let before = chunk.size();
            chunk.push_at(delta, record);
            *n_bytes += chunk.size() - before;
            last.end += 1;
            *end += 1;
        } else {
            let mut chunk = Chunk::default();
            chunk.push(record);
            state.push(Arc::new(chunk), Kind::Committed);
        }
        state.clean(&self.config, now);
        Ok(offset)
    }

    /// Ends the transaction of a producer here; false if a later epoch was seen already.
    pub(super) fn mark(&self, producer: Identity, is_commit: bool) -> bool {
        let mut state = self.state.lock();
        if state.is_gone || !state.producers.fence(producer) {
            return state.is_gone;
        }
        if let Some(first) = state.open.remove(&producer.id) {
            let kind = if is_commit { Kind::Committed } else { Kind::Aborted };
            let from = state.segments.partition_point(|segment| segment.base < first);
            for segment in state.segments.range_mut(from..) {
                if segment.kind == Kind::Open(producer.id) {
                    segment.kind = kind;
                }
            }
        }
        state.push(Arc::default(), Kind::Marker);
        true
    }

    /// Takes up to `max` records from `position` on.
    pub(super) fn read(&self, position: Offset, max: usize, isolation: Isolation) -> Result<Read> {
        let state = self.state.lock();
        if state.is_gone {
            return Err(self.gone());
        }
        if position < state.start || position > state.end {
            let (start, end) = (state.start, state.end);
            let text = format!("offset {position} is outside of what is kept: {start} to {end}");
            return Err(self.error(ErrorKind::OffsetReset, text));
        }
        Ok(state.read(position, max, isolation))
    }

    /// True if a reader at `position` has something to fetch, be it an error.
    pub(super) fn has_news(&self, position: Offset, isolation: Isolation) -> bool {
        let state = self.state.lock();
        !state.is_gone
            && (position < state.start
                || position > state.end
                || position < state.visible_end(isolation))
    }

    /// Where it begins and ends.
    pub(super) fn bounds(&self) -> Bounds {
        let state = self.state.lock();
        let stable = state.visible_end(Isolation::ReadCommitted);
        Bounds { start: state.start, stable, end: state.end }
    }

    /// The first offset whose record is not older than `timestamp`.
    pub(super) fn offset_at(&self, timestamp: Timestamp) -> Option<Offset> {
        let state = self.state.lock();
        state
            .segments
            .iter()
            .filter(|segment| !segment.chunk.is_empty())
            .filter(|segment| segment.chunk.max_timestamp() >= timestamp)
            .find_map(|segment| {
                let mut records = 0..segment.chunk.len();
                let index = records.find(|index| {
                    let offset = segment.base + Offset::from(segment.chunk.delta(*index));
                    offset >= state.start && segment.chunk.timestamp(*index) >= timestamp
                })?;
                Some(segment.base + Offset::from(segment.chunk.delta(index)))
            })
    }

    /// Deletes the records before `offset`; -1 is the end, as in Kafka.
    pub(super) fn delete_before(&self, offset: Offset) -> Result {
        let mut state = self.state.lock();
        let offset = if offset == -1 { state.end } else { offset };
        if offset > state.end {
            let text = format!("cannot delete before {offset}, the end is {}", state.end);
            return Err(self.error(ErrorKind::OffsetReset, text));
        }
        state.move_start(offset);
        Ok(())
    }

    /// Marks it as deleted: every client that still holds it is told.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        *state = State { is_gone: true, ..State::default() };
    }

    /// True once the topic was deleted.
    pub(super) fn is_gone(&self) -> bool {
        self.state.lock().is_gone
    }

    /// Another leader takes over, as after a broker's failure.
    pub(super) fn elect(&self) -> i32 {
        let mut state = self.state.lock();
        state.leader_epoch += 1;
        state.leader_epoch
    }

    /// The error of a deleted topic.
    pub(super) fn gone(&self) -> Error {
        self.error(ErrorKind::Topic, "the topic was deleted".to_owned())
    }

    fn error(&self, kind: ErrorKind, text: String) -> Error {
        Error::new(kind, text).at_partition(&self.name.topic, self.name.partition)
    }
}

impl State {
    /// Appends a segment; tells its last offset.
    fn push(&mut self, chunk: Arc<Chunk>, kind: Kind) -> Offset {
        let n = if kind == Kind::Marker { 1 } else { chunk.len() as Offset };
        let (base, leader_epoch) = (self.end, self.leader_epoch);
        self.n_bytes += chunk.size();
        self.end += n;
        self.segments.push_back(Segment { base, end: self.end, chunk, kind, leader_epoch });
        self.end - 1
    }

    /// The offset at which this isolation level stops to see records.
    pub(super) fn visible_end(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.end,
            // The last stable offset: the begin of the oldest open transaction.
            Isolation::ReadCommitted => self.open.values().copied().min().unwrap_or(self.end),
        }
    }

    fn read(&self, mut position: Offset, max: usize, isolation: Isolation) -> Read {
        let visible = self.visible_end(isolation);
        let mut slices = Vec::new();
        let mut room = max;
        let first = self.segments.partition_point(|segment| segment.end <= position);
        for segment in self.segments.range(first..) {
            if segment.base >= visible || room == 0 {
                break;
            }
            let hidden = segment.kind == Kind::Marker
                || (segment.kind == Kind::Aborted && isolation == Isolation::ReadCommitted);
            if hidden {
                position = segment.end;
                continue;
            }
            let chunk = &segment.chunk;
            let from = chunk.index_of((position - segment.base).max(0) as u32);
            let to = chunk.len().min(from.saturating_add(room));
            room -= to - from;
            position = if to == chunk.len() {
                segment.end
            } else {
                segment.base + Offset::from(chunk.delta(to))
            };
            if from < to {
                let (base, leader_epoch) = (segment.base, segment.leader_epoch);
                slices.push(Slice { chunk: Arc::clone(chunk), base, leader_epoch, from, to });
            }
        }
        // Whatever lies between here and the end was hidden or compacted away.
        let next = self.segments.partition_point(|segment| segment.end <= position);
        if self.segments.get(next).is_none_or(|segment| segment.base >= visible) {
            position = position.max(visible);
        }
        let is_blocked = visible < self.end && position >= visible;
        Read { slices, position, lag: (visible - position).max(0), is_blocked }
    }
}
