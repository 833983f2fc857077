//! An application of the Streams DSL that Java and we run by turns on a real broker: what it writes,
//! and what it keeps, is as if Java had never stopped.
//!
//! The shop of `RelayApp.java` reads four phases of input, each by another program under the same
//! application id. At the end Java reads all of it at once under a second id. Where the order of
//! records between sub-topologies is left to time, only the newest value of each key is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::{Child, Stdio};
use std::time::Duration;

use kstreams::log::{GroupProtocol, KafkaLog, Log};
use kstreams::prelude::*;
use kstreams::state::testing::TempDir;
use kstreams::time::{Clock, SystemClock};
use kstreams_broker::{Java, golden, shared};

use self::input::{End, Input};
use self::output::{Output, Row};
use self::shop::{INPUTS, OUTPUTS, shop};
use crate::topics;

mod input;
mod output;
mod shop;

const N_PARTITIONS: i32 = 2;
const LONG: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(20);
/// The application that changes hands, and Java's alone.
const RELAY: &str = "relay";
const ALONE: &str = "uninterrupted";

#[test]
fn java_and_we_run_an_application_by_turns() {
    let log = KafkaLog::new(shared().unwrap().bootstrap());
    create_topics(&log);
    let mut input = Input::new(&log, RELAY, SystemClock::new().now());
    let (java, ours) = (TempDir::new(), TempDir::new());
    let programs = [
        Program::Java("classic", &java),
        Program::Ours(GroupProtocol::Streams, &ours),
        Program::Java("streams", &java),
        Program::Ours(GroupProtocol::Classic, &ours),
    ];
    let mut relay = Outputs::new(&log, RELAY);
    let mut ends = Vec::new();
    for (phase, program) in programs.into_iter().enumerate() {
        ends = input.send_phase(phase);
        let mut running = program.start(RELAY);
        relay.wait_for(&mut running, |outputs| outputs.have(&ends));
        if phase == 3 {
            flush(&mut input, &mut relay, &mut running);
        }
        running.stop();
    }
    let folder = TempDir::new();
    let mut running = Program::Java("classic", &folder).start(ALONE);
    let mut alone = Outputs::new(&log, ALONE);
    alone.wait_for(&mut running, |outputs| outputs.have(&ends));
    flush(&mut input, &mut alone, &mut running);
    running.stop();

    let (mut relay, mut alone) = (Outputs::all(&log, RELAY), Outputs::all(&log, ALONE));
    relay.read_to_end();
    alone.read_to_end();
    relay.check_against(&alone, input.n_paid());
}

fn create_topics(log: &KafkaLog) {
    let names = INPUTS.into_iter().map(|of| format!("{RELAY}-{of}"));
    let outputs = |app: &'static str| OUTPUTS.into_iter().map(move |of| format!("{app}-{of}"));
    let all: Vec<String> = names.chain(outputs(RELAY)).chain(outputs(ALONE)).collect();
    topics::create(log, &all, N_PARTITIONS);
}

/// Moves the time on until all windows have closed.
fn flush(input: &mut Input, outputs: &mut Outputs, running: &mut Running) {
    let clock = SystemClock::new();
    let n_paid = input.n_paid();
    let mut next = Duration::ZERO;
    outputs.wait_for(running, |outputs| {
        // Java looks for orders without a payment at most once a second.
        if clock.monotonic() >= next {
            input.tick();
            next = clock.monotonic() + Duration::from_millis(1500);
        }
        outputs.topics["paid"].n_rows() >= n_paid
    });
}

/// Who runs the shop, with which group protocol and where its state is.
enum Program<'a> {
    Java(&'static str, &'a TempDir),
    Ours(GroupProtocol, &'a TempDir),
}

enum Running {
    Java(Child),
    Ours(Box<Streams>),
}

impl Program<'_> {
    fn start(&self, app: &str) -> Running {
        let bootstrap = shared().unwrap().bootstrap();
        match self {
            Self::Java(protocol, dir) => {
                let said = File::create(dir.path().join("said")).unwrap();
                let mut command = Java::prepare().unwrap().command(golden::RELAY_APP);
                command.args([bootstrap, app, RELAY, protocol]).arg(dir.path());
                command.stdin(Stdio::piped()).stdout(said).stderr(Stdio::inherit());
                Running::Java(command.spawn().unwrap())
            }
            Self::Ours(protocol, dir) => {
                let log = KafkaLog::builder(bootstrap).group_protocol(*protocol).build().unwrap();
                let config = Config::new(app)
                    .guarantee(Guarantee::ExactlyOnce)
                    .state_dir(dir.path())
                    // What it reads again is compared at the end.
                    .repartition_purge(Duration::from_secs(3600));
                let app = Streams::new(shop(app, RELAY), config, log).unwrap();
                app.start().unwrap();
                Running::Ours(Box::new(app))
            }
        }
    }
}

