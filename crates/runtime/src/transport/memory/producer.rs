//! The producer: records gather in one chunk per partition, which is handed over whole; what was
//! not acknowledged is sent again with the same sequence numbers.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::partition::partition_for;
use kstreams_core::record::{Offset, TopicPartition};

use super::broker::Broker;
use super::chunk::{Chunk, RecordRef};
use super::delivery::InFlight;
use super::ending::Ending;
use super::group::Proof;
use super::partition::Partition;
use super::producer_state::{Identity, advance};
use super::topic::{Topic, check_name};
use crate::transport::{
    CommittedOffset, FailedDelivery, GroupMetadata, OutgoingRecord, Producer, ProducerOptions,
    Sent, TopicHandle, Waker,
};

/// Writes to a [`MemoryLog`](super::MemoryLog).
pub(super) struct MemoryProducer {
    pub(super) broker: Arc<Broker>,
    pub(super) client_id: Arc<str>,
    pub(super) transactional_id: Option<Arc<str>>,
    pub(super) transaction_timeout: Duration,
    /// `None` until transactions are initialised.
    pub(super) identity: Option<Identity>,
    pub(super) stage: Stage,
    pub(super) destinations: Vec<Destination>,
    by_name: BTreeMap<String, TopicHandle>,
    /// Lanes whose chunk has records: topic and partition.
    filling: Vec<(usize, usize)>,
    /// Batches on their way, oldest first.
    pub(super) in_flight: VecDeque<InFlight>,
    /// So many of them are above the line.
    pub(super) n_above: usize,
    pub(super) failures: Vec<FailedDelivery>,
    /// A commit that goes on step by step.
    ending: Option<Ending>,
}

/// How far the producer is, as it knows itself.
#[derive(Debug)]
pub(super) enum Stage {
    /// Outside of any transaction.
    Idle,
    /// Inside.
    Open {
        /// True once the coordinator knows of it.
        is_known: bool,
        /// Why a record was refused: it can only be aborted then.
        spoiled: Option<(ErrorKind, String)>,
    },
    /// Of no use any more.
    Broken(ErrorKind, String),
}

pub(super) struct Destination {
    name: Arc<str>,
    topic: Option<Arc<Topic>>,
    pub(super) lanes: Vec<Lane>,
    /// Where records without a key go until a chunk is handed over.
    sticky: usize,
    /// The topic was deleted: look for it again.
    pub(super) is_lost: bool,
}

pub(super) struct Lane {
    partition: Arc<Partition>,
    chunk: Chunk,
    /// Of the chunk before, as a guess for the next one.
    last_extent: (usize, usize),
    pub(super) tags: Vec<u64>,
    pub(super) next_sequence: i32,
    /// The largest offsets acknowledged: above the line, and below it.
    pub(super) above: Option<Offset>,
    pub(super) below: Option<Offset>,
    /// Part of the open transaction.
    pub(super) is_added: bool,
}

impl MemoryProducer {
    pub(super) fn new(broker: Arc<Broker>, options: ProducerOptions) -> Self {
        let ProducerOptions { client_id, transactional_id, transaction_timeout } = options;
        let identity = transactional_id.is_none().then(|| broker.new_producer());
        Self {
            broker,
            client_id: client_id.into(),
            transactional_id: transactional_id.map(Into::into),
            transaction_timeout,
            identity,
            stage: Stage::Idle,
            destinations: Vec::new(),
            by_name: BTreeMap::new(),
            filling: Vec::new(),
            in_flight: VecDeque::new(),
            n_above: 0,
            failures: Vec::new(),
            ending: None,
        }
    }

    /// Refuses to go on once broken.
    pub(super) fn check(&self) -> Result {
        match &self.stage {
            Stage::Broken(kind, text) => Err(Error::new(*kind, text.clone())),
            Stage::Idle | Stage::Open { .. } => Ok(()),
        }
    }

    /// Remembers what makes the producer useless.
    pub(super) fn note(&mut self, error: Error) -> Error {
        if matches!(error.kind(), ErrorKind::Fenced | ErrorKind::Fatal) {
            self.stage = Stage::Broken(error.kind(), error.message().to_owned());
        }
        error
    }

