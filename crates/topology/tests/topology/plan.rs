//! Plans that run: records through a flow made of what the topology hands to the executor.

use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::flow::{Flow, FlowInput, TaskSetup};
use kstreams_core::handler::Handlers;
use kstreams_core::processor::Processor;
use kstreams_core::record::{Headers, RawRecord, Record};
use kstreams_core::serde::{U64, Utf8};
use kstreams_core::sink::PartitionCounts;
use kstreams_core::store::{StateStore, StoreContext, StoreId, TaskTimes};
use kstreams_core::task::TaskId;
use kstreams_core::time::{ManualClock, Timestamp};
use kstreams_topology::{SubTopology, Topology};

use crate::support::{Cells, cells};
use crate::text;

/// Wants stores in `init`, then forwards the length.
struct Measure(Vec<StoreId<Cells>>);

impl Processor<String, String, String, u64> for Measure {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, u64>) -> Result {
        self.0.iter().try_for_each(|id| ctx.store(id).map(drop))
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, String, u64>,
        record: Record<String, String>,
    ) -> Result {
        ctx.forward(record.map_value(|text| text.len() as u64))
    }
}

struct NoCounts;

impl PartitionCounts for NoCounts {
    fn partition_count(&self, _: &str) -> Result<i32> {
        Ok(1)
    }
}

/// Runs one record through a task, as an executor would; what comes out, topic and value.
fn run(topology: &Topology, sub: &SubTopology, inputs: Vec<FlowInput>) -> Vec<(String, u64)> {
    let times = Arc::new(TaskTimes::new());
    let task = TaskId { subtopology: sub.id(), partition: 0 };
    let stores = sub.stores().iter().chain(topology.global_stores()).map(|store| {
        let context = StoreContext {
            application_id: "app".into(),
            task,
            dir: None,
            changelog_topic: store.serde_topic("app"),
            changes: None,
            times: Arc::clone(&times),
            transactional: false,
        };
        store.open(context).unwrap()
    });
    let stores: Vec<Arc<dyn StateStore>> = stores.collect();
    let setup = TaskSetup {
        application_id: "app".into(),
        task,
        state_dir: "unused".into(),
        clock: Arc::new(ManualClock::default()),
        times,
        handlers: Arc::new(Handlers::default()),
        partition_counts: Arc::new(NoCounts),
    };
    let mut flow = Flow::new(&sub.flow_plan("app"), inputs, stores, setup).unwrap();
    flow.init().unwrap();
    let raw = RawRecord {
        offset: 0,
        timestamp: Timestamp::from_millis(0),
        key: Some(b"key"),
        value: Some(b"value"),
        headers: Headers::default(),
        leader_epoch: None,
    };
    flow.feed(0, &raw, raw.timestamp).unwrap();
    let outbox = flow.outbox();
    let written: Vec<_> =
        outbox.iter().map(|out| (out.topic, out.value.unwrap().to_vec())).collect();
    let read = written.into_iter().map(|(topic, bytes)| {
        let number = bytes.try_into().map_or(0, u64::from_be_bytes);
        (outbox.topic_name(topic).to_owned(), number)
    });
    read.collect()
}

#[test]
fn a_plan_runs_with_stores_and_repartition_topics() {
    let mut builder = Topology::builder();
    let own = builder.store(cells("own"));
    let shared = builder.global_store(
        cells("shared"),
        "shared-source",
        "shared-topic",
        (Utf8, Utf8),
        "shared-processor",
        |_: &StoreId<Cells>| |_: &mut Context<'_, (), ()>, _: Record<String, String>| Ok(()),
    );
    let lengths = builder.repartition_topic("lengths", None);
    let lines = builder.source("lines", ["input"], (Utf8, Utf8));
    let stores = vec![own.clone(), shared];
    let measured = builder.processor("measure", &[lines], move || Measure(stores.clone()));
    builder.connect(measured, &own);
    let same = builder.processor("closure", &[measured], || {
        |ctx: &mut Context<'_, String, u64>, record: Record<String, u64>| {
            ctx.forward(record.map_value(|length| length * 10))
        }
    });
    builder.sink("first", &[measured], &lengths, (Utf8, U64));
    builder.sink("second", &[same, measured], "out", (Utf8, U64));
    builder.source("lengths", &lengths, (Utf8, U64));
    let topology = builder.build().unwrap();

    let counts = [("input".into(), 1), ("shared-topic".into(), 1)].into();
    let layout = topology.layout("app", &counts).unwrap();
    let task = layout.tasks().next().unwrap();
    let sub = topology.subtopology(task.subtopology).unwrap();
    assert_eq!((task.to_string().as_str(), sub.id()), ("1_0", 1), "the global store came first");
    assert_eq!(
        run(&topology, sub, layout.inputs(task)),
        [("out".into(), 50), ("app-lengths-repartition".into(), 5), ("out".into(), 5),]
    );
}

#[test]
fn children_come_in_the_order_of_adding() {
    let topology = text::topology(
        "source s in
         processor b s
         processor a s
         processor c b,s
         sink k out s,a,c",
    );
    let plan = topology.subtopologies()[0].flow_plan("app");
    let names: Vec<_> = plan.nodes.iter().map(|node| &*node.name).collect();
    assert_eq!(names, ["s", "b", "a", "c", "k"]);
    let children: Vec<_> = plan.nodes.iter().map(|node| node.children.as_slice()).collect();
    assert_eq!(children, [&[1, 2, 3, 4][..], &[3], &[4], &[4], &[]]);
}

#[test]
fn nodes_name_their_stores_by_index() {
    let topology = text::topology(
        "source s in
         source other more
         processor p s
         processor q s
         processor r other
         store t q
         store u p,q
         store v r
         global g gs gt gp
         global h hs ht hp",
    );
    let stores = |sub: usize| -> Vec<Vec<usize>> {
        let plan = topology.subtopologies()[sub].flow_plan("app");
        plan.nodes.into_iter().map(|node| node.stores).collect()
    };
    // Own stores first, then the two global ones, for processors alone.
    assert_eq!(stores(0), [vec![], vec![1, 2, 3], vec![0, 1, 2, 3]]);
    assert_eq!(stores(1), [vec![], vec![0, 1, 2]]);
    assert_eq!(stores(2), [vec![], vec![0]], "a global sub-topology sees its own store");
}
