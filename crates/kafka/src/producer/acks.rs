//! What delivery reports tell: the last offset of each partition, and the records refused.

use kstreams_core::error::{Error, ErrorKind};
use kstreams_core::record::Offset;
use kstreams_runtime::transport::FailedDelivery;
use rdkafka::error::RDKafkaErrorCode;

use crate::error;
use crate::ffi::Delivery;

/// The reports of one producer.
#[derive(Default)]
pub(super) struct Acks {
    /// In the order of the producer's topic numbers.
    topics: Vec<TopicAcks>,
    /// The topic of the last report: reports come in runs of one partition.
    last: usize,
    failures: Vec<FailedDelivery>,
    /// While a transaction is aborted, refused records are no failures.
    pub(super) aborting: bool,
}

struct TopicAcks {
    identity: usize,
    name: String,
    /// By partition; negative if none.
    offsets: Vec<Offset>,
}

impl Acks {
    /// Counts for the next topic number.
    pub(super) fn add(&mut self, identity: usize, name: &str) {
        self.topics.push(TopicAcks { identity, name: name.to_owned(), offsets: Vec::new() });
    }

    /// Takes one report; `why` tells what broke the producer or its transaction, if one is broken.
    pub(super) fn take(&mut self, report: &Delivery<'_>, why: &dyn Fn() -> Option<Error>) {
        if self.topics.get(self.last).is_none_or(|topic| topic.identity != report.topic()) {
            let known = self.topics.iter().position(|topic| topic.identity == report.topic());
            debug_assert!(known.is_some(), "a record was sent to a topic without a number");
            self.last = known.unwrap_or(usize::MAX);
        }
        match report.error() {
            None if report.offset() >= 0 => {
                self.acknowledged(report.partition(), report.offset());
            }
            _ if self.aborting => {}
            None => self.failed(report, unknown()),
            Some(code) => {
                let error = refusal(code, why);
                self.failed(report, error);
            }
        }
    }

    /// True if a record was refused since the last call of [`failures`](Self::failures).
    pub(super) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Takes the refused records.
    pub(super) fn failures(&mut self) -> Vec<FailedDelivery> {
        std::mem::take(&mut self.failures)
    }

    /// The largest offset acknowledged.
    pub(super) fn last_offset(&self, topic: usize, partition: i32) -> Option<Offset> {
        let offsets = &self.topics.get(topic)?.offsets;
        offsets.get(usize::try_from(partition).ok()?).copied().filter(|offset| *offset >= 0)
    }

    fn acknowledged(&mut self, partition: i32, offset: Offset) {
        let (Some(topic), Ok(index)) = (self.topics.get_mut(self.last), usize::try_from(partition))
        else {
            return;
        };
        if topic.offsets.len() <= index {
            topic.offsets.resize(index + 1, -1);
        }
        topic.offsets[index] = topic.offsets[index].max(offset);
    }

    #[cold]
    fn failed(&mut self, report: &Delivery<'_>, error: Error) {
        let topic = self.topics.get(self.last).map_or("", |topic| topic.name.as_str());
        self.failures.push(FailedDelivery {
            tag: report.tag(),
            topic: topic.to_owned(),
            partition: Some(report.partition()).filter(|partition| *partition >= 0),
            key: report.key().map(<[u8]>::to_vec),
            value: report.value().map(<[u8]>::to_vec),
            timestamp: report.timestamp(),
            headers: report.headers(),
            error: error.at_partition(topic, report.partition()),
        });
    }
}

/// Why a record was refused; `why` tells what broke the producer or its transaction.
#[cold]
fn refusal(code: RDKafkaErrorCode, why: &dyn Fn() -> Option<Error>) -> Error {
    let is_purged = matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight);
    match error::kind(code) {
        // It went with a transaction that has failed: of what is told by the transaction.
        _ if is_purged => why().unwrap_or_else(|| error::coded(code, "deliver")),
        ErrorKind::Fatal | ErrorKind::Fenced => {
            why().unwrap_or_else(|| Error::new(ErrorKind::Production, format!("deliver: {code}")))
        }
        ErrorKind::Unavailable => Error::new(ErrorKind::Timeout, format!("deliver: {code}")),
        _ => error::coded(code, "deliver"),
    }
}

/// librdkafka sends batches behind each other without waiting, and concludes from the answer to a
/// later one that those before it were written. On a partition that is being made it is wrong: a
/// broker that has refused the first batch, since it was no leader yet, takes the next one for the
/// first (confluent-kafka-go issue 921). Such a record has no offset, so it counts as not written.
#[cold]
fn unknown() -> Error {
    let text = "deliver: acknowledged without an offset, so it may not have been written";
    Error::new(ErrorKind::Timeout, text)
}