    /// Closes the chunk of a lane; it is the next batch.
    fn close_chunk(&mut self, topic: usize, partition: usize) {
        let destination = &mut self.destinations[topic];
        if destination.sticky == partition {
            destination.sticky = (partition + 1) % destination.lanes.len();
        }
        let lane = &mut destination.lanes[partition];
        lane.last_extent = lane.chunk.extent();
        let chunk = Arc::new(std::mem::take(&mut lane.chunk).close());
        let sequence = lane.next_sequence;
        lane.next_sequence = advance(sequence, chunk.len());
        let tags = std::mem::take(&mut lane.tags);
        let partition_log = Arc::clone(&lane.partition);
        let lane = (topic, partition);
        let batch = InFlight { lane, partition: partition_log, chunk, tags, sequence };
        self.in_flight.push_back(batch);
    }

    fn close_chunks(&mut self) {
        for (topic, partition) in std::mem::take(&mut self.filling) {
            if !self.destinations[topic].lanes[partition].chunk.is_empty() {
                self.close_chunk(topic, partition);
            }
        }
    }

    /// Hands over every chunk that has records.
    pub(super) fn hand_over_all(&mut self) {
        self.close_chunks();
        self.send_in_flight();
        if self.in_flight.is_empty() {
            for lost in self.destinations.iter_mut().filter(|destination| destination.is_lost) {
                *lost = Destination::new(Arc::clone(&lost.name));
            }
        }
    }

    /// Forgets what is not yet acknowledged; true if a batch was in flight whose fate is unknown.
    pub(super) fn purge(&mut self) -> bool {
        for (topic, partition) in std::mem::take(&mut self.filling) {
            let lane = &mut self.destinations[topic].lanes[partition];
            lane.chunk = Chunk::default();
            lane.tags.clear();
        }
        let n_in_flight = self.in_flight.len();
        self.in_flight.clear();
        self.n_above = 0;
        n_in_flight > 0
    }

    /// Prepares the lanes for the next transaction; with a new epoch sequences start at 0.
    pub(super) fn reset_lanes(&mut self, is_new_epoch: bool) {
        for lane in self.destinations.iter_mut().flat_map(|destination| &mut destination.lanes) {
            lane.is_added = false;
            if is_new_epoch {
                lane.next_sequence = 0;
            }
        }
    }
}

impl Producer for MemoryProducer {
    fn topic(&mut self, name: &str) -> Result<TopicHandle> {
        if let Some(handle) = self.by_name.get(name) {
            return Ok(*handle);
        }
        check_name(name)?;
        let handle = TopicHandle(self.destinations.len());
        self.destinations.push(Destination::new(name.into()));
        self.by_name.insert(name.to_owned(), handle);
        Ok(handle)
    }

