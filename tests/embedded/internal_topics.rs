//! Repartition topics: made with the right names and settings, and read by tasks of their own.

use crate::support::*;
use kstreams::log::{Log, TopicInfo};

/// Counts words: `in` (lines) -> repartition topic `words` -> counted by word -> `out`.
fn word_count(n_partitions: Option<i32>) -> Topology {
    let mut topology = Topology::builder();
    let words = topology.repartition_topic("words", n_partitions);
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let split = topology.processor("split", &[lines], || {
        |ctx: &mut Ctx<'_>, line: Line| {
            for word in line.value.split(' ') {
                ctx.forward(line.clone().with_key(word.to_owned()))?;
            }
            Ok(())
        }
    });
    topology.sink("to-words", &[split], &words, (Utf8, Utf8));
    let counts = topology.store(counts_in_memory());
    let id = counts.clone();
    let words = topology.source("from-words", &words, (Utf8, Utf8));
    let count = topology.processor("count", &[words], move || Count::new(&id));
    topology.connect(count, &counts);
    topology.sink("sink", &[count], "out", (Utf8, U64));
    topology.build().unwrap()
}

fn partitions(log: &MemoryLog, topic: &str) -> Option<i32> {
    let topics: Vec<TopicInfo> = log.admin().unwrap().topics(SOON).unwrap();
    topics.into_iter().find(|info| info.name == topic).map(|info| info.n_partitions)
}

#[test]
fn a_repartition_topic_has_the_partitions_of_its_upstream_or_its_own() {
    for (own, expected) in [(None, 3), (Some(5), 5)] {
        let log = log_with(3);
        let app = run(word_count(own), config(), &log);
        assert_eq!(partitions(&log, "app-words-repartition"), Some(expected));
        assert_eq!(partitions(&log, "app-counts-changelog"), Some(expected));
        assert_eq!(app.tasks().len() as i32, 3 + expected);
        assert!(app.close(SOON));
    }
}

#[test]
fn internal_topics_have_javas_settings_and_the_users() {
    let log = log_with(1);
    let config = config().topic_config("min.insync.replicas", "1");
    assert!(run(word_count(None), config, &log).close(SOON));
    let settings = log.topic_config("app-words-repartition");
    let expected = [
        ("cleanup.policy", "delete"),
        ("message.timestamp.type", "CreateTime"),
        ("min.insync.replicas", "1"),
        ("retention.ms", "-1"),
        ("segment.bytes", "52428800"),
    ];
    assert_eq!(settings, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    let changelog = log.topic_config("app-counts-changelog");
    assert_eq!(changelog.get("min.insync.replicas").map(String::as_str), Some("1"));
}

#[test]
fn both_sides_of_a_repartition_topic_are_tasks() {
    let builder = TestDriver::builder(word_count(Some(2)), Config::new("app"));
    let mut driver = builder.partitions("in", 3).build().unwrap();
    let mut tasks = driver.tasks();
    tasks.sort();
    assert_eq!(tasks, [task(0, 0), task(0, 1), task(0, 2), task(1, 0), task(1, 1)]);
    pipe(&mut driver, "in", "to be or not to be", 9).unwrap();
    let mut counts = driver.output("out", Utf8, U64).read_pairs().unwrap();
    counts.sort();
    let expected = [("be", 1), ("be", 2), ("not", 1), ("or", 1), ("to", 1), ("to", 2)];
    assert_eq!(counts, expected.map(|(word, n)| (word.to_owned(), n)));
}

#[test]
fn records_keep_times_and_headers_through_a_repartition_topic() {
    let mut driver = driver(word_count(None));
    let mut headers = Headers::default();
    headers.push("h", Some(b"1"));
    let record = line("k", "one", 33).with_headers(headers.clone());
    driver.input("in", Utf8, Utf8).pipe_record(record).unwrap();
    let out = driver.output("out", Utf8, U64).read().unwrap();
    assert_eq!((out[0].timestamp, &out[0].headers), (at(33), &headers));
}

#[test]
fn words_are_counted_exactly_by_several_instances() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let log = log_with(2);
        let config = || config().guarantee(guarantee).threads(2);
        let one = run(word_count(Some(4)), config(), &log);
        let two = run(word_count(Some(4)), config(), &log);
        for n in 0..100 {
            log.produce("in", format!("{n}"), "to be or not to be", at(n)).unwrap();
        }
        eventually("counted", || log.records("out").len() >= 600);
        assert!(one.close(SOON) && two.close(SOON));
        let mut counts = numbers(&log, "out");
        counts.sort();
        let words = [("be", 200), ("not", 100), ("or", 100), ("to", 200)];
        let each = |(word, n): (&str, u64)| (1..=n).map(|n| (word.to_owned(), n)).collect();
        let expected: Vec<(String, u64)> = words.into_iter().flat_map::<Vec<_>, _>(each).collect();
        assert_eq!(counts, expected, "{guarantee:?}");
    }
}

#[test]
fn committed_records_of_a_repartition_topic_are_purged() {
    let log = log_with(1);
    let app = run(word_count(None), config().repartition_purge(ms(20)), &log);
    produce(&log, "in", &["a b c", "d"]);
    eventually("counted", || log.records("out").len() == 4);
    // The purge comes with a later commit.
    eventually("purged", || {
        produce(&log, "in", &["x"]);
        within(ms(50), || log.records("app-words-repartition").is_empty())
    });
    assert!(app.close(SOON));
}
