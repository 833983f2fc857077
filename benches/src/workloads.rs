//! The workloads that are measured, as topologies. `PeerEngine.java` has the same for Java.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kstreams::dsl::{Consumed, Materialized, StreamsBuilder};
use kstreams::prelude::*;
use kstreams::state::{Stamped, TimestampedWindowStore, Windows};

use crate::Args;

/// Records read so far, by all threads; of a restore, those of stores that are done with.
pub static N_READ: AtomicU64 = AtomicU64::new(0);

const WINDOW: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(3600);
/// What a task caches: with four of them what Java's threads share unless told otherwise.
const CACHE_BYTES: usize = (10 << 20) / 4;

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

/// Counts by key.
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

/// Counts by key and minute.
struct WindowCount {
    id: StoreId<TimestampedWindowStore<Bytes, u64>>,
    counts: Option<Arc<TimestampedWindowStore<Bytes, u64>>>,
}

impl Processor<Bytes, Bytes, Bytes, u64> for WindowCount {
    fn init(&mut self, ctx: &mut Init<'_, Self, Bytes, u64>) -> Result {
        self.counts = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_, Bytes, u64>, r: Record<Bytes, Bytes>) -> Result {
        let Some(counts) = &self.counts else { return Ok(()) };
        let millis = r.timestamp.as_millis();
        let start = Timestamp::from_millis(millis - millis % WINDOW.as_millis() as i64);
        let n = counts.fetch(&r.key, start)?.map_or(0, |before| before.value) + 1;
        counts.put(&r.key, &Stamped::new(n, r.timestamp), start)?;
        ctx.forward(r.with_value(n))
    }
}

type Table = KeyValueStore<Bytes, Bytes>;

/// Keeps the table of [`LookUp`].
struct Keep {
    id: StoreId<Table>,
    table: Option<Arc<Table>>,
}

impl Processor<Bytes, Bytes, (), ()> for Keep {
    fn init(&mut self, ctx: &mut Init<'_, Self, (), ()>) -> Result {
        self.table = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(&mut self, _: &mut Context<'_, (), ()>, r: Record<Bytes, Bytes>) -> Result {
        let Some(table) = &self.table else { return Ok(()) };
        table.put(&r.key, &r.value)
    }
}

/// Joins each record with what the table has for its key.
struct LookUp {
    id: StoreId<Table>,
    table: Option<Arc<Table>>,
}

impl Processor<Bytes, Bytes, Bytes, Bytes> for LookUp {
    fn init(&mut self, ctx: &mut Init<'_, Self, Bytes, Bytes>) -> Result {
        self.table = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_, Bytes, Bytes>, r: Record<Bytes, Bytes>) -> Result {
        let Some(table) = &self.table else { return Ok(()) };
        let Some(found) = table.get(&r.key)? else { return Ok(()) };
        ctx.forward(r.map_value(|mut value| {
            value.extend_from_slice(&found);
            value
        }))
    }
}

/// The topology of a workload: `--workload`, `--store`, `--input`, `--output`, `--table`.
///
/// # Errors
/// If there is no such workload or store.
pub fn topology(args: &Args) -> Result<Topology> {
    let (input, output) = (args.get("input", "input"), args.get("output", "output"));
    if args.get("workload", "") == "count-cached" {
        return cached_count(args, input, output);
    }
    let mut topology = Topology::builder();
    let source = topology.source("source", input, (ByteArray, Counted));
    match args.get("workload", "passthrough") {
        "passthrough" => {
            topology.sink("sink", &[source], output, (ByteArray, ByteArray));
        }
        "chain" => {
            let mut last = source;
            for index in 0..args.number("depth", 10)? {
                last = topology.processor(&format!("p{index}"), &[last], || {
                    |ctx: &mut Context<'_, Bytes, Bytes>, r: Record<Bytes, Bytes>| ctx.forward(r)
                });
            }
            topology.sink("sink", &[last], output, (ByteArray, ByteArray));
        }
        "fan-out" => {
            let width = args.number("width", 8)?;
            let one_of = |index: u64| {
                topology.processor(&format!("p{index}"), &[source], move || {
                    move |ctx: &mut Context<'_, Bytes, Bytes>, r: Record<Bytes, Bytes>| {
                        let last = r.key.last().copied().map_or(0, u64::from);
                        if last % width == index { ctx.forward(r) } else { Ok(()) }
                    }
                })
            };
            let all: Vec<_> = (0..width).map(one_of).collect();
            topology.sink("sink", &all, output, (ByteArray, ByteArray));
        }
        "count" => {
            let id = topology.store(key_value(args, "counts", U64)?);
            let of_task = id.clone();
            let counts = topology
                .processor("count", &[source], move || Count { id: of_task.clone(), counts: None });
            topology.connect(counts, &id);
            topology.sink("sink", &[counts], output, (ByteArray, U64));
        }
        "window-count" => {
            let id = topology.store(windows(args)?);
            let of_task = id.clone();
            let counts = topology.processor("count", &[source], move || WindowCount {
                id: of_task.clone(),
                counts: None,
            });
            topology.connect(counts, &id);
            topology.sink("sink", &[counts], output, (ByteArray, U64));
        }
        "restore" => {
            keep(&mut topology, args, source)?;
        }
        "lookup" => {
            let name = args.get("table", "table");
            let records = topology.source("table-source", name, (ByteArray, ByteArray));
            let id = keep(&mut topology, args, records)?;
            let of_task = id.clone();
            let joined = topology.processor("look-up", &[source], move || LookUp {
                id: of_task.clone(),
                table: None,
            });
            topology.connect(joined, &id);
            topology.sink("sink", &[joined], output, (ByteArray, ByteArray));
        }
        other => return Err(format!("--workload {other}: no such workload").into()),
    }
    Ok(topology.build()?)
}

