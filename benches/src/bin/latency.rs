//! Runs the same workload by turns on the engine and on Kafka Streams for Java at a fixed rate, and
//! prints how long a record takes from the producer of the input to a reader of the output: both are
//! this program, so one clock measures. Starts and stops a broker itself.
//!
//! The workload `direct` has no engine: the reader reads the input, which is what the measuring costs.
//!
//! `--rate 20000 --warm-up 10 --seconds 20 --rounds 1 --partitions 4 --keys 100000 --commit-ms 100
//! --linger-ms 0 --workloads passthrough,java-passthrough,count,java-count --guarantees
//! at-least-once,exactly-once`, of the engine alone `--early-commit-ms --set client.setting=value,..`,
//! and of the broker alone `--jvm 'its options'`.
//!
//! `busy` is how much of the machine's cores all of it took: the load.
//!
//! Readers of exactly-once results read what is committed.

#![expect(clippy::print_stdout, reason = "a bench program prints its figures")]

use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use kstreams::log::{
    ConsumerOptions, Isolation, KafkaLog, Log, OutgoingRecord, ProducerOptions, Sent,
};
use kstreams::prelude::*;
use kstreams::record::TopicPartition;
use kstreams::time::{Clock, SystemClock};
use kstreams_benches::{Args, peer};
use kstreams_broker::Broker;

const LONG: Duration = Duration::from_secs(60);
/// Of results that do not come: the engine has failed.
const STALLED: Duration = Duration::from_secs(30);

fn main() -> Result {
    env_logger::init();
    let known = [
        "rate",
        "warm-up",
        "seconds",
        "rounds",
        "partitions",
        "keys",
        "workloads",
        "guarantees",
        "commit-ms",
        "early-commit-ms",
        "set",
        "linger-ms",
        "jvm",
    ];
    let args = Args::read(&known)?;
    let broker = peer::broker(args.get("jvm", ""))?;
    let workloads = args.get("workloads", "passthrough,java-passthrough,count,java-count");
    let guarantees = args.get("guarantees", "at-least-once,exactly-once");
    println!("{:<32} {:>8} {:>8} {:>8} {:>8} ms {:>6}", "", "p50", "p99", "p99.9", "max", "busy");
    for round in 0..args.number("rounds", 1)? {
        for guarantee in guarantees.split(',') {
            for workload in workloads.split(',') {
                let id = format!("{workload}-{guarantee}-{round}");
                let (mut latencies, busy) = measure(&broker, workload, guarantee, &id, &args)?;
                latencies.sort_unstable();
                let at = |share: f64| {
                    let index = (latencies.len() as f64 * share) as usize;
                    let micros = latencies.get(index.min(latencies.len() - 1));
                    micros.map_or(f64::NAN, |micros| *micros as f64 / 1000.0)
                };
                println!(
                    "{:<32} {:>8.1} {:>8.1} {:>8.1} {:>8.1}    {:>4.0} %",
                    format!("{workload:<16} {guarantee}"),
                    at(0.5),
                    at(0.99),
                    at(0.999),
                    at(1.0),
                    100.0 * busy
                );
            }
        }
    }
    Ok(())
}

/// What a run is made of.
struct Run {
    log: KafkaLog,
    input: String,
    output: String,
    n_partitions: i32,
    n_keys: u64,
    rate: u64,
    n: u64,
    clock: SystemClock,
}

/// Microseconds that each record took which was sent after the warm-up, and the share of the cores that
/// was busy meanwhile.
fn measure(
    broker: &Broker,
    workload: &str,
    guarantee: &str,
    id: &str,
    args: &Args,
) -> Result<(Vec<u64>, f64)> {
    let rate = args.number("rate", 20_000)?;
    let warm_up = Duration::from_secs(args.number("warm-up", 10)?);
    let length = warm_up + Duration::from_secs(args.number("seconds", 20)?);
    let linger = args.get("linger-ms", "0");
    let log = KafkaLog::builder(broker.bootstrap()).set("linger.ms", linger).build()?;
    let is_direct = workload == "direct";
    let run = Run {
        log,
        input: format!("in-{id}"),
        output: if is_direct { format!("in-{id}") } else { format!("out-{id}") },
        n_partitions: args.number("partitions", 4)? as i32,
        n_keys: args.number("keys", 100_000)?,
        rate,
        n: rate * length.as_secs(),
        clock: SystemClock::new(),
    };
    let mut topics = vec![&*run.input, &*run.output];
    topics.dedup();
    peer::create_topics(&run.log, &topics, run.n_partitions)?;
    let start = || run.start(broker, workload, guarantee, id, args);
    let mut engine = (!is_direct).then(start).transpose()?;
    let isolation = match guarantee {
        "exactly-once" => Isolation::ReadCommitted,
        _ => Isolation::ReadUncommitted,
    };
    let measured = thread::scope(|scope| {
        let feed = scope.spawn(|| run.feed());
        let measured = run.read(isolation, warm_up, engine.as_mut());
        feed.join().map_err(|_| "the feed has panicked")??;
        measured
    });
    // It has read all; if it failed, that has been told.
    if let Some(engine) = &mut engine {
        let _ = engine.kill();
        engine.wait()?;
    }
    let topics: Vec<String> = topics.into_iter().map(str::to_owned).collect();
    run.log.admin()?.delete_topics(&topics, LONG)?;
    measured
}

