//! A long quiet run: what a process holds of memory, files and threads stays what it is.

use std::fs;
use std::time::Duration;

use kstreams::random::Random;

use super::plan::{Disturbance, Options};
use super::run::Run;
use super::setting;

/// What a process holds at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) rss_kib: u64,
    /// Without RocksDB's tables, of which there are now more and now fewer.
    pub(super) n_files: usize,
    pub(super) n_threads: usize,
}

impl Usage {
    /// Of a process, as Linux tells it; `None` if it has ended.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let list = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).ok();
        let is_table = |file: &fs::DirEntry| {
            let target = fs::read_link(file.path()).unwrap_or_default();
            target.to_string_lossy().contains(".sst")
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let rss_kib = rss.split_whitespace().next()?.parse().ok()?;
        let n_files = list("fd")?.flatten().filter(|file| !is_table(file)).count();
        Some(Self { rss_kib, n_files, n_threads: list("task")?.count() })
    }
}

/// From the third quarter of a run to the last one: the growth of memory in percent, and whether
/// files and threads have grown. What leaks raises the least there is; the most has its moments,
/// as a compaction or a batch.
fn drift(samples: &[Usage]) -> (f64, bool) {
    let quarter = samples.len() / 4;
    let (early, late) = (2 * quarter, samples.len() - quarter);
    let sorted = |from: usize, of: fn(&Usage) -> u64| {
        let mut all: Vec<u64> = samples[from..from + quarter].iter().map(of).collect();
        all.sort_unstable();
        all
    };
    let grows = |of: fn(&Usage) -> u64| sorted(late, of)[0] > sorted(early, of)[0];
    let median = |from: usize| sorted(from, |usage| usage.rss_kib)[quarter / 2];
    let growth = (median(late) as f64 / median(early) as f64 - 1.0) * 100.0;
    (growth, grows(|usage| usage.n_threads as u64) || grows(|usage| usage.n_files as u64))
}

/// `scripts/kills soak` runs it for hours; then memory may grow by 5 % at most. A short run is still
/// filling its caches.
#[test]
fn a_quiet_run_holds_no_more_files_and_threads_than_before() {
    let options = Options {
        seed: setting("KSTREAMS_KILLS_SEED", Random::from_os().below(1_000_000)),
        length: Duration::from_secs(setting("KSTREAMS_SOAK_SECONDS", 24)),
        rate: setting("KSTREAMS_KILLS_RATE", 2000),
        disturbance: Disturbance::None,
        // Little, so that it is in use soon.
        rocks_bytes: 8 << 20,
    };
    let is_long = options.length >= Duration::from_secs(600);
    let mut run = Run::new(options);
    run.faults();
    run.settle();
    let summary = run.summary();
    println!("{options:?}\n{summary}");
    for (number, samples) in run.usage().iter().enumerate() {
        let (first, last) = (samples.first().unwrap(), samples.last().unwrap());
        let (growth, has_more) = drift(samples);
        println!("process {number}: {first:?} .. {last:?}, memory {growth:+.1} % at the end");
        assert!(!has_more, "process {number} holds more and more: {samples:?}");
        assert!(!is_long || growth <= 5.0, "process {number} grew by {growth:.1} %: {samples:?}");
    }
    assert!(summary.is_exact(), "{summary}\n{}", run.said());
}
