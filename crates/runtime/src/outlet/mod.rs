//! The way out of a thread: its producer, and the transaction it is in.
//!
//! Tasks drain their outboxes and change buffers into it; the commit flushes it.

mod refused;

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::handler::Handlers;
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::sink::{OutRecord, Outbox};
use kstreams_core::task::TaskId;

use crate::config::{Config, Guarantee};
use crate::planted::{Bug, is_planted};
use crate::probe::{CrashPoint, Probe};
use crate::transport::{
    CommittedOffset, GroupMetadata, OutgoingRecord, Producer, Sent, TopicHandle, Waker,
};

/// How long one wait for room in the producer's queue takes.
const FULL_WAIT: Duration = Duration::from_millis(10);

pub(crate) struct Outlet {
    producer: Box<dyn Producer>,
    guarantee: Guarantee,
    in_transaction: bool,
    /// A commit is going on: nothing may be sent before its end.
    is_committing: bool,
    /// Planted: nothing is held back meanwhile.
    is_leaking: bool,
    handlers: Arc<Handlers>,
    /// How long a full queue is waited for.
    full_timeout: Duration,
    /// At least once: a record that a task has sent was not written, and nobody made up for it.
    has_lost: bool,
    /// A handler had something sent in place of a record that was refused, below the line.
    has_resent: bool,
    /// Records given up by the production handler.
    pub(crate) n_dropped: u64,
    probe: Option<Arc<dyn Probe>>,
}

/// The producer's numbers of the topics of one outbox.
#[derive(Debug, Default)]
pub(crate) struct Topics(Vec<TopicHandle>);

impl Outlet {
    /// What goes out through `producer`, by the settings of the application.
    pub(crate) fn new(producer: Box<dyn Producer>, config: &Config) -> Self {
        Self {
            producer,
            guarantee: config.guarantee,
            in_transaction: false,
            is_committing: false,
            is_leaking: is_planted(config, Bug::SendWhileCommitting),
            handlers: Arc::clone(&config.handlers),
            full_timeout: config.task_timeout,
            has_lost: false,
            has_resent: false,
            n_dropped: 0,
            probe: config.probe.clone(),
        }
    }

    /// As [`Shared::pass`](crate::shared::Shared::pass).
    pub(crate) fn pass(&self, point: CrashPoint) {
        if let Some(probe) = &self.probe {
            probe.pass(point);
        }
    }

    /// Tells the probe, if there is one, that a task takes a record.
    pub(crate) fn took(&self, task: TaskId, partition: &TopicPartition, offset: Offset) {
        if let Some(probe) = &self.probe {
            probe.took(task, partition, offset);
        }
    }

    /// Hands every waiting record to the producer and empties the outbox.
    ///
    /// # Errors
    /// If a record cannot be sent and the handler decided to fail.
    pub(crate) fn drain(
        &mut self,
        outbox: &mut Outbox,
        topics: &mut Topics,
        task: TaskId,
    ) -> Result {
        if outbox.is_empty() {
            return Ok(());
        }
        self.ensure_transaction()?;
        for record in outbox.iter() {
            let number = record.topic.0 as usize;
            // Numbers are given in order, so the unknown ones are the next.
            while topics.0.len() <= number {
                let next = kstreams_core::sink::OutTopic(topics.0.len() as u32);
                topics.0.push(self.producer.topic(outbox.topic_name(next))?);
            }
            if let Err(error) = self.send(topics.0[number], &record, task) {
                self.refused(&error, outbox.topic_name(record.topic), &record, task)?;
            }
        }
        outbox.clear();
        Ok(())
    }

    fn ensure_transaction(&mut self) -> Result {
        if self.guarantee == Guarantee::ExactlyOnce && !self.in_transaction {
            self.producer.begin_transaction()?;
            self.in_transaction = true;
        }
        Ok(())
    }

