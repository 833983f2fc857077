//! What happens to instances: they start, stop, die, stand still, are cut off, lose their disks.

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::random::Random;
use kstreams_core::time::{Clock, Timestamp};

use super::instance::Outcome;
use super::instance_probe::{Armed, CutOff};
use super::invariants::Broken;
use super::ledger::Tap;
use super::plan::Rate;
use super::simulation::SimEnv;
use super::trace::Step;
use super::world::{World, broken};
use crate::config::Config;
use crate::planted::{Bug, is_planted};
use crate::probe::CrashPoint;

impl World<'_> {
    /// What happens to instances, by the rates of the plan.
    pub(super) fn disturb(&mut self) -> Result<(), Broken> {
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
            let until = self.clock.monotonic() + by;
            // It may learn late what it has missed.
            let is_deaf = self.random.below(2) == 0;
            let instance = &mut self.instances[chosen];
            instance.paused_until = until;
            if is_deaf {
                instance.cut_off = CutOff::FromGroup;
                instance.cut_off_until = until + by;
            }
        } else if self.happens(often(plan.cut_off)) {
            let most = plan.session_timeout.as_millis() as u64 * 2;
            let by = Duration::from_millis(1 + self.random.below(most));
            let from = if self.random.below(2) == 0 { CutOff::FromAll } else { CutOff::FromGroup };
            self.trace.note(Step::CutOff { instance: chosen, from, by });
            self.coverage.lock().count("instances cut off");
            self.instances[chosen].cut_off = from;
            self.instances[chosen].cut_off_until = self.clock.monotonic() + by;
        } else if self.instances[chosen].disk.is_full() {
            if self.random.below(4) == 0 {
                self.instances[chosen].disk.set_full(false);
                self.trace.note(Step::Disk { instance: chosen, what: "has room again" });
            }
        } else if self.happens(often(plan.full_disk)) {
            self.instances[chosen].disk.set_full(true);
            self.trace.note(Step::Disk { instance: chosen, what: "is full" });
            self.coverage.lock().count("disks full");
        } else if self.happens(often(plan.compact)) {
            self.compact()?;
        } else if self.happens(often(plan.step_clock)) {
            let by = self.random.below(4000) as i64 - 2000;
            self.trace.note(Step::WallClock(by));
            self.coverage.lock().count("steps of the wall clock");
            self.clock.set_wall(Timestamp::from_millis(self.clock.now().as_millis() + by));
        }
        Ok(())
    }

    /// Changelogs lose what later records of a key have replaced; the observer has seen it.
    fn compact(&mut self) -> Result<(), Broken> {
        self.look()?;
        self.trace.note(Step::Compact);
        self.coverage.lock().count("compactions");
        for topic in self.observer.lock().history.topics() {
            if topic.ends_with("-changelog") {
                self.log.clean(topic);
            }
        }
        Ok(())
    }

    pub(super) fn start(&mut self, index: usize) -> Result<(), Broken> {
        let armed = self.happens(self.plan.armed).then(|| {
            // Points that are seldom passed are chosen more often.
            let points = if self.random.below(2) == 0 { CrashPoint::ALL } else { SELDOM };
            let point = points[self.random.below(points.len() as u64) as usize];
            let is_seldom = SELDOM.contains(&point);
            let spread = if is_seldom { 1 } else { [1, 4, 30][self.random.below(3) as usize] };
            Armed { point, n_left: self.random.below(spread) }
        });
        let is_damaged = std::mem::take(&mut self.instances[index].is_damaged);
        let armed = if is_damaged && self.happens(Rate(5000)) {
            Some(Armed { point: CrashPoint::StateWiped, n_left: 0 })
        } else {
            armed
        };
        let instance = &mut self.instances[index];
        instance.probe.arm(armed);
        let env = SimEnv {
            disk: instance.disk.clone(),
            guarantee: self.plan.guarantee,
            tap: Tap { ledger: self.ledger.clone(), trouble: Arc::clone(&self.trouble) },
        };
        let topology = (self.simulation.topology)(&env).map_err(broken)?;
        let mut config = Config::new(&self.simulation.application_id)
            .guarantee(self.plan.guarantee)
            .threads(self.plan.n_threads)
            .commit_interval(self.plan.commit_interval)
            .buffered_records(self.plan.buffered_records)
            .session_timeout(self.plan.session_timeout)
            .rebalance_timeout(self.plan.rebalance_timeout)
            .transaction_timeout(self.plan.transaction_timeout)
            .repartition_purge(Duration::from_millis(200));
        if let Some(after) = self.plan.early_commit {
            config = config.early_commit(after);
        }
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
    pub(super) fn crash(&mut self, index: usize) {
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
            self.instances[index].is_damaged = true;
        }
        if self.happens(self.plan.lose_disk) {
            self.trace.note(Step::Disk { instance: index, what: "is lost" });
            self.coverage.lock().count("disks lost");
            let instance = &mut self.instances[index];
            instance.disk.lose_all();
            instance.process_id = Random::seeded(self.random.next()).uuid();
        }
    }

    pub(super) fn stop(&mut self, index: usize) -> Result<(), Broken> {
        self.trace.note(Step::Stop { instance: index });
        self.coverage.lock().count("stops");
        self.network.serve(Some(Arc::clone(&self.instances[index].probe)));
        let outcome = self.instances[index].stop().map_err(|error| ("I9", error.to_string()))?;
        self.network.serve(None);
        match outcome {
            Outcome::Crashed => self.crash(index),
            // What is late may still fence it, or hold back the markers of its last transaction.
            Outcome::Failed(error)
                if !(self.is_faulty
                    || self.plan.network.is_late()
                        && (error.is_retriable() || error.is_fenced())) =>
            {
                return Err(("I8", format!("cannot stop in order: {error}")));
            }
            _ => self.instances[index].disk.close_all(),
        }
        self.look()
    }
}

/// Points that instances pass seldom.
const SELDOM: &[CrashPoint] = &[
    CrashPoint::BeforeAbort,
    CrashPoint::AfterAbort,
    CrashPoint::StateWiped,
    CrashPoint::Punctuated,
    CrashPoint::ProducerReplaced,
    CrashPoint::TaskClosed,
    CrashPoint::StandbyOpened,
    CrashPoint::StandbyPromoted,
    CrashPoint::TaskRecycled,
    CrashPoint::SnapshotWritten,
    CrashPoint::SnapshotRenamed,
    CrashPoint::Leaving,
    CrashPoint::SendLeave,
];
