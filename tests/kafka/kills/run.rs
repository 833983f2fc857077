//! One run: feeds, disturbs and watches at the same time, on one thread.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use kstreams::log::{Isolation, KafkaLog, Log, OffsetSpec};
use kstreams::record::TopicPartition;
use kstreams::state::testing::TempDir;
use kstreams::time::{Clock, SystemClock};
use kstreams_broker::Broker;

use super::app::{INPUT, N_PARTITIONS, TALLIES, TOTALS};
use super::feed::Feed;
use super::plan::{self, Fault, N_PROCESSES, Options, TRANSACTION};
use super::process::{Process, Role};
use super::soak::Usage;
use super::verifier::{Verifier, table};
use super::wait;
use crate::topics;

/// What a broker says that has lost its session, or ends a transaction without its markers.
const TROUBLE: [&str; 2] = ["session has timed out", "find leader endpoint"];
/// How often it looks at what processes hold.
const SAMPLE: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);
/// After the last fault and the last input, everything must be done within this time.
const SETTLED: Duration = Duration::from_secs(120);

pub(super) struct Run {
    options: Options,
    clock: SystemClock,
    began: Duration,
    log: KafkaLog,
    feed: Feed,
    verifier: Verifier,
    processes: Vec<Process>,
    /// What is to happen to processes later on, in no order.
    due: Vec<(Duration, Due)>,
    broker: Arc<Broker>,
    /// Disturbs the broker, which takes its time.
    disturber: Option<JoinHandle<()>>,
    /// Faults whose records are not all done yet: when they came, and the input there was then.
    open: Vec<(Duration, Vec<usize>)>,
    summary: Summary,
    folder: TempDir,
}

enum Due {
    Start(usize),
    Resume(usize),
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    n_records: usize,
    seconds: f64,
    pub(super) n_kills: u32,
    pub(super) n_pauses: u32,
    n_bounces: u32,
    n_died: u32,
    n_duplicates: u64,
    n_lost: usize,
    n_wrong: u64,
    wrong: Vec<String>,
    longest_recovery: Duration,
    settled_after: Duration,
}

impl Run {
    pub(super) fn new(options: Options) -> Self {
        // What the coordinators do is half of what one must know when a run fails.
        let coordinators = ["org.apache.kafka.coordinator.group", "kafka.coordinator.transaction"];
        let logger = |name| format!("-Dorg.slf4j.simpleLogger.log.{name}=info");
        let session = options.session();
        // In streams groups the broker decides how long a session is.
        let broker = Broker::builder()
            .jvm_option(logger(coordinators[0]))
            .jvm_option(logger(coordinators[1]))
            .property("group.streams.session.timeout.ms", session.as_millis().to_string())
            .property("group.streams.heartbeat.interval.ms", "1000")
            .start()
            .unwrap();
        let broker = Arc::new(broker);
        let log = KafkaLog::new(broker.bootstrap());
        topics::create(&log, &[INPUT, TOTALS, TALLIES], N_PARTITIONS);
        let folder = TempDir::new();
        let role = Role::default()
            .with("bootstrap", broker.bootstrap())
            .with("app", "kills")
            .with("rocks", options.rocks_bytes)
            .with("session", session.as_millis())
            .with("transaction", TRANSACTION.as_millis());
        let process = |number: usize| {
            let mut process =
                Process::new(super::TEST, &format!("p{number}"), folder.path(), role.clone());
            process.start();
            process
        };
        let processes = (0..N_PROCESSES).map(process).collect();
        let clock = SystemClock::new();
        Self {
            options,
            began: clock.monotonic(),
            clock,
            feed: Feed::new(broker.bootstrap(), INPUT, options.seed, options.rate),
            verifier: Verifier::new(&log),
            log,
            processes,
            due: Vec::new(),
            broker,
            disturber: None,
            open: Vec::new(),
            summary: Summary::default(),
            folder,
        }
    }

