//! Graphs of processors that do next to nothing, so that what is left is the price of hops.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

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

/// A graph with its name and how many hops a record takes through it.
#[derive(Debug)]
pub struct Graph {
    /// What it is called in reports.
    pub name: &'static str,
    /// How many hops a record takes.
    pub n_hops: u64,
    children: Vec<Vec<usize>>,
}

impl Graph {
    /// The graphs that are measured.
    pub fn all() -> [Self; 4] {
        [
            Self { name: "chain of 1", n_hops: 1, children: chain(1) },
            Self { name: "chain of 8", n_hops: 8, children: chain(8) },
            Self { name: "chain of 32", n_hops: 32, children: chain(32) },
            Self { name: "fan-out to 8 and merge", n_hops: 16, children: fan_out_and_merge(8) },
        ]
    }

    /// The running graph: node 0 is the source, nodes without children are ends, the others add
    /// one.
    ///
    /// # Panics
    /// Never: the plans are in order.
    pub fn flow(&self) -> Flow {
        let nodes = self.children.iter().enumerate().map(|(index, children)| {
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
}

/// Passes one `Record<u64, u64>` through the graph, from its bytes.
///
/// # Errors
/// None of the nodes fails.
pub fn feed_one(flow: &mut Flow) -> Result {
    let bytes = 7_u64.to_be_bytes();
    let raw = RawRecord {
        offset: 0,
        timestamp: Timestamp::from_millis(1),
        key: Some(black_box(&bytes)),
        value: Some(&bytes),
        headers: Headers::default(),
        leader_epoch: None,
    };
    flow.feed(0, &raw, raw.timestamp)
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

fn step(ctx: &mut Context<'_, u64, u64>, record: Record<u64, u64>) -> Result {
    ctx.forward(record.map_value(|v| v.wrapping_add(1)))
}

fn end(_: &mut Context<'_, u64, u64>, record: Record<u64, u64>) -> Result {
    black_box(record.value);
    Ok(())
}

#[derive(Debug)]
struct OnePartition;

impl PartitionCounts for OnePartition {
    fn partition_count(&self, _: &str) -> Result<i32> {
        Ok(1)
    }
}
