//! What only Kafka has: settings, a broker that is away, prefetching, many transactions.

use std::sync::Arc;
use std::time::Duration;

use kstreams_broker::Broker;
use kstreams_core::error::{ErrorKind, Result};
use kstreams_core::record::{Headers, TopicPartition};
use kstreams_core::time::{Clock, SystemClock, Timestamp};
use kstreams_kafka::KafkaLog;
use kstreams_runtime::transport::{
    Batch, Consumer, ConsumerOptions, Fetched, Isolation, Lane, Log, OffsetSpec, OutgoingRecord,
    Producer, ProducerOptions, Sent,
};

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::contract::Fixture as _;
use super::{Kafka, LONG};

pub(super) fn consumer(log: &dyn Log, isolation: Isolation) -> Box<dyn Consumer> {
    let options = ConsumerOptions { client_id: "kafka-test".to_owned(), isolation };
    log.consumer(options).expect("a consumer")
}

pub(super) fn producer(log: &dyn Log, transactional_id: Option<String>) -> Box<dyn Producer> {
    let options = ProducerOptions {
        client_id: "kafka-test".to_owned(),
        transactional_id,
        transaction_timeout: LONG,
    };
    log.producer(options).expect("a producer")
}

/// Sends a value, waiting for room; tells how often there was none.
pub(super) fn send(
    producer: &mut dyn Producer,
    topic: &str,
    partition: i32,
    value: &[u8],
) -> Result<usize> {
    let record = OutgoingRecord {
        topic: producer.topic(topic)?,
        partition: Some(partition),
        key: None,
        value: Some(value),
        timestamp: Timestamp::from_millis(1),
        headers: &Headers::default(),
        tag: 7,
    };
    let mut n_full = 0;
    while producer.send(&record)? == Sent::Full {
        n_full += 1;
        producer.poll(Duration::from_millis(10));
    }
    Ok(n_full)
}

pub(super) fn flush(producer: &mut dyn Producer) {
    producer.flush(LONG).expect("flushed");
    assert!(producer.failures().is_empty());
}

/// Waits until `done` says so, for a bounded time.
pub(super) fn until(consumer: &mut dyn Consumer, mut done: impl FnMut(&mut dyn Consumer) -> bool) {
    let clock = SystemClock::new();
    while !done(consumer) {
        assert!(clock.monotonic() < Duration::from_secs(60), "it takes too long");
        consumer.wait(Duration::from_millis(50)).expect("waited");
    }
}

/// Checks that a call ends within its bound, more or less.
fn bounded<T>(bound: Duration, call: impl FnOnce() -> T) -> T {
    let clock = SystemClock::new();
    let result = call();
    assert!(clock.monotonic() < bound + Duration::from_secs(2), "{:?}", clock.monotonic());
    result
}

#[test]
fn secrets_are_not_shown() {
    let builder = KafkaLog::builder("b:1").set("sasl.password", "hunter2");
    assert!(!format!("{builder:?}").contains("hunter2"));
    let log = builder.build().expect("built");
    let shown = format!("{log:?}");
    assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    let error = KafkaLog::builder("b:1").set("sasl.mechanisms.password", "hunter2").build();
    let error = error.expect_err("no such property");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[cfg(feature = "ssl")]
#[test]
fn tls_and_sasl_are_taken() {
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let log = KafkaLog::builder("127.0.0.1:1")
            .set("security.protocol", "SASL_SSL")
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", "someone")
            .set("sasl.password", "hunter2")
            .set("ssl.endpoint.identification.algorithm", "https")
            .build()
            .expect(mechanism);
        consumer(&log, Isolation::ReadCommitted);
        producer(&log, None);
        log.admin().expect(mechanism);
    }
    let log = KafkaLog::builder("127.0.0.1:1")
        .set("security.protocol", "SSL")
        .set("ssl.ca.location", "/nowhere/ca.pem")
        .build()
        .expect("names and values are fine");
    let error = log.admin().map(drop).expect_err("no such file");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("ssl.ca.location"), "{error}");
}

