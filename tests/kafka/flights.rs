//! The flights example as processes beside a real broker: equal to the embedded run and to the
//! reference script, also when one is killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kstreams::log::{Isolation, KafkaLog, Log, OffsetSpec};
use kstreams::record::TopicPartition;
use kstreams::state::testing::TempDir;
use kstreams::time::{Clock, SystemClock};
use kstreams_broker::{shared, tools};
use parking_lot::{Condvar, Mutex};

/// All results are there within this time.
const COLLECTED: Duration = Duration::from_secs(240);
const LONG: Duration = Duration::from_secs(30);

struct Run {
    prefix: &'static str,
    guarantee: &'static str,
    dir: TempDir,
}

impl Run {
    fn new(prefix: &'static str, guarantee: &'static str) -> Self {
        Self { prefix, guarantee, dir: TempDir::new() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(example());
        command
            .args(["--bootstrap", shared().unwrap().bootstrap(), "--prefix", self.prefix])
            .args(["--app-id", &format!("{}app", self.prefix), "--guarantee", self.guarantee])
            .args(args)
            .stdout(Stdio::null());
        command
    }

    fn load(&self) {
        assert!(self.command(&["--load-only"]).status().unwrap().success());
    }

    /// The broker decides for members of streams groups: it waits 45 seconds for a dead one.
    fn shorten_sessions(&self) {
        let group = format!("{}app", self.prefix);
        let config = "streams.session.timeout.ms=6000";
        let args = ["--alter", "--entity-type", "groups", "--entity-name", &group];
        let args = [&args[..], &["--add-config", config]].concat();
        let output = shared().unwrap().tool(tools::CONFIGS, args).unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn worker(&self, name: &str) -> Worker {
        self.worker_with(name, &[])
    }

    fn worker_with(&self, name: &str, extra: &[&str]) -> Worker {
        let state = self.dir.path().join(name);
        let state = state.to_str().unwrap();
        let args = ["--worker", "--store", "rocksdb", "--threads", "2", "--state-dir", state];
        let args = [&args[..], &["--session-timeout", "6000"]].concat();
        let log = std::fs::File::create(self.dir.path().join(format!("{name}.log"))).unwrap();
        let mut command = self.command(&[&args[..], extra].concat());
        command.env("RUST_LOG", "info,kstreams_state=error,rdkafka=warn").stderr(log);
        Worker(command.spawn().unwrap())
    }

    /// What a worker has said, for a test that fails.
    fn said(&self, name: &str) -> String {
        let file = self.dir.path().join(format!("{name}.log"));
        format!("== {name}\n{}", std::fs::read_to_string(file).unwrap_or_default())
    }

    fn collect(&self, extra: &[&str]) -> Vec<String> {
        let file = self.dir.path().join("statistics");
        let file = file.to_str().unwrap();
        let chart = self.dir.path().join("chart.svg");
        let args = ["--collect", "--statistics", file, "--chart", chart.to_str().unwrap()];
        let mut collector = Worker(self.command(&[&args[..], extra].concat()).spawn().unwrap());
        let clock = SystemClock::new();
        let status = loop {
            if let Some(status) = collector.0.try_wait().unwrap() {
                break status;
            }
            let workers = || ["a", "b", "c"].map(|name| self.said(name)).concat();
            assert!(clock.monotonic() < COLLECTED, "the results are not complete\n{}", workers());
            pause();
        };
        assert!(status.success());
        std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
    }

    /// How many results have been written so far.
    fn n_results(&self) -> i64 {
        let log = KafkaLog::new(shared().unwrap().bootstrap());
        let admin = log.admin().unwrap();
        let topic = format!("{}airline-stats", self.prefix);
        let topics = admin.topics(LONG).unwrap();
        let n = topics.iter().find(|t| t.name == topic).map_or(0, |t| t.n_partitions);
        let asked: Vec<_> = (0..n)
            .map(|p| {
                let latest = OffsetSpec::Latest(Isolation::ReadCommitted);
                (TopicPartition::new(topic.as_str(), p), latest)
            })
            .collect();
        admin.offsets(&asked, LONG).unwrap().iter().sum()
    }
}

/// A process that ends with the test.
struct Worker(Child);

impl Worker {
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let example = target.join("examples/flights");
    assert!(example.exists(), "{} is built by `cargo test`", example.display());
    example
}

fn expected() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flights/expected-2013-07.txt");
    std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

/// Parks for a moment between two looks.
fn pause() {
    let (lock, never) = (Mutex::new(()), Condvar::new());
    never.wait_for(&mut lock.lock(), Duration::from_millis(20));
}

#[test]
fn three_processes_give_the_statistics_of_the_reference_script() {
    let run = Run::new("three-", "at-least-once");
    run.load();
    let _workers: Vec<Worker> = ["a", "b", "c"].map(|name| run.worker(name)).into();
    assert_eq!(run.collect(&[]), expected());
}

#[test]
fn a_killed_process_costs_nothing_exactly_once() {
    let run = Run::new("killed-eos-", "exactly-once");
    run.load();
    let mut victim = run.worker("a");
    while run.n_results() == 0 {
        assert!(victim.0.try_wait().unwrap().is_none(), "the worker has ended");
        pause();
    }
    victim.kill();
    println!("killed after {} results of airlines", run.n_results());
    let _workers: Vec<Worker> = ["b", "c"].map(|name| run.worker(name)).into();
    // The same directory again: its stores hold a committed prefix.
    let _again = run.worker("a");
    assert_eq!(run.collect(&[]), expected());
}

/// The broker would give a dead member's tasks to others after 45 seconds only.
#[test]
fn a_killed_process_that_starts_again_has_its_tasks_at_once() {
    let run = Run::new("again-", "exactly-once");
    run.load();
    let mut victim = run.worker("a");
    while run.n_results() == 0 {
        assert!(victim.0.try_wait().unwrap().is_none(), "the worker has ended");
        pause();
    }
    victim.kill();
    run.load();
    let (before, clock) = (run.n_results(), SystemClock::new());
    let mut again = run.worker("a");
    while run.n_results() <= before {
        assert!(again.0.try_wait().unwrap().is_none(), "{}", run.said("a"));
        assert!(clock.monotonic() < Duration::from_secs(30), "{}", run.said("a"));
        pause();
    }
    println!("records flow again {:?} after the start", clock.monotonic());
}

#[test]
fn a_killed_process_loses_nothing_at_least_once() {
    let run = Run::new("killed-alos-", "at-least-once");
    run.shorten_sessions();
    run.load();
    let mut victim = run.worker("a");
    while run.n_results() == 0 {
        assert!(victim.0.try_wait().unwrap().is_none(), "the worker has ended");
        pause();
    }
    victim.kill();
    // Rows that are counted again would look like the last ones: workers must not end by the count.
    let worker = |name| run.worker_with(name, &["--until-idle", "60"]);
    let _workers: Vec<Worker> = ["b", "c"].map(worker).into();
    let ours = run.collect(&["--until-idle", "30"]);
    let count = |line: &str, name: &str| -> Option<i64> {
        let word = line.split(' ').find(|word| word.starts_with(name))?;
        word.split_once('=')?.1.parse().ok()
    };
    let mut n_repeated = 0;
    for wanted in expected().iter().filter(|line| line.starts_with("airline ")) {
        let key = wanted.split(' ').nth(1).unwrap();
        let found = ours.iter().find(|line| line.starts_with(&format!("airline {key} ")));
        let found = found.unwrap_or_else(|| panic!("nothing of airline {key}"));
        let (found, wanted) = (count(found, "flights="), count(wanted, "flights="));
        let said = || ["a", "b", "c"].map(|name| run.said(name)).join("\n");
        assert!(found >= wanted, "airline {key}: {found:?} of {wanted:?}\n{}", said());
        n_repeated += found.unwrap_or(0) - wanted.unwrap_or(0);
    }
    println!("{n_repeated} flights were counted again");
}
