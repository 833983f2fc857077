//! Exactly once: output, state and positions appear together, or not at all.

use std::collections::BTreeSet;

use crate::support::*;
use kstreams::log::{ConsumerOptions, Isolation, Log};

fn exactly_once() -> Config {
    config().guarantee(Guarantee::ExactlyOnce)
}

/// Commits when asked only.
fn on_request() -> Config {
    exactly_once().commit_interval(NEVER).transaction_timeout(NEVER)
}

/// How many records of `topic` a reader finds that does not wait for commits.
fn n_uncommitted(log: &MemoryLog, topic: &str) -> usize {
    let options =
        ConsumerOptions { client_id: "test".to_owned(), isolation: Isolation::ReadUncommitted };
    let mut consumer = log.consumer(options).unwrap();
    let lane = consumer.assign(&[(TopicPartition::new(topic, 0), 0)]).unwrap()[0];
    let mut n_records = 0;
    loop {
        let fetched = consumer.fetch(lane, 1000).unwrap();
        n_records += fetched.records.map_or(0, |batch| batch.len());
        if fetched.lag == Some(0) {
            return n_records;
        }
        consumer.wait(ms(10)).unwrap();
    }
}

fn requesting() -> Topology {
    observed(|ctx, record| match record.value.as_str() {
        "now" => {
            ctx.request_commit();
            Ok(())
        }
        "x" => Err("crash".into()),
        _ => Ok(()),
    })
}

#[test]
fn output_is_invisible_until_its_commit() {
    let log = log_with(1);
    let app = run(requesting(), on_request(), &log);
    produce(&log, "in", &["a", "b"]);
    eventually("written", || n_uncommitted(&log, "out") == 2);
    assert!(log.records("out").is_empty());
    assert_eq!(committed(&log, "in", 0), None);
    produce(&log, "in", &["now"]);
    eventually("visible", || texts(&log, "out") == ["a", "b", "now"]);
    eventually("committed", || committed(&log, "in", 0) == Some(3));
    produce(&log, "in", &["c"]);
    assert!(app.close(SOON));
    assert_eq!(committed(&log, "in", 0), Some(texts(&log, "out").len() as i64));
}

#[test]
fn output_of_a_failure_is_aborted() {
    let log = log_with(1);
    let app = run(requesting(), on_request(), &log);
    produce(&log, "in", &["a", "now"]);
    eventually("committed", || committed(&log, "in", 0) == Some(2));
    produce(&log, "in", &["b"]);
    eventually("written", || n_uncommitted(&log, "out") >= 3);
    produce(&log, "in", &["x"]);
    assert!(app.wait_for(State::Error, SOON));
    drop(app);
    assert_eq!(texts(&log, "out"), ["a", "now"]);
    assert_eq!(committed(&log, "in", 0), Some(2));

    let app = run(observed(|_, _| Ok(())), exactly_once(), &log);
    eventually("all is visible", || texts(&log, "out") == ["a", "now", "b", "x"]);
    assert!(app.close(SOON));
}

/// Counts; fails the first time at each 37th record, before or after it has written.
fn failing(store: KeyValue<String, u64>, late: bool) -> Topology {
    let failed = Arc::new(Mutex::new(BTreeSet::new()));
    let mut topology = Topology::builder();
    let counts = topology.store(store);
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let id = counts.clone();
    let count = topology.processor("count", &[lines], move || {
        let (id, failed) = (id.clone(), Arc::clone(&failed));
        move |ctx: &mut Context<'_, String, u64>, record: Line| {
            let place = ctx.record_metadata().map(|place| (place.partition, place.offset));
            let fails = place.is_some_and(|(partition, offset)| {
                offset % 37 == 36 && failed.lock().expect("no panic").insert((partition, offset))
            });
            if fails && !late {
                return Err("each 37th fails".into());
            }
            let store = ctx.store(&id)?;
            let n = store.get(&record.key)?.unwrap_or(0) + 1;
            store.put(&record.key, &n)?;
            ctx.forward(record.with_value(n))?;
            if fails { Err("each 37th fails".into()) } else { Ok(()) }
        }
    });
    topology.connect(count, &counts);
    topology.sink("sink", &[count], "out", (Utf8, U64));
    topology.build().unwrap()
}

