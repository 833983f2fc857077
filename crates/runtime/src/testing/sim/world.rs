//! One run: instances, log, clock and disks on one thread, and one seed that decides what happens
//! next.

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::ErrorKind;
use kstreams_core::random::Random;
use kstreams_core::time::{Clock, ManualClock, Timestamp};
use parking_lot::Mutex;

use super::disk::SimDisk;
use super::feed::Feed;
use super::history::Observer;
use super::instance::{Instance, Outcome};
use super::instance_probe::{Armed, InstanceProbe};
use super::invariants::{Broken, Invariants};
use super::ledger::{Ledger, Tap};
use super::network::SimNetwork;
use super::oracle::Oracle;
use super::plan::{Rate, SimPlan};
use super::report::Coverage;
use super::simulation::{SimEnv, Simulation};
use super::trace::{Step, Trace};
use crate::config::Config;
use crate::planted::{Bug, is_planted};
use crate::probe::CrashPoint;
use crate::transport::memory::MemoryLog;

/// How long everything may take to settle once the faults have ended, on the simulated clock.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

pub(super) struct World<'a> {
    simulation: &'a Simulation,
    plan: SimPlan,
    random: Random,
    clock: ManualClock,
    log: MemoryLog,
    network: Arc<SimNetwork>,
    instances: Vec<Instance>,
    feed: Feed,
    observer: Observer,
    invariants: Invariants,
    oracle: Box<dyn Oracle>,
    ledger: Ledger,
    pub(super) trace: Trace,
    pub(super) coverage: Arc<Mutex<Coverage>>,
    is_faulty: bool,
}

impl<'a> World<'a> {
    pub(super) fn new(simulation: &'a Simulation, plan: SimPlan) -> Result<Self, Broken> {
        let seed = Random::seeded(plan.seed);
        let clock = ManualClock::starting_at(Timestamp::from_millis(1_000_000));
        let trace = Trace::new(plan.seed, simulation.n_trace);
        let coverage: Arc<Mutex<Coverage>> = Arc::default();
        let ledger = Ledger::default();
        let network = Arc::new(SimNetwork::new(
            plan.network.clone(),
            Random::seeded(seed.next()),
            trace.clone(),
            Arc::clone(&coverage),
        ));
        let log = MemoryLog::builder()
            .clock(clock.clone())
            .non_blocking()
            .group_mode(plan.mode)
            .faults(Arc::clone(&network) as _)
            .build();
        let topics = simulation.inputs.iter().map(|input| &input.topic).chain(&simulation.outputs);
        for topic in topics {
            log.create_topic(topic, plan.n_partitions).map_err(broken)?;
        }
        let feed = Feed::new(&log, &simulation.inputs, &plan, Random::seeded(seed.next()));
        let feed = feed.map_err(broken)?;
        let application_id = simulation.application_id.as_str().into();
        let observer = Observer::new(&log, application_id, ledger.clone(), trace.clone());
        let observer = observer.map_err(broken)?;
        let instances = (0..plan.n_instances).map(|index| {
            let probe =
                InstanceProbe::new(index, Arc::clone(&coverage), ledger.clone(), trace.clone());
            let probe = Arc::new(probe);
            let disk = SimDisk::new(Arc::clone(&probe), ledger.clone());
            let (paused_until, cut_off_until) = (Duration::ZERO, Duration::ZERO);
            let process_id = Random::seeded(seed.next()).uuid();
            Instance { index, process_id, disk, probe, process: None, paused_until, cut_off_until }
        });
        Ok(Self {
            instances: instances.collect(),
            invariants: Invariants::new(plan.guarantee, ledger.clone()),
            oracle: (simulation.oracle)(&plan),
            random: seed,
            is_faulty: true,
            simulation,
            plan,
            clock,
            log,
            network,
            feed,
            observer,
            ledger,
            trace,
            coverage,
        })
    }

    /// Runs to the end.
    pub(super) fn run(&mut self) -> Result<(), Broken> {
        for _ in 0..self.plan.n_steps {
            self.step()?;
            if self.ledger.has_commits() {
                self.look()?;
            }
        }
        self.settle()?;
        self.close()
    }

