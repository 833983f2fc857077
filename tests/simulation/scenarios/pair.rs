//! Two topics whose partitions meet in one task, and two processors that share a store: one pays in,
//! the other takes everything out. Which of the two comes first is seen in the output, so the
//! interpreter follows the order of the output.

use std::collections::BTreeMap;

use kstreams::prelude::*;
use kstreams::testing::sim::{
    History, Oracle, SimEnv, SimPlan, SimRecord, SimStore, Simulation, Tap,
};

use super::channels::{all, done, origin};

type Balances = SimStore<Utf8, U64>;

pub(crate) fn simulation() -> Simulation {
    let record = |key: u64, value: u64, number: u64| SimRecord {
        key: Some(format!("k{key}").into_bytes()),
        value: Some(value.to_string().into_bytes()),
        timestamp: Timestamp::from_millis(1000 + number as i64),
    };
    Simulation::new(topology)
        .input("in", move |random, number| record(random.below(4), 1 + random.below(50), number))
        .input("out-of", move |random, number| record(random.below(4), 0, number))
        .output("moves")
        .guarantee(Guarantee::ExactlyOnce)
        .oracle(Interpreter::new)
}

fn topology(env: &SimEnv) -> Result<Topology> {
    let mut topology = Topology::builder();
    let balances = topology.store(env.store("balances", Utf8, U64));
    let mut nodes = Vec::new();
    for (topic, name) in [("in", "pay"), ("out-of", "take")] {
        let source = topology.source(topic, topic, (Utf8, Utf8));
        let (id, tap) = (balances.clone(), env.tap());
        let takes = name == "take";
        let node = topology.processor(name, &[source], move || Account {
            id: id.clone(),
            tap: tap.clone(),
            takes,
            balances: None,
        });
        topology.connect(node, &balances);
        nodes.push(node);
    }
    topology.sink("moves", &nodes, "moves", (Utf8, Utf8));
    Ok(topology.build()?)
}

struct Account {
    id: StoreId<Balances>,
    tap: Tap,
    takes: bool,
    balances: Option<Store<Balances>>,
}

impl Processor<String, String, String, String> for Account {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
        self.balances = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, String, String>,
        record: Record<String, String>,
    ) -> Result {
        self.tap.saw(ctx.record_metadata())?;
        let Some(balances) = &self.balances else { return Err("no store".into()) };
        let balance = balances.get(&record.key)?.unwrap_or(0);
        let result = if self.takes {
            balances.delete(&record.key)?;
            balance
        } else {
            let balance = balance + record.value.parse::<u64>()?;
            balances.put(&record.key, &balance)?;
            balance
        };
        let at = ctx.record_metadata();
        let at = at.map(|at| format!("{}:{}:{}", at.partition, at.offset, at.topic));
        let value = format!("{}:{result}", at.unwrap_or_default());
        ctx.forward(record.with_value(value))
    }
}

/// Follows the output of each task.
struct Interpreter {
    n_read: BTreeMap<i32, usize>,
    /// By topic and partition: how many records have come out.
    n_out: BTreeMap<(String, i32), usize>,
    balances: BTreeMap<String, u64>,
}

impl Interpreter {
    fn new(_: &SimPlan) -> Self {
        Self { n_read: BTreeMap::new(), n_out: BTreeMap::new(), balances: BTreeMap::new() }
    }
}

impl Oracle for Interpreter {
    fn look(&mut self, history: &History) -> Result<(), String> {
        for partition in 0..history.n_partitions("moves") {
            let n_read = self.n_read.entry(partition).or_default();
            for written in all(history, "moves", partition, *n_read) {
                *n_read += 1;
                let (_, offset, rest) = origin(&written.value).ok_or("no origin")?;
                let (topic, result) = rest.split_once(':').ok_or("no topic")?;
                let n_out = self.n_out.entry((topic.to_owned(), partition)).or_default();
                let source = all(history, topic, partition, *n_out);
                let Some(record) = source.first().filter(|record| record.offset == offset) else {
                    let next = source.first();
                    return Err(format!("moves-{partition}: {written:?}, but next is {next:?}"));
                };
                *n_out += 1;
                let balance = self.balances.entry(record.key.clone()).or_default();
                let amount: u64 = record.value.parse().unwrap_or(0);
                *balance += amount;
                if *balance.to_string() != *result {
                    return Err(format!("moves-{partition}: {written:?} with balance {balance}"));
                }
                if topic == "out-of" {
                    *balance = 0;
                }
            }
            for topic in ["in", "out-of"] {
                let n_done = done(history, topic, partition, 0).len();
                let n_out = self.n_out.get(&(topic.to_owned(), partition)).copied().unwrap_or(0);
                let is_hidden = !history.is_complete("moves", partition);
                if n_done < n_out || (n_done > n_out && !is_hidden) {
                    let text = format!("{n_out} records came out of {topic}-{partition}");
                    return Err(format!("{text}, {n_done} are committed as done"));
                }
            }
        }
        Ok(())
    }
}
