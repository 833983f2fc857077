//! Fills the topics from the files: through the log's own ports, so on every log alike.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use flate2::read::GzDecoder;
use kstreams::log::{Admin, Log, NewTopic, OutgoingRecord, Producer, ProducerOptions, Sent};
use kstreams::prelude::*;
use kstreams::time::{Clock, SystemClock};

use crate::options::Options;
use crate::pipeline::TopicNames;

/// How long a call to the log may take.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

const PARTITIONS: i32 = 6;

/// Makes the topics and fills them, if that is this process's work; tells how many rows it wrote.
///
/// The topic of the flights comes last: who finds it knows that the tables are there.
///
/// # Errors
/// If a file or the log cannot be used.
pub(crate) fn load(log: &dyn Log, topics: &TopicNames, options: &Options) -> Result<Option<u64>> {
    let admin = log.admin()?;
    if exists(&*admin, &topics.flights)? && !options.load {
        return Ok(None);
    }
    let month = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flights/data");
    let (dir, flights) = match &options.year {
        Some(dir) => (dir, "flights.csv"),
        None => (&month, "flights-2013-07.csv"),
    };
    let (planes, airlines) = (lines(dir, "planes.csv")?, lines(dir, "airlines.csv")?);
    let flights = lines(dir, flights)?;

    // Event times are of 2013: by age, Kafka would delete what the application writes at once.
    let kept = [("retention.ms", "-1")];
    let latest = [("cleanup.policy", "compact")];
    admin.create_topics(
        &[
            topic(&topics.planes, 1, &latest),
            topic(&topics.airlines, 1, &latest),
            topic(&topics.loaded, 1, &latest),
            topic(&topics.bad, 1, &kept),
            topic(&topics.totals, 1, &latest),
            topic(&topics.airline_stats, PARTITIONS, &latest),
            topic(&topics.route_stats, PARTITIONS, &latest),
            topic(&topics.hour_stats, PARTITIONS, &latest),
            topic(&topics.league, 1, &kept),
        ],
        BOUND,
    )?;
    let mut writer = Writer::new(log)?;
    for (topic, rows) in [(&topics.planes, &planes), (&topics.airlines, &airlines)] {
        for row in data(rows) {
            let key = row.split(',').next();
            writer.write(topic, key, row)?;
        }
    }
    writer.settle()?;

    admin.create_topics(&[topic(&topics.flights, PARTITIONS, &kept)], BOUND)?;
    let mut n_rows = 0;
    for (at, row) in data(&flights).take(options.records).enumerate() {
        writer.write(&topics.flights, row.split(',').nth(12), row)?;
        n_rows += 1;
        if options.inject > 0 && (at + 1) % options.inject == 0 {
            // A truncated row: no origin, so no key.
            let end = row.match_indices(',').nth(2).map_or(row.len(), |(end, _)| end);
            writer.write(&topics.flights, None, &row[..end])?;
            n_rows += 1;
        }
    }
    writer.settle()?;
    writer.write(&topics.loaded, Some("flights"), &format!("{n_rows}"))?;
    writer.settle()?;
    Ok(Some(n_rows))
}

/// Waits until another process has made the topics.
///
/// # Errors
/// If that does not happen.
pub(crate) fn wait_for_topics(log: &dyn Log, topics: &TopicNames) -> Result {
    let (admin, clock) = (log.admin()?, SystemClock::new());
    while !exists(&*admin, &topics.flights)? {
        if clock.monotonic() > BOUND {
            return Err(format!("there is no topic {}: start a loader", topics.flights).into());
        }
        std::thread::park_timeout(Duration::from_millis(200));
    }
    Ok(())
}

fn exists(admin: &dyn Admin, topic: &str) -> Result<bool> {
    Ok(admin.topics(BOUND)?.iter().any(|found| found.name == topic))
}

fn topic(name: &str, n_partitions: i32, configs: &[(&str, &str)]) -> NewTopic {
    let configs = configs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    NewTopic { name: name.into(), n_partitions, replication: None, configs }
}

/// The text of a file, or of the file of that name with `.gz`.
fn lines(dir: &Path, name: &str) -> Result<String> {
    let plain = dir.join(name);
    let packed = dir.join(format!("{name}.gz"));
    let mut text = String::new();
    if plain.exists() {
        text = fs::read_to_string(&plain).map_err(|error| unreadable(&plain, error))?;
    } else {
        let file = fs::File::open(&packed).map_err(|error| unreadable(&packed, error))?;
        let read = GzDecoder::new(file).read_to_string(&mut text);
        read.map_err(|error| unreadable(&packed, error))?;
    }
    Ok(text)
}

fn unreadable(file: &Path, error: std::io::Error) -> Error {
    Error::from(format!("{}: {error}", file.display())).with_source(error)
}

/// The rows behind the header.
fn data(text: &str) -> impl Iterator<Item = &str> {
    text.lines().skip(1)
}

/// A producer outside of any transaction.
struct Writer {
    producer: Box<dyn Producer>,
    clock: SystemClock,
}

impl Writer {
    fn new(log: &dyn Log) -> Result<Self> {
        let producer = log.producer(ProducerOptions {
            client_id: "flights-loader".into(),
            transactional_id: None,
            transaction_timeout: BOUND,
        })?;
        Ok(Self { producer, clock: SystemClock::new() })
    }

    fn write(&mut self, topic: &str, key: Option<&str>, value: &str) -> Result {
        self.write_bytes(topic, key.map(str::as_bytes), value.as_bytes())
    }

    fn write_bytes(&mut self, topic: &str, key: Option<&[u8]>, value: &[u8]) -> Result {
        let record = OutgoingRecord {
            topic: self.producer.topic(topic)?,
            partition: None,
            key,
            value: Some(value),
            timestamp: self.clock.now(),
            headers: &Headers::default(),
            tag: 0,
        };
        while self.producer.send(&record)? == Sent::Full {
            self.producer.poll(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Waits until everything is written; what was not is sent again.
    fn settle(&mut self) -> Result {
        loop {
            self.producer.flush(BOUND)?;
            let failures = self.producer.failures();
            if failures.is_empty() {
                return Ok(());
            }
            for failed in failures {
                if !failed.error.is_retriable() || self.clock.monotonic() > BOUND {
                    return Err(failed.error);
                }
                let value = failed.value.as_deref().unwrap_or_default();
                self.write_bytes(&failed.topic, failed.key.as_deref(), value)?;
            }
        }
    }
}
