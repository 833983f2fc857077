//! What a restart after SIGKILL costs: the time from the assignment to running, and how much of the
//! changelog is replayed. `scripts/kills restart` runs it with a million keys, and Java beside it.

use std::fmt;
use std::process::{Child, Stdio};
use std::time::Duration;

use kstreams::log::KafkaLog;
use kstreams::prelude::*;
use kstreams::state::testing::TempDir;
use kstreams::time::{Clock, SystemClock};
use kstreams_broker::{Java, golden, shared};

use super::feed::Feed;
use super::plan::{SESSION, TRANSACTION};
use super::process::{Process, Role};
use super::{setting, wait};
use crate::counting::counting;
use crate::topics::{self, Reader};

const TEST: &str = "kills::restart::a_restart_after_a_kill_replays_the_last_commits_alone";
const N_PARTITIONS: i32 = 2;
/// Records per second while it is killed.
const RATE: u64 = 5000;
/// How long it runs under that load before it is killed, and after it was started again.
const UNDER_LOAD: Duration = Duration::from_secs(3);

#[test]
fn a_restart_after_a_kill_replays_the_last_commits_alone() {
    if let Some(role) = Role::own() {
        return run(&role);
    }
    let n_keys = setting("KSTREAMS_RESTART_KEYS", 20_000);
    let ours = Restart::of_ours(n_keys);
    println!("kstreams: {n_keys} keys, {ours}");
    assert!(!ours.was_wiped, "{ours:?}");
    // A wipe would replay every key.
    assert!(ours.n_replayed < n_keys as i64 / 2, "{ours:?}");
    if setting("KSTREAMS_RESTART_JAVA", 0) == 1 {
        let java = Restart::of_java(n_keys);
        println!("Kafka Streams 4.3.1: {n_keys} keys, {java}");
        assert!(java.n_replayed >= n_keys as i64, "{java:?}");
    }
}

/// Counts records per key on one thread, as `CountApp.java`.
fn run(role: &Role) {
    let config = Config::new(role.get("app"))
        .guarantee(Guarantee::ExactlyOnce)
        .state_dir(role.get("state"))
        .session_timeout(role.millis("session"))
        .transaction_timeout(role.millis("transaction"));
    role.run(&config, || counting(role.get("input"), role.get("output")));
}

/// What was measured.
#[derive(Debug)]
struct Restart {
    n_replayed: i64,
    was_wiped: bool,
    /// From the start of the process to its first tasks; Java's waits for the session time-out of the
    /// one that was killed.
    started_to_assigned: Duration,
    assigned_to_running: Duration,
}

impl Restart {
    fn of_ours(n_keys: u64) -> Self {
        let dir = TempDir::new();
        let role = Role::default()
            .with("bootstrap", shared().unwrap().bootstrap())
            .with("app", "restart-ours")
            .with("input", "restart-ours-in")
            .with("output", "restart-ours-out")
            .with("session", SESSION.as_millis())
            .with("transaction", TRANSACTION.as_millis());
        let mut process = Process::new(TEST, "p", dir.path(), role);
        Self::of(n_keys, "restart-ours", &mut Ours(&mut process))
    }

    fn of_java(n_keys: u64) -> Self {
        let dir = TempDir::new();
        let mut java = JavaApp { dir, child: None };
        Self::of(n_keys, "restart-java", &mut java)
    }

    /// Fills the store, kills the program under load, and starts it again.
    fn of(n_keys: u64, name: &str, program: &mut dyn Program) -> Self {
        let (input, output) = (format!("{name}-in"), format!("{name}-out"));
        let bootstrap = shared().unwrap().bootstrap();
        let log = KafkaLog::new(bootstrap);
        topics::create(&log, &[&input, &output], N_PARTITIONS);
        Feed::new(bootstrap, &input, 1, 0).send_each(n_keys);
        let mut results = Results::new(&log, &output);
        let clock = SystemClock::new();
        program.start();
        results.wait_for(n_keys, program);

        let mut feed = Feed::new(bootstrap, &input, 2, RATE).of_keys(n_keys);
        let began = clock.monotonic();
        let mut feed_until = |end| {
            while clock.monotonic() - began < end {
                feed.send_until(clock.monotonic() - began);
                wait(Duration::from_millis(2));
            }
            feed.n_sent()
        };
        feed_until(UNDER_LOAD);
        let n_lines = program.said().lines().count();
        program.kill();
        program.start();
        let n_sent = feed_until(UNDER_LOAD * 2);
        results.wait_for(n_keys + n_sent, program);
        let said = program.said();
        let lines: Vec<&str> = said.lines().skip(n_lines).collect();
        program.kill();
        Self::read(&lines, program)
    }