/// Keeps what `from` reads in the store "table".
fn keep(
    topology: &mut TopologyBuilder,
    args: &Args,
    from: Handle<Bytes, Bytes>,
) -> Result<StoreId<Table>> {
    let id = topology.store(key_value(args, "table", ByteArray)?);
    let of_task = id.clone();
    let keep =
        topology.processor("keep", &[from], move || Keep { id: of_task.clone(), table: None });
    topology.connect(keep, &id);
    Ok(id)
}

/// Counts by key with the DSL; of several changes between two commits the last alone is told.
fn cached_count(args: &Args, input: &str, output: &str) -> Result<Topology> {
    let builder = StreamsBuilder::new();
    builder.cache(CACHE_BYTES);
    let counts = Materialized::with(ByteArray, I64).name("counts");
    let counts = match args.get("store", "rocksdb") {
        "memory" => counts.in_memory(),
        _ => counts,
    };
    builder
        .stream_with::<Bytes, Bytes>(input, Consumed::with(ByteArray, Counted))
        .group_by_key()
        .count(counts)
        .to_stream()
        .to(output);
    Ok(builder.build()?)
}

fn key_value<V: 'static>(
    args: &Args,
    name: &str,
    value: impl Serde<Item = V>,
) -> Result<KeyValue<Bytes, V>> {
    match args.get("store", "rocksdb") {
        #[cfg(feature = "rocksdb")]
        "rocksdb" => Ok(KeyValue::persistent(name, ByteArray, value)),
        "memory" => Ok(KeyValue::in_memory(name, ByteArray, value)),
        other => Err(format!("--store {other}: rocksdb or memory").into()),
    }
}

fn windows(args: &Args) -> Result<Windows<Bytes, Stamped<u64>>> {
    let windows = match args.get("store", "rocksdb") {
        #[cfg(feature = "rocksdb")]
        "rocksdb" => Windows::persistent("counts", WINDOW, RETENTION, ByteArray, U64),
        "memory" => Windows::in_memory("counts", WINDOW, RETENTION, ByteArray, U64),
        other => return Err(format!("--store {other}: rocksdb or memory").into()),
    };
    Ok(windows.timestamped())
}