#[test]
fn a_broker_that_is_away_is_told_in_time() {
    let log = KafkaLog::new("127.0.0.1:1");
    let bound = Duration::from_secs(2);
    let admin = log.admin().expect("an admin client");
    let error = bounded(bound, || admin.topics(bound)).expect_err("nobody there");
    assert!(error.is_retriable(), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    let asked = [(TopicPartition::new("t", 0), OffsetSpec::Earliest)];
    let error = bounded(bound, || admin.offsets(&asked, bound)).expect_err("nobody there");
    assert!(error.is_retriable(), "{error:?}");
    let mut transactional = producer(&log, Some("away".to_owned()));
    let error = bounded(bound, || transactional.init_transactions(bound)).expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    let mut plain = producer(&log, None);
    send(&mut *plain, "t", 0, b"v").expect("queued");
    let error = bounded(bound, || plain.flush(bound)).expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    bounded(bound, || drop((transactional, plain)));
}

#[test]
fn a_broker_that_hangs_is_bounded_and_comes_back() {
    let broker = Broker::start().expect("a broker");
    let log = Arc::new(KafkaLog::new(broker.bootstrap()));
    let kafka = Kafka(Arc::clone(&log));
    let topic = kafka.unique("hang");
    kafka.create_topic(&topic, 1);
    let mut producer = producer(&*log, Some(kafka.unique("hang-id")));
    producer.init_transactions(LONG).expect("ready");
    producer.begin_transaction().expect("begun");
    send(&mut *producer, &topic, 0, b"a").expect("sent");
    flush(&mut *producer);
    broker.pause().expect("paused");
    let bound = Duration::from_secs(1);
    send(&mut *producer, &topic, 0, b"b").expect("queued");
    let error = bounded(bound, || producer.commit_transaction(bound)).expect_err("it hangs");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let admin = log.admin().expect("an admin client");
    let error = bounded(bound, || admin.topics(bound)).expect_err("it hangs");
    assert!(error.is_retriable());
    broker.resume();
    producer.commit_transaction(LONG).expect("committed");
}

/// A producer whose transaction may take one second, and has written a record.
fn short_transaction(kafka: &Kafka, topic: &str, value: &[u8]) -> Box<dyn Producer> {
    let options = ProducerOptions {
        client_id: "kafka-test".to_owned(),
        transactional_id: Some(kafka.unique("short")),
        transaction_timeout: Duration::from_secs(1),
    };
    let mut producer = kafka.log().producer(options).expect("a producer");
    producer.init_transactions(LONG).expect("ready");
    producer.begin_transaction().expect("begun");
    send(&mut *producer, topic, 0, value).expect("sent");
    flush(&mut *producer);
    producer
}

/// A record that was not written in time fails its transaction, and whoever sends the next one is told
/// of that: it can be done again.
#[test]
fn a_transaction_that_has_failed_takes_no_more_and_says_why() {
    let broker = Broker::start().expect("a broker");
    let kafka = Kafka(Arc::new(KafkaLog::new(broker.bootstrap())));
    let topic = kafka.unique("failed");
    kafka.create_topic(&topic, 1);
    let mut producer = short_transaction(&kafka, &topic, b"in time");
    broker.pause().expect("paused");
    let clock = SystemClock::new();
    let error = loop {
        if let Err(error) = send(&mut *producer, &topic, 0, b"too late") {
            break error;
        }
        assert!(clock.monotonic() < LONG, "it does not fail");
        producer.poll(Duration::from_millis(50));
    };
    assert!(error.is_retriable(), "{error}");
    broker.resume();
}

/// A client that begins a transaction and is never heard of again holds readers up no longer than
/// the transaction may take.
#[test]
fn a_transaction_left_open_ends_with_its_time() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("hanging"));
    kafka.create_topic(&topic, 1);
    let mut hanging = short_transaction(&kafka, &topic, b"inside");
    let mut outside = producer(&*log, None);
    send(&mut *outside, &topic, 0, b"outside").expect("sent");
    flush(&mut *outside);

    let mut consumer = consumer(&*log, Isolation::ReadCommitted);
    let lanes = consumer.assign(&[(TopicPartition::new(&*topic, 0), 0)]).expect("a lane");
    until(&mut *consumer, |consumer| {
        let fetched = consumer.fetch(lanes[0], 10).expect("fetched");
        let values = |batch: &dyn Batch| {
            (0..batch.len()).map(|at| batch.get(at).value.map(<[u8]>::to_vec)).collect::<Vec<_>>()
        };
        let seen = fetched.records.as_deref().map(values);
        seen.is_some_and(|seen| seen == [Some(b"outside".to_vec())])
    });
    // What it sends afterwards belongs to nothing.
    let late =
        send(&mut *hanging, &topic, 0, b"late").and_then(|_| hanging.commit_transaction(LONG));
    assert_eq!(late.expect_err("its time is over").kind(), ErrorKind::Fenced);
}

