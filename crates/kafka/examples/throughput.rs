//! How fast are the bare log traits on Kafka, and what do they cost? Starts its own broker.
//!
//! `cargo run --release -p kstreams-kafka --example throughput -- [records]`

use std::fs;
use std::time::Duration;

use kstreams_broker::Broker;
use kstreams_core::error::Result;
use kstreams_core::record::{Headers, TopicPartition};
use kstreams_core::time::{Clock, SystemClock, Timestamp};
use kstreams_kafka::KafkaLog;
use kstreams_runtime::transport::{
    Consumer, ConsumerOptions, Isolation, Lane, Log, NewTopic, OutgoingRecord, Producer,
    ProducerOptions, Sent,
};

const N_PARTITIONS: i32 = 4;
const MAX: usize = 1_000;
const LONG: Duration = Duration::from_secs(60);

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let n: u64 = std::env::args().nth(1).map_or(Ok(2_000_000), |n| n.parse())?;
    let broker = Broker::builder().jvm_option("-XX:TieredStopAtLevel=4").start()?;
    let log = KafkaLog::new(broker.bootstrap());
    let topics = ["input", "alos", "eos"].map(|name| NewTopic {
        name: name.to_owned(),
        n_partitions: N_PARTITIONS,
        replication: None,
        // The records are old.
        configs: vec![("retention.ms".to_owned(), "-1".to_owned())],
    });
    log.admin()?.create_topics(&topics, LONG)?;
    for round in 0..3 {
        if round == 0 {
            measure("produce", n, || produce(&log, n))?;
        }
        measure("consume", n, || copy(&log, n, None))?;
        let mut alos = producer(&log, None)?;
        measure("consume+produce, at least once", n, || copy(&log, n, Some((&mut *alos, "alos"))))?;
        let mut eos = producer(&log, Some(format!("eos-{round}")))?;
        eos.init_transactions(LONG)?;
        measure("consume+produce, 100 ms transactions", n, || {
            copy(&log, n, Some((&mut *eos, "eos")))
        })?;
    }
    Ok(())
}

fn produce(log: &KafkaLog, n: u64) -> Result {
    let mut producer = producer(log, None)?;
    let value = [b'v'; 92];
    for number in 0..n {
        let partition = (number % 4) as i32;
        send(&mut *producer, "input", partition, Some(&number.to_be_bytes()), Some(&value))?;
    }
    producer.flush(LONG)
}

/// Reads everything, and writes it to another topic.
fn copy(log: &KafkaLog, n: u64, mut to: Option<(&mut dyn Producer, &str)>) -> Result {
    let options =
        ConsumerOptions { client_id: "bench".to_owned(), isolation: Isolation::ReadCommitted };
    let mut consumer = log.consumer(options)?;
    let positions: Vec<_> =
        (0..N_PARTITIONS).map(|index| (TopicPartition::new("input", index), 0)).collect();
    let lanes = consumer.assign(&positions)?;
    let is_transactional = matches!(to, Some((_, "eos")));
    if let (Some((producer, _)), true) = (&mut to, is_transactional) {
        producer.begin_transaction()?;
    }
    let clock = SystemClock::new();
    let mut last_commit = Duration::ZERO;
    let mut n_seen = 0;
    while n_seen < n {
        let mut n_new = 0;
        for (lane, partition) in lanes.iter().zip(0..) {
            n_new += step(&mut *consumer, *lane, partition, &mut to)?;
        }
        n_seen += n_new;
        if let Some((producer, _)) = &mut to {
            producer.poll(Duration::ZERO);
            if clock.monotonic() - last_commit >= Duration::from_millis(100) {
                if is_transactional {
                    producer.commit_transaction(LONG)?;
                    producer.begin_transaction()?;
                } else {
                    producer.flush(LONG)?;
                }
                last_commit = clock.monotonic();
            }
        }
        if n_new == 0 {
            consumer.wait(Duration::from_millis(100))?;
        }
    }
    match to {
        Some((producer, _)) if is_transactional => producer.commit_transaction(LONG),
        Some((producer, _)) => producer.flush(LONG),
        None => Ok(()),
    }
}

fn step(
    consumer: &mut dyn Consumer,
    lane: Lane,
    partition: i32,
    to: &mut Option<(&mut dyn Producer, &str)>,
) -> Result<u64> {
    let Some(records) = consumer.fetch(lane, MAX)?.records else { return Ok(0) };
    let mut n_bytes = 0;
    for index in 0..records.len() {
        let record = records.get(index);
        n_bytes += record.value.map_or(0, <[u8]>::len);
        if let Some((producer, topic)) = to {
            send(&mut **producer, topic, partition, record.key, record.value)?;
        }
    }
    std::hint::black_box(n_bytes);
    Ok(records.len() as u64)
}

fn producer(log: &KafkaLog, transactional_id: Option<String>) -> Result<Box<dyn Producer>> {
    log.producer(ProducerOptions {
        client_id: "bench".to_owned(),
        transactional_id,
        transaction_timeout: LONG,
    })
}

fn send(
    producer: &mut dyn Producer,
    topic: &str,
    partition: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result {
    let record = OutgoingRecord {
        topic: producer.topic(topic)?,
        partition: Some(partition),
        key,
        value,
        timestamp: Timestamp::from_millis(1_700_000_000_000),
        headers: &Headers::default(),
        tag: 0,
    };
    while producer.send(&record)? == Sent::Full {
        producer.poll(Duration::from_millis(1));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result of a benchmark")]
fn measure(what: &str, n: u64, run: impl FnOnce() -> Result) -> Result {
    let clock = SystemClock::new();
    let (process, thread) = (cpu("/proc/self/stat"), cpu("/proc/thread-self/stat"));
    run()?;
    let seconds = clock.monotonic().as_secs_f64();
    let per_record = |ticks: u64| ticks as f64 * 10_000.0 / n as f64;
    println!(
        "{what}: {:.0} records/s, CPU per record {:.2} us process, {:.2} us application thread",
        n as f64 / seconds,
        per_record(cpu("/proc/self/stat") - process),
        per_record(cpu("/proc/thread-self/stat") - thread),
    );
    Ok(())
}

/// User and system time in ticks of 10 ms.
fn cpu(stat: &str) -> u64 {
    let stat = fs::read_to_string(stat).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}
