//! Records that the log did not take: what a handler says of them, and what has to be done again.

use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::handler::{FailedOutput, ProductionVerdict, dead_letter_headers};
use kstreams_core::sink::OutRecord;
use kstreams_core::task::TaskId;

use super::{Outlet, untag};
use crate::config::Guarantee;
use crate::transport::FailedDelivery;

/// How long one wait for what is still on its way takes.
const LOST_WAIT: Duration = Duration::from_millis(100);

impl Outlet {
    /// A record was refused on the spot.
    #[cold]
    pub(super) fn refused(
        &mut self,
        error: &Error,
        topic: &str,
        record: &OutRecord<'_>,
        task: TaskId,
    ) -> Result {
        if !matches!(error.kind(), ErrorKind::Production | ErrorKind::Topic) {
            return Err(clone_error(error).at_task(task));
        }
        let verdict = self.handlers.ask_production(&FailedOutput {
            error,
            task,
            topic,
            key: record.key,
            value: record.value,
            timestamp: record.timestamp,
            headers: record.headers,
        });
        self.carry_out(verdict, error, topic, record, task)
    }

    fn carry_out(
        &mut self,
        verdict: ProductionVerdict,
        error: &Error,
        topic: &str,
        record: &OutRecord<'_>,
        task: TaskId,
    ) -> Result {
        match verdict {
            ProductionVerdict::Fail => {
                let text = format!("record for topic {topic} refused: {}", error.message());
                Err(Error::new(error.kind(), text).at_task(task))
            }
            ProductionVerdict::Continue => {
                self.n_dropped += 1;
                log::warn!("task {task}: record for topic {topic} given up: {error}");
                Ok(())
            }
            ProductionVerdict::Retry => {
                let handle = self.producer.topic(topic)?;
                self.send(handle, record, task)
            }
            ProductionVerdict::DeadLetter(dead_letters) => {
                let headers = dead_letter_headers(record.headers.clone(), error, None);
                let handle = self.producer.topic(&dead_letters)?;
                let dead = OutRecord { partition: None, headers: &headers, ..record.clone() };
                self.send(handle, &dead, task)
            }
        }
    }

    pub(super) fn check_failures(&mut self) -> Result {
        for failed in self.producer.failures() {
            self.failed_later(&failed)?;
        }
        Ok(())
    }

    #[cold]
    pub(super) fn failed_later(&mut self, failed: &FailedDelivery) -> Result {
        let task = untag(failed.tag);
        if self.guarantee == Guarantee::ExactlyOnce {
            // The transaction cannot be committed any more, whatever a handler says.
            let text = format!("record for topic {} refused: {}", failed.topic, failed.error);
            return Err(Error::new(failed.error.kind(), text).at_task(task));
        }
        let record = OutRecord {
            topic: kstreams_core::sink::OutTopic(0),
            partition: failed.partition,
            key: failed.key.as_deref(),
            value: failed.value.as_deref(),
            timestamp: failed.timestamp,
            headers: &failed.headers,
        };
        let verdict = self.handlers.ask_production(&FailedOutput {
            error: &failed.error,
            task,
            topic: &failed.topic,
            key: record.key,
            value: record.value,
            timestamp: record.timestamp,
            headers: record.headers,
        });
        self.has_resent |=
            matches!(verdict, ProductionVerdict::Retry | ProductionVerdict::DeadLetter(_));
        let outcome = self.carry_out(verdict, &failed.error, &failed.topic, &record, task);
        self.has_lost |= outcome.is_err();
        outcome
    }

    /// True if a record was not written: what led to it has to be done again.
    pub(crate) fn has_lost(&self) -> bool {
        self.has_lost
    }

    /// # Errors
    /// If a record was not written: nothing may be committed before it was done again.
    pub(crate) fn refuse_lost(&self) -> Result {
        if self.has_lost {
            return Err(Error::new(ErrorKind::Timeout, "a record was not written"));
        }
        Ok(())
    }

    /// Waits until nothing is on its way any more, whatever becomes of it: in a changelog it would
    /// come behind what its store is restored from.
    ///
    /// # Errors
    /// `Timeout`; ask again.
    pub(crate) fn settle_lost(&mut self) -> Result {
        self.producer.flush(LOST_WAIT)?;
        drop(self.producer.failures());
        self.has_lost = false;
        Ok(())
    }
}

fn clone_error(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.message());
    match error.partition() {
        Some((topic, partition)) => copy.at_partition(topic, partition),
        None => copy,
    }
}
