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
use super::instance_probe::{CutOff, InstanceProbe};
use super::invariants::{Broken, Invariants};
use super::ledger::{Ledger, Trouble};
use super::network::SimNetwork;
use super::oracle::Oracle;
use super::plan::{Rate, SimPlan};
use super::report::Coverage;
use super::simulation::Simulation;
use super::trace::{Step, Trace};
use crate::transport::memory::MemoryLog;

pub(super) struct World<'a> {
    pub(super) simulation: &'a Simulation,
    pub(super) plan: SimPlan,
    pub(super) random: Random,
    pub(super) clock: ManualClock,
    pub(super) log: MemoryLog,
    pub(super) network: Arc<SimNetwork>,
    pub(super) instances: Vec<Instance>,
    pub(super) feed: Feed,
    pub(super) observer: Arc<Mutex<Observer>>,
    pub(super) invariants: Invariants,
    pub(super) oracle: Box<dyn Oracle>,
    pub(super) ledger: Ledger,
    pub(super) trouble: Arc<Trouble>,
    pub(super) trace: Trace,
    pub(super) coverage: Arc<Mutex<Coverage>>,
    pub(super) is_faulty: bool,
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
            .n_standby(plan.n_standby)
            .stepwise_commits(plan.has_stepwise_commits)
            .faults(Arc::clone(&network) as _)
            .build();
        let trouble =
            Trouble::new(plan.trouble, Random::seeded(seed.next()), Arc::clone(&coverage));
        let topics = simulation.inputs.iter().map(|input| &input.topic).chain(&simulation.outputs);
        for topic in topics {
            log.create_topic(topic, plan.n_partitions).map_err(broken)?;
        }
        let feed = Feed::new(&log, &simulation.inputs, &plan, Random::seeded(seed.next()));
        let feed = feed.map_err(broken)?;
        let application_id = simulation.application_id.as_str().into();
        let observer = Observer::new(
            &log,
            Arc::clone(&network),
            application_id,
            ledger.clone(),
            trace.clone(),
        );
        let observer = Arc::new(Mutex::new(observer.map_err(broken)?));
        let instances = (0..plan.n_instances).map(|index| {
            let probe =
                InstanceProbe::new(index, Arc::clone(&coverage), ledger.clone(), trace.clone());
            let probe = Arc::new(probe.watched_by(&observer));
            let disk = SimDisk::new(Arc::clone(&probe), ledger.clone());
            Instance {
                index,
                process_id: Random::seeded(seed.next()).uuid(),
                disk,
                probe,
                process: None,
                is_damaged: false,
                paused_until: Duration::ZERO,
                cut_off: CutOff::No,
                cut_off_until: Duration::ZERO,
            }
        });
        Ok(Self {
            instances: instances.collect(),
            invariants: Invariants::new(plan.guarantee, plan.compact.0 > 0, ledger.clone()),
            trouble: Arc::new(trouble),
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
    pub(super) fn is_able(&self, index: usize) -> bool {
        let instance = &self.instances[index];
        instance.process.is_some() && instance.paused_until <= self.clock.monotonic()
    }

    fn pass_time(&mut self) {
        let most = if self.happens(self.plan.leap) {
            self.plan.session_timeout.as_millis() as u64
        } else {
            30
        };
        self.advance(Duration::from_millis(1 + self.random.below(most)));
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.trace.note(Step::Advance(by));
        self.coverage.lock().simulated += by;
        self.clock.advance(by);
        let now = self.clock.monotonic();
        for instance in &self.instances {
            let is_on = self.is_faulty && now < instance.cut_off_until;
            instance.probe.set_cut_off(if is_on { instance.cut_off } else { CutOff::No });
        }
    }

    fn feed_some(&mut self) -> Result<(), Broken> {
        let n = match self.plan.is_bursty {
            true if self.random.below(12) == 0 => 1 + self.random.below(50),
            true => 0,
            false => 1 + self.random.below(4),
        };
        self.feed.some(n as usize, &self.trace).map_err(broken)
    }

    pub(super) fn happens(&self, rate: Rate) -> bool {
        self.is_faulty && rate.0 > 0 && self.random.below(10_000) < u64::from(rate.0)
    }

    pub(super) fn turn(&mut self, index: usize, worker: usize) -> Result<(), Broken> {
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
        if self.ledger.has_commits() { self.look() } else { Ok(()) }
    }

    /// A thread may die of a full disk, of a broker that is silent for too long, and of a refusal
    /// that was made up; of nothing else.
    fn may_fail(&self, error: &kstreams_core::Error) -> bool {
        match error.kind() {
            ErrorKind::Store => self.plan.full_disk.0 > 0,
            ErrorKind::Timeout | ErrorKind::Unavailable => true,
            ErrorKind::User | ErrorKind::Panic => self.plan.trouble.0 > 0,
            ErrorKind::Fatal => error.message().contains("was refused"),
            _ => false,
        }
    }

    pub(super) fn look(&mut self) -> Result<(), Broken> {
        let mut observer = self.observer.lock();
        observer.look().map_err(broken)?;
        self.invariants.look(&observer.history)?;
        self.oracle.look(&observer.history).map_err(|text| ("I1", text))
    }
}

/// The simulation itself cannot go on.
pub(super) fn broken(error: kstreams_core::Error) -> Broken {
    ("simulation", format!("{error:?}"))
}
