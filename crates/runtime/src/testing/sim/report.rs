//! What a simulation reports: violations with what is needed to replay them, and what the runs have
//! covered.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::probe::CrashPoint;
use crate::transport::memory::Fault;

/// A run in which something did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The seed that shows it.
    pub seed: u64,
    /// What did not hold, as `I1`; `docs/reliability.md` lists them.
    pub invariant: &'static str,
    /// What was found.
    pub message: String,
    /// The last steps before.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} violates {}: {}", self.seed, self.invariant, self.message)?;
        writeln!(f, "the last {} steps:", self.trace.len())?;
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        write!(f, "replay it: Simulation::run({}), or --from {} --seeds 1", self.seed, self.seed)
    }
}

/// What one seed has come to.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// The same seed gives the same hash: every decision and every committed record is in it.
    pub hash: u64,
    /// What did not hold, if anything.
    pub violation: Option<Violation>,
    /// What happened on the way.
    pub coverage: Coverage,
}

/// What runs have covered.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    passed: BTreeMap<CrashPoint, u64>,
    crashed: BTreeMap<CrashPoint, u64>,
    counts: BTreeMap<&'static str, u64>,
    /// How long the runs took on their own clocks.
    pub simulated: Duration,
}

impl Coverage {
    pub(super) fn passed(&mut self, point: CrashPoint) {
        *self.passed.entry(point).or_default() += 1;
    }

    pub(super) fn crashed(&mut self, point: CrashPoint) {
        *self.crashed.entry(point).or_default() += 1;
    }

    pub(super) fn network(&mut self, fault: &Fault) {
        self.count(match fault {
            Fault::DropRequest => "requests lost",
            Fault::LoseReply => "replies lost",
            Fault::Delay(_) => "requests late",
            Fault::Duplicate => "requests doubled",
            Fault::Refuse(_) => "requests refused",
            Fault::GiveUp => "batches given up",
        });
    }

    pub(super) fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub(super) fn add(&mut self, what: &'static str, n: u64) {
        *self.counts.entry(what).or_default() += n;
    }

    /// How many instances died at this point.
    pub fn crashes(&self, point: CrashPoint) -> u64 {
        self.crashed.get(&point).copied().unwrap_or(0)
    }

    /// How often this happened; the names are those of the report.
    pub fn n(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    fn merge(&mut self, other: &Self) {
        for (point, n) in &other.passed {
            *self.passed.entry(*point).or_default() += n;
        }
        for (point, n) in &other.crashed {
            *self.crashed.entry(*point).or_default() += n;
        }
        for (what, n) in &other.counts {
            *self.counts.entry(what).or_default() += n;
        }
        self.simulated += other.simulated;
    }
}

/// What many seeds have come to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many seeds were run.
    pub n_seeds: u64,
    /// The seeds in which something did not hold, in order.
    pub violations: Vec<Violation>,
    /// What happened in all of them.
    pub coverage: Coverage,
}

impl Report {
    /// Adds a run.
    pub fn add(&mut self, run: Run) {
        self.n_seeds += 1;
        self.coverage.merge(&run.coverage);
        self.violations.extend(run.violation);
        self.violations.sort_by_key(|violation| violation.seed);
    }

    /// Adds another report.
    pub fn merge(&mut self, other: Self) {
        self.n_seeds += other.n_seeds;
        self.coverage.merge(&other.coverage);
        self.violations.extend(other.violations);
        self.violations.sort_by_key(|violation| violation.seed);
    }

    /// The crash points at which fewer than `n` instances died.
    pub fn points_below(&self, n: u64) -> Vec<CrashPoint> {
        let below = |point: &&CrashPoint| self.coverage.crashes(**point) < n;
        CrashPoint::ALL.iter().filter(below).copied().collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Coverage { passed, counts, simulated, .. } = &self.coverage;
        let n_violations = self.violations.len();
        writeln!(
            f,
            "{} seeds, {n_violations} violations, {simulated:.0?} simulated",
            self.n_seeds
        )?;
        for (what, n) in counts {
            writeln!(f, "  {n:>12} {what}")?;
        }
        writeln!(f, "crash points:      passed    crashed")?;
        for point in CrashPoint::ALL {
            let n_passed = passed.get(point).copied().unwrap_or(0);
            let n_crashed = self.coverage.crashes(*point);
            writeln!(f, "  {:<18} {n_passed:>10} {n_crashed:>10}", point.name())?;
        }
        for violation in self.violations.iter().take(3) {
            writeln!(f, "{violation}")?;
        }
        Ok(())
    }
}