fn counted_exactly(config: Config, late: bool) {
    const N: u64 = 400;
    let log = log_with(2);
    let config = config.on_uncaught(|_| UncaughtVerdict::ReplaceThread);
    let app = Streams::new(failing(counts_in_memory(), late), config, log.clone()).unwrap();
    app.start().unwrap();
    for n in 0..N {
        log.produce("in", format!("{}", n % 7), "v", at(n as i64)).unwrap();
    }
    eventually("all is visible", || log.records("out").len() as u64 >= N);
    assert!(app.close(SOON));
    for key in 0..7 {
        let key = key.to_string();
        let all = numbers(&log, "out").into_iter().filter(|(of, _)| *of == key);
        let counts: Vec<u64> = all.map(|(_, n)| n).collect();
        let expected: Vec<u64> = (1..=counts.len() as u64).collect();
        assert_eq!(counts, expected, "key {key}");
    }
    assert_eq!(log.records("out").len() as u64, N);
}

#[test]
fn failures_leave_no_trace_in_output_and_state() {
    for late in [false, true] {
        counted_exactly(exactly_once(), late);
    }
}

#[test]
fn failures_leave_no_trace_with_several_threads() {
    counted_exactly(exactly_once().threads(2), true);
}

#[test]
fn two_instances_give_each_result_once() {
    let log = log_with(4);
    let start = || run(counting(counts_in_memory()).0, exactly_once(), &log);
    let feed = || {
        for n in 0..200 {
            log.produce("in", format!("{}", n % 10), "v", at(n)).unwrap();
        }
    };
    let one = start();
    feed();
    let two = start();
    feed();
    assert!(one.close(SOON));
    feed();
    eventually("all is visible", || log.records("out").len() >= 600);
    assert!(two.close(SOON));
    let mut all = numbers(&log, "out");
    all.sort();
    let expected: Vec<(String, u64)> =
        (0..10).flat_map(|key| (1..=60).map(move |n| (key.to_string(), n))).collect();
    assert_eq!(all, expected);
}

#[test]
fn a_dead_letter_is_part_of_the_transaction() {
    let log = log_with(1);
    log.create_topic("dlq", 1).unwrap();
    let handlers = Handlers::default().on_deserialization(|_| Verdict::DeadLetter("dlq".into()));
    let app = run(requesting(), on_request().handlers(handlers), &log);
    log.produce("in", "k", [0xff], at(0)).unwrap();
    eventually("written", || n_uncommitted(&log, "dlq") == 1);
    assert!(log.records("dlq").is_empty());
    produce(&log, "in", &["now"]);
    eventually("visible", || log.records("dlq").len() == 1);
    assert!(app.close(SOON));
}

#[test]
fn positions_lie_behind_transaction_markers() {
    let log = log_with(1);
    // Another application's transactions end with markers in `in`.
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "first", (Utf8, Utf8));
    topology.sink("sink", &[lines], "in", (Utf8, Utf8));
    log.create_topic("first", 1).unwrap();
    let feeder = Config::new("feeder").guarantee(Guarantee::ExactlyOnce).commit_interval(ms(5));
    let feeder = run(topology.build().unwrap(), feeder, &log);
    let app = run(observed(|_, _| Ok(())), exactly_once(), &log);
    for value in ["a", "b", "c"] {
        produce(&log, "first", &[value]);
        eventually("through", || texts(&log, "out").last().is_some_and(|last| last == value));
    }
    assert!(feeder.close(SOON) && app.close(SOON));
    let last = log.records("in").last().unwrap().offset;
    assert!(last > 2, "there are markers");
    // At the head of the queue: behind the last record, or behind the marker after it.
    assert!([last + 1, last + 2].contains(&committed(&log, "in", 0).unwrap()));
}