    fn step(&mut self) -> Result<(), Broken> {
        match self.random.below(100) {
            0..10 => self.pass_time(),
            10..15 => self.feed_some()?,
            15 => self.look()?,
            16..25 => self.disturb()?,
            _ => {
                let chosen = self.random.below(self.instances.len() as u64) as usize;
                if self.is_able(chosen) {
                    let n = self.instances[chosen].n_workers() as u64;
                    self.turn(chosen, self.random.below(n) as usize)?;
                }
            }
        }
        Ok(())
    }

    /// True if the process runs and does not stand still.
    fn is_able(&self, index: usize) -> bool {
        let instance = &self.instances[index];
        instance.process.is_some() && instance.paused_until <= self.clock.monotonic()
    }

    fn pass_time(&self) {
        let most = if self.happens(self.plan.leap) {
            self.plan.session_timeout.as_millis() as u64
        } else {
            30
        };
        self.advance(Duration::from_millis(1 + self.random.below(most)));
    }

    fn advance(&self, by: Duration) {
        self.trace.note(Step::Advance(by));
        self.coverage.lock().simulated += by;
        self.clock.advance(by);
        let now = self.clock.monotonic();
        for instance in &self.instances {
            instance.probe.cut_off(self.is_faulty && now < instance.cut_off_until);
        }
    }

    fn feed_some(&mut self) -> Result<(), Broken> {
        let n = 1 + self.random.below(4);
        self.feed.some(n as usize, &self.trace).map_err(broken)
    }

    fn happens(&self, rate: Rate) -> bool {
        self.is_faulty && rate.0 > 0 && self.random.below(10_000) < u64::from(rate.0)
    }

    /// What happens to instances, by the rates of the plan.
    fn disturb(&mut self) -> Result<(), Broken> {
        let chosen = self.random.below(self.instances.len() as u64) as usize;
        // Rates are per step; this is called at about one in ten.
        let often = |rate: Rate| Rate(rate.0 * 10);
        let plan = &self.plan;
        if self.instances[chosen].process.is_none() {
            // A crashed instance comes back soon, mostly.
            if self.random.below(4) == 0 {
                self.start(chosen)?;
            }
        } else if self.happens(often(plan.crash)) {
            self.trace.note(Step::Crash { instance: chosen, point: None, is_machine: false });
            self.crash(chosen);
        } else if self.happens(often(plan.stop)) {
            self.stop(chosen)?;
        } else if self.happens(often(plan.pause)) {
            let most = plan.session_timeout.max(plan.transaction_timeout).as_millis() as u64 * 2;
            let by = Duration::from_millis(1 + self.random.below(most));
            self.trace.note(Step::Pause { instance: chosen, by });
            self.coverage.lock().count("pauses");
            self.instances[chosen].paused_until = self.clock.monotonic() + by;
        } else if self.happens(often(plan.cut_off)) {
            let most = plan.session_timeout.as_millis() as u64 * 2;
            let by = Duration::from_millis(1 + self.random.below(most));
            self.trace.note(Step::Isolate { instance: chosen, by });
            self.coverage.lock().count("instances cut off");
            self.instances[chosen].cut_off_until = self.clock.monotonic() + by;
        } else if self.happens(often(plan.full_disk)) {
            let disk = &self.instances[chosen].disk;
            let is_full = !disk.is_full();
            disk.set_full(is_full);
            if is_full {
                self.coverage.lock().count("disks full");
            }
            let what = if is_full { "is full" } else { "has room again" };
            self.trace.note(Step::Disk { instance: chosen, what });
        }
        Ok(())
    }

