//! What the whole engine allocates for a record, from log to log: counted, so that a growth shows
//! without a clock. Processors and serdes here allocate nothing of their own.

use kstreams_core::context::Context;
use kstreams_core::error::Result;
use kstreams_core::record::Record;
use kstreams_core::serde::U64;
use kstreams_core::time::Timestamp;
use kstreams_runtime::testing::TestDriver;
use kstreams_runtime::{Config, Guarantee};
use kstreams_topology::Topology;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const N: u64 = 10_000;

/// It is 0.03: chunks of the log, and what a commit takes.
const LIMIT: f64 = 0.1;

fn driver(guarantee: Guarantee) -> Result<TestDriver> {
    let mut topology = Topology::builder();
    let source = topology.source("source", "in", (U64, U64));
    let add = topology.processor("add", &[source], || {
        |ctx: &mut Context<'_, u64, u64>, r: Record<u64, u64>| ctx.forward(r.map_value(|v| v + 1))
    });
    topology.sink("sink", &[add], "out", (U64, U64));
    TestDriver::new(topology.build()?, Config::new("allocations").guarantee(guarantee))
}

fn pass(driver: &mut TestDriver) -> Result {
    for number in 0..N {
        let (key, value) = (number.to_be_bytes(), number.to_be_bytes());
        driver.log().produce("in", key, value, Timestamp::from_millis(number as i64))?;
    }
    driver.settle()
}

/// Blocks allocated while `N` records are written to the log and pass through the engine.
fn blocks_per_record(guarantee: Guarantee) -> Result<f64> {
    let mut driver = driver(guarantee)?;
    // Queues and buffers grow to their working size first.
    pass(&mut driver)?;
    let before = dhat::HeapStats::get().total_blocks;
    pass(&mut driver)?;
    let blocks = dhat::HeapStats::get().total_blocks - before;
    assert_eq!(driver.output("out", U64, U64).read()?.len() as u64, 2 * N);
    Ok(blocks as f64 / N as f64)
}

#[test]
fn a_record_from_log_to_log_allocates_next_to_nothing() -> Result {
    let _profiler = dhat::Profiler::builder().testing().build();
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let blocks = blocks_per_record(guarantee)?;
        assert!(blocks < LIMIT, "{guarantee:?}: {blocks} blocks per record");
    }
    Ok(())
}
