//! The bare loop that the engine is measured against: consume, produce, commit, nothing else.
//!
//! `--client port` uses the same batches and queues as the engine, without the engine;
//! `--client rdkafka` is what one writes with rdkafka's safe API. Other arguments as `engine`:
//! `--bootstrap --app-id --input --output --guarantee --records --commit-ms`

#![expect(clippy::print_stdout, reason = "a bench program prints its figures")]

use std::time::Duration;

use kstreams::log::{
    ConsumerOptions, Isolation, KafkaLog, Log, OffsetSpec, OutgoingRecord, ProducerOptions, Sent,
};
use kstreams::prelude::*;
use kstreams::record::TopicPartition;
use kstreams::time::{Clock, SystemClock};
use kstreams_benches::{Args, cpu_time, peak_rss_mib};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

const WAIT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(30);

/// What one run came to: seconds from the first to the last record, and CPU time.
struct Run {
    seconds: f64,
    cpu: Duration,
    first: Duration,
}

fn main() -> Result {
    env_logger::init();
    let known =
        ["client", "bootstrap", "app-id", "input", "output", "guarantee", "records", "commit-ms"];
    let args = Args::read(&known)?;
    let n = args.number("records", 1_000_000)?;
    let client = args.get("client", "port");
    let run = match client {
        "port" => port(&args, n)?,
        "rdkafka" => bare(&args, n).map_err(|e| e.to_string())?,
        other => return Err(format!("--client {other}: port or rdkafka").into()),
    };
    println!(
        "workload=limit-{client} guarantee={} threads=1 n={n} seconds={:.3} records_per_s={:.0} \
         cpu_us_per_record={:.3} first_record_after_s={:.3} peak_rss_mb={}",
        args.get("guarantee", "at-least-once"),
        run.seconds,
        n as f64 / run.seconds,
        run.cpu.as_secs_f64() * 1e6 / n as f64,
        run.first.as_secs_f64(),
        peak_rss_mib(),
    );
    Ok(())
}

/// The port's consumer and producer in a loop; positions are committed with the transaction, or
/// not at all (a commit each 100 ms costs nothing that can be measured here).
fn port(args: &Args, n: u64) -> Result<Run> {
    let clock = SystemClock::new();
    let log = KafkaLog::new(args.get("bootstrap", "localhost:9092"));
    let (input, output) = (args.get("input", "input"), args.get("output", "output"));
    let transactional = args.get("guarantee", "at-least-once") == "exactly-once";
    let isolation =
        if transactional { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let mut consumer = log.consumer(ConsumerOptions { client_id: "limit".into(), isolation })?;
    let mut producer = log.producer(ProducerOptions {
        client_id: "limit-producer".into(),
        transactional_id: transactional.then(|| args.get("app-id", "limit").to_owned()),
        transaction_timeout: Duration::from_secs(10),
    })?;
    if transactional {
        producer.init_transactions(LONG)?;
    }
    let admin = log.admin()?;
    let topics = admin.topics(LONG)?;
    let count = topics.iter().find(|topic| topic.name == input).map_or(0, |t| t.n_partitions);
    let partitions: Vec<_> = (0..count).map(|p| TopicPartition::new(input, p)).collect();
    let asked: Vec<_> = partitions.iter().map(|p| (p.clone(), OffsetSpec::Earliest)).collect();
    let starts = admin.offsets(&asked, LONG)?;
    let lanes = consumer.assign(&partitions.into_iter().zip(starts).collect::<Vec<_>>())?;
    let topic = producer.topic(output)?;

    let commit = Duration::from_millis(args.number("commit-ms", 100)?);
    let (mut done, mut first, mut began, mut open) = (0, Duration::ZERO, Duration::ZERO, false);
    let mut cpu = cpu_time();
    while done < n {
        let mut idle = true;
        for lane in &lanes {
            let Some(batch) = consumer.fetch(*lane, 1000)?.records else { continue };
            idle = false;
            if done == 0 {
                (first, cpu) = (clock.monotonic(), cpu_time());
                began = first;
            }
            if transactional && !open {
                producer.begin_transaction()?;
                open = true;
            }
            for index in 0..batch.len() {
                let raw = batch.get(index);
                let out = OutgoingRecord {
                    topic,
                    partition: None,
                    key: raw.key,
                    value: raw.value,
                    timestamp: raw.timestamp,
                    headers: &raw.headers,
                    tag: 0,
                };
                while producer.send(&out)? == Sent::Full {
                    producer.poll(Duration::from_millis(1));
                }
            }
            done += batch.len() as u64;
        }
        producer.poll(Duration::ZERO);
        if clock.monotonic().saturating_sub(began) >= commit {
            began = clock.monotonic();
            producer.flush(LONG)?;
            if std::mem::take(&mut open) {
                producer.commit_transaction(LONG)?;
            }
        }
        if idle {
            consumer.wait(WAIT)?;
        }
    }
    producer.flush(LONG)?;
    if open {
        producer.commit_transaction(LONG)?;
    }
    let seconds = (clock.monotonic() - first).as_secs_f64();
    Ok(Run { seconds, cpu: cpu_time() - cpu, first })
}

/// What one writes with rdkafka's safe API.
fn bare(args: &Args, n: u64) -> Result<Run, Box<dyn std::error::Error>> {
    let clock = SystemClock::new();
    let bootstrap = args.get("bootstrap", "localhost:9092");
    let transactional = args.get("guarantee", "at-least-once") == "exactly-once";
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", args.get("app-id", "limit"))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.queue.backoff.ms", "5")
        .set("isolation.level", if transactional { "read_committed" } else { "read_uncommitted" })
        .create()?;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("queue.buffering.max.messages", "1000000")
        .set("linger.ms", "5");
    if transactional {
        config.set("transactional.id", args.get("app-id", "limit")).set("retry.backoff.ms", "10");
    }
    let producer: BaseProducer = config.create()?;
    if transactional {
        producer.init_transactions(LONG)?;
    }
    consumer.subscribe(&[args.get("input", "input")])?;
    let output = args.get("output", "output");
    let commit = Duration::from_millis(args.number("commit-ms", 100)?);
    let (mut done, mut first, mut began, mut open) = (0, Duration::ZERO, Duration::ZERO, false);
    let mut cpu = cpu_time();
    let drain = |producer: &BaseProducer| {
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::from_millis(1));
        }
    };
    while done < n {
        let Some(message) = consumer.poll(WAIT) else { continue };
        let message = message?;
        if done == 0 {
            (first, cpu) = (clock.monotonic(), cpu_time());
            began = first;
        }
        if transactional && !open {
            producer.begin_transaction()?;
            open = true;
        }
        let mut record = BaseRecord::to(output);
        if let Some(key) = message.key() {
            record = record.key(key);
        }
        if let Some(value) = message.payload() {
            record = record.payload(value);
        }
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(1));
            record = back;
        }
        done += 1;
        if done % 1000 == 0 {
            producer.poll(Duration::ZERO);
            if clock.monotonic().saturating_sub(began) >= commit || done >= n {
                began = clock.monotonic();
                drain(&producer);
                let positions = consumer.position()?;
                if std::mem::take(&mut open) {
                    if let Some(group) = consumer.group_metadata() {
                        producer.send_offsets_to_transaction(&positions, &group, LONG)?;
                    }
                    producer.commit_transaction(LONG)?;
                } else {
                    consumer.commit(&positions, CommitMode::Sync)?;
                }
            }
        }
    }
    drain(&producer);
    let seconds = (clock.monotonic() - first).as_secs_f64();
    Ok(Run { seconds, cpu: cpu_time() - cpu, first })
}
