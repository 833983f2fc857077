//! One application on a real broker: start, refusals, restart.

use std::time::Duration;

use kstreams::log::{Log, NewTopic};
use kstreams::prelude::*;
use kstreams::state::testing::TempDir;
use kstreams_broker::shared;

const LONG: Duration = Duration::from_secs(30);

fn log() -> KafkaLog {
    KafkaLog::new(shared().unwrap().bootstrap())
}

fn create(log: &KafkaLog, names: &[&str], n_partitions: i32) {
    let topic = |name: &&str| NewTopic {
        name: (*name).to_owned(),
        n_partitions,
        replication: None,
        configs: vec![],
    };
    let topics: Vec<NewTopic> = names.iter().map(topic).collect();
    log.admin().unwrap().create_topics(&topics, LONG).unwrap();
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
