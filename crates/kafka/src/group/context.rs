//! What librdkafka tells a member of a classic group, kept until the engine is ready for it.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use crate::client::{Trouble, log};
use crate::ffi;

/// A step of a rebalance; the group waits until it is answered.
#[derive(Debug)]
pub(super) enum Step {
    /// These partitions are ours.
    Assign(HashSet<(String, i32)>),
    /// All partitions are to be given up; with `lost` others may have them already.
    Revoke { lost: bool },
}

/// The context of a member's client.
#[derive(Debug, Default)]
pub(super) struct GroupContext {
    steps: Mutex<VecDeque<Step>>,
    /// Nobody answers any more: steps are answered here.
    closing: AtomicBool,
    trouble: Trouble,
}

impl GroupContext {
    /// The next step to answer.
    pub(super) fn next(&self) -> Option<Step> {
        self.steps.lock().pop_front()
    }

    /// From now on, give everything up as soon as it is asked for.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// What the client complained about last.
    pub(super) fn trouble(&self) -> &Trouble {
        &self.trouble
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level as i32, &format!("{facility} {line}"));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        self.trouble.note(code, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ConsumerContext for GroupContext {
    /// Only notes what is asked. librdkafka keeps the member alive and the group waiting until
    /// `assign` or `unassign` is called.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        asked: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::Relaxed) {
            if let Err(error) = consumer.unassign() {
                ::log::warn!("group: give partitions up: {error}");
            }
            return;
        }
        let step = match asked {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Step::Assign(
                ffi::list_entries(partitions)
                    .into_iter()
                    .map(|entry| (entry.topic, entry.partition))
                    .collect(),
            ),
            _ => Step::Revoke { lost: consumer.assignment_lost() },
        };
        self.steps.lock().push_back(step);
    }
}