/// The epochs of leaders that a client knew are fenced then, and librdkafka's admin client does not
/// ask for new ones by itself. A killed broker leads again once its old session is over, on a busy
/// machine after half a minute.
#[test]
fn offsets_are_told_again_after_a_broker_was_killed() {
    let broker = Broker::start().expect("a broker");
    let log = Arc::new(KafkaLog::new(broker.bootstrap()));
    let kafka = Kafka(Arc::clone(&log));
    let topic = kafka.unique("epochs");
    kafka.create_topic(&topic, 2);
    let admin = log.admin().expect("an admin client");
    let asked = [0, 1].map(|partition| {
        let latest = OffsetSpec::Latest(Isolation::ReadUncommitted);
        (TopicPartition::new(&*topic, partition), latest)
    });
    // A leader that was just chosen may not know it yet, at the first time either.
    let told = || {
        let clock = SystemClock::new();
        loop {
            match admin.offsets(&asked, LONG) {
                Err(error) if error.is_retriable() && clock.monotonic() < 4 * LONG => {}
                told => break told,
            }
        }
    };
    assert_eq!(told().expect("told"), [0, 0]);
    broker.kill().expect("killed");
    broker.restart().expect("restarted");
    assert_eq!(told().expect("told again"), [0, 0]);
}

#[test]
fn a_topic_that_is_deleted_is_named() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("deleted"));
    kafka.create_topic(&topic, 1);
    let mut consumer = consumer(&*log, Isolation::ReadCommitted);
    let lanes = consumer.assign(&[(TopicPartition::new(&*topic, 0), 0)]).expect("a lane");
    until(&mut *consumer, |consumer| consumer.fetch(lanes[0], 10).expect("fetched").lag.is_some());
    let admin = log.admin().expect("an admin client");
    admin.delete_topics(std::slice::from_ref(&topic), LONG).expect("deleted");
    until(&mut *consumer, |consumer| match consumer.fetch(lanes[0], 10) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Topic, "{error:?}");
            assert_eq!(error.partition(), Some((&*topic, 0)));
            true
        }
    });
}

#[test]
fn a_full_producer_takes_more_after_a_poll() {
    let kafka = Kafka::new();
    let topic = kafka.unique("full");
    kafka.create_topic(&topic, 1);
    let bootstrap = kstreams_broker::shared().expect("a broker").bootstrap();
    let log = KafkaLog::builder(bootstrap)
        .set("producer.queue.buffering.max.messages", "100")
        .build()
        .expect("built");
    let mut producer = producer(&log, None);
    let n_full: usize =
        (0..1_000).map(|_| send(&mut *producer, &topic, 0, b"v").expect("sent")).sum();
    assert!(n_full > 0);
    flush(&mut *producer);
    assert!(producer.draw_line());
    assert_eq!(producer.last_offset(&TopicPartition::new(&*topic, 0)), Some(999));
}

#[test]
fn a_failed_record_comes_back_whole() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("nowhere"));
    let mut producer = producer(&*log, None);
    let mut headers = Headers::default();
    headers.push("h", Some(b"x"));
    headers.push("h", None);
    let record = OutgoingRecord {
        topic: producer.topic(&topic).expect("a handle"),
        partition: None,
        key: Some(b""),
        value: Some(b"v"),
        timestamp: Timestamp::from_millis(42),
        headers: &headers,
        tag: u64::MAX >> 1,
    };
    assert_eq!(producer.send(&record).expect("queued"), Sent::Queued);
    producer.flush(LONG).expect("flushed");
    let failures = producer.failures();
    let [failed] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!((failed.tag, &*failed.topic, failed.partition), (u64::MAX >> 1, &*topic, None));
    assert_eq!((failed.key.as_deref(), failed.value.as_deref()), (Some(&b""[..]), Some(&b"v"[..])));
    assert_eq!((failed.timestamp.as_millis(), &failed.headers), (42, &headers));
    assert_eq!(failed.error.kind(), ErrorKind::Topic);
}

/// Checks that offsets follow each other without a gap.
pub(super) fn take(fetched: &Fetched, next: &mut i64) {
    let Some(records) = &fetched.records else { return };
    for index in 0..records.len() {
        assert_eq!(records.get(index).offset, *next, "lost or doubled");
        *next += 1;
    }
}

#[test]
fn nothing_prefetched_is_lost_when_neighbours_come_and_go() {
    const N: i64 = 200_000;
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("neighbours"));
    kafka.create_topic(&topic, 3);
    let mut producer = producer(&*log, None);
    for _ in 0..N {
        for partition in [0, 1] {
            send(&mut *producer, &topic, partition, &[b'x'; 60]).expect("sent");
        }
    }
    send(&mut *producer, &topic, 2, b"x").expect("sent");
    flush(&mut *producer);
    let mut consumer = consumer(&*log, Isolation::ReadCommitted);
    let at = |partition, offset| [(TopicPartition::new(&*topic, partition), offset)];
    let stays = consumer.assign(&at(0, 0)).expect("a lane")[0];
    let (mut next, mut neighbour_next) = (0, 0);
    let mut neighbour: Option<Lane> = None;
    let mut n_changes = 0;
    until(&mut *consumer, |consumer| {
        take(&consumer.fetch(stays, 500).expect("fetched"), &mut next);
        match neighbour.take() {
            Some(lane) => {
                take(&consumer.fetch(lane, 500).expect("fetched"), &mut neighbour_next);
                consumer.unassign(&[lane]).expect("unassigned");
            }
            None => {
                let lanes = consumer.assign(&at(1, neighbour_next)).expect("a lane");
                neighbour = Some(lanes[0]);
                let other = consumer.assign(&at(2, 0)).expect("a lane");
                consumer.unassign(&other).expect("unassigned");
            }
        }
        n_changes += 1;
        next == N
    });
    // The neighbour, read on where it was left, lost nothing either.
    let lane = match neighbour {
        Some(lane) => lane,
        None => consumer.assign(&at(1, neighbour_next)).expect("a lane")[0],
    };
    until(&mut *consumer, |consumer| {
        take(&consumer.fetch(lane, 500).expect("fetched"), &mut neighbour_next);
        neighbour_next == N
    });
    assert!(n_changes > 50, "{n_changes} changes are too few to prove anything");
}

