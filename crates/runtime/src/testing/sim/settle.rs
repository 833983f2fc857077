//! The end of a run: without faults everything must be consumed soon, stop in order, and leave
//! nothing behind.

use std::time::Duration;

use kstreams_core::record::TopicPartition;
use kstreams_core::time::Clock;

use super::history::History;
use super::instance::Instance;
use super::instance_probe::CutOff;
use super::invariants::Broken;
use super::trace::Step;
use super::world::{World, broken};
use crate::transport::memory::OwnedRecord;

impl World<'_> {
    /// The faults end: all must be consumed soon, and all instances run.
    pub(super) fn settle(&mut self) -> Result<(), Broken> {
        self.trace.note(Step::Heal);
        self.is_faulty = false;
        self.network.set_faulty(false);
        self.trouble.end();
        for instance in &mut self.instances {
            instance.probe.arm(None);
            instance.probe.set_cut_off(CutOff::No);
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
        }
        self.trace.note(Step::Settled);
        self.look()
    }

    fn is_settled(&mut self) -> Result<bool, Broken> {
        if !self.instances.iter().all(Instance::is_running) {
            return Ok(false);
        }
        let mut observer = self.observer.lock();
        observer.look().map_err(broken)?;
        let is_behind = !self.behind(&observer.history).is_empty();
        Ok(!is_behind && self.oracle.is_settled(&observer.history))
    }

    /// Inputs that are not consumed to their end: those of users, and repartition topics.
    fn behind(&self, history: &History) -> Vec<String> {
        let left = |(name, records): (&TopicPartition, &[OwnedRecord])| {
            let mut inputs = self.simulation.inputs.iter().filter(|input| !input.is_global);
            let is_input = inputs.any(|input| *input.topic == *name.topic)
                || name.topic.ends_with("-repartition");
            let last = records.last()?.offset;
            let position = history.committed(&name.topic, name.partition);
            (is_input && position <= last).then(|| format!("{name} at {position} of {last}"))
        };
        history.partitions().filter_map(left).collect()
    }

    fn what_is_missing(&self) -> String {
        let behind = self.behind(&self.observer.lock().history);
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
    pub(super) fn close(&mut self) -> Result<(), Broken> {
        for index in 0..self.instances.len() {
            self.stop(index)?;
        }
        self.look()?;
        // Transactions of processes that died end by time, and so do those that a late request
        // opens and nobody ends.
        for _ in 0..3 {
            self.advance(self.plan.transaction_timeout + self.plan.network.latest);
            self.look()?;
        }
        let observer = self.observer.lock();
        let open = observer.open_transactions();
        if !open.is_empty() {
            return Err(("I9", format!("transactions are left open: {open:?}")));
        }
        self.invariants.finish(&observer.history)?;
        self.oracle.finish(&observer.history).map_err(|text| ("I1", text))
    }
}

/// How long everything may take to settle once the faults have ended, on the simulated clock.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);
