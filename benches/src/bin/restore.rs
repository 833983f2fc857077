//! Fills a changelog, reads it bare, then restores stores from it into an empty directory: one line
//! of figures with both.
//!
//! `--bootstrap` (without it: the embedded log) `--records --partitions --keys --store
//! rocksdb|memory --threads --restore-threads --state-dir`. The topics `restore-input` and
//! `restore-values-changelog` must not exist yet.

#![expect(clippy::print_stdout, reason = "a bench program prints its figures")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kstreams::log::{
    Admin, ConsumerOptions, Isolation, Log, NewTopic, OffsetSpec, OutgoingRecord, ProducerOptions,
    Sent,
};
use kstreams::prelude::*;
use kstreams::record::TopicPartition;
use kstreams::time::{Clock, SystemClock};
use kstreams_benches::{Args, cpu_time, peak_rss_mib};

const LONG: Duration = Duration::from_secs(60);
const INPUT: &str = "restore-input";
const CHANGELOG: &str = "restore-values-changelog";

type Bytes = Vec<u8>;

fn main() -> Result {
    env_logger::init();
    let known = [
        "bootstrap",
        "records",
        "partitions",
        "keys",
        "store",
        "threads",
        "restore-threads",
        "state-dir",
    ];
    let args = Args::read(&known)?;
    let n = args.number("records", 1_000_000)?;
    let n_partitions = args.number("partitions", 4)? as i32;
    let log = log_of(&args);
    let clock = SystemClock::new();
    fill(&*log, n, args.number("keys", n)?, n_partitions)?;

    let bare = bare_consume(&*log, n, n_partitions, &clock)?;

    let dir = std::env::temp_dir().join(format!("kstreams-restore-{}", std::process::id()));
    let dir = args.get("state-dir", &dir.to_string_lossy()).to_owned();
    let span = Arc::new(Mutex::new((None, Duration::ZERO)));
    let (seen, own) = (Arc::clone(&span), clock);
    let config = Config::new("restore")
        .threads(args.number("threads", 1)? as usize)
        .restore_threads(args.number("restore-threads", 0)? as usize)
        .state_dir(&dir)
        .on_restore(move |_| {
            let now = own.monotonic();
            if let Ok(mut span) = seen.lock() {
                span.0.get_or_insert(now);
                span.1 = now;
            }
        });
    let cpu_before = cpu_time();
    let app = Streams::with_log(topology(&args)?, config, log)?;
    let began = clock.monotonic();
    app.start()?;
    if !app.wait_for(State::Running, Duration::from_secs(3600)) {
        return Err(Error::from(app.error().unwrap_or_default()));
    }
    let running = clock.monotonic() - began;
    let cpu = cpu_time() - cpu_before;
    let (first, last) = *span.lock().map_err(|_| "a listener panicked")?;
    let seconds = (last - first.unwrap_or(last)).as_secs_f64();
    if !app.close(LONG) {
        return Err("the application did not close in 60 s".into());
    }
    println!(
        "workload=restore store={} partitions={n_partitions} n={n} seconds={seconds:.3} \
         records_per_s={:.0} bare_consume_per_s={:.0} of_bare={:.2} running_after_s={:.3} \
         cpu_us_per_record={:.3} peak_rss_mb={}",
        args.get("store", "rocksdb"),
        n as f64 / seconds,
        n as f64 / bare,
        bare / seconds,
        running.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / n as f64,
        peak_rss_mib(),
    );
    if args.get("state-dir", "").is_empty() {
        let _ = std::fs::remove_dir_all(dir);
    }
    Ok(())
}

fn log_of(args: &Args) -> Arc<dyn Log> {
    #[cfg(feature = "kafka")]
    if !args.get("bootstrap", "").is_empty() {
        return Arc::new(KafkaLog::new(args.get("bootstrap", "")));
    }
    let _ = args;
    Arc::new(MemoryLog::new())
}

fn topology(args: &Args) -> Result<Topology> {
    let mut topology = Topology::builder();
    let id = match args.get("store", "rocksdb") {
        #[cfg(feature = "rocksdb")]
        "rocksdb" => topology.store(KeyValue::persistent("values", ByteArray, ByteArray)),
        "memory" => topology.store(KeyValue::in_memory("values", ByteArray, ByteArray)),
        other => return Err(format!("--store {other}: rocksdb or memory").into()),
    };
    let source = topology.source("source", INPUT, (ByteArray, ByteArray));
    let own = id.clone();
    let keep = topology.processor("keep", &[source], move || {
        let id = own.clone();
        move |ctx: &mut Context<'_, (), ()>, r: Record<Bytes, Bytes>| {
            ctx.store(&id)?.put(&r.key, &r.value)
        }
    });
    topology.connect(keep, &id);
    Ok(topology.build()?)
}

/// Makes the topics and writes `n` records of 8 + 92 bytes; keys come in no order.
fn fill(log: &dyn Log, n: u64, n_keys: u64, n_partitions: i32) -> Result {
    let admin: Arc<dyn Admin> = log.admin()?;
    let topics = [INPUT, CHANGELOG].map(|name| NewTopic {
        name: name.into(),
        n_partitions,
        replication: None,
        // Not by age, as the records are from 1970.
        configs: [("cleanup.policy".to_owned(), "compact".to_owned())].into_iter().collect(),
    });
    admin.create_topics(&topics, LONG)?;
    let mut producer = log.producer(ProducerOptions {
        client_id: "fill".into(),
        transactional_id: None,
        transaction_timeout: LONG,
    })?;
    let topic = producer.topic(CHANGELOG)?;
    let (value, headers) = ([b'v'; 92], Default::default());
    for index in 0..n {
        // An odd factor leaves each key once in a round of 2^64.
        let number = (index % n_keys.max(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let key = number.to_be_bytes();
        let out = OutgoingRecord {
            topic,
            partition: Some((number % n_partitions.max(1) as u64) as i32),
            key: Some(&key),
            value: Some(&value),
            timestamp: Timestamp::from_millis(index as i64),
            headers: &headers,
            tag: 0,
        };
        while producer.send(&out)? == Sent::Full {
            producer.poll(Duration::from_millis(1));
        }
    }
    producer.flush(LONG)
}

/// Seconds from the first record to the last.
fn bare_consume(log: &dyn Log, n: u64, n_partitions: i32, clock: &SystemClock) -> Result<f64> {
    let isolation = Isolation::ReadUncommitted;
    let mut consumer = log.consumer(ConsumerOptions { client_id: "bare".into(), isolation })?;
    let partitions = (0..n_partitions).map(|p| TopicPartition::new(CHANGELOG, p));
    let asked: Vec<_> = partitions.clone().map(|p| (p, OffsetSpec::Earliest)).collect();
    let starts = log.admin()?.offsets(&asked, LONG)?;
    let lanes = consumer.assign(&partitions.zip(starts).collect::<Vec<_>>())?;
    let (mut done, mut first, mut n_bytes) = (0, None, 0);
    while done < n {
        let mut idle = true;
        for lane in &lanes {
            let Some(batch) = consumer.fetch(*lane, 10_000)?.records else { continue };
            first.get_or_insert_with(|| clock.monotonic());
            for index in 0..batch.len() {
                n_bytes += batch.get(index).value.map_or(0, <[u8]>::len);
            }
            done += batch.len() as u64;
            idle = false;
        }
        if idle {
            consumer.wait(Duration::from_millis(100))?;
        }
    }
    log::info!("read {n_bytes} bytes of values");
    Ok((clock.monotonic() - first.unwrap_or_default()).as_secs_f64())
}
