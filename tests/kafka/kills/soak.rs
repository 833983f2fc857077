//! A long quiet run: what a process holds of memory, files and threads stays what it is.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use kstreams::random::Random;

use super::plan::{Disturbance, N_PROCESSES, Options};
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

/// Rounds that are compared, each of them done with before the next begins.
const N_ROUNDS: usize = 6;
/// How often tasks may move, as on a busy machine at the start, before there is nothing to compare.
const N_MOVES: usize = 10;

/// What a process held in a round: of files and threads the least, as what leaks raises it; of
/// memory the median, as the most has its moments: a compaction or a batch.
fn held(samples: &[Usage]) -> Usage {
    let mut rss: Vec<u64> = samples.iter().map(|usage| usage.rss_kib).collect();
    rss.sort_unstable();
    let least = |of: fn(&Usage) -> usize| samples.iter().map(of).min().unwrap();
    let (n_files, n_threads) = (least(|usage| usage.n_files), least(|usage| usage.n_threads));
    Usage { rss_kib: rss[rss.len() / 2], n_files, n_threads }
}

/// What leaks grows with each round. What is made when it is first needed, as a connection, grows
/// once.
fn leaks(rounds: &[Usage], of: fn(&Usage) -> usize) -> bool {
    rounds.windows(2).all(|pair| of(&pair[1]) > of(&pair[0]))
}

/// From the middle of a run to its end, in percent.
fn memory_growth(rounds: &[Usage]) -> f64 {
    let [early, late] = [rounds.len() / 2, rounds.len() - 1].map(|at| rounds[at].rss_kib as f64);
    (late / early - 1.0) * 100.0
}

/// What each process held, round for round, while every task stayed where it was.
fn rounds(run: &mut Run, length: Duration) -> Vec<Vec<Usage>> {
    let mut by_process = vec![Vec::new(); N_PROCESSES];
    let mut owners = BTreeMap::new();
    let mut n_moves = 0;
    while by_process[0].len() < N_ROUNDS {
        let samples = run.round(length);
        let now = run.owners();
        let is_shared_out = (0..N_PROCESSES).all(|process| now.values().any(|of| *of == process));
        if now != owners || !is_shared_out {
            n_moves += 1;
            assert!(n_moves <= N_MOVES, "tasks do not stay: {now:?}\n{}", run.said());
            by_process.iter_mut().for_each(Vec::clear);
            owners = now;
            continue;
        }
        for (rounds, samples) in by_process.iter_mut().zip(&samples) {
            rounds.push(held(samples));
        }
    }
    by_process
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
    let by_process = rounds(&mut run, options.length / N_ROUNDS as u32);
    run.settle();
    let summary = run.summary();
    println!("{options:?}\n{summary}");
    for (number, rounds) in by_process.iter().enumerate() {
        let growth = memory_growth(rounds);
        println!("process {number}: memory {growth:+.1} % at the end, {rounds:?}");
        let has_more = leaks(rounds, |held| held.n_files) || leaks(rounds, |held| held.n_threads);
        assert!(!has_more, "process {number} holds more and more: {rounds:?}");
        assert!(!is_long || growth <= 5.0, "process {number} grew by {growth:.1} %: {rounds:?}");
    }
    assert!(summary.is_exact(), "{summary}\n{}", run.said());
}

#[test]
fn what_grows_with_each_round_is_a_leak() {
    let held = |n_files| Usage { rss_kib: 1, n_files, n_threads: 3 };
    let rounds = |n: [usize; 4]| n.map(held);
    assert!(leaks(&rounds([7, 8, 9, 12]), |held| held.n_files));
    assert!(!leaks(&rounds([7, 8, 8, 8]), |held| held.n_files), "a step");
    assert!(!leaks(&rounds([7, 8, 9, 12]), |held| held.n_threads));
}
