//! How a producer's batches get to the log: in order, again if there was no answer, and reported
//! if they were refused.

use std::sync::Arc;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::Offset;

use super::broker::Broker;
use super::chunk::Chunk;
use super::fault::{Fault, Request, RequestKind};
use super::partition::{Batch, Partition, Refusal};
use super::producer::{MemoryProducer, Stage};
use super::producer_state::{Identity, SequenceFault, advance};
use crate::transport::FailedDelivery;

/// A batch on its way.
pub(super) struct InFlight {
    /// Topic and partition.
    pub(super) lane: (usize, usize),
    pub(super) partition: Arc<Partition>,
    pub(super) chunk: Arc<Chunk>,
    pub(super) tags: Vec<u64>,
    pub(super) sequence: i32,
}

/// What became of one attempt to hand a batch over.
enum Outcome {
    Acknowledged(Offset),
    /// Try again later.
    Unanswered,
    Refused(Error),
}

impl MemoryProducer {
    /// Sends what is in flight, in order; stops at the first that gets no answer.
    pub(super) fn send_in_flight(&mut self) {
        while let Some(batch) = self.in_flight.pop_front() {
            let outcome = self.attempt(&batch);
            let is_above = self.n_above > 0;
            if !matches!(outcome, Outcome::Unanswered) {
                self.n_above = self.n_above.saturating_sub(1);
            }
            match outcome {
                Outcome::Acknowledged(offset) => {
                    let (topic, partition) = batch.lane;
                    let lane = &mut self.destinations[topic].lanes[partition];
                    let last = if is_above { &mut lane.above } else { &mut lane.below };
                    *last = (*last).max(Some(offset));
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
                let until = self.broker.clock.monotonic().saturating_add(by);
                let (partition, chunk) = (Arc::clone(&batch.partition), Arc::clone(&batch.chunk));
                let (id, sequence) = (self.transactional_id.clone(), batch.sequence);
                network.delay(until, move |broker| {
                    let (transactional_id, partition, chunk) = (id.as_ref(), &partition, &chunk);
                    let late = Delivery { transactional_id, partition, chunk, producer, sequence };
                    drop(late.deliver(broker));
                });
            }
            Some(Fault::GiveUp) => {
                let text = "the batch was not acknowledged in time";
                return Ok(Outcome::Refused(Error::new(ErrorKind::Timeout, text)));
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
