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
use super::chunk::{Chunk, MAX_RECORD, RecordRef};
use super::fault::{Fault, Request, RequestKind};
use super::group::Proof;
use super::partition::{Batch, Partition, Refusal};
use super::producer_state::{Identity, SequenceFault, advance};
use super::topic::{Topic, check_name};
use crate::transport::{
    CommittedOffset, FailedDelivery, GroupMetadata, OutgoingRecord, Producer, ProducerOptions,
    Sent, TopicHandle,
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
    destinations: Vec<Destination>,
    by_name: BTreeMap<String, TopicHandle>,
    /// Lanes whose chunk has records: topic and partition.
    filling: Vec<(usize, usize)>,
    /// Batches on their way, oldest first.
    in_flight: VecDeque<InFlight>,
    failures: Vec<FailedDelivery>,
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

struct Destination {
    name: Arc<str>,
    topic: Option<Arc<Topic>>,
    lanes: Vec<Lane>,
    /// Where records without a key go until a chunk is handed over.
    sticky: usize,
    /// The topic was deleted: look for it again.
    is_lost: bool,
}

struct Lane {
    partition: Arc<Partition>,
    chunk: Chunk,
    tags: Vec<u64>,
    next_sequence: i32,
    last_offset: Option<Offset>,
    /// Part of the open transaction.
    is_added: bool,
}

struct InFlight {
    lane: (usize, usize),
    partition: Arc<Partition>,
    chunk: Arc<Chunk>,
    tags: Vec<u64>,
    sequence: i32,
}

/// What became of one attempt to hand a batch over.
enum Outcome {
    Acknowledged(Offset),
    /// Try again later.
    Unanswered,
    Refused(Error),
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
            failures: Vec::new(),
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

    fn hand_over(&mut self, topic: usize, partition: usize) {
        let destination = &mut self.destinations[topic];
        if destination.sticky == partition {
            destination.sticky = (partition + 1) % destination.lanes.len();
        }
        let lane = &mut destination.lanes[partition];
        let next = Chunk::sized_like(&lane.chunk);
        let chunk = Arc::new(std::mem::replace(&mut lane.chunk, next).close());
        let sequence = lane.next_sequence;
        lane.next_sequence = advance(sequence, chunk.len());
        let tags = std::mem::take(&mut lane.tags);
        let partition_log = Arc::clone(&lane.partition);
        let lane = (topic, partition);
        let batch = InFlight { lane, partition: partition_log, chunk, tags, sequence };
        self.in_flight.push_back(batch);
        self.send_in_flight();
    }

    /// Hands over every chunk that has records.
    pub(super) fn hand_over_all(&mut self) {
        for (topic, partition) in std::mem::take(&mut self.filling) {
            if !self.destinations[topic].lanes[partition].chunk.is_empty() {
                self.hand_over(topic, partition);
            }
        }
        self.send_in_flight();
        if self.in_flight.is_empty() {
            for lost in self.destinations.iter_mut().filter(|destination| destination.is_lost) {
                *lost = Destination::new(Arc::clone(&lost.name));
            }
        }
    }

    /// Sends what is in flight, in order; stops at the first that gets no answer.
    fn send_in_flight(&mut self) {
        while let Some(batch) = self.in_flight.pop_front() {
            match self.attempt(&batch) {
                Outcome::Acknowledged(offset) => {
                    let (topic, partition) = batch.lane;
                    let lane = &mut self.destinations[topic].lanes[partition];
                    lane.last_offset = lane.last_offset.max(Some(offset));
                    if lane.tags.capacity() == 0 {
                        lane.tags = batch.tags;
                        lane.tags.clear();
                    }
                }
                Outcome::Unanswered => {
                    self.in_flight.push_front(batch);
                    return;
                }
                Outcome::Refused(error) => {
                    if error.kind() == ErrorKind::Topic {
                        self.destinations[batch.lane.0].is_lost = true;
                    }
                    self.spoil(&error);
                    self.fail(&batch, &error);
                }
            }
        }
    }

    fn attempt(&mut self, batch: &InFlight) -> Outcome {
        if let Err(error) = self.check() {
            return Outcome::Refused(error);
        }
        let outcome = self.try_send(batch);
        outcome.unwrap_or_else(|error| {
            if error.is_retriable() {
                Outcome::Unanswered
            } else {
                Outcome::Refused(self.note(error))
            }
        })
    }

    fn try_send(&mut self, batch: &InFlight) -> Result<Outcome> {
        let name = &batch.partition.name;
        let place = Some((&*name.topic, name.partition));
        let producer = self.identity.ok_or_else(|| {
            Error::new(ErrorKind::Fatal, "transactions are not initialised".to_owned())
        })?;
        let (topic, partition) = batch.lane;
        if let Some(id) = &self.transactional_id
            && !self.destinations[topic].lanes[partition].is_added
        {
            let kind = RequestKind::AddPartition;
            let request = Request { client_id: &self.client_id, kind, partition: place };
            let (id, log) = (Arc::clone(id), Arc::clone(&batch.partition));
            self.broker.call(&request, move |broker| broker.add_partition(&id, producer, &log))?;
            self.destinations[topic].lanes[partition].is_added = true;
            if let Stage::Open { is_known, .. } = &mut self.stage {
                *is_known = true;
            }
        }
        let send = Delivery {
            transactional_id: self.transactional_id.as_ref(),
            partition: &batch.partition,
            chunk: &batch.chunk,
            producer,
            sequence: batch.sequence,
        };
        let Some(network) = &self.broker.network else {
            return send.deliver(&self.broker).map(Outcome::Acknowledged);
        };
        network.deliver(&self.broker);
        let kind = RequestKind::Produce;
        let request = Request { client_id: &self.client_id, kind, partition: place };
        match network.decide(&request) {
            None => return send.deliver(&self.broker).map(Outcome::Acknowledged),
            Some(Fault::DropRequest) => {}
            Some(Fault::LoseReply) => drop(send.deliver(&self.broker)),
            Some(Fault::Duplicate) => {
                let first = send.deliver(&self.broker);
                drop(send.deliver(&self.broker));
                return first.map(Outcome::Acknowledged);
            }
            Some(Fault::Delay(by)) => {
                let until = self.broker.clock.monotonic() + by;
                let (partition, chunk) = (Arc::clone(&batch.partition), Arc::clone(&batch.chunk));
                let (id, sequence) = (self.transactional_id.clone(), batch.sequence);
                network.delay(until, move |broker| {
                    let (transactional_id, partition, chunk) = (id.as_ref(), &partition, &chunk);
                    let late = Delivery { transactional_id, partition, chunk, producer, sequence };
                    drop(late.deliver(broker));
                });
            }
            Some(Fault::Refuse(kind)) => {
                return Err(Error::new(kind, "the batch was refused".to_owned())
                    .at_partition(&name.topic, name.partition));
            }
        }
        Ok(Outcome::Unanswered)
    }

    /// A refused record spoils the open transaction.
    fn spoil(&mut self, error: &Error) {
        if let Stage::Open { spoiled, .. } = &mut self.stage {
            spoiled.get_or_insert_with(|| (error.kind(), error.message().to_owned()));
        }
    }

    fn fail(&mut self, batch: &InFlight, error: &Error) {
        let name = &batch.partition.name;
        for (index, tag) in batch.tags.iter().enumerate() {
            let record = batch.chunk.get(index, 0, 0);
            self.failures.push(FailedDelivery {
                tag: *tag,
                topic: name.topic.to_string(),
                partition: Some(name.partition),
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                timestamp: record.timestamp,
                headers: record.headers,
                error: Error::new(error.kind(), error.message())
                    .at_partition(&name.topic, name.partition),
            });
        }
        // The batches behind it in this partition would leave a gap: a new identity starts over.
        if self.transactional_id.is_none() && !matches!(self.stage, Stage::Broken(..)) {
            self.start_over();
        }
    }

    /// A producer without transactions that lost a batch takes a new number (KIP-360).
    fn start_over(&mut self) {
        self.identity = Some(self.broker.new_producer());
        for lane in self.destinations.iter_mut().flat_map(|destination| &mut destination.lanes) {
            lane.next_sequence = 0;
        }
        for batch in &mut self.in_flight {
            let (topic, partition) = batch.lane;
            let lane = &mut self.destinations[topic].lanes[partition];
            batch.sequence = lane.next_sequence;
            lane.next_sequence = advance(lane.next_sequence, batch.chunk.len());
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
        let size = copy.size();
        destination.find(&self.broker)?.check(key, size.min(MAX_RECORD))?;
        let partition = destination.choose(record.partition, key)?;
        let lane = &mut destination.lanes[partition];
        if lane.chunk.is_empty() {
            self.filling.push((topic, partition));
        }
        lane.chunk.push(&copy);
        lane.tags.push(record.tag);
        if lane.chunk.is_full() {
            self.filling.retain(|filling| *filling != (topic, partition));
            self.hand_over(topic, partition);
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

    fn last_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        let handle = self.by_name.get(&*partition.topic)?;
        let lane = usize::try_from(partition.partition).ok()?;
        self.destinations[handle.0].lanes.get(lane)?.last_offset
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

    fn abort_transaction(&mut self, timeout: Duration) -> Result {
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
                tags: Vec::new(),
                next_sequence: 0,
                last_offset: None,
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

/// A batch at the log's door.
struct Delivery<'a> {
    transactional_id: Option<&'a Arc<str>>,
    partition: &'a Partition,
    chunk: &'a Arc<Chunk>,
    producer: Identity,
    sequence: i32,
}

impl Delivery<'_> {
    fn deliver(&self, broker: &Broker) -> Result<Offset> {
        let now = broker.clock.now();
        let batch = Batch {
            chunk: self.chunk,
            producer: self.producer,
            sequence: self.sequence,
            is_transactional: self.transactional_id.is_some(),
            is_verified: false,
        };
        let written = match (self.partition.append(&batch, now), self.transactional_id) {
            (Err(Refusal::Unverified), Some(id)) => {
                broker.append_verified(id, self.partition, &batch, now)?
            }
            (written, _) => written,
        };
        if written.is_ok() {
            broker.signal.records();
        }
        written.map_err(|refusal| {
            let name = &self.partition.name;
            let error = match refusal {
                Refusal::Gone => return self.partition.gone(),
                Refusal::Unverified => Error::new(ErrorKind::Fatal, "no transaction is open"),
                Refusal::Sequence(SequenceFault::Fenced) => {
                    Error::new(ErrorKind::Fenced, "a later producer has written here")
                }
                Refusal::Sequence(SequenceFault::OutOfOrder { expected, found }) => Error::new(
                    ErrorKind::Fatal,
                    format!("sequence {found} came where {expected} was expected"),
                ),
            };
            error.at_partition(&name.topic, name.partition)
        })
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