impl Running {
    fn check(&mut self) {
        match self {
            Self::Java(child) => assert_eq!(child.try_wait().unwrap(), None, "Java has ended"),
            Self::Ours(app) => assert!(!app.state().is_terminal(), "{:?}", app.error()),
        }
    }

    fn stop(mut self) {
        match &mut self {
            Self::Java(child) => {
                drop(child.stdin.take());
                assert!(child.wait().unwrap().success());
            }
            Self::Ours(app) => assert!(app.close(LONG)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Java(child) = self {
            // It has ended already unless the test fails.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Topics of an application, by what stands behind its id.
struct Outputs {
    topics: BTreeMap<String, Output>,
}

impl Outputs {
    fn new(log: &KafkaLog, app: &str) -> Self {
        let topic = |of: &str| (of.to_owned(), Output::new(log, &format!("{app}-{of}")));
        Self { topics: OUTPUTS.into_iter().map(topic).collect() }
    }

    /// With those that were made for it.
    fn all(log: &KafkaLog, app: &str) -> Self {
        let mut all = Self::new(log, app);
        for topic in log.admin().unwrap().topics(LONG).unwrap() {
            let Some(of) = topic.name.strip_prefix(app).and_then(|of| of.strip_prefix('-')) else {
                continue;
            };
            // Records of repartition topics are deleted when they have been read.
            if of.ends_with("-changelog") || of.ends_with("-repartition") || of.ends_with("-topic")
            {
                assert_eq!(topic.n_partitions, N_PARTITIONS, "{}", topic.name);
                all.topics.insert(of.to_owned(), Output::new(log, &topic.name));
            }
        }
        all
    }

    fn wait_for(&mut self, running: &mut Running, mut is_done: impl FnMut(&Self) -> bool) {
        let clock = SystemClock::new();
        while !is_done(self) {
            self.topics.values_mut().for_each(|topic| {
                topic.look();
            });
            running.check();
            let n: Vec<_> = self.topics.iter().map(|(of, at)| (of, at.n_rows())).collect();
            assert!(clock.monotonic() < LONG, "not done in time: {n:?}");
            std::thread::park_timeout(LOOK);
        }
    }

    fn read_to_end(&mut self) {
        let clock = SystemClock::new();
        for (of, topic) in &mut self.topics {
            while !topic.look() {
                assert!(clock.monotonic() < LONG, "the end of {of} does not come");
                std::thread::park_timeout(LOOK);
            }
        }
    }

    /// Everything of a phase has come out.
    fn have(&self, ends: &[End]) -> bool {
        let one = 1_i64.to_be_bytes();
        ends.iter().all(|End { key, article, value, price }| {
            let is = |of: &str, key: &str, value: &[u8]| self.topics[of].last(key) == Some(value);
            is("enriched", key, format!("{value} for last").as_bytes())
                && is("priced", key, format!("{value} at {price}").as_bytes())
                && is("sold", article, &one)
                && is("held", article, &one)
        })
    }

    fn check_against(&self, alone: &Self, n_paid: usize) {
        let names = |of: &Self| of.topics.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(self), names(alone));
        for (of, ours) in &self.topics {
            let java = &alone.topics[of];
            match &**of {
                // Alone results come when the time has gone far enough: in no fixed order.
                "paid" => {
                    assert_eq!(ours.n_rows(), n_paid);
                    assert_eq!(sorted(ours), sorted(java), "{of}");
                }
                "enriched" | "half-minutes" | "visits" => {
                    assert!(ours.n_rows() > 100, "{of}: {}", ours.n_rows());
                    assert_eq!(ours.rows, java.rows, "{of}");
                }
                // The time of a row is that of the record that came last by whichever way.
                "priced-changelog" => same(of, ours, java, 0, 8),
                // Keys end with a number that begins anew with each start.
                _ if of.starts_with("KSTREAM-JOIN") || of.starts_with("KSTREAM-OUTEROTHER") => {
                    same(of, ours, java, 4, 0);
                }
                _ if of.ends_with("-changelog") || OUTPUTS.contains(&&**of) => {
                    same(of, ours, java, 0, 0);
                }
                _ => {}
            }
        }
    }
}

#[track_caller]
fn same(of: &str, ours: &Output, java: &Output, of_key: usize, of_value: usize) {
    let (ours, java) = (ours.compacted(of_key, of_value), java.compacted(of_key, of_value));
    // All orders have been joined at the end, and all windows told.
    let is_empty = ours.is_empty();
    assert_eq!(is_empty, of.contains("OUTERSHARED") || of.starts_with("final"), "{of}");
    assert_eq!(ours, java, "{of}");
}

fn sorted(output: &Output) -> Vec<(&[u8], &Row)> {
    let mut all: Vec<_> = output
        .rows
        .iter()
        .flat_map(|(key, rows)| rows.iter().map(move |row| (&**key, row)))
        .collect();
    all.sort();
    all
}
