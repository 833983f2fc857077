//! Writing records, alone or in transactions.
//!
//! The producer of a thread lies in its `core`. While a transaction is being committed the core is
//! with a thread of its own, as librdkafka waits for each of its steps; then it comes back.

mod acks;
mod committer;
mod core;
mod transactions;

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_runtime::transport::{
    CommittedOffset, FailedDelivery, GroupMetadata, OutgoingRecord, Producer, ProducerOptions,
    Sent, TopicHandle, Waker,
};
use rdkafka::ClientConfig;

use self::committer::{Committer, Job};
use self::core::Core;

/// The producer of one thread.
pub(crate) struct KafkaProducer {
    place: Place,
    /// What came of a commit that was waited for by something else than its poll.
    outcome: Option<Result>,
    /// Made for the first commit.
    committer: Option<Committer>,
}

/// Where the core is.
enum Place {
    Here(Box<Core>),
    Committing(Receiver<(Box<Core>, Result)>),
    /// The thread that had it is gone.
    Lost,
}

impl KafkaProducer {
    /// An idempotent producer, transactional if it has an id; connects in the background.
    pub(crate) fn new(config: ClientConfig, options: &ProducerOptions) -> Result<Self> {
        let core = Core::new(config, options)?;
        Ok(Self { place: Place::Here(Box::new(core)), outcome: None, committer: None })
    }

    /// The core; waits for a commit that is going on, which is bounded.
    fn core(&mut self) -> Result<&mut Core> {
        if let Place::Committing(back) = &self.place {
            let came = back.recv().ok();
            self.take_back(came);
        }
        match &mut self.place {
            Place::Here(core) => Ok(core),
            Place::Committing(_) | Place::Lost => Err(lost()),
        }
    }

    fn take_back(&mut self, came: Option<(Box<Core>, Result)>) {
        self.place = match came {
            Some((core, outcome)) => {
                self.outcome = Some(outcome);
                Place::Here(core)
            }
            None => Place::Lost,
        };
    }
}

impl Producer for KafkaProducer {
    fn topic(&mut self, name: &str) -> Result<TopicHandle> {
        self.core()?.topic(name)
    }

    fn send(&mut self, record: &OutgoingRecord<'_>) -> Result<Sent> {
        self.core()?.send(record)
    }

    fn poll(&mut self, wait: Duration) {
        // While it commits, its reports are served there.
        if let Place::Here(core) = &mut self.place {
            core.poll(wait);
        }
    }

    fn failures(&mut self) -> Vec<FailedDelivery> {
        if let Place::Here(core) = &mut self.place { core.failures() } else { Vec::new() }
    }

    fn flush(&mut self, timeout: Duration) -> Result {
        self.core()?.flush(timeout)
    }

    fn last_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        if let Place::Here(core) = &self.place { core.last_offset(partition) } else { None }
    }

    fn init_transactions(&mut self, timeout: Duration) -> Result {
        self.core()?.init(timeout)
    }

    fn begin_transaction(&mut self) -> Result {
        self.core()?.begin()
    }

    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result {
        self.core()?.add_offsets(offsets, group, timeout)
    }

    fn commit_transaction(&mut self, timeout: Duration) -> Result {
        self.core()?.commit(timeout)
    }

    fn start_commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
        done: Waker,
    ) -> Result {
        self.core()?;
        if self.committer.is_none() {
            self.committer = Some(Committer::start()?);
        }
        let (Some(committer), Place::Here(core)) =
            (&self.committer, std::mem::replace(&mut self.place, Place::Lost))
        else {
            return Err(lost());
        };
        let (offsets, group) = (offsets.to_vec(), group.clone());
        let back = committer.take(|back| Job { core, offsets, group, timeout, done, back });
        self.place = Place::Committing(back.ok_or_else(lost)?);
        self.outcome = None;
        Ok(())
    }

    fn poll_commit(&mut self, wait: Duration) -> Result<bool> {
        if let Place::Committing(back) = &self.place {
            match back.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                came => self.take_back(came.ok()),
            }
        }
        self.core()?;
        self.outcome.take().unwrap_or(Ok(())).map(|()| true)
    }

    fn abort_transaction(&mut self, timeout: Duration) -> Result {
        self.core()?.abort(timeout)
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Fatal, "the thread that commits for this producer is gone")
}
