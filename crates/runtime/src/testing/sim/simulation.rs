//! What a user sets up and runs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kstreams_core::error::Result;
use kstreams_core::random::Random;
use kstreams_core::serde::Serde;
use kstreams_topology::Topology;
use parking_lot::Mutex;

use super::disk::SimDisk;
use super::feed::{Input, SimRecord};
use super::ledger::Tap;
use super::oracle::Oracle;
use super::plan::SimPlan;
use super::report::{Coverage, Report, Run, Violation};
use super::store::SimStoreBuilder;
use super::world::World;
use crate::config::{Config, Guarantee};
#[cfg(feature = "planted-bugs")]
use crate::planted::Bug;

/// What a topology may use of the simulated instance that it is built for.
#[derive(Clone, Debug)]
pub struct SimEnv {
    pub(super) disk: SimDisk,
    pub(super) guarantee: Guarantee,
    pub(super) tap: Tap,
}

impl SimEnv {
    /// A persistent key-value store on the disk of the instance.
    pub fn store<K: Serde, V: Serde>(&self, name: &str, key: K, value: V) -> SimStoreBuilder<K, V> {
        self.disk.store(name, key, value)
    }

    /// What the application promises in this run.
    pub fn guarantee(&self) -> Guarantee {
        self.guarantee
    }

    /// Tells the simulation which records processors see.
    pub fn tap(&self) -> Tap {
        self.tap.clone()
    }
}

type MakeTopology = dyn Fn(&SimEnv) -> Result<Topology> + Send + Sync;
type MakeOracle = dyn Fn(&SimPlan) -> Box<dyn Oracle> + Send + Sync;
type Configure = dyn Fn(Config) -> Config + Send + Sync;

/// An application in simulation.
#[derive(Clone)]
pub struct Simulation {
    pub(super) application_id: String,
    pub(super) topology: Arc<MakeTopology>,
    pub(super) config: Arc<Configure>,
    pub(super) inputs: Vec<Input>,
    pub(super) outputs: Vec<String>,
    pub(super) oracle: Arc<MakeOracle>,
    pub(super) n_trace: usize,
    guarantee: Option<Guarantee>,
    #[cfg(feature = "planted-bugs")]
    bug: Option<Bug>,
}

impl Simulation {
    /// A simulation of the application that runs this topology; it is built anew for each start of
    /// each instance.
    pub fn new(topology: impl Fn(&SimEnv) -> Result<Topology> + Send + Sync + 'static) -> Self {
        Self {
            application_id: "app".to_owned(),
            topology: Arc::new(topology),
            config: Arc::new(|config| config),
            inputs: Vec::new(),
            outputs: Vec::new(),
            oracle: Arc::new(|_| Box::new(Anything)),
            n_trace: 50,
            guarantee: None,
            #[cfg(feature = "planted-bugs")]
            bug: None,
        }
    }

    /// An input topic; `make` makes its records, given chance and the number of the record.
    #[must_use]
    pub fn input(
        self,
        topic: &str,
        make: impl Fn(&Random, u64) -> SimRecord + Send + Sync + 'static,
    ) -> Self {
        self.takes(topic, false, make)
    }

    /// An input topic that global stores read.
    #[must_use]
    pub fn global_input(
        self,
        topic: &str,
        make: impl Fn(&Random, u64) -> SimRecord + Send + Sync + 'static,
    ) -> Self {
        self.takes(topic, true, make)
    }

    fn takes(
        mut self,
        topic: &str,
        is_global: bool,
        make: impl Fn(&Random, u64) -> SimRecord + Send + Sync + 'static,
    ) -> Self {
        self.inputs.push(Input { topic: topic.to_owned(), is_global, make: Arc::new(make) });
        self
    }

    /// An output topic.
    #[must_use]
    pub fn output(mut self, topic: &str) -> Self {
        self.outputs.push(topic.to_owned());
        self
    }

    /// Says what the output must be.
    #[must_use]
    pub fn oracle<O: Oracle + 'static>(
        mut self,
        make: impl Fn(&SimPlan) -> O + Send + Sync + 'static,
    ) -> Self {
        self.oracle = Arc::new(move |plan| Box::new(make(plan)));
        self
    }

    /// Changes settings of the application.
    #[must_use]
    pub fn config(mut self, change: impl Fn(Config) -> Config + Send + Sync + 'static) -> Self {
        self.config = Arc::new(change);
        self
    }

    /// Runs under one guarantee alone; otherwise the seed chooses.
    #[must_use]
    pub fn guarantee(mut self, guarantee: Guarantee) -> Self {
        self.guarantee = Some(guarantee);
        self
    }

    /// How many of the last steps a violation shows; 50 unless told.
    #[must_use]
    pub fn trace(mut self, n_steps: usize) -> Self {
        self.n_trace = n_steps;
        self
    }

    /// Puts a mistake into the engine.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn planted(mut self, bug: Option<Bug>) -> Self {
        self.bug = bug;
        self
    }

    #[cfg(feature = "planted-bugs")]
    pub(super) fn plant(&self, config: Config) -> Config {
        config.planted(self.bug)
    }

    #[cfg(not(feature = "planted-bugs"))]
    pub(super) fn plant(&self, config: Config) -> Config {
        config
    }

    /// Runs one seed.
    pub fn run(&self, seed: u64) -> Run {
        let mut plan = SimPlan::draw(seed);
        if let Some(guarantee) = self.guarantee {
            plan = plan.with_guarantee(guarantee);
        }
        let violation = |(invariant, message), trace| Violation { seed, invariant, message, trace };
        let n_records = plan.n_records as u64;
        let mut world = match World::new(self, plan) {
            Ok(world) => world,
            Err(broken) => {
                let violation = Some(violation(broken, Vec::new()));
                return Run { seed, hash: 0, violation, coverage: Coverage::default() };
            }
        };
        let outcome = world.run();
        world.log.dissolve();
        let violation = outcome.err().map(|broken| violation(broken, world.trace.last()));
        let hash = world.trace.hash();
        let mut coverage = world.coverage.lock().clone();
        coverage.add("input records", n_records);
        Run { seed, hash, violation, coverage }
    }
}

/// Runs many seeds on so many threads; ends early once a thread has found `max_violations`.
pub fn run_seeds(
    seeds: std::ops::Range<u64>,
    n_threads: usize,
    max_violations: usize,
    run: impl Fn(u64) -> Run + Sync,
) -> Report {
    let next = AtomicU64::new(seeds.start);
    let report = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for _ in 0..n_threads.max(1) {
            scope.spawn(|| {
                let mut own = Report::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    own.add(run(seed));
                    if own.violations.len() >= max_violations {
                        next.store(seeds.end, Ordering::Relaxed);
                    }
                }
                report.lock().merge(own);
            });
        }
    });
    report.into_inner()
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

/// Believes everything.
struct Anything;

impl Oracle for Anything {
    fn look(&mut self, _: &super::History) -> Result<(), String> {
        Ok(())
    }
}