impl Run {
    fn start(
        &self,
        broker: &Broker,
        workload: &str,
        guarantee: &str,
        id: &str,
        args: &Args,
    ) -> Result<Child> {
        let topics = [&*self.input, &*self.output];
        let mut command = peer::on_broker(workload, guarantee, broker.bootstrap(), id, topics)?;
        command
            // More than there are: it would end before the last ones.
            .args(["--records", &(2 * self.n).to_string()])
            .args(["--commit-ms", args.get("commit-ms", "100")]);
        if peer::is_own(workload) {
            for name in ["early-commit-ms", "set"] {
                command.args([&*format!("--{name}"), args.get(name, "")]);
            }
        }
        Ok(command.stdout(Stdio::null()).spawn()?)
    }

    /// Sends what is due, each record with the moment in microseconds for its time.
    fn feed(&self) -> Result {
        let mut producer = self.log.producer(ProducerOptions {
            client_id: "feed".into(),
            transactional_id: None,
            transaction_timeout: LONG,
        })?;
        let topic = producer.topic(&self.input)?;
        let random = kstreams::random::Random::seeded(7);
        let mut n_sent = 0;
        while n_sent < self.n {
            let now = self.clock.monotonic();
            let due = (now.as_secs_f64() * self.rate as f64) as u64;
            while n_sent < due.min(self.n) {
                let key = random.below(self.n_keys).to_be_bytes();
                let record = OutgoingRecord {
                    topic,
                    partition: None,
                    key: Some(&key),
                    value: Some(&[b'v'; 92]),
                    timestamp: Timestamp::from_millis(self.clock.monotonic().as_micros() as i64),
                    headers: &Headers::default(),
                    tag: 0,
                };
                if producer.send(&record)? == Sent::Full {
                    break;
                }
                n_sent += 1;
            }
            producer.poll(Duration::from_millis(1));
        }
        producer.flush(LONG)
    }

    fn read(
        &self,
        isolation: Isolation,
        warm_up: Duration,
        mut engine: Option<&mut Child>,
    ) -> Result<(Vec<u64>, f64)> {
        let options = ConsumerOptions { client_id: "read".into(), isolation };
        let mut consumer = self.log.consumer(options)?;
        let all: Vec<_> =
            (0..self.n_partitions).map(|p| (TopicPartition::new(&*self.output, p), 0)).collect();
        let lanes = consumer.assign(&all)?;
        let (mut n_read, mut latencies) = (0, Vec::new());
        let mut began = None;
        let mut last = Duration::ZERO;
        while n_read < self.n {
            consumer.wait(Duration::from_millis(5))?;
            for lane in &lanes {
                let Some(batch) = consumer.fetch(*lane, 10_000)?.records else { continue };
                let now = self.clock.monotonic();
                for index in 0..batch.len() {
                    let sent = batch.get(index).timestamp.as_millis().unsigned_abs();
                    if sent >= warm_up.as_micros() as u64 {
                        began.get_or_insert_with(processors);
                        latencies.push((now.as_micros() as u64).saturating_sub(sent));
                    }
                }
                n_read += batch.len() as u64;
                last = now;
            }
            let ended = engine.as_mut().map(|engine| engine.try_wait()).transpose()?.flatten();
            let failed = ended.is_some_and(|status| !status.success());
            if failed || self.clock.monotonic() > last + STALLED {
                return Err(format!("{n_read} of {} records came out", self.n).into());
            }
        }
        let ((from, all_from), (to, all_to)) = (began.unwrap_or_default(), processors());
        Ok((latencies, (to - from) as f64 / (all_to - all_from).max(1) as f64))
    }
}

/// How long the machine's processors have been busy, and have been there, in ticks; 0 where no
/// `/proc/stat` tells.
fn processors() -> (u64, u64) {
    let told = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = told.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    let all = ticks.iter().take(8).sum();
    (all - idle, all)
}
