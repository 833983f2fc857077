//! What the cases share: clients with the usual settings, and bounded waits.

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, Result};
use kstreams_core::random::Random;
use kstreams_core::record::{Headers, Offset, TopicPartition};
use kstreams_core::serde::Utf8;
use kstreams_core::time::Timestamp;
use kstreams_runtime::transport::{
    Assignment, CommittedOffset, Consumer, ConsumerOptions, Isolation, Lane, Log, MemberOptions,
    Membership, MembershipEvent, OutgoingRecord, Producer, ProducerOptions, Sent,
};
use kstreams_topology::{InternalTopicSettings, Topology};

/// Long enough for any single call.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Long enough for a call that is expected to find no answer.
pub(crate) const SHORT: Duration = Duration::from_millis(500);

/// One step of a bounded wait.
const STEP: Duration = Duration::from_millis(50);

/// How many steps a bounded wait takes: half a minute.
pub(crate) const N_STEPS: usize = 600;

pub(crate) fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

pub(crate) fn producer(log: &Arc<dyn Log>) -> Box<dyn Producer> {
    let options = ProducerOptions {
        client_id: "contract".to_owned(),
        transactional_id: None,
        transaction_timeout: LONG,
    };
    log.producer(options).expect("a producer")
}

pub(crate) fn transactional(log: &Arc<dyn Log>, id: &str) -> Box<dyn Producer> {
    let options = ProducerOptions {
        client_id: "contract".to_owned(),
        transactional_id: Some(id.to_owned()),
        transaction_timeout: LONG,
    };
    let mut producer = log.producer(options).expect("a producer");
    producer.init_transactions(LONG).expect("transactions");
    producer
}

/// Sends a record with this key and value to a partition, and waits for room where it must.
pub(crate) fn send(
    producer: &mut dyn Producer,
    topic: &str,
    partition: impl Into<Option<i32>>,
    key: &str,
    value: &str,
) -> Result {
    let headers = Headers::default();
    let record = OutgoingRecord {
        topic: producer.topic(topic)?,
        partition: partition.into(),
        key: Some(key.as_bytes()),
        value: Some(value.as_bytes()),
        timestamp: Timestamp::from_millis(1_000),
        headers: &headers,
        tag: 0,
    };
    send_record(producer, &record)
}

/// Sends a record, and waits for room where it must.
pub(crate) fn send_record(producer: &mut dyn Producer, record: &OutgoingRecord<'_>) -> Result {
    for _ in 0..N_STEPS {
        match producer.send(record)? {
            Sent::Queued => return Ok(()),
            Sent::Full => producer.poll(STEP),
        }
    }
    panic!("the producer stays full");
}

/// Sends records with these values to partition 0 and waits until they are there.
pub(crate) fn fill(log: &Arc<dyn Log>, topic: &str, values: &[&str]) {
    let mut producer = producer(log);
    for value in values {
        send(&mut *producer, topic, 0, "k", value).expect("sent");
    }
    flush(&mut *producer);
}

/// Waits for all acknowledgements; none may be a refusal.
pub(crate) fn flush(producer: &mut dyn Producer) {
    producer.flush(LONG).expect("flushed");
    let failures = producer.failures();
    assert!(failures.is_empty(), "{failures:?}");
}

/// A record with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) offset: Offset,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) timestamp: Timestamp,
    pub(crate) headers: Headers,
}

impl Seen {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.value.as_deref().unwrap_or_default()).expect("text")
    }
}

/// A consumer of one topic's partitions, each in a lane.
pub(crate) struct Reader {
    pub(crate) consumer: Box<dyn Consumer>,
    pub(crate) lanes: Vec<Lane>,
}

impl Reader {
    /// Reads partition 0 from its begin.
    pub(crate) fn new(log: &Arc<dyn Log>, topic: &str, isolation: Isolation) -> Self {
        Self::at(log, &[(partition(topic, 0), 0)], isolation)
    }

    pub(crate) fn at(
        log: &Arc<dyn Log>,
        positions: &[(TopicPartition, Offset)],
        isolation: Isolation,
    ) -> Self {
        let options = ConsumerOptions { client_id: "contract".to_owned(), isolation };
        let mut consumer = log.consumer(options).expect("a consumer");
        let lanes = consumer.assign(positions).expect("lanes");
        Self { consumer, lanes }
    }

    /// Takes what one fetch brings.
    pub(crate) fn take(&mut self, lane: usize, max: usize) -> Result<Vec<Seen>> {
        let fetched = self.consumer.fetch(self.lanes[lane], max)?;
        let Some(batch) = fetched.records else { return Ok(Vec::new()) };
        assert!(batch.len() <= max);
        let seen = (0..batch.len()).map(|index| {
            let record = batch.get(index);
            Seen {
                offset: record.offset,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                timestamp: record.timestamp,
                headers: record.headers,
            }
        });
        Ok(seen.collect())
    }

    /// Takes exactly `n` records of a lane.
    pub(crate) fn read(&mut self, lane: usize, n: usize) -> Vec<Seen> {
        let mut seen = Vec::new();
        for _ in 0..N_STEPS {
            seen.extend(self.take(lane, n - seen.len()).expect("fetched"));
            if seen.len() == n {
                return seen;
            }
            self.wait();
        }
        panic!("{n} records were expected, these came: {seen:?}");
    }

