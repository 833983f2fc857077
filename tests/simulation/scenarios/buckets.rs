//! Records are counted per key and 100 ms of event time; a bucket is written once, when stream time
//! has passed it, and what comes later is dropped. Stream time must survive every crash.

use std::collections::BTreeMap;

use kstreams::prelude::*;
use kstreams::testing::sim::{
    History, Oracle, SimEnv, SimPlan, SimRecord, SimStore, Simulation, Tap,
};

use super::channels::{Channels, Text, done};

type Counts = SimStore<Utf8, U64>;

const SIZE: i64 = 100;
const GRACE: i64 = 40;

pub(crate) fn simulation() -> Simulation {
    Simulation::new(topology)
        .input("in", |random, number| {
            let late = random.below(if random.below(4) == 0 { 300 } else { 30 }) as i64;
            SimRecord {
                key: Some(format!("k{}", random.below(4)).into_bytes()),
                value: Some(b"x".to_vec()),
                timestamp: Timestamp::from_millis(1000 + number as i64 * 15 - late),
            }
        })
        .output("closed")
        .guarantee(Guarantee::ExactlyOnce)
        .oracle(Interpreter::new)
}

fn topology(env: &SimEnv) -> Result<Topology> {
    let mut topology = Topology::builder();
    let counts = topology.store(env.store("counts", Utf8, U64));
    let input = topology.source("input", "in", (Utf8, Utf8));
    let (id, tap) = (counts.clone(), env.tap());
    let buckets = topology.processor("buckets", &[input], move || Buckets {
        id: id.clone(),
        tap: tap.clone(),
        counts: None,
    });
    topology.connect(buckets, &counts);
    topology.sink("closed", &[buckets], "closed", (Utf8, Utf8));
    Ok(topology.build()?)
}

struct Buckets {
    id: StoreId<Counts>,
    tap: Tap,
    counts: Option<Store<Counts>>,
}

impl Processor<String, String, String, String> for Buckets {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
        self.counts = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, String, String>,
        record: Record<String, String>,
    ) -> Result {
        self.tap.saw(ctx.record_metadata())?;
        let Some(counts) = self.counts.clone() else { return Err("no store".into()) };
        let now = ctx.stream_time().as_millis();
        let cell = cell(&record.key, record.timestamp.as_millis());
        if !is_over(&cell, now) {
            counts.put(&cell, &(counts.get(&cell)?.unwrap_or(0) + 1))?;
        }
        let tag = ctx.record_metadata().map(|at| format!("{}:{}", at.partition, at.offset));
        let tag = tag.unwrap_or_default();
        for (cell, count) in counts.all()? {
            if is_over(&cell, now) {
                counts.delete(&cell)?;
                let (bucket, key) = cell.split_once('/').unwrap_or_default();
                let value = format!("{tag}:{bucket}:{count}");
                ctx.forward(Record::new(key.to_owned(), value, record.timestamp))?;
            }
        }
        Ok(())
    }
}

/// The key of a count: bucket and key, so that buckets come in order.
fn cell(key: &str, time: i64) -> String {
    format!("{:010}/{key}", time.div_euclid(SIZE))
}

fn is_over(cell: &str, now: i64) -> bool {
    let bucket = cell.split('/').next().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    (bucket + 1) * SIZE + GRACE <= now
}

/// The same, one record after the other.
struct Interpreter {
    n_done: BTreeMap<i32, usize>,
    times: BTreeMap<i32, i64>,
    counts: BTreeMap<i32, BTreeMap<String, u64>>,
    closed: Channels,
}

impl Interpreter {
    fn new(plan: &SimPlan) -> Self {
        let closed =
            Channels::new("closed".into(), "in".into(), plan.guarantee, |a: &str, b: &str| a == b);
        Self { n_done: BTreeMap::new(), times: BTreeMap::new(), counts: BTreeMap::new(), closed }
    }

    fn process(&mut self, record: &Text, n: i32) {
        let now = self.times.entry(record.partition).or_insert(-1);
        *now = (*now).max(record.time);
        let counts = self.counts.entry(record.partition).or_default();
        let cell = cell(&record.key, record.time);
        if !is_over(&cell, *now) {
            *counts.entry(cell).or_default() += 1;
        }
        let over: Vec<String> = counts.keys().filter(|cell| is_over(cell, *now)).cloned().collect();
        for cell in over {
            let count = counts.remove(&cell).unwrap_or(0);
            let (bucket, key) = cell.split_once('/').unwrap_or_default();
            let value = format!("{}:{}:{bucket}:{count}", record.partition, record.offset);
            self.closed.expect(record, key, value, n);
        }
    }
}

impl Oracle for Interpreter {
    fn look(&mut self, history: &History) -> Result<(), String> {
        let n = history.n_partitions("in");
        for partition in 0..n {
            let from = self.n_done.get(&partition).copied().unwrap_or(0);
            for record in done(history, "in", partition, from) {
                self.process(&record, n);
                *self.n_done.entry(partition).or_default() += 1;
            }
        }
        self.closed.check(history)
    }

    /// I10: a bucket has one result.
    fn finish(&mut self, history: &History) -> Result<(), String> {
        self.look(history)?;
        for partition in 0..history.n_partitions("closed") {
            let mut seen = BTreeMap::new();
            for record in super::channels::all(history, "closed", partition, 0) {
                let mut fields = record.value.split(':');
                let from = fields.next().unwrap_or_default().to_owned();
                let bucket = fields.nth(1).unwrap_or_default().to_owned();
                if seen.insert((from, record.key.clone(), bucket), ()).is_some() {
                    return Err(format!("a bucket was closed twice (I10): {record:?}"));
                }
            }
        }
        Ok(())
    }
}
