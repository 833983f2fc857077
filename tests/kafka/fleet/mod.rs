//! Processes of one application beside a broker of their own, under load, exactly-once.

use std::collections::BTreeSet;
use std::time::Duration;

use kstreams::log::KafkaLog;
use kstreams::state::testing::TempDir;
use kstreams::time::{Clock, SystemClock};
use kstreams_broker::Broker;

use self::app::{INPUT, OUTPUT};
use self::watch::Watch;
use crate::kills::feed::Feed;
use crate::kills::process::{Process, Role};
use crate::topics;

pub(crate) mod app;
pub(crate) mod watch;

const LONG: Duration = Duration::from_secs(60);
/// How long processes are left as they are.
const CALM: Duration = Duration::from_millis(1500);

/// What a fleet is like.
pub(crate) struct Settings {
    /// The test that plays the role of its processes.
    pub(crate) test: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) n_processes: usize,
    pub(crate) n_partitions: i32,
    pub(crate) n_standbys: usize,
    pub(crate) n_keys: u64,
    /// Records per second.
    pub(crate) rate: u64,
    /// After which a silent member loses its tasks.
    pub(crate) session: Duration,
    /// Members stay in the group when they are closed; those of classic groups are static for it.
    pub(crate) remains: bool,
}

pub(crate) struct Fleet {
    settings: Settings,
    pub(crate) clock: SystemClock,
    feed: Feed,
    pub(crate) processes: Vec<Process>,
    pub(crate) watch: Watch,
    /// The processes end before their folder, and the broker after all.
    _folder: TempDir,
    _broker: Broker,
}

/// Plays the role of this process, if it has one.
pub(crate) fn is_played() -> bool {
    let role = Role::own();
    role.iter().for_each(app::play);
    role.is_some()
}

impl Fleet {
    /// No process runs yet.
    pub(crate) fn new(settings: Settings) -> Self {
        // In streams groups the broker decides how long a session is.
        let broker = Broker::builder()
            .property("group.streams.session.timeout.ms", settings.session.as_millis().to_string())
            .property("group.streams.heartbeat.interval.ms", "1000")
            // As brokers have them; the harness has none.
            .property("group.streams.initial.rebalance.delay.ms", "3000")
            .property("group.initial.rebalance.delay.ms", "3000")
            .property("group.streams.num.standby.replicas", settings.n_standbys.to_string())
            .start()
            .unwrap();
        let log = KafkaLog::new(broker.bootstrap());
        topics::create(&log, &[INPUT, OUTPUT], settings.n_partitions);
        let folder = TempDir::new();
        let role = Role::default()
            .with("bootstrap", broker.bootstrap())
            .with("protocol", settings.protocol)
            .with("session", settings.session.as_millis());
        let process = |n: usize| {
            let name = format!("p{n}");
            let role = role.clone().with("remains", if settings.remains { &name } else { "" });
            Process::new(settings.test, &name, folder.path(), role)
        };
        Self {
            clock: SystemClock::new(),
            feed: Feed::new(broker.bootstrap(), INPUT, 7, settings.rate).of_keys(settings.n_keys),
            processes: (0..settings.n_processes).map(process).collect(),
            watch: Watch::new(&log, settings.n_partitions),
            settings,
            _folder: folder,
            _broker: broker,
        }
    }

    /// A record of each key at once, and then the clock of the feed begins anew.
    pub(crate) fn feed_each_key(&mut self) {
        self.feed.send_each(self.settings.n_keys);
        self.clock = SystemClock::new();
        self.feed.ahead();
        let n_sent = self.feed.n_sent();
        let until = self.clock.monotonic() + 10 * LONG;
        while self.watch.n_read < n_sent {
            assert!(self.clock.monotonic() < until, "{} of {n_sent}", self.watch.n_read);
            self.watch.look(self.clock.monotonic());
        }
        self.watch.longest = Duration::ZERO;
    }

    /// Feeds and watches once.
    pub(crate) fn go_on(&mut self) {
        let now = self.clock.monotonic();
        self.feed.send_until(now);
        self.watch.look(now);
    }

    pub(crate) fn go_on_for(&mut self, time: Duration) {
        let until = self.clock.monotonic() + time;
        while self.clock.monotonic() < until {
            self.go_on();
        }
    }

    /// Ends a process in order.
    pub(crate) fn end(&mut self, process: usize) {
        self.processes[process].end();
        let until = self.clock.monotonic() + LONG;
        while !self.processes[process].has_died() {
            assert!(self.clock.monotonic() < until, "process {process} does not end");
            self.go_on();
        }
    }

    /// Goes on until each process that runs has its share, and for a while after that; tells how
    /// long the first took.
    #[expect(clippy::print_stdout, reason = "the output of a test")]
    pub(crate) fn settle(&mut self, what: &str) -> Duration {
        let began = self.clock.monotonic();
        let mut settled: Option<Duration> = None;
        while settled.is_none_or(|at| self.clock.monotonic() < at + CALM) {
            self.go_on();
            let now = self.clock.monotonic();
            for (n, process) in self.processes.iter_mut().enumerate() {
                assert!(!process.has_died(), "process {n} has died:\n{}", process.said());
            }
            let running: BTreeSet<u32> = self.processes.iter().filter_map(Process::id).collect();
            if self.watch.is_shared_out(&running, began, now) {
                settled.get_or_insert(now);
            } else {
                settled = None;
                assert!(now < began + LONG, "{what}: not settled\n{}", self.said());
            }
        }
        let took = self.clock.monotonic().saturating_sub(began + CALM);
        println!(
            "{}: {what}: settled after {:.1} s; a task that stayed stood still for {:.2} s at most",
            self.settings.protocol,
            took.as_secs_f64(),
            self.watch.longest.as_secs_f64()
        );
        took
    }

    fn said(&self) -> String {
        self.processes.iter().map(Process::said).collect::<Vec<_>>().join("\n---\n")
    }

    /// All input has come out, once; tells how much it was.
    pub(crate) fn finish(&mut self) -> u64 {
        self.feed.finish();
        let n_sent = self.feed.n_sent();
        let until = self.clock.monotonic() + LONG;
        while self.watch.n_read < n_sent {
            let in_time = self.clock.monotonic() < until;
            assert!(in_time, "{} of {n_sent} came out\n{}", self.watch.n_read, self.said());
            self.watch.look(self.clock.monotonic());
        }
        for process in &mut self.processes {
            assert!(process.close(), "{}", process.said());
        }
        let until = self.clock.monotonic() + CALM;
        while self.clock.monotonic() < until {
            self.watch.look(self.clock.monotonic());
        }
        assert_eq!(self.watch.n_read, n_sent, "more came out than went in");
        n_sent
    }
}