    fn start(&mut self, index: usize) -> Result<(), Broken> {
        let armed = self.happens(self.plan.armed).then(|| {
            let points = CrashPoint::ALL;
            let point = points[self.random.below(points.len() as u64) as usize];
            let spread = [1, 4, 30][self.random.below(3) as usize];
            Armed { point, n_left: self.random.below(spread) }
        });
        let instance = &mut self.instances[index];
        instance.probe.arm(armed);
        let env = SimEnv {
            disk: instance.disk.clone(),
            guarantee: self.plan.guarantee,
            tap: Tap(self.ledger.clone()),
        };
        let topology = (self.simulation.topology)(&env).map_err(broken)?;
        let mut config = Config::new(&self.simulation.application_id)
            .guarantee(self.plan.guarantee)
            .threads(self.plan.n_threads)
            .commit_interval(self.plan.commit_interval)
            .buffered_records(self.plan.buffered_records)
            .session_timeout(self.plan.session_timeout)
            .rebalance_timeout(self.plan.rebalance_timeout)
            .transaction_timeout(self.plan.transaction_timeout);
        config = self
            .simulation
            .plant((self.simulation.config)(config))
            .clock(self.clock.clone())
            .random(Random::seeded(self.random.next()));
        let offset_first = is_planted(&config, Bug::OffsetBeforeData);
        instance.disk.set_writes_offset_first(offset_first);
        config.probe = Some(Arc::clone(&instance.probe) as _);
        self.network.serve(Some(Arc::clone(&instance.probe)));
        let outcome = instance.start(topology, config, &self.log).map_err(broken)?;
        self.network.serve(None);
        self.trace.note(Step::Start { instance: index, outcome: outcome.name() });
        self.coverage.lock().count("starts");
        if matches!(outcome, Outcome::Crashed) {
            self.crash(index);
        }
        Ok(())
    }

    /// The process is dead, or its machine; then it may come back without its disk.
    fn crash(&mut self, index: usize) {
        let instance = &mut self.instances[index];
        instance.die();
        instance.probe.arm(None);
        self.coverage.lock().count("crashes");
        if self.happens(self.plan.machine) {
            self.trace.note(Step::Crash { instance: index, point: None, is_machine: true });
            self.coverage.lock().count("crashes of a machine");
            self.instances[index].disk.lose_unsynced(&self.random);
        }
        if self.happens(self.plan.flip_bit) && self.instances[index].disk.flip_bit(&self.random) {
            self.trace.note(Step::Disk { instance: index, what: "a bit flips" });
            self.coverage.lock().count("bits flipped");
        }
        if self.happens(self.plan.lose_disk) {
            self.trace.note(Step::Disk { instance: index, what: "is lost" });
            self.coverage.lock().count("disks lost");
            let instance = &mut self.instances[index];
            instance.disk.lose_all();
            instance.process_id = Random::seeded(self.random.next()).uuid();
        }
    }

    fn stop(&mut self, index: usize) -> Result<(), Broken> {
        self.trace.note(Step::Stop { instance: index });
        self.coverage.lock().count("stops");
        self.network.serve(Some(Arc::clone(&self.instances[index].probe)));
        let outcome = self.instances[index].stop().map_err(|error| ("I9", error.to_string()))?;
        self.network.serve(None);
        match outcome {
            Outcome::Crashed => self.crash(index),
            Outcome::Failed(error) if !self.is_faulty => {
                return Err(("I8", format!("cannot stop in order: {error}")));
            }
            _ => self.instances[index].disk.close_all(),
        }
        Ok(())
    }

