//! What does a run of operators without state cost? Run with `cargo bench -p kstreams-dsl`.
//!
//! The best of many samples so short that other programs on the machine leave most of them alone.
//! What remains after the line without operators is theirs.

#![expect(clippy::print_stdout, reason = "a bench")]

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use kstreams_core::Result;
use kstreams_core::context::Context;
use kstreams_core::flow::{Flow, FlowInput, TaskSetup};
use kstreams_core::record::{Headers, RawRecord, Record};
use kstreams_core::sink::PartitionCounts;
use kstreams_core::store::TaskTimes;
use kstreams_core::task::TaskId;
use kstreams_core::time::{Clock, ManualClock, SystemClock, Timestamp};
use kstreams_dsl::{KStream, StreamsBuilder};

const N_SAMPLES: usize = 5_000;
const N_RECORDS: u32 = 200;

type Numbers = KStream<u64, u64>;

fn main() -> Result {
    let none = measure("no operators", |numbers| numbers)?;
    let eight = measure("8 operators", eight)?;
    println!("8 operators alone: {:.1} ns per record", eight - none);
    Ok(())
}

fn eight(numbers: Numbers) -> Numbers {
    numbers
        .filter(|_, n| *n != 1)
        .map_values(|n| n.wrapping_add(1))
        .filter_not(|key, _| *key == 1)
        .map(|key, n| (key.wrapping_add(1), n))
        .select_key(|key, n| key ^ n)
        .peek(|key, _| {
            black_box(*key);
        })
        .map_values(|n| n.wrapping_mul(3))
        .filter(|key, n| *key != 1 || *n != 1)
}

/// The time of a record through a source, these operators and an end, in nanoseconds.
fn measure(what: &str, operators: impl Fn(Numbers) -> Numbers) -> Result<f64> {
    let mut flow = flow(operators)?;
    let (clock, bytes) = (SystemClock::new(), 7_u64.to_be_bytes());
    let mut best = f64::INFINITY;
    for _ in 0..N_SAMPLES {
        let began = clock.monotonic();
        for _ in 0..N_RECORDS {
            let raw = RawRecord {
                offset: 0,
                timestamp: Timestamp::from_millis(1),
                key: Some(black_box(&bytes)),
                value: Some(&bytes),
                headers: Headers::default(),
                leader_epoch: None,
            };
            flow.feed(0, &raw, raw.timestamp)?;
        }
        let took = clock.monotonic() - began;
        best = best.min(took.as_nanos() as f64 / f64::from(N_RECORDS));
    }
    println!("{what:<14}{best:>7.1} ns per record");
    Ok(best)
}

fn flow(operators: impl Fn(Numbers) -> Numbers) -> Result<Flow> {
    let builder = StreamsBuilder::new();
    let numbers = operators(builder.stream("in"));
    numbers.process::<_, (), ()>(|| {
        |_: &mut Context<'_, (), ()>, record: Record<u64, u64>| {
            black_box(record.value);
            Ok(())
        }
    });
    let topology = builder.build()?;
    let setup = TaskSetup {
        application_id: "app".into(),
        task: TaskId { subtopology: 0, partition: 0 },
        state_dir: PathBuf::new(),
        clock: Arc::new(ManualClock::default()),
        times: Arc::new(TaskTimes::new()),
        handlers: Arc::default(),
        partition_counts: Arc::new(OnePartition),
    };
    let plan = topology.subtopologies()[0].flow_plan("app");
    let inputs = vec![FlowInput { topic: "in".into(), partition: 0, node: 0 }];
    let mut flow = Flow::new(&plan, inputs, vec![], setup)?;
    flow.init()?;
    Ok(flow)
}

#[derive(Debug)]
struct OnePartition;

impl PartitionCounts for OnePartition {
    fn partition_count(&self, _: &str) -> Result<i32> {
        Ok(1)
    }
}
