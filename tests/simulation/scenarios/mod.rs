//! The applications that are simulated, each with a sequential interpreter that knows what it must
//! write. The tests and the example `simulate` use them.

mod batches;
mod buckets;
mod cells;
mod channels;
mod ledger;
mod pair;

use kstreams::testing::sim::{Run, Simulation};
use kstreams_runtime::Bug;

/// All applications; a seed runs the one at its place modulo their number.
#[derive(Debug)]
pub(crate) struct Scenarios(Vec<(&'static str, Simulation)>);

impl Scenarios {
    pub(crate) fn new() -> Self {
        Self(vec![
            ("ledger", ledger::simulation(ledger::Stores::OnDisk)),
            ("buckets", buckets::simulation()),
            ("pair", pair::simulation()),
            ("ledger in memory", ledger::simulation(ledger::Stores::InMemory)),
            ("batches", batches::simulation()),
        ])
    }

    /// The same with changed simulations.
    pub(crate) fn map(self, change: impl Fn(Simulation) -> Simulation) -> Self {
        Self(self.0.into_iter().map(|(name, simulation)| (name, change(simulation))).collect())
    }

    /// Those whose names begin with this.
    pub(crate) fn only(self, name: &str) -> Self {
        Self(self.0.into_iter().filter(|(known, _)| known.starts_with(name)).collect())
    }

    /// Those that exercise what this mistake breaks: a planted one must be found in few runs.
    #[allow(dead_code, reason = "for the tests; the example chooses by name")]
    pub(crate) fn exercising(self, bug: Bug) -> Self {
        match bug {
            // It takes a thread that only its punctuators keep busy.
            Bug::OffsetsIfMoved => self.only("batches"),
            _ => self,
        }
    }

    pub(crate) fn run(&self, seed: u64) -> Run {
        let chosen = (seed % self.0.len() as u64) as usize;
        self.0[chosen].1.run(seed)
    }
}
