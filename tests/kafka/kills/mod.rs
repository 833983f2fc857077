//! Real processes beside a real broker, killed at random: nothing may be lost or done twice.
//!
//! Three processes of two threads run an application with RocksDB stores under exactly-once. They are
//! killed with SIGKILL, stopped for longer than their time-outs, and the broker is shut down, killed
//! and stopped under them. All that they have committed is compared with a sequential interpreter,
//! while they run and at the end. `scripts/kills` runs it for longer.

mod app;
pub(crate) mod feed;
mod oracle;
mod plan;
pub(crate) mod process;
pub(crate) mod restart;
mod run;
mod soak;
mod verifier;

use std::time::Duration;

use kstreams::random::Random;
use kstreams::time::{Clock, SystemClock};

use self::plan::{Disturbance, Options};
use self::process::Role;
use self::run::Run;

/// The test that the processes are started with.
const TEST: &str = "kills::killed_processes_lose_nothing_and_repeat_nothing";

/// A number from the environment.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Waits for something that nobody tells of.
pub(crate) fn wait(time: Duration) {
    let clock = SystemClock::new();
    while clock.monotonic() < time {
        std::thread::park_timeout(time.saturating_sub(clock.monotonic()));
    }
}

#[test]
fn killed_processes_lose_nothing_and_repeat_nothing() {
    if let Some(role) = Role::own() {
        return app::run(&role);
    }
    let options = Options {
        seed: setting("KSTREAMS_KILLS_SEED", Random::from_os().below(1_000_000)),
        length: Duration::from_secs(setting("KSTREAMS_KILLS_SECONDS", 60)),
        rate: setting("KSTREAMS_KILLS_RATE", 2000),
        disturbance: match setting("KSTREAMS_KILLS_BOUNCES", 1) {
            0 => Disturbance::Processes,
            _ => Disturbance::ProcessesAndBroker,
        },
        rocks_bytes: 64 << 20,
    };
    println!("{options:?}");
    let mut run = Run::new(options);
    run.faults();
    run.settle();
    let summary = run.summary();
    println!("{summary}");
    assert!(summary.is_exact(), "the summary is above\n{}", run.said());
    assert!(summary.n_kills > 0 && summary.n_pauses > 0, "{summary}");
}