    fn send(&mut self, record: &OutgoingRecord<'_>) -> Result<Sent> {
        match &self.stage {
            Stage::Idle if self.transactional_id.is_some() => {
                let text = format!("{}: there is no open transaction", self.client_id);
                return Err(Error::new(ErrorKind::Fatal, text));
            }
            Stage::Broken(..) => self.check()?,
            Stage::Idle | Stage::Open { .. } => {}
        }
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            self.send_in_flight();
            if self.in_flight.len() >= MAX_IN_FLIGHT {
                return Ok(Sent::Full);
            }
        }
        let topic = record.topic.0;
        let destination = self
            .destinations
            .get_mut(topic)
            .ok_or_else(|| Error::new(ErrorKind::Topic, format!("no topic has handle {topic}")))?;
        let OutgoingRecord { key, value, timestamp, headers, .. } = *record;
        let copy = RecordRef { key, value, timestamp, headers };
        destination.find(&self.broker)?.check(key, copy.size())?;
        let partition = destination.choose(record.partition, key)?;
        let lane = &mut destination.lanes[partition];
        if lane.chunk.is_empty() {
            self.filling.push((topic, partition));
            lane.chunk.reserve(lane.last_extent);
        }
        lane.chunk.push(&copy);
        lane.tags.push(record.tag);
        if lane.chunk.is_full() {
            self.filling.retain(|filling| *filling != (topic, partition));
            self.close_chunk(topic, partition);
            self.send_in_flight();
        }
        Ok(Sent::Queued)
    }

    fn poll(&mut self, _wait: Duration) {
        self.hand_over_all();
    }

    fn failures(&mut self) -> Vec<FailedDelivery> {
        std::mem::take(&mut self.failures)
    }

    fn flush(&mut self, timeout: Duration) -> Result {
        let broker = Arc::clone(&self.broker);
        broker.retry(timeout, || {
            self.hand_over_all();
            let n = self.in_flight.len();
            if n == 0 {
                return Ok(());
            }
            let text = format!("{}: {n} batches are not acknowledged", self.client_id);
            Err(Error::new(ErrorKind::Timeout, text))
        })
    }

    fn draw_line(&mut self) -> bool {
        if self.n_above > 0 {
            return false;
        }
        self.close_chunks();
        self.n_above = self.in_flight.len();
        for lane in self.destinations.iter_mut().flat_map(|destination| &mut destination.lanes) {
            lane.above = lane.above.max(lane.below.take());
        }
        true
    }

    fn has_reached_line(&self) -> bool {
        self.n_above == 0
    }

    fn last_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        let handle = self.by_name.get(&*partition.topic)?;
        let lane = usize::try_from(partition.partition).ok()?;
        self.destinations[handle.0].lanes.get(lane)?.above
    }

    fn init_transactions(&mut self, timeout: Duration) -> Result {
        self.initialise(timeout)
    }

    fn begin_transaction(&mut self) -> Result {
        self.begin()
    }

    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result {
        let proof = group.get::<Proof>().ok_or_else(|| {
            Error::new(ErrorKind::Config, "the group metadata is of another log".to_owned())
        })?;
        self.add_offsets(offsets, proof, timeout)
    }

    fn commit_transaction(&mut self, timeout: Duration) -> Result {
        self.commit(timeout)
    }

    fn start_commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
        _: Waker,
    ) -> Result {
        let mut ending = Ending::new(offsets, group, timeout);
        if self.broker.has_stepwise_commits {
            self.ending = Some(ending);
            return Ok(());
        }
        while !ending.advance(self)? {}
        Ok(())
    }

    fn poll_commit(&mut self, _: Duration) -> Result<bool> {
        let Some(mut ending) = self.ending.take() else { return Ok(true) };
        let is_done = ending.advance(self)?;
        if !is_done {
            self.ending = Some(ending);
        }
        Ok(is_done)
    }

    fn abort_transaction(&mut self, timeout: Duration) -> Result {
        self.ending = None;
        self.abort(timeout)
    }
}

impl Destination {
    fn new(name: Arc<str>) -> Self {
        Self { name, topic: None, lanes: Vec::new(), sticky: 0, is_lost: false }
    }

    /// The topic, looked up at first use and again once it was deleted.
    fn find(&mut self, broker: &Broker) -> Result<&Topic> {
        if self.topic.is_none() {
            let topic = broker.topic(&self.name)?;
            let lane = |partition: &Arc<Partition>| Lane {
                partition: Arc::clone(partition),
                chunk: Chunk::default(),
                last_extent: (0, 0),
                tags: Vec::new(),
                next_sequence: 0,
                above: None,
                below: None,
                is_added: false,
            };
            self.lanes = topic.partitions.iter().map(lane).collect();
            self.topic = Some(topic);
        }
        self.topic.as_deref().ok_or_else(|| super::topic::unknown(&self.name))
    }

    fn choose(&self, partition: Option<i32>, key: Option<&[u8]>) -> Result<usize> {
        match (partition, key) {
            (Some(partition), _) => usize::try_from(partition)
                .ok()
                .filter(|index| *index < self.lanes.len())
                .ok_or_else(|| {
                    let text = format!("no such partition, the topic has {}", self.lanes.len());
                    Error::new(ErrorKind::Topic, text).at_partition(&self.name, partition)
                }),
            (None, Some(key)) => Ok(partition_for(key, self.lanes.len() as i32) as usize),
            (None, None) => Ok(self.sticky),
        }
    }
}

impl fmt::Debug for MemoryProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryProducer")
            .field("client_id", &self.client_id)
            .field("transactional_id", &self.transactional_id)
            .field("identity", &self.identity)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

/// So many batches wait for an answer before `send` says that it is full.
const MAX_IN_FLIGHT: usize = 64;
