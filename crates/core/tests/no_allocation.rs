//! A hop allocates nothing: counted by an allocator, over records through a chain of processors.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::PathBuf;
use std::sync::Arc;

use kstreams_core::context::Context;
use kstreams_core::error::Result;
use kstreams_core::flow::{Flow, FlowInput, FlowPlan, NodeFactory, PlannedNode, TaskSetup};
use kstreams_core::record::{Headers, RawRecord, Record};
use kstreams_core::serde::U64;
use kstreams_core::sink::{PartitionCounts, SinkSpec, SinkTopic};
use kstreams_core::source::{EventTime, SourceSpec};
use kstreams_core::store::TaskTimes;
use kstreams_core::task::TaskId;
use kstreams_core::time::{ManualClock, Timestamp};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

#[derive(Debug)]
struct NoCounts;
impl PartitionCounts for NoCounts {
    fn partition_count(&self, _: &str) -> Result<i32> {
        Ok(1)
    }
}

fn step(ctx: &mut Context<'_, u64, u64>, record: Record<u64, u64>) -> Result {
    ctx.forward(record.map_value(|v| v + 1))
}

fn chain(n_processors: usize) -> Flow {
    let node = |name: String, factory, children| PlannedNode {
        name: name.into(),
        factory,
        children,
        stores: vec![],
    };
    let (key, value) = (Arc::new(U64), Arc::new(U64));
    let source = SourceSpec { key, value, event_time: EventTime::FailOnInvalid };
    let mut nodes = vec![node("source".into(), NodeFactory::source(source), vec![1])];
    for index in 0..n_processors {
        let factory = NodeFactory::processor(|| step);
        nodes.push(node(format!("p{index}"), factory, vec![index + 2]));
    }
    let sink = SinkSpec {
        topic: SinkTopic::Fixed("out".into()),
        key: Arc::new(U64),
        value: Arc::new(U64),
        partitioner: None,
    };
    nodes.push(node("sink".into(), NodeFactory::sink(sink), vec![]));
    let setup = TaskSetup {
        application_id: "app".into(),
        task: TaskId { subtopology: 0, partition: 0 },
        state_dir: PathBuf::new(),
        clock: Arc::new(ManualClock::default()),
        times: Arc::new(TaskTimes::new()),
        handlers: Arc::default(),
        partition_counts: Arc::new(NoCounts),
    };
    let inputs = vec![FlowInput { topic: "in".into(), partition: 0, node: 0 }];
    let mut flow = Flow::new(&FlowPlan { nodes }, inputs, vec![], setup).unwrap();
    flow.init().unwrap();
    flow
}

#[test]
fn a_record_through_eight_processors_allocates_nothing() {
    let mut flow = chain(8);
    let bytes = 7_u64.to_be_bytes();
    let mut feed = |n: i64| {
        for offset in 0..n {
            let time = Timestamp::from_millis(offset);
            let raw = RawRecord {
                offset,
                timestamp: time,
                key: Some(&bytes),
                value: Some(&bytes),
                headers: Headers::default(),
                leader_epoch: None,
            };
            flow.feed(0, &raw, time).unwrap();
            flow.punctuate_stream_time().unwrap();
        }
        let last = flow.outbox().iter().last().map(|out| out.value.map(<[u8]>::to_vec));
        flow.outbox().clear();
        last
    };
    // The outbox grows to its working size first.
    assert_eq!(feed(1000), Some(Some(15_u64.to_be_bytes().to_vec())));
    let profiler = dhat::Profiler::builder().testing().build();
    let before = dhat::HeapStats::get();
    feed(1000);
    let after = dhat::HeapStats::get();
    drop(profiler);
    // One allocation is `last` above.
    assert!(after.total_blocks - before.total_blocks <= 1, "{before:?} {after:?}");
}
