//! Sums are held back: in memory until the flush before a commit, or in a store until a wall-clock
//! punctuator comes. When they are written depends on the clock; how much is written in all does
//! not.
//!
//! Exactly-once, that is. At least once, what a punctuator takes out of a store may be in the
//! changelog when its output is lost with the process, as in Kafka Streams: no input brings it
//! again. Then all that holds is that nothing stays in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kstreams::prelude::*;
use kstreams::testing::sim::{
    History, Oracle, SimEnv, SimPlan, SimRecord, SimStore, Simulation, Tap,
};

use super::channels::{Text, all, done};

type Sums = SimStore<Utf8, U64>;

pub(crate) fn simulation() -> Simulation {
    Simulation::new(topology)
        .input("in", |random, number| SimRecord {
            key: Some(format!("k{}", random.below(4)).into_bytes()),
            value: Some((1 + random.below(20)).to_string().into_bytes()),
            timestamp: Timestamp::from_millis(1000 + number as i64),
        })
        .output("flushed")
        .output("punctuated")
        .oracle(Interpreter::new)
}

fn topology(env: &SimEnv) -> Result<Topology> {
    let mut topology = Topology::builder();
    let sums = topology.store(env.store("sums", Utf8, U64));
    let input = topology.source("input", "in", (Utf8, Utf8));
    let tap = env.tap();
    let held = topology
        .processor("hold", &[input], move || Hold { tap: tap.clone(), sums: BTreeMap::new() });
    topology.sink("flushed", &[held], "flushed", (Utf8, Utf8));
    let id = sums.clone();
    let kept = topology.processor("keep", &[input], move || Keep { id: id.clone(), sums: None });
    topology.connect(kept, &sums);
    topology.sink("punctuated", &[kept], "punctuated", (Utf8, Utf8));
    Ok(topology.build()?)
}

/// Holds sums in memory.
struct Hold {
    tap: Tap,
    sums: BTreeMap<String, u64>,
}

impl Processor<String, String, String, String> for Hold {
    fn process(
        &mut self,
        ctx: &mut Context<'_, String, String>,
        record: Record<String, String>,
    ) -> Result {
        self.tap.saw(ctx.record_metadata())?;
        *self.sums.entry(record.key).or_default() += record.value.parse::<u64>()?;
        Ok(())
    }

    fn flush(&mut self, ctx: &mut Context<'_, String, String>) -> Result {
        for (key, sum) in std::mem::take(&mut self.sums) {
            ctx.forward(Record::new(key, sum.to_string(), Timestamp::from_millis(0)))?;
        }
        Ok(())
    }
}

/// Keeps sums in a store.
struct Keep {
    id: StoreId<Sums>,
    sums: Option<Store<Sums>>,
}

impl Keep {
    fn write(&mut self, ctx: &mut Context<'_, String, String>, now: Timestamp) -> Result {
        let Some(sums) = self.sums.clone() else { return Err("no store".into()) };
        for (key, sum) in sums.all()? {
            // Not all at once, so that the clock has work when no records come.
            let part = sum.min(3);
            if part == sum {
                sums.delete(&key)?;
            } else {
                sums.put(&key, &(sum - part))?;
            }
            ctx.forward(Record::new(key, part.to_string(), now))?;
        }
        Ok(())
    }
}

impl Processor<String, String, String, String> for Keep {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
        self.sums = Some(ctx.store(&self.id)?);
        ctx.schedule(Every::wall_clock(Duration::from_millis(60)), Self::write)?;
        Ok(())
    }

    fn process(
        &mut self,
        _: &mut Context<'_, String, String>,
        record: Record<String, String>,
    ) -> Result {
        let Some(sums) = &self.sums else { return Err("no store".into()) };
        let sum = sums.get(&record.key)?.unwrap_or(0) + record.value.parse::<u64>()?;
        sums.put(&record.key, &sum)
    }
}

/// Adds up what has come in and what has gone out.
struct Interpreter {
    guarantee: Guarantee,
}

impl Interpreter {
    fn new(plan: &SimPlan) -> Self {
        Self { guarantee: plan.guarantee }
    }
}

fn total(records: impl IntoIterator<Item = Text>, sums: &mut BTreeMap<String, u64>) {
    for record in records {
        *sums.entry(record.key).or_default() += record.value.parse().unwrap_or(0);
    }
}

fn totals(history: &History, topic: &str, is_input: bool) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for partition in 0..history.n_partitions(topic) {
        let read = if is_input { done } else { all };
        total(read(history, topic, partition, 0), &mut sums);
    }
    sums
}

/// How many keys still have a sum, by the changelog of the store.
fn n_kept(history: &History) -> usize {
    let topic = history.internal("sums-changelog");
    let mut kept = BTreeSet::new();
    for partition in 0..history.n_partitions(&topic) {
        for record in history.records(&topic, partition) {
            let key = (partition, record.key.clone());
            if record.value.is_some() {
                kept.insert(key)
            } else {
                kept.remove(&key)
            };
        }
    }
    kept.len()
}

/// True if for each key as much has gone as has come, or more.
fn is_covered(come: &BTreeMap<String, u64>, gone: &BTreeMap<String, u64>) -> bool {
    come.iter().all(|(key, sum)| gone.get(key).is_some_and(|gone| gone >= sum))
}

impl Oracle for Interpreter {
    fn look(&mut self, history: &History) -> Result<(), String> {
        if self.guarantee == Guarantee::AtLeastOnce {
            return Ok(());
        }
        let (come, flushed) = (totals(history, "in", true), totals(history, "flushed", false));
        let n = history.n_partitions("flushed");
        let is_hidden = (0..n).any(|partition| !history.is_complete("flushed", partition));
        if come != flushed && !is_hidden {
            return Err(format!("{flushed:?} was flushed of {come:?}"));
        }
        for (key, sum) in totals(history, "punctuated", false) {
            if come.get(&key).is_none_or(|come| *come < sum) {
                return Err(format!("{sum} was written for {key} of {come:?}"));
            }
        }
        Ok(())
    }

    fn is_settled(&mut self, history: &History) -> bool {
        match self.guarantee {
            Guarantee::AtLeastOnce => n_kept(history) == 0,
            Guarantee::ExactlyOnce => {
                is_covered(&totals(history, "in", true), &totals(history, "punctuated", false))
            }
        }
    }

    fn finish(&mut self, history: &History) -> Result<(), String> {
        self.look(history)?;
        let come = totals(history, "in", true);
        let (flushed, punctuated) =
            (totals(history, "flushed", false), totals(history, "punctuated", false));
        let (holds, n_kept) = (is_covered(&come, &flushed), n_kept(history));
        let is_exact = come == flushed && come == punctuated;
        if !holds || n_kept > 0 || (self.guarantee == Guarantee::ExactlyOnce && !is_exact) {
            return Err(format!("{flushed:?}, {punctuated:?} and {n_kept} keys kept of {come:?}"));
        }
        Ok(())
    }
}
