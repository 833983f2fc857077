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
    /// Which side of the line records are on that are sent now; those above it are on the other.
    side: Side,
    /// By side: how many were sent that have no report yet.
    n_open: [u64; 2],
    failures: Vec<FailedDelivery>,
    /// While a transaction is aborted, refused records are no failures.
    pub(super) aborting: bool,
}

struct TopicAcks {
    identity: usize,
    name: String,
    /// By partition and side; negative if none.
    offsets: Vec<[Offset; 2]>,
}

/// One of the two sides of a line; they change with each line.
type Side = usize;

/// No offset.
const NONE: Offset = -1;

impl Acks {
    /// Counts for the next topic number.
    pub(super) fn add(&mut self, identity: usize, name: &str) {
        self.topics.push(TopicAcks { identity, name: name.to_owned(), offsets: Vec::new() });
    }

    /// A record with this tag is sent: the tag that it goes by.
    pub(super) fn sent_as(&self, tag: u64) -> u64 {
        tag << 1 | self.side as u64
    }

    /// It was sent.
    pub(super) fn sent(&mut self) {
        self.n_open[self.side] += 1;
    }

    /// As [`Producer::draw_line`](kstreams_runtime::transport::Producer::draw_line).
    pub(super) fn draw_line(&mut self) -> bool {
        if !self.has_reached_line() {
            return false;
        }
        let above = self.side;
        self.side = 1 - above;
        for offsets in self.topics.iter_mut().flat_map(|topic| &mut topic.offsets) {
            let older = std::mem::replace(&mut offsets[self.side], NONE);
            offsets[above] = offsets[above].max(older);
        }
        true
    }

    pub(super) fn has_reached_line(&self) -> bool {
        self.n_open[1 - self.side] == 0
    }

    /// Takes one report; `why` tells what broke the producer or its transaction, if one is broken.
    pub(super) fn take(&mut self, report: &Delivery<'_>, why: &dyn Fn() -> Option<Error>) {
        if self.topics.get(self.last).is_none_or(|topic| topic.identity != report.topic()) {
            let known = self.topics.iter().position(|topic| topic.identity == report.topic());
            debug_assert!(known.is_some(), "a record was sent to a topic without a number");
            self.last = known.unwrap_or(usize::MAX);
        }
        let side = (report.tag() & 1) as Side;
        self.n_open[side] = self.n_open[side].saturating_sub(1);
        match report.error() {
            None if report.offset() >= 0 => {
                self.acknowledged(report.partition(), report.offset(), side);
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

    /// The largest offset acknowledged above the line.
    pub(super) fn last_offset(&self, topic: usize, partition: i32) -> Option<Offset> {
        let offsets = self.topics.get(topic)?.offsets.get(usize::try_from(partition).ok()?)?;
        Some(offsets[1 - self.side]).filter(|offset| *offset >= 0)
    }

    fn acknowledged(&mut self, partition: i32, offset: Offset, side: Side) {
        let (Some(topic), Ok(index)) = (self.topics.get_mut(self.last), usize::try_from(partition))
        else {
            return;
        };
        if topic.offsets.len() <= index {
            topic.offsets.resize(index + 1, [NONE; 2]);
        }
        let last = &mut topic.offsets[index][side];
        *last = offset.max(*last);
    }

    #[cold]
    fn failed(&mut self, report: &Delivery<'_>, error: Error) {
        let topic = self.topics.get(self.last).map_or("", |topic| topic.name.as_str());
        self.failures.push(FailedDelivery {
            tag: report.tag() >> 1,
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
