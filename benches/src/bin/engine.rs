//! Runs one workload against a broker and closes with one line of figures.
//!
//! `--bootstrap` (without it: the embedded log, filled with `--records` first) `--app-id --input
//! --output --workload passthrough|chain|count --store rocksdb|memory --guarantee
//! at-least-once|exactly-once --threads --records --commit-ms --state-dir`

#![expect(clippy::print_stdout, reason = "a bench program prints its figures")]

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kstreams::log::Log;
use kstreams::prelude::*;
use kstreams::time::{Clock, SystemClock};
use kstreams_benches::{Args, cpu_time, peak_rss_mib};

/// Records read so far, by all threads.
static N_READ: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static UNREPORTED: Cell<u64> = const { Cell::new(0) };
}

/// Bytes as they are; counts what it reads, in steps so that threads do not share a cache line.
struct Counted;

impl Serde for Counted {
    type Item = Vec<u8>;

    fn serialize(&self, item: &Vec<u8>, _: &At<'_>, out: &mut Vec<u8>) -> Result {
        out.extend_from_slice(item);
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8], _: &At<'_>) -> Result<Vec<u8>> {
        UNREPORTED.with(|n| {
            n.set(n.get() + 1);
            if n.get() == 50 || N_READ.load(Ordering::Relaxed) == 0 {
                N_READ.fetch_add(n.take(), Ordering::Relaxed);
            }
        });
        Ok(bytes.to_vec())
    }
}

type Bytes = Vec<u8>;

struct Count {
    id: StoreId<KeyValueStore<Bytes, u64>>,
    counts: Option<Arc<KeyValueStore<Bytes, u64>>>,
}

impl Processor<Bytes, Bytes, Bytes, u64> for Count {
    fn init(&mut self, ctx: &mut Init<'_, Self, Bytes, u64>) -> Result {
        self.counts = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_, Bytes, u64>, r: Record<Bytes, Bytes>) -> Result {
        let Some(counts) = &self.counts else { return Ok(()) };
        let n = counts.get(&r.key)?.unwrap_or(0) + 1;
        counts.put(&r.key, &n)?;
        ctx.forward(r.with_value(n))
    }
}

fn topology(args: &Args) -> Result<Topology> {
    let (input, output) = (args.get("input", "input"), args.get("output", "output"));
    let mut topology = Topology::builder();
    let source = topology.source("source", input, (ByteArray, Counted));
    match args.get("workload", "passthrough") {
        "passthrough" => {
            topology.sink("sink", &[source], output, (ByteArray, ByteArray));
        }
        "chain" => {
            let mut last = source;
            for index in 0..10 {
                last = topology.processor(&format!("p{index}"), &[last], || {
                    |ctx: &mut Context<'_, Bytes, Bytes>, r: Record<Bytes, Bytes>| ctx.forward(r)
                });
            }
            topology.sink("sink", &[last], output, (ByteArray, ByteArray));
        }
        "count" => {
            let id = match args.get("store", "rocksdb") {
                #[cfg(feature = "rocksdb")]
                "rocksdb" => topology.store(KeyValue::persistent("counts", ByteArray, U64)),
                "memory" => topology.store(KeyValue::in_memory("counts", ByteArray, U64)),
                other => return Err(format!("--store {other}: rocksdb or memory").into()),
            };
            let of_task = id.clone();
            let counts = topology
                .processor("count", &[source], move || Count { id: of_task.clone(), counts: None });
            topology.connect(counts, &id);
            topology.sink("sink", &[counts], output, (ByteArray, U64));
        }
        other => return Err(format!("--workload {other}: passthrough, chain or count").into()),
    }
    Ok(topology.build()?)
}

fn log_of(args: &Args, n: u64) -> Result<Arc<dyn Log>> {
    let (input, output) = (args.get("input", "input"), args.get("output", "output"));
    #[cfg(feature = "kafka")]
    if !args.get("bootstrap", "").is_empty() {
        return Ok(Arc::new(KafkaLog::new(args.get("bootstrap", ""))));
    }
    let log = MemoryLog::new();
    log.create_topic(input, 4)?;
    log.create_topic(output, 4)?;
    let value = [b'v'; 92];
    for index in 0..n {
        let key = (index % 100_000).to_be_bytes();
        log.produce(input, key, value, Timestamp::from_millis(index as i64))?;
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
        "state-dir",
    ];
    let args = Args::read(&known)?;
    let n = args.number("records", 1_000_000)?;
    let threads = args.number("threads", 1)? as usize;
    let guarantee = match args.get("guarantee", "at-least-once") {
        "at-least-once" => Guarantee::AtLeastOnce,
        "exactly-once" => Guarantee::ExactlyOnce,
        other => return Err(format!("--guarantee {other}").into()),
    };
    let dir = std::env::temp_dir().join(format!("kstreams-engine-{}", std::process::id()));
    let dir = args.get("state-dir", &dir.to_string_lossy()).to_owned();
    let config = Config::new(args.get("app-id", "engine"))
        .threads(threads)
        .guarantee(guarantee)
        .commit_interval(Duration::from_millis(args.number("commit-ms", 100)?))
        .state_dir(&dir);
    let log = log_of(&args, n)?;
    let clock = SystemClock::new();
    let app = Streams::with_log(topology(&args)?, config, log)?;
    app.start()?;

    let wait = |wanted: u64| {
        while N_READ.load(Ordering::Relaxed) < wanted {
            // Parks for a moment: this thread must not cost what is measured.
            if app.wait_for(State::Error, Duration::from_millis(1)) {
                return Err(Error::from(app.error().unwrap_or_default()));
            }
        }
        Ok(())
    };
    wait(1)?;
    let (first, cpu_before) = (clock.monotonic(), cpu_time());
    // The last few of each thread are not reported one by one.
    wait(n - (n % 50).max(50 * threads as u64))?;
    let closed = app.close(Duration::from_secs(60));
    let (last, cpu) = (clock.monotonic(), cpu_time() - cpu_before);
    if !closed {
        return Err("the application did not close in 60 s".into());
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
