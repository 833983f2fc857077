//! Runs the simulation for as many seeds as one likes, and reports what it has covered.
//!
//! `cargo run --release --no-default-features --example simulate -- --seeds 100000 --from 0`
//! `.. -- --bug skip-offsets --seeds 1000` puts a mistake into the engine: it must be found.

#[path = "../tests/simulation/scenarios/mod.rs"]
mod scenarios;

use std::process::ExitCode;

use kstreams::testing::sim::run_seeds;
use kstreams::time::{Clock, SystemClock};
use kstreams_runtime::Bug;

use scenarios::Scenarios;

struct Options {
    from: u64,
    n_seeds: u64,
    n_threads: usize,
    n_trace: usize,
    bug: Option<Bug>,
    only: Option<String>,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]
fn main() -> ExitCode {
    env_logger::init();
    let options = match options() {
        Ok(options) => options,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::FAILURE;
        }
    };
    let Options { from, n_seeds, n_threads, n_trace, bug, only } = options;
    let scenarios = Scenarios::new().map(|sim| sim.planted(bug).trace(n_trace));
    let scenarios = scenarios.only(only.as_deref().unwrap_or_default());
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let max_violations = if bug.is_some() { 1 } else { 3 };
    let seeds = from..from + n_seeds;
    let report = run_seeds(seeds, n_threads, max_violations, |seed| scenarios.run(seed));
    let took = clock.monotonic() - began;
    println!("{report}");
    let speed = report.n_seeds as f64 / took.as_secs_f64();
    println!("{:.1} s on {n_threads} threads, {speed:.0} seeds/s", took.as_secs_f64());
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options() -> Result<Options, String> {
    let mut options =
        Options { from: 0, n_seeds: 1000, n_threads: 2, n_trace: 50, bug: None, only: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|e| format!("{text}: {e}"));
        match word.as_str() {
            "--from" => options.from = number(value()?)?,
            "--seeds" => options.n_seeds = number(value()?)?,
            "--threads" => options.n_threads = number(value()?)? as usize,
            "--trace" => options.n_trace = number(value()?)? as usize,
            "--only" => options.only = Some(value()?),
            "--bug" => {
                let name = value()?;
                let found = Bug::ALL.iter().find(|bug| bug.name() == name);
                let names: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
                let unknown = || format!("no bug {name}; there are {}", names.join(", "));
                options.bug = Some(*found.ok_or_else(unknown)?);
            }
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(options)
}
