//! Instances come, go and are replaced one by one under load, exactly-once: every record counts once
//! and in order, and tasks that stay where they are go on.

use std::collections::BTreeMap;
use std::time::Duration;

use kstreams::log::GroupProtocol;
use kstreams::prelude::*;
use kstreams::state::testing::TempDir;
use kstreams::task::TaskId;
use kstreams::time::{Clock, SystemClock};
use kstreams_broker::shared;

use crate::counting::counting;
use crate::kills::feed::Feed;
use crate::topics::{self, Reader};

const N_PARTITIONS: i32 = 12;
const N_KEYS: u64 = 600;
const RATE: u64 = 2000;
const LONG: Duration = Duration::from_secs(60);
/// How long a number of instances is left as it is.
const CALM: Duration = Duration::from_millis(1500);
const LOOK: Duration = Duration::from_millis(20);

/// Where a task was seen last, and since when it has not moved on there.
struct Seen {
    instance: usize,
    position: i64,
    since: Duration,
}

struct Fleet {
    name: &'static str,
    protocol: GroupProtocol,
    clock: SystemClock,
    feed: Feed,
    apps: Vec<Option<Streams>>,
    folders: Vec<TempDir>,
    seen: BTreeMap<TaskId, Seen>,
    /// The longest time that a task stood still although it stayed, in this step.
    longest: Duration,
}

impl Fleet {
    fn new(name: &'static str, protocol: GroupProtocol) -> Self {
        let bootstrap = shared().unwrap().bootstrap();
        let names = ["in", "out"].map(|suffix| format!("{name}-{suffix}"));
        topics::create(&KafkaLog::new(bootstrap), &names, N_PARTITIONS);
        Self {
            name,
            protocol,
            clock: SystemClock::new(),
            feed: Feed::new(bootstrap, &format!("{name}-in"), 7, RATE).of_keys(N_KEYS),
            apps: (0..3).map(|_| None).collect(),
            folders: (0..3).map(|_| TempDir::new()).collect(),
            seen: BTreeMap::new(),
            longest: Duration::ZERO,
        }
    }

    fn log(&self) -> KafkaLog {
        let builder = KafkaLog::builder(shared().unwrap().bootstrap());
        builder.group_protocol(self.protocol).build().unwrap()
    }

    fn start(&mut self, instance: usize) {
        let topology = counting(&format!("{}-in", self.name), &format!("{}-out", self.name));
        let config = Config::new(self.name)
            .guarantee(Guarantee::ExactlyOnce)
            .state_dir(self.folders[instance].path());
        let app = Streams::new(topology, config, self.log()).unwrap();
        app.start().unwrap();
        self.apps[instance] = Some(app);
    }

    fn stop(&mut self, instance: usize) {
        let app = self.apps[instance].take().unwrap();
        assert!(app.close(LONG), "instance {instance} did not close");
    }

    /// Feeds, and looks at what moves, until the tasks are shared out and for a while after that.
    #[expect(clippy::print_stdout, reason = "the output of a test")]
    fn step(&mut self, what: &str) {
        let began = self.clock.monotonic();
        let mut settled = None;
        while settled.is_none_or(|at| self.clock.monotonic() < at + CALM) {
            let now = self.clock.monotonic();
            assert!(now < began + LONG, "{} {what}: not settled", self.name);
            self.feed.send_until(now);
            self.look(now);
            if self.is_settled() {
                settled.get_or_insert(now);
            } else {
                settled = None;
            }
            std::thread::park_timeout(LOOK);
        }
        println!(
            "{}: {what}: settled after {:.1} s; a task that stayed stood still for {:.2} s at most",
            self.name,
            (self.clock.monotonic() - began - CALM).as_secs_f64(),
            self.longest.as_secs_f64()
        );
    }

    fn is_settled(&self) -> bool {
        let mut apps = self.apps.iter().flatten();
        let n_tasks: usize = self.apps.iter().flatten().map(|app| app.tasks().len()).sum();
        apps.all(|app| app.state() == State::Running && !app.tasks().is_empty())
            && n_tasks == N_PARTITIONS as usize
    }

    fn look(&mut self, now: Duration) {
        for (instance, app) in self.apps.iter().enumerate() {
            for info in app.iter().flat_map(Streams::tasks) {
                let position = info.positions.iter().map(|(_, offset)| offset).sum();
                let seen =
                    self.seen.entry(info.task).or_insert(Seen { instance, position, since: now });
                if seen.instance != instance {
                    *seen = Seen { instance, position, since: now };
                } else if seen.position != position {
                    self.longest = self.longest.max(now.saturating_sub(seen.since));
                    *seen = Seen { instance, position, since: now };
                }
            }
        }
    }

    /// All input has come out, each key counted without a gap.
    fn check(&mut self) {
        self.feed.finish();
        let n = self.feed.n_sent() as usize;
        let mut reader = Reader::new(&self.log(), &format!("{}-out", self.name), N_PARTITIONS);
        let (mut counts, mut n_read) = (BTreeMap::<Vec<u8>, i64>::new(), 0);
        let began = self.clock.monotonic();
        while n_read < n {
            let now = self.clock.monotonic();
            assert!(now < began + LONG, "{}: {n_read} of {n} records came out", self.name);
            reader.wait(LOOK);
            reader.take(|_, record| {
                let count = counts.entry(record.key.unwrap().to_vec()).or_default();
                *count += 1;
                let told = i64::from_be_bytes(record.value.unwrap().try_into().unwrap());
                assert_eq!(told, *count, "{}: lost or repeated", self.name);
                n_read += 1;
            });
        }
        assert_eq!(n_read, n, "{}: more came out than went in", self.name);
    }
}

/// Tells the longest time that a task stood still although it stayed.
fn run(name: &'static str, protocol: GroupProtocol) -> Duration {
    let mut fleet = Fleet::new(name, protocol);
    fleet.start(0);
    fleet.step("one instance");
    fleet.longest = Duration::ZERO;
    for instance in [1, 2] {
        fleet.start(instance);
        fleet.step("one more");
    }
    for instance in 0..3 {
        fleet.stop(instance);
        fleet.step("one less");
        fleet.start(instance);
        fleet.step("back again");
    }
    fleet.stop(2);
    fleet.stop(1);
    fleet.step("two less");
    fleet.check();
    fleet.stop(0);
    fleet.longest
}

#[test]
fn instances_are_replaced_one_by_one_in_a_streams_group() {
    let longest = run("sharing-streams", GroupProtocol::Streams);
    // Commits tell where a task is, each 100 ms. A quiet machine takes 0.2 s; a busy one has its time.
    assert!(longest < Duration::from_secs(5), "a task that stayed stood still for {longest:?}");
}

#[test]
fn instances_are_replaced_one_by_one_in_a_classic_group() {
    // All tasks pause at each change there, so nothing is asked of the time.
    run("sharing-classic", GroupProtocol::Classic);
}
