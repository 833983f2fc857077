//! Runs the same workload by turns on the engine, on Kafka Streams for Java and on the bare loops,
//! beside one broker, and prints median and spread. Starts and stops that broker itself.
//!
//! `--records 2000000 --rounds 3 --partitions 4 --threads 1 --value-bytes 92 --keys 100000
//! --workloads passthrough,java-passthrough,limit-port,limit-rdkafka,count,java-count
//! --guarantees at-least-once,exactly-once`, and of the engine alone
//! `--rocks-mib 256 --set client.setting=value,..`. With `--out docs/performance` it draws the CPU time of
//! each workload that both sides have, a plot for each guarantee.
//!
//! Workloads: passthrough, chain, count, count-cached, window-count, lookup, restore, each also as
//! `java-..`, and with `-memory` behind it for a store in memory; limit-port, limit-rdkafka. A
//! restore has `--records` of different keys to read.

#![expect(clippy::print_stdout, reason = "a bench program prints its figures")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kstreams::log::{KafkaLog, Log, OutgoingRecord, ProducerOptions, Sent};
use kstreams::prelude::*;
use kstreams_benches::{Args, bars, peer};
use kstreams_broker::Broker;

const LONG: Duration = Duration::from_secs(60);

fn main() -> Result {
    env_logger::init();
    let known = [
        "records",
        "rounds",
        "partitions",
        "threads",
        "value-bytes",
        "keys",
        "workloads",
        "guarantees",
        "commit-ms",
        "rocks-mib",
        "set",
        "out",
    ];
    let args = Args::read(&known)?;
    let rounds = args.number("rounds", 3)?;
    let broker = peer::broker("")?;
    let log = KafkaLog::new(broker.bootstrap());
    let n_partitions = args.number("partitions", 4)? as i32;
    peer::create_topics(&log, &["input", "table", "empty"], n_partitions)?;
    let (n, n_keys) = (args.number("records", 2_000_000)?, args.number("keys", 100_000)?);
    let random = kstreams::random::Random::seeded(7);
    fill(&log, "table", (0..n_keys).map(|key| (key, 0)), &args)?;
    let records = (0..n).map(|index| (random.below(n_keys), 1_700_000_000_000 + index as i64));
    fill(&log, "input", records, &args)?;

    let workloads = args.get("workloads", "passthrough,limit-port,limit-rdkafka,count");
    let guarantees = args.get("guarantees", "at-least-once,exactly-once");
    // The first of all makes the broker's own topics, and finds its code not compiled.
    peer::create_topics(&log, &["out-warm-up"], n_partitions)?;
    run(&broker, "passthrough", "exactly-once", "warm-up", &args)?;
    let mut figures = Figures::new();
    for round in 0..rounds {
        let mut turns: Vec<(&str, &str)> = guarantees
            .split(',')
            .flat_map(|guarantee| workloads.split(',').map(move |workload| (workload, guarantee)))
            .collect();
        // Who goes first changes, so that a drift of the machine favours nobody.
        if round % 2 == 1 {
            turns.reverse();
        }
        for (workload, guarantee) in turns {
            let id = format!("{workload}-{guarantee}-{round}");
            let mut topics = vec![format!("out-{id}")];
            if is_restore(workload) {
                topics.push(format!("{id}-table-changelog"));
            }
            let names: Vec<&str> = topics.iter().map(String::as_str).collect();
            peer::create_topics(&log, &names, n_partitions)?;
            if let [_, changelog] = *names {
                // An odd factor keeps them apart, and out of order.
                let key = |index: u64| index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                fill(&log, changelog, (0..n).map(|index| (key(index), 0)), &args)?;
            }
            let line = run(&broker, workload, guarantee, &id, &args)?;
            println!("{line}");
            let row = figures.entry((workload.to_owned(), guarantee.to_owned())).or_default();
            row.push(peer::figures(&line));
            log.admin()?.delete_topics(&topics, LONG)?;
        }
    }
    println!(
        "\n{:<32} {:>12} {:>20} {:>10} {:>8} {:>8}",
        "median of rounds", "records/s", "min..max", "cpu us/rec", "first s", "rss MB"
    );
    for ((workload, guarantee), rows) in &figures {
        let rates = sorted(rows, "records_per_s");
        let (min, max) = (rates.first().unwrap_or(&0.0), rates.last().unwrap_or(&0.0));
        println!(
            "{:<32} {:>12.0} {:>20} {:>10.3} {:>8.3} {:>8.0}",
            format!("{workload:<16} {guarantee}"),
            median(rows, "records_per_s"),
            format!("{min:.0}..{max:.0}"),
            median(rows, "cpu_us_per_record"),
            median(rows, "first_record_after_s"),
            median(rows, "peak_rss_mb")
        );
    }
    match args.get("out", "") {
        "" => Ok(()),
        folder => plot(&figures, workloads, guarantees, Path::new(folder)),
    }
}