    fn turn(&mut self, index: usize, worker: usize) -> Result<(), Broken> {
        let instance = &mut self.instances[index];
        self.network.serve(Some(Arc::clone(&instance.probe)));
        let outcome = instance.turn(worker).map_err(|error| ("panic", error.to_string()))?;
        self.network.serve(None);
        self.trace.note(Step::Turn { instance: index, worker, outcome: outcome.name() });
        match outcome {
            Outcome::Crashed => self.crash(index),
            Outcome::Failed(error) => {
                self.coverage.lock().count("workers failed");
                let text = error.to_string();
                self.trace.note(Step::Failed { instance: index, worker, error: text });
                if !self.may_fail(&error) {
                    return Err(("failed", format!("a worker died without a cause: {error:?}")));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A thread may die of a full disk, of a broker that is silent for too long, and of a refusal
    /// that was made up; of nothing else.
    fn may_fail(&self, error: &kstreams_core::Error) -> bool {
        match error.kind() {
            ErrorKind::Store => self.plan.full_disk.0 > 0,
            ErrorKind::Timeout | ErrorKind::Unavailable => true,
            _ => false,
        }
    }

    fn look(&mut self) -> Result<(), Broken> {
        self.observer.look().map_err(broken)?;
        self.invariants.look(&self.observer.history)?;
        self.oracle.look(&self.observer.history).map_err(|text| ("I1", text))
    }

    /// The faults end: all must be consumed soon, and all instances run.
    fn settle(&mut self) -> Result<(), Broken> {
        self.trace.note(Step::Heal);
        self.is_faulty = false;
        self.network.set_faulty(false);
        for instance in &mut self.instances {
            instance.probe.arm(None);
            instance.probe.cut_off(false);
            instance.paused_until = Duration::ZERO;
            instance.disk.set_full(false);
        }
        self.feed.rest(&self.trace).map_err(broken)?;
        let began = self.clock.monotonic();
        let limit = SETTLES_WITHIN + self.plan.network.latest;
        // Whoever was expelled meanwhile learns it in its next turns.
        let mut n_rounds = 0;
        while n_rounds < 3 || !self.is_settled()? {
            n_rounds += 1;
            if self.clock.monotonic() - began > limit {
                return Err(("I8", self.what_is_missing()));
            }
            for index in 0..self.instances.len() {
                if self.instances[index].process.is_none() {
                    self.start(index)?;
                }
                for worker in 0..self.instances[index].n_workers() {
                    self.turn(index, worker)?;
                }
            }
            self.advance(Duration::from_millis(20));
            if self.ledger.has_commits() {
                self.look()?;
            }
        }
        self.trace.note(Step::Settled);
        self.look()
    }

    fn is_settled(&mut self) -> Result<bool, Broken> {
        if !self.instances.iter().all(Instance::is_running) {
            return Ok(false);
        }
        self.observer.look().map_err(broken)?;
        Ok(self.behind().next().is_none() && self.oracle.is_settled(&self.observer.history))
    }

    /// Inputs that are not consumed to their end: those of users, and repartition topics.
    fn behind(&self) -> impl Iterator<Item = String> {
        let history = &self.observer.history;
        history.partitions().filter_map(|(name, records)| {
            let is_input = self.simulation.inputs.iter().any(|input| *input.topic == *name.topic)
                || name.topic.ends_with("-repartition");
            let last = records.last()?.offset;
            let position = history.committed(&name.topic, name.partition);
            (is_input && position <= last).then(|| format!("{name} at {position} of {last}"))
        })
    }

    fn what_is_missing(&self) -> String {
        let behind: Vec<String> = self.behind().collect();
        let still: Vec<usize> = self
            .instances
            .iter()
            .filter(|instance| !instance.is_running())
            .map(|instance| instance.index)
            .collect();
        format!(
            "not settled after {SETTLES_WITHIN:?}: behind: [{}]; not running: {still:?}",
            behind.join(", ")
        )
    }

    /// Everything stops in order and leaves nothing behind.
    fn close(&mut self) -> Result<(), Broken> {
        for index in 0..self.instances.len() {
            self.stop(index)?;
        }
        self.look()?;
        // Transactions of processes that died, or of late requests, end by time.
        if !self.observer.open_transactions().is_empty() {
            self.advance(self.plan.transaction_timeout + self.plan.network.latest);
            self.look()?;
        }
        let open = self.observer.open_transactions();
        if !open.is_empty() {
            return Err(("I9", format!("transactions are left open: {open:?}")));
        }
        self.invariants.finish(&self.observer.history)?;
        self.oracle.finish(&self.observer.history).map_err(|text| ("I1", text))
    }
}

/// The simulation itself cannot go on.
fn broken(error: kstreams_core::Error) -> Broken {
    ("simulation", format!("{error:?}"))
}