#[test]
fn a_reader_of_committed_records_never_sees_an_aborted_one() {
    const N_TRANSACTIONS: usize = 60;
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("aborted"));
    kafka.create_topic(&topic, 1);
    let id = kafka.unique("aborted-id");
    let writer = {
        let (log, topic) = (Arc::clone(&log), topic.clone());
        std::thread::spawn(move || {
            let mut producers = [0, 1].map(|index| producer(&*log, Some(format!("{id}-{index}"))));
            for producer in &mut producers {
                producer.init_transactions(LONG).expect("ready");
            }
            // Two transactions are open at a time; one of three is aborted, flushed or not.
            for round in 0..N_TRANSACTIONS {
                for producer in &mut producers {
                    producer.begin_transaction().expect("begun");
                }
                let is_abort = |index: usize| (round + index).is_multiple_of(3);
                for _ in 0..100 {
                    for (index, producer) in producers.iter_mut().enumerate() {
                        let value: &[u8] = if is_abort(index) { b"aborted" } else { b"committed" };
                        send(&mut **producer, &topic, 0, value).expect("sent");
                    }
                }
                for (index, producer) in producers.iter_mut().enumerate() {
                    match is_abort(index) {
                        false => producer.commit_transaction(LONG).expect("committed"),
                        true => {
                            if round.is_multiple_of(2) {
                                flush(&mut **producer);
                            }
                            producer.abort_transaction(LONG).expect("aborted");
                        }
                    }
                }
            }
        })
    };
    let mut consumer = consumer(&*log, Isolation::ReadCommitted);
    let lanes = consumer.assign(&[(TopicPartition::new(&*topic, 0), 0)]).expect("a lane");
    let expected = (0..N_TRANSACTIONS)
        .flat_map(|round| [round, round + 1])
        .filter(|number| !number.is_multiple_of(3))
        .count()
        * 100;
    let mut n_seen = 0;
    until(&mut *consumer, |consumer| {
        let fetched = consumer.fetch(lanes[0], 100).expect("fetched");
        if let Some(records) = &fetched.records {
            for index in 0..records.len() {
                assert_eq!(records.get(index).value, Some(&b"committed"[..]));
            }
            n_seen += records.len();
        }
        n_seen == expected
    });
    writer.join().expect("written");
    until(&mut *consumer, |consumer| {
        let fetched = consumer.fetch(lanes[0], 100).expect("fetched");
        assert!(fetched.records.is_none());
        fetched.lag == Some(0)
    });
}

/// librdkafka takes the answer to a later batch for one that a partition without a leader has refused
/// (confluent-kafka-go issue 921). Its own broker for tests takes such batches as a real one does on a
/// partition that was just made.
#[test]
fn a_record_that_a_new_partition_refused_is_not_taken_for_written() {
    let cluster = MockCluster::new(1).expect("a cluster");
    cluster.create_topic("new", 1, 1).expect("created");
    // So long that the second batch leaves before the first one is answered.
    cluster.broker_round_trip_time(1, Duration::from_millis(200)).expect("set");
    let no_leader = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    let log = KafkaLog::new(cluster.bootstrap_servers());
    let mut producer = producer(&log, None);
    send(&mut *producer, "new", 0, b"before").expect("sent");
    producer.flush(LONG).expect("flushed");
    cluster.request_errors(RDKafkaApiKey::Produce, &[no_leader]);
    for value in [b"refused", b"written"] {
        send(&mut *producer, "new", 0, value).expect("sent");
        producer.poll(Duration::from_millis(100));
    }
    producer.flush(LONG).expect("flushed");
    let failures = producer.failures();
    let [failed] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!(
        (failed.value.as_deref(), failed.error.kind()),
        (Some(&b"refused"[..]), ErrorKind::Timeout)
    );
    assert!(producer.draw_line());
    assert_eq!(producer.last_offset(&TopicPartition::new("new", 0)), Some(1), "two are written");
}