/// By workload and guarantee: what each round came to, by name.
type Figures = BTreeMap<(String, String), Vec<BTreeMap<String, f64>>>;

fn sorted(rows: &[BTreeMap<String, f64>], figure: &str) -> Vec<f64> {
    let mut values: Vec<f64> = rows.iter().filter_map(|row| row.get(figure).copied()).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(rows: &[BTreeMap<String, f64>], figure: &str) -> f64 {
    let values = sorted(rows, figure);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    f64::midpoint(at(values.len().saturating_sub(1) / 2), at(values.len() / 2))
}

/// What a record costs each side, of workloads that both have.
fn plot(figures: &Figures, workloads: &str, guarantees: &str, folder: &Path) -> Result {
    for guarantee in guarantees.split(',') {
        let of = |workload: String| {
            let rows = figures.get(&(workload, guarantee.to_owned()))?;
            Some(median(rows, "cpu_us_per_record"))
        };
        let both = workloads.split(',').filter_map(|workload| {
            let costs = [of(workload.to_owned())?, of(format!("java-{workload}"))?];
            Some((workload.to_owned(), costs.to_vec()))
        });
        let groups: Vec<bars::Group> = both.collect();
        let file = folder.join(format!("compare-{guarantee}.svg"));
        bars::draw(&file, "CPU us per record", &["kstreams", "Kafka Streams 4.3.1"], &groups)
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

/// Writes a record for each key and time.
fn fill(
    log: &KafkaLog,
    topic: &str,
    records: impl Iterator<Item = (u64, i64)>,
    args: &Args,
) -> Result {
    let mut producer = log.producer(ProducerOptions {
        client_id: "preload".into(),
        transactional_id: None,
        transaction_timeout: LONG,
    })?;
    let topic = producer.topic(topic)?;
    let value = vec![b'v'; args.number("value-bytes", 92)? as usize];
    for (key, millis) in records {
        let key = key.to_be_bytes();
        let record = OutgoingRecord {
            topic,
            partition: None,
            key: Some(&key),
            value: Some(&value),
            timestamp: Timestamp::from_millis(millis),
            headers: &Headers::default(),
            tag: 0,
        };
        while producer.send(&record)? == Sent::Full {
            producer.poll(Duration::from_millis(1));
        }
    }
    producer.flush(LONG)
}

fn run(broker: &Broker, workload: &str, guarantee: &str, id: &str, args: &Args) -> Result<String> {
    let input = if is_restore(workload) { "empty" } else { "input" };
    let topics = [input, &format!("out-{id}")];
    let mut command = peer::on_broker(workload, guarantee, broker.bootstrap(), id, topics)?;
    if !workload.starts_with("limit-") {
        command.args(["--threads", args.get("threads", "1"), "--table", "table"]);
    }
    if peer::is_own(workload) {
        command.args(["--set", args.get("set", ""), "--rocks-mib", args.get("rocks-mib", "")]);
    }
    command
        .args(["--records", args.get("records", "2000000")])
        .args(["--commit-ms", args.get("commit-ms", "100")]);
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        return Err(format!("{id}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(text)
}

fn is_restore(workload: &str) -> bool {
    workload.contains("restore")
}