    fn time(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.began)
    }

    /// Input and faults, until the time is over.
    pub(super) fn faults(&mut self) {
        let mut faults = plan::faults(&self.options).into_iter().peekable();
        loop {
            let now = self.time();
            if now >= self.options.length {
                break;
            }
            self.feed.send_until(now);
            while let Some((_, fault)) = faults.next_if(|(at, _)| *at <= now) {
                self.apply(fault, now);
            }
            self.watch(now);
        }
        self.summary.seconds = self.time().as_secs_f64();
    }

    /// No more faults: waits until all is done, and ends the application.
    pub(super) fn settle(&mut self) {
        let began = self.time();
        let last = self.due.iter().map(|(at, _)| *at).max().unwrap_or(began).max(began);
        self.feed.finish();
        loop {
            let now = self.time();
            self.watch(now);
            let is_quiet = self.due.is_empty() && self.disturber.is_none();
            if is_quiet && self.is_all_done() {
                break;
            }
            if now > last + SETTLED {
                break;
            }
        }
        self.summary.settled_after = self.time().saturating_sub(began);
        for process in &mut self.processes {
            if !process.close() {
                self.summary.n_died += 1;
            }
        }
        // What came after the last record that was waited for would be one too many.
        let quiet = self.time() + Duration::from_secs(1);
        while self.time() < quiet {
            self.verifier.look();
            wait(PAUSE);
        }
        self.verifier.finish();
        self.compare_stores();
    }

    fn apply(&mut self, fault: Fault, now: Duration) {
        say(now, &format!("{fault:?}"));
        self.open.push((now, self.verifier.oracle.n_inputs().to_vec()));
        match fault {
            Fault::Kill { process, down } => {
                if self.processes[process].is_up() {
                    self.processes[process].kill();
                    self.summary.n_kills += 1;
                    self.due.push((now + down, Due::Start(process)));
                }
            }
            Fault::Pause { process, length } => {
                if self.processes[process].is_up() && !self.processes[process].is_paused() {
                    self.processes[process].pause();
                    self.summary.n_pauses += 1;
                    self.due.push((now + length, Due::Resume(process)));
                }
            }
            Fault::Bounce { down } => self.disturb(move |broker| {
                broker.stop().unwrap();
                wait(down);
                broker.restart().unwrap();
            }),
            Fault::KillBroker { down } => self.disturb(move |broker| {
                broker.kill().unwrap();
                wait(down);
                broker.restart().unwrap();
            }),
            Fault::PauseBroker { length } => self.disturb(move |broker| {
                broker.pause().unwrap();
                wait(length);
                broker.resume();
            }),
        }
    }

    fn disturb(&mut self, how: impl FnOnce(&Broker) + Send + 'static) {
        if let Some(busy) = self.disturber.take() {
            busy.join().unwrap();
        }
        self.summary.n_bounces += 1;
        let broker = Arc::clone(&self.broker);
        self.disturber = Some(std::thread::spawn(move || how(&broker)));
    }

    /// Input for so long without faults, and then all that is left to do; what each process held
    /// meanwhile, at intervals.
    pub(super) fn round(&mut self, length: Duration) -> Vec<Vec<Usage>> {
        let mut usage = vec![Vec::new(); self.processes.len()];
        let began = self.time();
        self.feed.ahead();
        loop {
            let time = self.time() - began;
            self.feed.send_until(time.min(length));
            self.watch(began + time);
            let is_done = time > length && self.is_all_done();
            for (process, samples) in self.processes.iter().zip(&mut usage) {
                if is_done || time >= SAMPLE * samples.len() as u32 {
                    samples.extend(process.usage());
                }
            }
            if is_done {
                break;
            }
            assert!(time < length + SETTLED, "not done\n{}", self.said());
        }
        self.summary.seconds += length.as_secs_f64();
        usage
    }

    /// True if all of the input has come out.
    fn is_all_done(&self) -> bool {
        self.verifier.is_complete() && self.is_all_read()
    }

    /// The process that runs each task, by the task's name.
    pub(super) fn owners(&self) -> BTreeMap<String, usize> {
        let mut owners = BTreeMap::new();
        for (number, process) in self.processes.iter().enumerate() {
            for line in process.said().lines() {
                let Some(words) = line.strip_suffix(": running") else { continue };
                let (Some((at, _)), Some((_, task))) =
                    (words.split_once(' '), words.rsplit_once(' '))
                else {
                    continue;
                };
                let at: u64 = at.parse().unwrap();
                let owner = owners.entry(task.to_owned()).or_insert((at, number));
                *owner = (*owner).max((at, number));
            }
        }
        owners.into_iter().map(|(task, (_, number))| (task, number)).collect()
    }

    /// One look at everything.
    fn watch(&mut self, now: Duration) {
        for index in (0..self.due.len()).rev() {
            if self.due[index].0 <= now {
                match self.due.swap_remove(index).1 {
                    Due::Start(process) if !self.processes[process].is_up() => {
                        self.processes[process].start();
                    }
                    Due::Start(_) => {}
                    Due::Resume(process) => self.processes[process].resume(),
                }
            }
        }
        for (number, process) in self.processes.iter_mut().enumerate() {
            if process.has_died() {
                say(now, &format!("process {number} has ended by itself"));
                self.summary.n_died += 1;
                process.start();
            }
        }
        if self.disturber.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(disturber) = self.disturber.take()
        {
            disturber.join().unwrap();
        }
        if !self.verifier.look() {
            wait(PAUSE);
        }
        let n_done = self.verifier.oracle.n_done();
        let longest = &mut self.summary.longest_recovery;
        self.open.retain(|(at, n_inputs)| {
            let is_done = n_inputs.iter().zip(&n_done).all(|(wanted, done)| done >= wanted);
            if is_done {
                *longest = (*longest).max(now.saturating_sub(*at));
            }
            !is_done
        });
    }

    /// True if the verifier has seen the whole input.
    fn is_all_read(&self) -> bool {
        let n_inputs = self.verifier.oracle.n_inputs();
        self.ends(INPUT).iter().zip(n_inputs).all(|(end, n)| *end == n as i64)
    }

    fn ends(&self, topic: &str) -> Vec<i64> {
        let latest = OffsetSpec::Latest(Isolation::ReadCommitted);
        let asked: Vec<_> =
            (0..N_PARTITIONS).map(|p| (TopicPartition::new(topic, p), latest)).collect();
        let admin = self.log.admin().unwrap();
        loop {
            match admin.offsets(&asked, LONG) {
                Ok(ends) => return ends,
                // The broker has just come back: its epochs are new.
                Err(error) if error.is_retriable() => wait(PAUSE),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The changelogs of both stores hold what the interpreter has.
    fn compare_stores(&mut self) {
        for (at, store) in ["sums", "counts"].into_iter().enumerate() {
            let topic = format!("kills-{store}-changelog");
            let found = table(&self.log, &topic, &self.ends(&topic));
            let oracle = &mut self.verifier.oracle;
            let n_wrong = {
                let wanted = oracle.states()[at];
                let differ = |(key, value): (&String, &String)| wanted.get(key) != Some(value);
                found.iter().filter(|pair| differ(*pair)).count()
                    + wanted.keys().filter(|key| !found.contains_key(*key)).count()
            };
            if n_wrong > 0 {
                oracle.wrong(format!("{n_wrong} keys of {topic} are not the interpreter's"));
            }
        }
    }

    pub(super) fn summary(&self) -> Summary {
        let oracle = &self.verifier.oracle;
        Summary {
            n_records: oracle.n_inputs().iter().sum(),
            n_duplicates: oracle.n_duplicates(),
            n_lost: oracle.n_lost(),
            n_wrong: oracle.n_wrong,
            wrong: [oracle.duplicates(), oracle.wrong.clone(), oracle.lost()].concat(),
            ..self.summary.clone()
        }
    }

    /// The last words of each process, for a run that failed. The folders of processes and broker are
    /// copied to the folder that `KSTREAMS_KILLS_KEEP` names, if it does.
    pub(super) fn said(&self) -> String {
        if let Some(at) = std::env::var_os("KSTREAMS_KILLS_KEEP") {
            std::fs::create_dir_all(&at).unwrap();
            let from = [self.folder.path(), self.broker.folder()];
            let copied = Command::new("cp").arg("-r").args(from).arg(at).status().unwrap();
            assert!(copied.success(), "the folders were not copied");
        }
        let all = self.broker.log_tail(usize::MAX);
        let is_trouble = |line: &&str| TROUBLE.iter().any(|words| line.contains(words));
        let trouble: Vec<&str> = all.lines().filter(is_trouble).take(20).collect();
        let mut text = format!("the broker's trouble:\n{}\n", trouble.join("\n"));
        // A report may be cut in its middle: the last words of all come first.
        for n_lines in [6, 60] {
            for (number, process) in self.processes.iter().enumerate() {
                let said = process.said();
                let lines: Vec<&str> = said.lines().collect();
                let tail = &lines[lines.len().saturating_sub(n_lines)..];
                text += &format!("== process {number}\n{}\n", tail.join("\n"));
            }
        }
        text + "== broker\n" + &self.broker.log_tail(200)
    }
}

impl Summary {
    pub(super) fn is_exact(&self) -> bool {
        self.n_duplicates == 0 && self.n_lost == 0 && self.n_wrong == 0 && self.n_died == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.n_records as f64 / self.seconds;
        write!(
            f,
            "records {}, rate {rate:.0}/s, kills {}, pauses {}, broker disturbed {}, \
             ended by themselves {}, duplicates {}, losses {}, differences {}, \
             longest recovery {:.1} s, settled after {:.1} s",
            self.n_records,
            self.n_kills,
            self.n_pauses,
            self.n_bounces,
            self.n_died,
            self.n_duplicates,
            self.n_lost,
            self.n_wrong,
            self.longest_recovery.as_secs_f64(),
            self.settled_after.as_secs_f64(),
        )?;
        self.wrong.iter().try_for_each(|text| write!(f, "\n  {text}"))
    }
}

/// Tells what happens, for who reads along.
#[expect(clippy::print_stdout, reason = "the output of a test")]
fn say(now: Duration, text: &str) {
    println!("{:>7.1} s {text}", now.as_secs_f64());
}

/// How long it waits between two looks when nothing has come.
const PAUSE: Duration = Duration::from_millis(2);
