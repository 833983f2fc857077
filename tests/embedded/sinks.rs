//! Sinks: topics, partitions, null keys.

use crate::support::*;
use kstreams::partition::partition_for;
use kstreams::record::RecordMetadata;
use kstreams::sink::Partitions;
use kstreams::topology::Destination;

type MaybeKey = Record<Option<String>, String>;

/// `in` -> `out` (3 partitions) by a rule.
fn partitioned(rule: impl Fn(&MaybeKey, i32) -> Partitions + Send + Sync + 'static) -> TestDriver {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Nullable(Utf8), Utf8));
    let rule = move |topic: &str, record: &MaybeKey, n_partitions: i32| {
        assert_eq!(topic, "out");
        rule(record, n_partitions)
    };
    let sink = Sink::new(Nullable(Utf8), Utf8).partitioner(rule);
    topology.sink("sink", &[lines], "out", sink);
    let builder = TestDriver::builder(topology.build().unwrap(), Config::new("app"));
    builder.partitions("out", 3).build().unwrap()
}

/// Values and the partitions they went to.
fn placed(driver: &mut TestDriver) -> Vec<(String, i32)> {
    let records = driver.output("out", Nullable(Utf8), Utf8).read().unwrap();
    records.into_iter().map(|record| (record.value, record.partition)).collect()
}

fn pipe_keyed(driver: &mut TestDriver, key: Option<&str>, value: &str) -> Result {
    driver.input("in", Nullable(Utf8), Utf8).pipe(key.map(str::to_owned), value.into())
}

#[test]
fn keys_go_where_javas_producer_sends_them() {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    topology.sink("sink", &[lines], "out", (Utf8, Utf8));
    let builder = TestDriver::builder(topology.build().unwrap(), Config::new("app"));
    let mut driver = builder.partitions("out", 7).build().unwrap();
    for n in 0..50 {
        driver.input("in", Utf8, Utf8).pipe(format!("key-{n}"), "v".into()).unwrap();
    }
    let records = driver.output("out", Utf8, Utf8).read().unwrap();
    assert_eq!(records.len(), 50);
    for record in records {
        assert_eq!(record.partition, partition_for(record.key.as_bytes(), 7), "{}", record.key);
    }
}

#[test]
fn a_partitioner_decides_each_record() {
    let mut driver = partitioned(|record, n_partitions| match record.value.as_str() {
        "one" => Partitions::One(n_partitions - 1),
        "many" => Partitions::Many(vec![0, 2]),
        "none" => Partitions::Many(Vec::new()),
        "drop" => Partitions::Drop,
        _ => Partitions::Default,
    });
    for value in ["one", "many", "none", "drop", "default"] {
        pipe_keyed(&mut driver, Some("k"), value).unwrap();
    }
    let mut seen = placed(&mut driver);
    seen.sort();
    let default = partition_for(b"k", 3);
    let expected = [("default", default), ("many", 0), ("many", 2), ("one", 2)];
    assert_eq!(seen, expected.map(|(value, partition)| (value.to_owned(), partition)));
}

#[test]
fn a_partition_that_does_not_exist_is_an_error_with_its_place() {
    for wrong in [3, -1] {
        let mut driver = partitioned(move |_, _| Partitions::One(wrong));
        let error = pipe_keyed(&mut driver, Some("k"), "v").unwrap_err().to_string();
        assert!(error.contains("out") && error.contains(&wrong.to_string()), "{error}");
        assert!(placed(&mut driver).is_empty());
    }
}

#[test]
fn null_keys_are_written_as_null_to_any_partition() {
    let mut driver = partitioned(|_, _| Partitions::Default);
    for _ in 0..10 {
        pipe_keyed(&mut driver, None, "v").unwrap();
    }
    pipe_keyed(&mut driver, Some(""), "empty").unwrap();
    let records = driver.log().records("out");
    let nulls = records.iter().filter(|record| record.key.is_none());
    assert_eq!((records.len(), nulls.count()), (11, 10));
}

#[test]
fn tombstones_pass() {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Nullable(Utf8)));
    topology.sink("sink", &[lines], "out", (Utf8, Nullable(Utf8)));
    let mut driver = driver(topology.build().unwrap());
    driver.input("in", Utf8, Nullable(Utf8)).pipe("k".into(), None).unwrap();
    assert_eq!(driver.log().records("out")[0].value, None);
}

#[test]
fn a_topic_is_chosen_for_each_record_by_record_and_place() {
    let choose = |record: &Line, place: Option<RecordMetadata<'_>>| -> Arc<str> {
        let offset = place.expect("a record is in work").offset;
        format!("{}-{}", record.value, offset % 2).into()
    };
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    topology.sink("sink", &[lines], Destination::per_record(choose), (Utf8, Utf8));
    let mut builder = TestDriver::builder(topology.build().unwrap(), Config::new("app"));
    for topic in ["a-0", "a-1", "b-0", "b-1"] {
        builder = builder.partitions(topic, 2);
    }
    let mut driver = builder.build().unwrap();
    for value in ["a", "a", "b", "b", "b"] {
        pipe(&mut driver, "in", value, 0).unwrap();
    }
    let counts = ["a-0", "a-1", "b-0", "b-1"].map(|topic| values(&mut driver, topic).len());
    assert_eq!(counts, [1, 1, 2, 1]);
}

#[test]
fn a_record_keeps_its_time_and_headers() {
    let mut driver = partitioned(|_, _| Partitions::Default);
    let mut headers = Headers::default();
    headers.push("h", Some(b"1"));
    headers.push("h", None);
    let record = Record::new(Some("k".to_owned()), "v".to_owned(), at(77));
    let record = record.with_headers(headers.clone());
    driver.input("in", Nullable(Utf8), Utf8).pipe_record(record).unwrap();
    let written = &driver.log().records("out")[0];
    assert_eq!((written.timestamp, &written.headers), (at(77), &headers));
}
