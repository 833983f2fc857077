//! The producer's side of transactions.

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::TopicPartition;

use super::fault::{Request, RequestKind};
use super::group::Proof;
use super::producer::{MemoryProducer, Stage};
use super::producer_state::Identity;
use crate::transport::CommittedOffset;

impl MemoryProducer {
    pub(super) fn initialise(&mut self, timeout: Duration) -> Result {
        self.check()?;
        if self.identity.is_some() {
            return Err(misuse("transactions are initialised already, or there is no id for them"));
        }
        self.take_over(timeout)
    }

    /// Asks for an epoch of our own.
    fn take_over(&mut self, timeout: Duration) -> Result {
        let id = self.transactional_id.clone();
        let id = id.ok_or_else(|| misuse("the producer has no transactional id"))?;
        let transaction_timeout = self.transaction_timeout;
        let identity = self.broker.retry(timeout, || {
            let id = Arc::clone(&id);
            self.broker.call(&self.request(RequestKind::InitProducer), move |broker| {
                broker.init_producer(&id, transaction_timeout)
            })
        });
        self.identity = Some(identity.map_err(|error| self.note(error))?);
        self.reset_lanes(true);
        Ok(())
    }

    pub(super) fn begin(&mut self) -> Result {
        self.check()?;
        self.held()?;
        if matches!(self.stage, Stage::Open { .. }) {
            return Err(misuse("a transaction is open already"));
        }
        self.stage = Stage::Open { is_known: false, spoiled: None };
        Ok(())
    }

    pub(super) fn add_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        proof: &Proof,
        timeout: Duration,
    ) -> Result {
        self.check()?;
        let (id, producer) = self.held()?;
        let Stage::Open { is_known, .. } = &mut self.stage else {
            return Err(misuse("there is no open transaction"));
        };
        // From here on the coordinator may know of it, whatever the answer.
        *is_known = true;
        let sent = self.broker.retry(timeout, || {
            let (id, proof, offsets) = (Arc::clone(&id), proof.clone(), offsets.to_vec());
            self.broker.call(&self.request(RequestKind::AddOffsets), move |broker| {
                broker.add_offsets(&id, producer, &proof, &offsets)
            })
        });
        // A member that is not current spoils this transaction, but not the producer.
        sent.map_err(|error| match error.kind() {
            ErrorKind::Fenced if self.still_holds(&id, producer) => {
                if let Stage::Open { spoiled, .. } = &mut self.stage {
                    *spoiled = Some((error.kind(), error.message().to_owned()));
                }
                error
            }
            _ => self.note(error),
        })
    }

    pub(super) fn commit(&mut self, timeout: Duration) -> Result {
        self.check()?;
        if !matches!(self.stage, Stage::Open { .. }) {
            return Err(misuse("there is no open transaction"));
        }
        let deadline = self.broker.clock.monotonic().saturating_add(timeout);
        let broker = Arc::clone(&self.broker);
        crate::transport::Producer::flush(self, timeout)?;
        self.check()?;
        if let Stage::Open { spoiled: Some((kind, text)), .. } = &self.stage {
            return Err(Error::new(*kind, format!("the transaction must be aborted: {text}")));
        }
        self.end(true, deadline.saturating_sub(broker.clock.monotonic()))?;
        self.reset_lanes(false);
        Ok(())
    }

    pub(super) fn abort(&mut self, timeout: Duration) -> Result {
        self.check()?;
        if !matches!(self.stage, Stage::Open { .. }) {
            return Err(misuse("there is no open transaction"));
        }
        let is_unsure = self.purge();
        let is_spoiled = matches!(self.stage, Stage::Open { spoiled: Some(_), .. });
        self.end(false, timeout)?;
        self.reset_lanes(false);
        // A batch that may still arrive, or a gap in the sequence: a new epoch shuts it out.
        if is_unsure || is_spoiled { self.take_over(timeout) } else { Ok(()) }
    }

    fn end(&mut self, is_commit: bool, timeout: Duration) -> Result {
        let (id, producer) = self.held()?;
        if matches!(self.stage, Stage::Open { is_known: true, .. }) {
            let ended = self.broker.retry(timeout, || {
                let id = Arc::clone(&id);
                let request = self.request(RequestKind::EndTransaction { is_commit });
                self.broker
                    .call(&request, move |broker| broker.end_transaction(&id, producer, is_commit))
            });
            ended.map_err(|error| self.note(error))?;
        }
        self.stage = Stage::Idle;
        Ok(())
    }

    fn held(&self) -> Result<(Arc<str>, Identity)> {
        match (&self.transactional_id, self.identity) {
            (Some(id), Some(identity)) => Ok((Arc::clone(id), identity)),
            _ => Err(misuse("transactions are not initialised")),
        }
    }

    /// True if a refusal was the group's, not the coordinator's.
    fn still_holds(&self, id: &str, producer: Identity) -> bool {
        self.broker.holds(id, producer)
    }

    fn request(&self, kind: RequestKind) -> Request<'_> {
        Request { client_id: &self.client_id, kind, partition: None }
    }
}

fn misuse(text: &str) -> Error {
    Error::new(ErrorKind::Fatal, text)
}
