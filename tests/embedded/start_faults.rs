//! What is refused before anything runs: clearly, and within a bounded time.

use std::path::Path;

use crate::support::*;
use kstreams::state::testing::TempDir;
use kstreams::store::{ChangelogConfig, StoreBuilder, StoreContext};
use kstreams::time::{Clock, SystemClock};
use kstreams::{Error, ErrorKind};

/// The error of the start, which must come fast and leave nothing behind.
fn refused(topology: Topology, config: Config, log: &MemoryLog) -> Error {
    let app = Streams::new(topology, config, log.clone()).unwrap();
    let clock = SystemClock::new();
    let error = app.start().unwrap_err();
    assert!(clock.monotonic() < Duration::from_secs(5));
    assert!(app.close(SOON));
    error
}

/// The error has this kind and each of these parts.
fn check(error: &Error, kind: ErrorKind, parts: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[test]
fn missing_source_topics_are_all_named() {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", ["in", "gone", "lost"], (Utf8, Utf8));
    topology.sink("sink", &[lines], "out", (Utf8, Utf8));
    let error = refused(topology.build().unwrap(), config(), &log_with(1));
    check(&error, ErrorKind::Topic, &["gone", "lost", "create"]);
    assert!(!error.to_string().contains("in,"), "{error}");
}

#[test]
fn an_internal_topic_with_other_partitions_is_refused_with_both_counts() {
    let log = log_with(3);
    log.create_topic("app-counts-changelog", 2).unwrap();
    let error = refused(counting(counts_in_memory()).0, config(), &log);
    let parts = ["app-counts-changelog", "expected: 3", "actual: 2", "reset"];
    check(&error, ErrorKind::Topic, &parts);
}

#[test]
fn topics_that_are_not_copartitioned_are_named_with_their_counts() {
    let mut topology = Topology::builder();
    let left = topology.source("left", "in", (Utf8, Utf8));
    let right = topology.source("right", "more", (Utf8, Utf8));
    topology.processor("join", &[left, right], || {
        |_: &mut Context<'_, (), ()>, _: Line| -> Result { Ok(()) }
    });
    topology.copartition([left.node(), right.node()]);
    let log = log_with(3);
    log.create_topic("more", 2).unwrap();
    let error = refused(topology.build().unwrap(), config(), &log);
    check(&error, ErrorKind::Topic, &["not co-partitioned", "in=3", "more=2"]);
}

#[test]
fn contradictory_settings_are_all_named_at_once() {
    let config = Config::new("no/good")
        .guarantee(Guarantee::ExactlyOnce)
        .commit_interval(Duration::from_secs(60))
        .transaction_timeout(Duration::from_secs(10))
        .buffered_records(0)
        .request_timeout(Duration::ZERO)
        .threads(5000);
    let topology = observed(|_, _| Ok(()));
    let error = Streams::new(topology, config, log_with(1)).unwrap_err();
    let parts =
        ["no/good", "transaction timeout", "commit interval", "buffered", "request", "5000"];
    check(&error, ErrorKind::Config, &parts);
    assert!(TestDriver::new(observed(|_, _| Ok(())), Config::new("")).is_err());
}

/// As a store on disk is declared; its data lies in memory.
struct OnDisk(KeyValue<String, u64>);

impl StoreBuilder for OnDisk {
    type Store = Counts;

    fn name(&self) -> &str {
        self.0.name()
    }

    fn changelog(&self) -> Option<ChangelogConfig> {
        self.0.changelog()
    }

    fn is_persistent(&self) -> bool {
        true
    }

    fn build(&self, context: StoreContext) -> Result<Counts> {
        assert!(context.dir.as_deref().is_some_and(Path::is_absolute));
        self.0.build(context)
    }
}

fn on_disk() -> Topology {
    let mut topology = Topology::builder();
    let counts = topology.store(OnDisk(counts_in_memory()));
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let id = counts.clone();
    let count = topology.processor("count", &[lines], move || Count::new(&id));
    topology.connect(count, &counts);
    topology.sink("sink", &[count], "out", (Utf8, U64));
    topology.build().unwrap()
}

#[test]
fn a_state_directory_that_cannot_be_made_is_refused_by_path() {
    let dir = TempDir::new();
    let file = dir.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let error = refused(on_disk(), config().state_dir(file.join("state")), &log_with(1));
    check(&error, ErrorKind::StateDir, &[file.to_str().unwrap()]);
}

#[test]
fn a_state_directory_in_use_is_refused_with_the_process_that_has_it() {
    let (dir, log) = (TempDir::new(), log_with(2));
    let config = || config().state_dir(dir.path());
    let one = run(on_disk(), config(), &log);
    let pid = std::process::id().to_string();
    let error = refused(on_disk(), config(), &log);
    check(&error, ErrorKind::StateDir, &[dir.path().to_str().unwrap(), &pid]);
    assert_eq!(one.state(), State::Running, "the first one goes on");
    assert!(one.close(SOON));
    drop(one);
    let two = run(on_disk(), config(), &log);
    assert!(two.close(SOON));
}

#[test]
fn applications_without_stores_on_disk_touch_no_directory() {
    let dir = TempDir::new();
    let config = config().state_dir(dir.path().join("state"));
    assert!(run(counting(counts_in_memory()).0, config, &log_with(1)).close(SOON));
    assert!(!dir.path().join("state").exists());
}

#[test]
fn two_applications_share_a_state_directory() {
    let (dir, log) = (TempDir::new(), log_with(1));
    let other = Config::new("other").poll(ms(10)).state_dir(dir.path());
    let one = run(on_disk(), config().state_dir(dir.path()), &log);
    let two = run(on_disk(), other, &log);
    assert!(one.close(SOON) && two.close(SOON));
}
