//! The thread on which transactions are committed, so that the one of the tasks goes on meanwhile.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::TopicPartition;
use kstreams_runtime::transport::{CommittedOffset, GroupMetadata, Waker};

use super::core::Core;
use crate::client::Deadline;

/// A thread that commits, one transaction after the other; it ends when this is dropped.
pub(super) struct Committer(Sender<Job>);

/// A transaction to commit; the core goes `back` with what came of it.
pub(super) struct Job {
    pub(super) core: Box<Core>,
    pub(super) offsets: Vec<(TopicPartition, CommittedOffset)>,
    pub(super) group: GroupMetadata,
    pub(super) timeout: Duration,
    pub(super) done: Waker,
    pub(super) back: Sender<(Box<Core>, Result)>,
}

impl Committer {
    /// # Errors
    /// If the system has no thread for it.
    pub(super) fn start() -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("kstreams-commit".to_owned())
            .spawn(move || queue.into_iter().for_each(Job::run))
            .map_err(|error| {
                Error::new(ErrorKind::Fatal, format!("no thread to commit on: {error}"))
            })?;
        Ok(Self(jobs))
    }

    /// Hands a job over; `None` if the thread is gone.
    pub(super) fn take(
        &self,
        job: impl FnOnce(Sender<(Box<Core>, Result)>) -> Job,
    ) -> Option<Receiver<(Box<Core>, Result)>> {
        let (back, came) = mpsc::channel();
        self.0.send(job(back)).ok()?;
        Some(came)
    }
}

impl Job {
    fn run(mut self) {
        let outcome = self.commit();
        // A producer that was dropped meanwhile wants neither.
        let _ = self.back.send((self.core, outcome));
        (self.done)();
    }

    fn commit(&mut self) -> Result {
        // Inside a transaction the order of offsets and output decides nothing: the two round trips of
        // the offsets pass while output is on its way.
        if !self.offsets.is_empty() {
            self.core.add_offsets(&self.offsets, &self.group, self.timeout)?;
        }
        self.core.flush(self.timeout)?;
        if self.core.has_failures() {
            // librdkafka would refuse the commit; the record that failed says more.
            return Err(Error::new(
                ErrorKind::Production,
                "a record of the transaction was refused",
            ));
        }
        self.core.commit(self.timeout)?;
        // Output of the next transaction waits meanwhile; the tasks go on.
        let markers = Deadline::after(MARKERS);
        while !markers.is_over() {
            self.core.serve(markers.remaining());
        }
        Ok(())
    }
}

/// How long the broker is given to write a transaction's markers, which it does after it has answered.
/// It refuses the next transaction until then, and librdkafka asks again after 20 ms, whatever its
/// settings (`rd_kafka_txn_handle_AddPartitionsToTxn`).
const MARKERS: Duration = Duration::from_millis(5);
