//! One application on a real broker: start, refusals, restart.

use std::time::Duration;

use kstreams::log::{GroupProtocol, Log};
use kstreams::prelude::*;
use kstreams::record::RawRecord;
use kstreams::state::testing::TempDir;
use kstreams::time::{Clock, SystemClock};
use kstreams::{Error, ErrorKind};
use kstreams_broker::{Broker, shared, tools};

use crate::counting::counting;
use crate::kills::feed::Feed;
use crate::topics::{Reader, create};

const LONG: Duration = Duration::from_secs(30);

fn log() -> KafkaLog {
    KafkaLog::new(shared().unwrap().bootstrap())
}

fn copy(input: &str, output: &str) -> Topology {
    let mut topology = Topology::builder();
    let source = topology.source("source", input, (Nullable(Utf8), Nullable(Utf8)));
    topology.sink("sink", &[source], output, (Nullable(Utf8), Nullable(Utf8)));
    topology.build().unwrap()
}

#[test]
fn an_idle_application_runs_within_a_second_and_ends_in_order() {
    let log = log();
    create(&log, &["idle-in", "idle-out"], 2);
    let dir = TempDir::new();
    let config = Config::new("idle").state_dir(dir.path());
    let app = Streams::new(copy("idle-in", "idle-out"), config, log).unwrap();
    app.start().unwrap();
    assert!(app.wait_for(State::Running, LONG), "{:?}", app.error());
    assert_eq!(app.tasks().len(), 2);
    assert!(app.close(LONG));
    assert_eq!(app.state(), State::NotRunning);
}

#[test]
fn a_missing_source_topic_is_named() {
    let app = Streams::new(copy("not-there", "out"), Config::new("missing"), log()).unwrap();
    let error = app.start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Topic);
    assert!(error.message().contains("not-there"), "{error}");
}

#[test]
fn an_unreachable_broker_is_refused_in_time() {
    let config = Config::new("unreachable").request_timeout(Duration::from_secs(2));
    let log = KafkaLog::new("127.0.0.1:1");
    let error = Streams::new(copy("in", "out"), config, log).unwrap().start().unwrap_err();
    assert!(error.is_retriable(), "{error}");
}

const PROTOCOLS: [(&str, GroupProtocol); 2] =
    [("streams", GroupProtocol::Streams), ("classic", GroupProtocol::Classic)];

/// Counts `{name}-in` until something ends it.
fn started(name: &str, protocol: GroupProtocol, dir: &TempDir) -> Streams {
    let log = KafkaLog::builder(shared().unwrap().bootstrap()).group_protocol(protocol);
    let log = log.build().unwrap();
    create(&log, &[&format!("{name}-in"), &format!("{name}-out")], 2);
    let config = Config::new(name).guarantee(Guarantee::ExactlyOnce).state_dir(dir.path());
    let topology = counting(&format!("{name}-in"), &format!("{name}-out"));
    let app = Streams::new(topology, config, log).unwrap();
    app.start().unwrap();
    assert!(app.wait_for(State::Running, LONG), "{:?}", app.error());
    app
}

/// The error it ends with, in time.
fn end(app: &Streams) -> Error {
    assert!(app.wait_for(State::Error, LONG), "{:?}, {} tasks", app.state(), app.tasks().len());
    app.take_error().unwrap()
}

#[test]
fn a_source_topic_that_is_deleted_ends_the_application_with_its_name() {
    for (protocol, choice) in PROTOCOLS {
        let (name, dir) = (format!("deleted-{protocol}"), TempDir::new());
        let app = started(&name, choice, &dir);
        let topic = format!("{name}-in");
        log().admin().unwrap().delete_topics(std::slice::from_ref(&topic), LONG).unwrap();
        let error = end(&app);
        assert_eq!(error.kind(), ErrorKind::Topic, "{protocol}: {error}");
        assert!(error.to_string().contains(&topic), "{protocol}: {error}");
    }
}

#[test]
fn partitions_that_are_added_end_the_application_with_the_reason() {
    for (protocol, choice) in PROTOCOLS {
        let (name, dir) = (format!("grown-{protocol}"), TempDir::new());
        let app = started(&name, choice, &dir);
        let topic = format!("{name}-in");
        let args = ["--alter", "--topic", &topic, "--partitions", "3"];
        assert!(shared().unwrap().tool(tools::TOPICS, args).unwrap().status.success());
        let error = end(&app);
        // The broker tells of topics that do not fit; a classic group assigns a task too many.
        let (kind, said) = match choice {
            GroupProtocol::Streams => (ErrorKind::Topic, "partition counts"),
            _ => (ErrorKind::Topology, "have partitions been added"),
        };
        assert_eq!(error.kind(), kind, "{protocol}: {error}");
        assert!(error.to_string().contains(said), "{protocol}: {error}");
    }
}

/// `KSTREAMS_DOWN=70` for the scenario's seventy seconds.
#[test]
fn a_broker_that_is_away_for_long_costs_time_and_nothing_else() {
    let down = Duration::from_secs(crate::kills::setting("KSTREAMS_DOWN", 12));
    let broker = Broker::start().unwrap();
    let log = KafkaLog::new(broker.bootstrap());
    create(&log, &["in", "out"], 2);
    let dirs = [TempDir::new(), TempDir::new()];
    let apps = dirs.each_ref().map(|dir| {
        let config = Config::new("away").guarantee(Guarantee::ExactlyOnce).state_dir(dir.path());
        let app = Streams::new(counting("in", "out"), config, KafkaLog::new(broker.bootstrap()));
        let app = app.unwrap();
        app.start().unwrap();
        app
    });
    let mut feed = Feed::new(broker.bootstrap(), "in", 3, 0).of_keys(100);
    feed.send_each(100);
    let wait_until = |n: i64| {
        let clock = SystemClock::new();
        let position = || -> i64 {
            let tasks = apps.iter().flat_map(Streams::tasks);
            tasks.flat_map(|task| task.positions).map(|(_, offset)| offset).sum()
        };
        while position() < n {
            let errors: Vec<_> = apps.iter().map(Streams::error).collect();
            assert!(clock.monotonic() < 4 * LONG, "{} of {n}: {errors:?}", position());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    };
    wait_until(100);
    broker.kill().unwrap();
    crate::kills::wait(down);
    // One of the two gives up meanwhile.
    let [one, two] = &apps;
    two.close(Duration::from_secs(1));
    broker.restart().unwrap();
    let clock = SystemClock::new();
    feed.send_each(100);
    wait_until(200);
    println!("{down:?} away: works again after {:?}", clock.monotonic());
    assert!(one.close(LONG));
    let out = committed(&log, "out");
    assert_eq!(out, (1..=2).flat_map(|n| [n; 100]).collect::<Vec<i64>>());
}

/// The counts that are committed, sorted.
fn committed(log: &KafkaLog, topic: &str) -> Vec<i64> {
    let mut reader = Reader::new(log, topic, 2);
    let mut found = Vec::new();
    let mut each = |_, record: &RawRecord<'_>| {
        found.push(i64::from_be_bytes(record.value.unwrap().try_into().unwrap()));
    };
    let clock = SystemClock::new();
    while !reader.take(&mut each) {
        assert!(clock.monotonic() < LONG, "the end of {topic} does not come");
        reader.wait(Duration::from_millis(10));
    }
    found.sort_unstable();
    found
}
