//! Transactions: every call under a deadline, everything drained before a commit or an abort.

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::TopicPartition;
use kstreams_runtime::transport::{CommittedOffset, GroupMetadata};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer as _;

use super::core::{Core, fatal};
use crate::client::Deadline;
use crate::error::{self, TransactionError};
use crate::ffi::{Handle, MemberMetadata, transaction};
use crate::group::offset_list;

impl Core {
    pub(super) fn init(&mut self, timeout: Duration) -> Result {
        let deadline = Deadline::after(timeout);
        // Before it is connected librdkafka cannot ask for the coordinator, and tries again after
        // 500 ms. Asking for a topic connects it, and asking again waits for the connection that
        // replaces the first one once the cluster is known; the topic itself does not matter.
        for _ in 0..2 {
            let wait = deadline.remaining().min(CONNECTING);
            let _ = self.client.client().fetch_metadata(Some(COORDINATORS), wait);
        }
        let outcome = transaction::init(&self.handle, deadline.remaining());
        let doing = format!("init transactions of {}", self.transactional_id);
        self.outcome(outcome, timeout, &doing)
    }

    pub(super) fn begin(&mut self) -> Result {
        // After a fatal error librdkafka may not answer at all.
        if let Some(error) = fatal(&self.client) {
            return Err(error);
        }
        let outcome = transaction::begin(&self.handle);
        self.outcome(outcome, Duration::ZERO, "begin a transaction")
    }

    pub(super) fn add_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result {
        let member = group.get::<MemberMetadata>().ok_or_else(|| {
            Error::new(ErrorKind::Config, "the group metadata is that of another kind of log")
        })?;
        let outcome =
            transaction::send_offsets(&self.handle, &offset_list(offsets)?, member, timeout);
        let doing = "add offsets to the transaction";
        let is_state = |failure: &TransactionError| failure.code == RDKafkaErrorCode::State;
        if outcome.as_ref().is_err_and(is_state)
            && fatal(&self.client).is_none()
            && let Some(error) = cause(&self.handle)
        {
            return Err(self.explained(error));
        }
        self.outcome(outcome, timeout, doing)
    }

    pub(super) fn commit(&mut self, timeout: Duration) -> Result {
        let deadline = Deadline::after(timeout);
        if !self.drain(deadline) {
            return Err(self.late(timeout, "commit the transaction"));
        }
        let outcome = transaction::commit(&self.handle, deadline.remaining());
        self.outcome(outcome, timeout, "commit the transaction")
    }

    /// First sends what is queued, although it is in vain: as long as the broker has not confirmed
    /// a partition of the transaction, an abort may overtake that request, and the broker refuses
    /// it for good (librdkafka issue 4849). What cannot be sent librdkafka purges by itself; a
    /// purge of ours would leave a hole in the sequence numbers, and the next transaction would
    /// fail. It waits for delivery reports without serving them, so it is called in short steps.
    pub(super) fn abort(&mut self, timeout: Duration) -> Result {
        let deadline = Deadline::after(timeout);
        if let Some(error) = fatal(&self.client) {
            return Err(error);
        }
        self.acks.aborting = true;
        self.drain(Deadline::after(SEND_FIRST.min(timeout / 2)));
        let outcome = loop {
            while self.serve(Duration::ZERO) {}
            let all = self.client.in_flight_count() == 0;
            let left = deadline.remaining();
            let step = if all { left } else { ABORT_STEP.min(left) };
            let outcome = transaction::abort(&self.handle, step);
            let again = outcome.as_ref().is_err_and(|failure| failure.retriable);
            if !again || deadline.is_over() {
                break outcome;
            }
            self.serve(ABORT_STEP.min(deadline.remaining()));
        };
        while self.serve(Duration::ZERO) {}
        self.acks.aborting = false;
        self.outcome(outcome, timeout, "abort the transaction")
    }

    fn outcome(
        &mut self,
        outcome: Result<(), TransactionError>,
        timeout: Duration,
        doing: &str,
    ) -> Result {
        let Err(failure) = outcome else { return Ok(()) };
        let error = error::transactional(failure, doing);
        if error.kind() == ErrorKind::Timeout && !timeout.is_zero() {
            return Err(self.late(timeout, doing).with_source(error));
        }
        Err(self.explained(error))
    }

    /// Which partition a permission is missing for, librdkafka says in its log alone.
    fn explained(&mut self, error: Error) -> Error {
        if error.kind() != ErrorKind::Authorization {
            return error;
        }
        while self.serve(Duration::ZERO) {}
        match self.client.context().trouble().last() {
            Some((_, said)) if !error.message().contains(&said) => {
                Error::new(error.kind(), format!("{}: {said}", error.message()))
            }
            _ => error,
        }
    }

    /// No answer in time; what the client complained about meanwhile may explain it.
    fn late(&mut self, timeout: Duration, doing: &str) -> Error {
        while self.serve(Duration::ZERO) {}
        error::unanswered(self.client.context().trouble(), timeout, doing)
    }
}

/// What the open transaction has failed of, if it has. Any call tells, and this one can do nothing
/// else: a transaction that is open cannot be begun. After a fatal error librdkafka may not answer.
pub(super) fn cause(producer: &Arc<dyn Handle>) -> Option<Error> {
    let failure = transaction::begin(producer).err().filter(|failure| failure.abortable)?;
    Some(error::transactional(failure, "the transaction has failed"))
}

/// Where a broker keeps transactions.
const COORDINATORS: &str = "__transaction_state";
/// How long a connection is waited for; whatever hinders it, the call behind it tells.
const CONNECTING: Duration = Duration::from_millis(500);
/// How long an abort tries to send what is queued.
const SEND_FIRST: Duration = Duration::from_secs(2);
/// How long an abort waits for reports before they are served again.
const ABORT_STEP: Duration = Duration::from_millis(5);
