//! What does a hop cost, by chain length, fan-out and merge? Answer: docs/performance.md.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kstreams_core::context::Context;
use kstreams_core::error::Result;
use kstreams_core::flow::{Flow, FlowInput, FlowPlan, NodeFactory, PlannedNode, TaskSetup};
use kstreams_core::record::{Headers, RawRecord, Record};
use kstreams_core::serde::U64;
use kstreams_core::sink::PartitionCounts;
use kstreams_core::source::{EventTime, SourceSpec};
use kstreams_core::store::TaskTimes;
use kstreams_core::task::TaskId;
use kstreams_core::time::{ManualClock, Timestamp};

#[derive(Debug)]
struct OnePartition;
impl PartitionCounts for OnePartition {
    fn partition_count(&self, _: &str) -> Result<i32> {
        Ok(1)
    }
}

fn step(ctx: &mut Context<'_, u64, u64>, record: Record<u64, u64>) -> Result {
    ctx.forward(record.map_value(|v| v.wrapping_add(1)))
}

fn end(_: &mut Context<'_, u64, u64>, record: Record<u64, u64>) -> Result {
    black_box(record.value);
    Ok(())
}

/// A graph by the children of each node; node 0 is the source, nodes without children are ends.
fn flow(children: &[Vec<usize>]) -> Flow {
    let nodes = children.iter().enumerate().map(|(index, children)| {
        let factory = match (index, children.is_empty()) {
            (0, _) => NodeFactory::source(SourceSpec {
                key: Arc::new(U64),
                value: Arc::new(U64),
                event_time: EventTime::FailOnInvalid,
            }),
            (_, true) => NodeFactory::processor(|| end),
            (_, false) => NodeFactory::processor(|| step),
        };
        let name = format!("n{index}").into();
        PlannedNode { name, factory, children: children.clone(), stores: vec![] }
    });
    let plan = FlowPlan { nodes: nodes.collect() };
    let setup = TaskSetup {
        application_id: "app".into(),
        task: TaskId { subtopology: 0, partition: 0 },
        state_dir: PathBuf::new(),
        clock: Arc::new(ManualClock::default()),
        times: Arc::new(TaskTimes::new()),
        handlers: Arc::default(),
        partition_counts: Arc::new(OnePartition),
    };
    let inputs = vec![FlowInput { topic: "in".into(), partition: 0, node: 0 }];
    let mut flow = Flow::new(&plan, inputs, vec![], setup).expect("the plan is in order");
    flow.init().expect("nothing can fail");
    flow
}

fn chain(n_hops: usize) -> Vec<Vec<usize>> {
    (0..=n_hops).map(|node| if node == n_hops { vec![] } else { vec![node + 1] }).collect()
}

fn fan_out_and_merge(width: usize) -> Vec<Vec<usize>> {
    let mut graph = vec![(1..=width).collect()];
    graph.extend((0..width).map(|_| vec![width + 1]));
    graph.push(vec![]);
    graph
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("hops");
    let cases = [
        ("chain of 1", chain(1), 1),
        ("chain of 8", chain(8), 8),
        ("chain of 32", chain(32), 32),
        ("fan-out to 8 and merge", fan_out_and_merge(8), 16),
    ];
    for (name, graph, n_hops) in cases {
        let mut flow = flow(&graph);
        let bytes = 7_u64.to_be_bytes();
        // Elements are hops, so the report reads in time per hop.
        group.throughput(Throughput::Elements(n_hops));
        group.bench_function(name, |b| {
            b.iter(|| {
                let raw = RawRecord {
                    offset: 0,
                    timestamp: Timestamp::from_millis(1),
                    key: Some(black_box(&bytes)),
                    value: Some(&bytes),
                    headers: Headers::default(),
                    leader_epoch: None,
                };
                flow.feed(0, &raw, raw.timestamp)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