    /// From what the program said after its second start.
    fn read(lines: &[&str], program: &dyn Program) -> Self {
        let time = |line: &&str| {
            let millis = line.split(' ').next().and_then(|time| time.parse().ok());
            Duration::from_millis(millis.unwrap_or(0))
        };
        let first = |text: &str| lines.iter().find(|line| line.contains(text));
        let started = lines.first().map(time).unwrap();
        let assigned = first(program.assigned()).map(time).unwrap();
        let running =
            |line: &&&str| time(line) >= assigned && line.to_lowercase().contains("state running");
        let running = lines.iter().find(running).map(time).unwrap();
        Self {
            n_replayed: lines.iter().filter_map(|line| program.replayed(line)).sum(),
            was_wiped: first("is wiped").is_some(),
            started_to_assigned: assigned.saturating_sub(started),
            assigned_to_running: running.saturating_sub(assigned),
        }
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "restart: {:.1} s until it was assigned, running {:.3} s later, \
             {} records replayed, wiped: {}",
            self.started_to_assigned.as_secs_f64(),
            self.assigned_to_running.as_secs_f64(),
            self.n_replayed,
            self.was_wiped,
        )
    }
}

/// A program that counts, ours or Java's.
trait Program {
    fn start(&mut self);
    fn kill(&mut self);
    fn has_died(&mut self) -> bool;
    /// Its lines so far; each begins with the time in milliseconds.
    fn said(&self) -> String;
    /// What a line says when it has been given its tasks.
    fn assigned(&self) -> &'static str;
    /// How many records of a changelog a line says were replayed.
    fn replayed(&self, line: &str) -> Option<i64>;
}

/// Of a line of ours: `.. restoring offsets 20 to 30 of ..`.
pub(crate) fn replayed(line: &str) -> Option<i64> {
    let range = line.split_once("restoring offsets ")?.1;
    let mut words = range.split(' ');
    let (from, to) = (words.next()?.parse::<i64>().ok()?, words.nth(1)?.parse::<i64>().ok()?);
    Some(to - from)
}

struct Ours<'a>(&'a mut Process);

impl Program for Ours<'_> {
    fn start(&mut self) {
        self.0.start();
    }

    fn kill(&mut self) {
        self.0.kill();
    }

    fn has_died(&mut self) -> bool {
        self.0.has_died()
    }

    fn said(&self) -> String {
        self.0.said()
    }

    fn assigned(&self) -> &'static str {
        "takes on tasks"
    }

    fn replayed(&self, line: &str) -> Option<i64> {
        replayed(line)
    }
}

struct JavaApp {
    dir: TempDir,
    child: Option<Child>,
}

impl Program for JavaApp {
    fn start(&mut self) {
        let java = Java::prepare().unwrap();
        let mut command = java.command(golden::COUNT_APP);
        let said = self.dir.path().join("said");
        let said = std::fs::File::options().create(true).append(true).open(said).unwrap();
        let state = self.dir.path().join("state");
        command
            .args([shared().unwrap().bootstrap(), "restart-java"])
            .args(["restart-java-in", "restart-java-out", state.to_str().unwrap()])
            .arg(SESSION.as_millis().to_string())
            .stdin(Stdio::piped())
            .stdout(said)
            .stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn has_died(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some())
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("said")).unwrap_or_default()
    }

    fn assigned(&self) -> &'static str {
        "restoring counts"
    }

    fn replayed(&self, line: &str) -> Option<i64> {
        line.split_once("restored counts ")?.1.split(' ').nth(1)?.parse().ok()
    }
}

impl Drop for JavaApp {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Counts what is committed.
struct Results {
    reader: Reader,
    n: u64,
}

impl Results {
    fn new(log: &KafkaLog, topic: &str) -> Self {
        Self { reader: Reader::new(log, topic, N_PARTITIONS), n: 0 }
    }

    /// Waits for so many results, ten minutes at the most.
    fn wait_for(&mut self, n: u64, program: &mut dyn Program) {
        let clock = SystemClock::new();
        while self.n < n {
            let so_far = &mut self.n;
            self.reader.take(|_, _| *so_far += 1);
            self.reader.wait(Duration::from_millis(20));
            let in_time = clock.monotonic() < Duration::from_secs(600);
            assert!(in_time && !program.has_died(), "{} of {n}\n{}", self.n, program.said());
        }
    }
}
