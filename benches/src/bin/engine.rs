//! Runs one workload against a broker and closes with one line of figures.
//!
//! `--bootstrap` (without it: the embedded log, filled with `--records` first) `--app-id --input
//! --output --workload passthrough|chain|fan-out|count|count-cached|window-count|lookup|restore
//! --store rocksdb|memory --guarantee at-least-once|exactly-once --threads --records --commit-ms
//! --early-commit-ms --state-dir --table --keys --rocks-mib --set client.setting=value,..`
//!
//! `count-cached` is the DSL's, behind a cache; `restore` (with `--bootstrap` alone) fills the store of the
//! topic `<app-id>-table-changelog`, which has `--records`, until the application runs; `lookup` joins
//! the input with a store that is kept from the topic `--table`; a `chain` has `--depth` processors, a
//! `fan-out` `--width` of them, one of which passes a record on. On the embedded log keys come by turns
//! or at random (`--key-order turns|random`), with `--value-bytes` in `--partitions`.

#![expect(clippy::print_stdout, reason = "a bench program prints its figures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kstreams::RestoreProgress;
use kstreams::log::Log;
use kstreams::prelude::*;
use kstreams::random::Random;
#[cfg(feature = "rocksdb")]
use kstreams::state::rocks::RocksMemory;
use kstreams::time::{Clock, SystemClock};
use kstreams_benches::workloads::{N_READ, topology};
use kstreams_benches::{Args, cpu_time, peak_rss_mib};

const LONG: Duration = Duration::from_secs(60);
/// True once a store is being restored.
static RESTORING: AtomicBool = AtomicBool::new(false);

fn note_restored(progress: &RestoreProgress) {
    RESTORING.store(true, Ordering::Relaxed);
    if progress.is_done() {
        N_READ.fetch_add(progress.n_records, Ordering::Relaxed);
    }
}

fn log_of(args: &Args, n: u64) -> Result<Arc<dyn Log>> {
    let (input, output) = (args.get("input", "input"), args.get("output", "output"));
    #[cfg(feature = "kafka")]
    if !args.get("bootstrap", "").is_empty() {
        let log = KafkaLog::builder(args.get("bootstrap", ""));
        let settings = args.get("set", "").split(',').filter_map(|pair| pair.split_once('='));
        let log = settings.fold(log, |log, (name, value)| log.set(name, value));
        return Ok(Arc::new(log.build()?));
    }
    let log = MemoryLog::new();
    let n_partitions = args.number("partitions", 4)? as i32;
    log.create_topic(input, n_partitions)?;
    log.create_topic(output, n_partitions)?;
    let value = vec![b'v'; args.number("value-bytes", 92)? as usize];
    let n_keys = args.number("keys", 100_000)?;
    if args.get("workload", "") == "lookup" {
        let table = args.get("table", "table");
        log.create_topic(table, n_partitions)?;
        for key in 0..n_keys {
            log.produce(table, key.to_be_bytes(), &*value, Timestamp::from_millis(0))?;
        }
    }
    let random = Random::seeded(7);
    let is_random = args.get("key-order", "turns") == "random";
    for index in 0..n {
        let key = if is_random { random.below(n_keys) } else { index % n_keys };
        log.produce(input, key.to_be_bytes(), &*value, Timestamp::from_millis(index as i64))?;
    }
    Ok(Arc::new(log))
}

fn main() -> Result {
    env_logger::init();
    let known = [
        "bootstrap",
        "app-id",
        "input",
        "output",
        "workload",
        "store",
        "guarantee",
        "threads",
        "records",
        "commit-ms",
        "early-commit-ms",
        "rocks-mib",
        "set",
        "state-dir",
        "table",
        "keys",
        "key-order",
        "partitions",
        "value-bytes",
        "depth",
        "width",
    ];
    let args = Args::read(&known)?;
    let n = args.number("records", 1_000_000)?;
    let threads = args.number("threads", 1)? as usize;
    let guarantee = args.guarantee()?;
    let dir = std::env::temp_dir().join(format!("kstreams-engine-{}", std::process::id()));
    let dir = args.get("state-dir", &dir.to_string_lossy()).to_owned();
    let mut config = Config::new(args.get("app-id", "engine"))
        .threads(threads)
        .guarantee(guarantee)
        .commit_interval(Duration::from_millis(args.number("commit-ms", 100)?))
        .state_dir(&dir);
    let is_restore = args.get("workload", "") == "restore";
    if is_restore {
        config = config.on_restore(note_restored);
    }
    if !args.get("early-commit-ms", "").is_empty() {
        let after = args.number("early-commit-ms", 0)?;
        config = config.early_commit(Duration::from_millis(after));
    }
    #[cfg(feature = "rocksdb")]
    if !args.get("rocks-mib", "").is_empty() {
        RocksMemory::set_process((args.number("rocks-mib", 0)? as usize) << 20)?;
    }
    let log = log_of(&args, n)?;
    let clock = SystemClock::new();
    let app = Streams::with_log(topology(&args)?, config, log)?;
    app.start()?;

    let wait = |is_over: &dyn Fn() -> bool| {
        while !is_over() {
            // Parks for a moment: this thread must not cost what is measured.
            if app.wait_for(State::Error, Duration::from_millis(1)) {
                return Err(Error::from(app.error().unwrap_or_default()));
            }
        }
        Ok(())
    };
    wait(&|| match is_restore {
        true => RESTORING.load(Ordering::Relaxed),
        false => N_READ.load(Ordering::Relaxed) > 0,
    })?;
    let (first, cpu_before) = (clock.monotonic(), cpu_time());
    // The last few of each thread are not reported one by one.
    let slack = if is_restore { 0 } else { (n % 50).max(50 * threads as u64) };
    wait(&|| N_READ.load(Ordering::Relaxed) >= n - slack)?;
    // A restore has reached its end when the application runs, all else when it has committed.
    let is_done = match is_restore {
        true => app.wait_for(State::Running, LONG),
        false => app.close(LONG),
    };
    let (last, cpu) = (clock.monotonic(), cpu_time() - cpu_before);
    if !is_done || !app.close(LONG) {
        return Err("the application did not run or close in 60 s".into());
    }
    let seconds = (last - first).as_secs_f64();
    println!(
        "workload={} guarantee={} threads={threads} n={n} seconds={seconds:.3} \
         records_per_s={:.0} cpu_us_per_record={:.3} first_record_after_s={:.3} peak_rss_mb={}",
        args.get("workload", "passthrough"),
        args.get("guarantee", "at-least-once"),
        n as f64 / seconds,
        cpu.as_secs_f64() * 1e6 / n as f64,
        first.as_secs_f64(),
        peak_rss_mib(),
    );
    if args.get("state-dir", "").is_empty() {
        let _ = std::fs::remove_dir_all(dir);
    }
    Ok(())
}