    fn send(&mut self, topic: TopicHandle, record: &OutRecord<'_>, task: TaskId) -> Result {
        let outgoing = OutgoingRecord {
            topic,
            partition: record.partition,
            key: record.key,
            value: record.value,
            timestamp: record.timestamp,
            headers: record.headers,
            tag: tag(task),
        };
        let mut waited = Duration::ZERO;
        while self.producer.send(&outgoing)? == Sent::Full {
            if waited >= self.full_timeout {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    format!("the producer's queue stayed full for {waited:?}; is the broker up?"),
                ));
            }
            self.producer.poll(FULL_WAIT);
            waited += FULL_WAIT;
        }
        Ok(())
    }

    /// Lets the producer work on acknowledgements and asks the handler about refused records.
    ///
    /// # Errors
    /// If a record was refused and the handler decided to fail.
    pub(crate) fn poll(&mut self) -> Result {
        if self.is_committing {
            return Ok(());
        }
        self.producer.poll(Duration::ZERO);
        self.check_failures()
    }

    /// A commit begins: what is sent from here on is of the next one. False if the producer has no
    /// line for it: then everything has to be [flushed](Self::flush) before.
    pub(crate) fn draw_line(&mut self) -> bool {
        let is_drawn = self.producer.draw_line();
        self.has_resent &= !is_drawn;
        is_drawn
    }

    /// True once what was sent before the line is acknowledged, with what was sent in place of refused
    /// records; waits for at most `wait`, and for the latter `timeout`.
    ///
    /// # Errors
    /// As [`flush`](Self::flush), and if a record was not written.
    pub(crate) fn has_reached_line(&mut self, wait: Duration, timeout: Duration) -> Result<bool> {
        if !self.producer.has_reached_line() {
            self.producer.poll(wait);
        }
        self.check_failures()?;
        self.refuse_lost()?;
        if !self.producer.has_reached_line() {
            return Ok(false);
        }
        if self.has_resent {
            self.flush(timeout)?;
            self.has_resent = false;
        }
        Ok(true)
    }

    /// Waits until everything sent is acknowledged; refused records may lead to new ones.
    ///
    /// # Errors
    /// `Timeout`, or as [`poll`](Self::poll).
    pub(crate) fn flush(&mut self, timeout: Duration) -> Result {
        // A dead letter can itself be refused; then its failure stops the task.
        for _ in 0..3 {
            self.producer.flush(timeout)?;
            let failures = self.producer.failures();
            if failures.is_empty() {
                return Ok(());
            }
            for failed in failures {
                self.failed_later(&failed)?;
            }
        }
        Err(Error::new(ErrorKind::Production, "records are refused again and again"))
    }

    /// True if something was sent since the last commit of a transaction.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Commits the transaction together with the input positions.
    ///
    /// # Errors
    /// As [`Producer::send_offsets`] and [`Producer::commit_transaction`]; after any of them this
    /// outlet must be replaced.
    pub(crate) fn commit_transaction(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result {
        self.ensure_transaction()?;
        if !offsets.is_empty() {
            self.producer.send_offsets(offsets, group, timeout)?;
            self.pass(CrashPoint::OffsetsSent);
        }
        self.producer.commit_transaction(timeout)?;
        self.in_transaction = false;
        Ok(())
    }

    /// True while a commit is going on, so that nothing may be sent.
    pub(crate) fn is_held(&self) -> bool {
        self.is_committing && !self.is_leaking
    }

    /// Begins to commit the transaction together with the input positions, and returns before the
    /// end.
    ///
    /// # Errors
    /// As [`Producer::start_commit`]; after any of them this outlet must be replaced.
    pub(crate) fn start_commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
        done: Waker,
    ) -> Result {
        self.ensure_transaction()?;
        let started = self.producer.start_commit(offsets, group, timeout, done);
        self.is_committing = started.is_ok();
        self.told_first(started)
    }

    /// True once the commit is done; waits for at most `wait`.
    ///
    /// # Errors
    /// As [`start_commit`](Self::start_commit).
    pub(crate) fn poll_commit(&mut self, wait: Duration) -> Result<bool> {
        let polled = self.producer.poll_commit(wait);
        self.is_committing = matches!(polled, Ok(false));
        if matches!(polled, Ok(true)) {
            self.in_transaction = false;
        }
        self.told_first(polled)
    }

    /// A record that was refused says more than the commit that failed by it.
    fn told_first<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            self.check_failures()?;
        }
        outcome
    }

    /// Gives up what was sent since the last commit, if anything.
    ///
    /// # Errors
    /// As [`Producer::abort_transaction`].
    pub(crate) fn abort(&mut self, timeout: Duration) -> Result {
        if std::mem::take(&mut self.in_transaction) {
            self.pass(CrashPoint::BeforeAbort);
            self.producer.abort_transaction(timeout)?;
            self.pass(CrashPoint::AfterAbort);
        }
        Ok(())
    }

    pub(crate) fn last_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        self.producer.last_offset(partition)
    }
}

fn tag(task: TaskId) -> u64 {
    u64::from(task.subtopology) << 32 | u64::from(task.partition.unsigned_abs())
}

fn untag(tag: u64) -> TaskId {
    TaskId { subtopology: (tag >> 32) as u32, partition: (tag & 0x7fff_ffff) as i32 }
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlet")
            .field("in_transaction", &self.in_transaction)
            .finish_non_exhaustive()
    }
}