    /// Takes everything up to the end; tells the position there too.
    pub(crate) fn read_to_end(&mut self, lane: usize) -> (Vec<Seen>, Offset) {
        let mut seen = Vec::new();
        for _ in 0..N_STEPS {
            seen.extend(self.take(lane, 1_000).expect("fetched"));
            let fetched = self.consumer.fetch(self.lanes[lane], 0).expect("fetched");
            if fetched.lag == Some(0) {
                return (seen, fetched.position);
            }
            self.wait();
        }
        panic!("the end was not reached, these came: {seen:?}");
    }

    /// The values of everything up to the end.
    pub(crate) fn texts(&mut self) -> Vec<String> {
        self.read_to_end(0).0.iter().map(|seen| seen.text().to_owned()).collect()
    }

    /// Fetches until there is an error.
    pub(crate) fn error(&mut self, lane: usize) -> Error {
        for _ in 0..N_STEPS {
            match self.take(lane, 10) {
                Err(error) if !error.is_retriable() => return error,
                _ => self.wait(),
            }
        }
        panic!("an error was expected");
    }

    pub(crate) fn wait(&mut self) {
        self.consumer.wait(STEP).expect("waited");
    }
}

/// A member of a group that does at once what the group says, and a consumer to wait with.
pub(crate) struct Client {
    pub(crate) member: Box<dyn Membership>,
    /// What it owns, once it was told.
    pub(crate) owned: Option<Assignment>,
    pub(crate) must_stop: bool,
    consumer: Box<dyn Consumer>,
}

impl Client {
    /// A member that has not joined, of an application that reads one topic.
    pub(crate) fn new(log: &Arc<dyn Log>, group: &str, name: &str, topic: &str) -> Self {
        let mut topology = Topology::builder();
        topology.source("in", topic, (Utf8, Utf8));
        let options = MemberOptions {
            application_id: group.into(),
            process_id: Random::seeded(name.bytes().map(u64::from).sum()).uuid(),
            client_id: format!("{group}-{name}"),
            topology: Arc::new(topology.build().expect("a topology")),
            member_id: None,
            internal_topics: InternalTopicSettings::default(),
            replication: None,
            application_server: None,
            group_instance_id: None,
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(60),
        };
        let waiting =
            ConsumerOptions { client_id: name.to_owned(), isolation: Isolation::ReadCommitted };
        Self {
            member: log.membership(options).expect("a member"),
            owned: None,
            must_stop: false,
            consumer: log.consumer(waiting).expect("a consumer"),
        }
    }

    /// A member that owns this many tasks.
    pub(crate) fn joined(
        log: &Arc<dyn Log>,
        group: &str,
        name: &str,
        topic: &str,
        n_tasks: usize,
    ) -> Self {
        let mut client = Self::new(log, group, name, topic);
        until(&mut [&mut client], |clients| clients[0].n_tasks() == n_tasks);
        client
    }

    pub(crate) fn n_tasks(&self) -> usize {
        self.owned.as_ref().map_or(0, |owned| owned.active.len())
    }

    /// The partitions of the one topic that it owns.
    pub(crate) fn partitions(&self) -> Vec<i32> {
        let owned = self.owned.iter().flat_map(|owned| &owned.active);
        owned.map(|task| task.partition).collect()
    }

    /// Polls once and obeys.
    pub(crate) fn poll(&mut self) -> Result {
        let owned = match self.member.poll() {
            Err(error) if error.is_retriable() => return Ok(()),
            Err(error) => return Err(error),
            Ok(None) => return Ok(()),
            Ok(Some(MembershipEvent::Assigned(assignment))) => assignment,
            Ok(Some(MembershipEvent::Suspend | MembershipEvent::Lost)) => Assignment::default(),
            Ok(Some(MembershipEvent::ShutdownRequested)) => {
                self.must_stop = true;
                return Ok(());
            }
        };
        self.owned = Some(owned.clone());
        self.member.acknowledge(&owned)
    }

    pub(crate) fn wait(&mut self) {
        self.consumer.wait(STEP).expect("waited");
    }

    /// The committed offset of a partition; the last answer that is not "ask again".
    pub(crate) fn committed(&mut self, name: &TopicPartition) -> Option<CommittedOffset> {
        for _ in 0..N_STEPS {
            match self.member.committed(std::slice::from_ref(name), LONG) {
                Err(error) if error.is_retriable() => {
                    self.poll().expect("polled");
                    // Nobody tells when it has ended.
                    std::thread::park_timeout(Duration::from_millis(10));
                }
                committed => return committed.expect("committed offsets").remove(0),
            }
        }
        panic!("the committed offset of {name} is held back")
    }
}

/// Polls all members until `test` holds.
pub(crate) fn until(clients: &mut [&mut Client], test: impl Fn(&[&mut Client]) -> bool) {
    for _ in 0..N_STEPS {
        for client in &mut *clients {
            client.poll().expect("polled");
        }
        if test(clients) {
            return;
        }
        clients[0].wait();
    }
    let owned: Vec<_> = clients.iter().map(|client| &client.owned).collect();
    panic!("the group does not get there: {owned:?}");
}

/// A position to commit.
pub(crate) fn next(offset: Offset, metadata: &str) -> CommittedOffset {
    CommittedOffset { offset, leader_epoch: None, metadata: metadata.to_owned() }
}
