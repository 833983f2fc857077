//! What the log in memory does beyond the contract that it shares with Kafka: time-outs on a clock
//! that is moved by hand, faults of the network, and what is forgotten when.

mod cleaning;
mod faults;
mod groups;
mod store;
mod transactions;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::record::{Headers, TopicPartition};
use kstreams_core::serde::Utf8;
use kstreams_core::time::{ManualClock, Timestamp};
use kstreams_topology::{InternalTopicSettings, Topology};
use parking_lot::Mutex;

use super::{Fault, Faults, MemoryLog, MemoryLogBuilder, Request, RequestKind};
use crate::transport::{
    Consumer, ConsumerOptions, Isolation, Lane, Log, MemberOptions, Membership, OutgoingRecord,
    Producer, ProducerOptions,
};

const SECOND: Duration = Duration::from_secs(1);

/// Time-out of transactions, sessions and rebalances.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A log with one topic `t` of one partition, on a clock that stands still, and nothing waits.
fn log(settings: impl FnOnce(MemoryLogBuilder) -> MemoryLogBuilder) -> (MemoryLog, ManualClock) {
    let clock = ManualClock::default();
    let builder = MemoryLog::builder().clock(clock.clone()).non_blocking();
    let log = settings(builder).build();
    log.create_topic("t", 1).expect("created");
    (log, clock)
}

fn producer(log: &MemoryLog, id: Option<&str>) -> Box<dyn Producer> {
    let options = ProducerOptions {
        client_id: "producer".to_owned(),
        transactional_id: id.map(Into::into),
        transaction_timeout: TIMEOUT,
    };
    let mut producer = log.producer(options).expect("a producer");
    if id.is_some() {
        producer.init_transactions(SECOND).expect("transactions");
    }
    producer
}

fn send(producer: &mut dyn Producer, topic: &str, value: &str) {
    let headers = Headers::default();
    let record = OutgoingRecord {
        topic: producer.topic(topic).expect("a handle"),
        partition: Some(0),
        key: Some(b"k"),
        value: Some(value.as_bytes()),
        timestamp: Timestamp::from_millis(0),
        headers: &headers,
        tag: 5,
    };
    producer.send(&record).expect("sent");
}

fn reader(log: &MemoryLog, topic: &str, isolation: Isolation) -> (Box<dyn Consumer>, Lane) {
    let options = ConsumerOptions { client_id: "reader".to_owned(), isolation };
    let mut consumer = log.consumer(options).expect("a consumer");
    let lanes = consumer.assign(&[(TopicPartition::new(topic, 0), 0)]).expect("a lane");
    (consumer, lanes[0])
}

/// The values that a new reader sees.
fn texts(log: &MemoryLog, topic: &str) -> Vec<String> {
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap_or_default()).expect("text");
    log.records(topic).into_iter().map(|record| text(record.value)).collect()
}

/// A member of group `app`, in a process of its own, of an application that reads `in`.
fn member(log: &MemoryLog, name: &str) -> Box<dyn Membership> {
    let mut topology = Topology::builder();
    topology.source("in", "in", (Utf8, Utf8));
    member_of(log, name, topology.build().expect("a topology"))
}

fn member_of(log: &MemoryLog, name: &str, topology: Topology) -> Box<dyn Membership> {
    let options = MemberOptions {
        application_id: "app".into(),
        process_id: name.to_owned(),
        client_id: name.to_owned(),
        topology: Arc::new(topology),
        member_id: None,
        internal_topics: InternalTopicSettings::default(),
        replication: None,
        application_server: None,
        group_instance_id: None,
        session_timeout: TIMEOUT,
        rebalance_timeout: TIMEOUT,
    };
    log.membership(options).expect("a member")
}

/// Faults in the order they are to happen, each at the next request of its kind.
#[derive(Debug, Default)]
struct Script(Mutex<VecDeque<(RequestKind, Fault)>>);

impl Script {
    fn then(&self, kind: RequestKind, fault: Fault) {
        self.0.lock().push_back((kind, fault));
    }
}

impl Faults for Script {
    fn decide(&self, request: &Request<'_>) -> Option<Fault> {
        let mut script = self.0.lock();
        let is_next = script.front().is_some_and(|(kind, _)| *kind == request.kind);
        if is_next { script.pop_front().map(|(_, fault)| fault) } else { None }
    }
}

/// A log whose network follows a script.
fn faulty() -> (MemoryLog, ManualClock, Arc<Script>) {
    let script = Arc::new(Script::default());
    let (log, clock) = log(|builder| builder.faults(Arc::clone(&script) as Arc<dyn Faults>));
    (log, clock, script)
}
