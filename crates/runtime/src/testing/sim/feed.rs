//! What comes into the application: records of the input topics, a few at a time, some of them in
//! transactions of which a part is aborted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::Result;
use kstreams_core::random::Random;
use kstreams_core::record::Headers;
use kstreams_core::time::Timestamp;

use super::network::OBSERVER;
use super::plan::SimPlan;
use super::trace::{Step, Trace};
use crate::transport::memory::{MemoryLog, NewRecord};
use crate::transport::{Log, OutgoingRecord, Producer, ProducerOptions};

/// A record of an input topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimRecord {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The event time.
    pub timestamp: Timestamp,
}

type MakeRecord = dyn Fn(&Random, u64) -> SimRecord + Send + Sync;

/// An input topic and what comes in it.
#[derive(Clone)]
pub(super) struct Input {
    pub(super) topic: String,
    /// Read by all instances, which commit nothing of it.
    pub(super) is_global: bool,
    pub(super) make: Arc<MakeRecord>,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Input({})", self.topic)
    }
}

pub(super) struct Feed {
    log: MemoryLog,
    inputs: Vec<Input>,
    upstream: Option<Box<dyn Producer>>,
    random: Random,
    n_fed: usize,
    n_all: usize,
}

impl Feed {
    pub(super) fn new(
        log: &MemoryLog,
        inputs: &[Input],
        plan: &SimPlan,
        random: Random,
    ) -> Result<Self> {
        let upstream = if plan.has_upstream_transactions {
            let mut producer = log.producer(ProducerOptions {
                client_id: OBSERVER.to_owned(),
                transactional_id: Some("upstream".to_owned()),
                transaction_timeout: Duration::from_secs(3600),
            })?;
            producer.init_transactions(Duration::ZERO)?;
            Some(producer)
        } else {
            None
        };
        let (log, inputs, n_all) = (log.clone(), inputs.to_vec(), plan.n_records);
        Ok(Self { log, inputs, upstream, random, n_fed: 0, n_all })
    }

    /// Writes up to `n` records, as far as there are some left.
    pub(super) fn some(&mut self, n: usize, trace: &Trace) -> Result {
        let n = n.min(self.n_all - self.n_fed);
        if n == 0 || self.inputs.is_empty() {
            return Ok(());
        }
        if self.upstream.is_some() && self.random.below(2) == 0 {
            return self.transaction(n, trace);
        }
        for _ in 0..n {
            let (topic, record) = self.next();
            let SimRecord { key, value, timestamp } = &record;
            let (at, offset) = self.log.produce_record(
                &self.inputs[topic].topic,
                &NewRecord {
                    partition: None,
                    key: key.as_deref(),
                    value: value.as_deref(),
                    timestamp: *timestamp,
                    headers: Headers::default(),
                },
            )?;
            trace.note(Step::Produce { topic, partition: at, offset });
        }
        Ok(())
    }

    fn transaction(&mut self, n: usize, trace: &Trace) -> Result {
        let Some(mut producer) = self.upstream.take() else { return Ok(()) };
        producer.begin_transaction()?;
        for _ in 0..n {
            let (topic, record) = self.next();
            let topic = producer.topic(&self.inputs[topic].topic)?;
            producer.send(&OutgoingRecord {
                topic,
                partition: None,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                timestamp: record.timestamp,
                headers: &Headers::default(),
                tag: 0,
            })?;
        }
        producer.flush(Duration::ZERO)?;
        let is_commit = self.random.below(3) != 0;
        if is_commit {
            producer.commit_transaction(Duration::ZERO)?;
        } else {
            producer.abort_transaction(Duration::ZERO)?;
        }
        trace.note(Step::Upstream { is_commit });
        self.upstream = Some(producer);
        Ok(())
    }

    /// Writes all that is left.
    pub(super) fn rest(&mut self, trace: &Trace) -> Result {
        while self.n_fed < self.n_all && !self.inputs.is_empty() {
            self.some(4, trace)?;
        }
        Ok(())
    }

    fn next(&mut self) -> (usize, SimRecord) {
        let topic = self.random.below(self.inputs.len() as u64) as usize;
        let number = self.n_fed as u64;
        self.n_fed += 1;
        (topic, (self.inputs[topic].make)(&self.random, number))
    }
}
