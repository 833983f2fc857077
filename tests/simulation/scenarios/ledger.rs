//! Three sub-topologies: records are copied and sent to groups; each group keeps count, sum and
//! maximum in a store; the results go by their first key into a second store.

use std::collections::BTreeMap;

use kstreams::prelude::*;
use kstreams::testing::sim::{History, Oracle, SimEnv, SimPlan, SimRecord, Simulation, Tap};

use super::cells::Cells;
use super::channels::{Channels, Text, done, origin};

/// Where the stores are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stores {
    OnDisk,
    InMemory,
}

pub(crate) fn simulation(stores: Stores) -> Simulation {
    Simulation::new(move |env| match stores {
        Stores::OnDisk => {
            topology(env, env.store("totals", Utf8, Utf8), env.store("finals", Utf8, Utf8))
        }
        Stores::InMemory => topology(
            env,
            KeyValue::in_memory("totals", Utf8, Utf8),
            KeyValue::in_memory("finals", Utf8, Utf8),
        ),
    })
    .input("in", |random, number| SimRecord {
        key: Some(format!("k{}", random.below(6)).into_bytes()),
        value: Some((1 + random.below(20)).to_string().into_bytes()),
        timestamp: Timestamp::from_millis(1000 + number as i64),
    })
    .output("copies")
    .output("totals")
    .output("finals")
    .oracle(Interpreter::new)
}

fn topology<B>(env: &SimEnv, totals: B, finals: B) -> Result<Topology>
where
    B: kstreams::store::StoreBuilder<Store: Cells>,
{
    let mut topology = Topology::builder();
    let (totals, finals) = (topology.store(totals), topology.store(finals));
    let input = topology.source("input", "in", (Utf8, Utf8));
    let by_group = topology.repartition_topic("by-group", None);
    let tap = env.tap();
    let tagged = topology.processor("tag", &[input], move || {
        let tap = tap.clone();
        move |ctx: &mut Context<'_, String, String>, record: Record<String, String>| {
            tap.saw(ctx.record_metadata())?;
            let tag = tag(ctx);
            ctx.forward(record.map_value(|amount| format!("{tag}{amount}")))
        }
    });
    topology.sink("copies", &[tagged], "copies", (Utf8, Utf8));
    let grouped = topology.processor("group", &[tagged], || {
        |ctx: &mut Context<'_, String, String>, record: Record<String, String>| {
            let (key, value) = grouped(&record.key, &record.value);
            ctx.forward(record.with_key(key).with_value(value))
        }
    });
    topology.sink("to-groups", &[grouped], &by_group, (Utf8, Utf8));

    let groups = topology.source("groups", &by_group, (Utf8, Utf8));
    let by_key = topology.repartition_topic("by-key", None);
    let (id, tap) = (totals.clone(), env.tap());
    let summed = topology.processor("sum", &[groups], move || Sum::new(&id, &tap));
    topology.connect(summed, &totals);
    topology.sink("totals", &[summed], "totals", (Utf8, Utf8));
    let rekeyed = topology.processor("rekey", &[summed], || {
        |ctx: &mut Context<'_, String, String>, record: Record<String, String>| {
            let key = record.value.rsplit(':').next().unwrap_or_default().to_owned();
            ctx.forward(record.with_key(key))
        }
    });
    topology.sink("to-keys", &[rekeyed], &by_key, (Utf8, Utf8));

    let keys = topology.source("keys", &by_key, (Utf8, Utf8));
    let (id, tap) = (finals.clone(), env.tap());
    let counted = topology.processor("count", &[keys], move || Sum::new(&id, &tap));
    topology.connect(counted, &finals);
    topology.sink("finals", &[counted], "finals", (Utf8, Utf8));
    Ok(topology.build()?)
}

/// `partition:offset:` of the record in work.
fn tag<K, V>(ctx: &Context<'_, K, V>) -> String {
    let at = ctx.record_metadata();
    at.map(|at| format!("{}:{}:", at.partition, at.offset)).unwrap_or_default()
}

/// The group of a tagged amount, and what is sent there: `p:o:amount:key`.
fn grouped(key: &str, value: &str) -> (String, String) {
    let amount: u64 = value.rsplit(':').next().unwrap_or_default().parse().unwrap_or(0);
    (format!("g{}", amount % 5), format!("{value}:{key}"))
}

/// Keeps count, sum and maximum per key.
struct Sum<S> {
    id: StoreId<S>,
    tap: Tap,
    store: Option<Store<S>>,
}

impl<S> Sum<S> {
    fn new(id: &StoreId<S>, tap: &Tap) -> Self {
        Self { id: id.clone(), tap: tap.clone(), store: None }
    }
}

impl<S: Cells> Processor<String, String, String, String> for Sum<S> {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
        self.store = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, String, String>,
        record: Record<String, String>,
    ) -> Result {
        self.tap.saw(ctx.record_metadata())?;
        let Some(store) = &self.store else { return Err("no store".into()) };
        let state = summed(store.get(&record.key)?.as_deref(), &record.value);
        store.put(&record.key, &state)?;
        let value = format!("{}{state}:{}", tag(ctx), last(&record.value));
        ctx.forward(record.with_value(value))
    }
}

fn last(value: &str) -> &str {
    value.rsplit(':').next().unwrap_or_default()
}

/// `count:sum:max` with one amount more, which is the third field.
fn summed(state: Option<&str>, value: &str) -> String {
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    let mut fields = state.unwrap_or_default().split(':');
    let (count, sum, max) = (number(fields.next()), number(fields.next()), number(fields.next()));
    let amount = number(value.split(':').nth(2));
    format!("{}:{}:{}", count + 1, sum + amount, max.max(amount))
}

/// At least once, counts and sums may be too large; nothing may be too small.
fn not_less(expected: &str, written: &str) -> bool {
    let fields = |value: &str| -> Vec<u64> {
        value.split(':').skip(2).filter_map(|field| field.parse().ok()).collect()
    };
    let (expected, written) = (fields(expected), fields(written));
    expected.len() == written.len() && expected.iter().zip(&written).all(|(e, w)| w >= e)
}

/// The same, one record after the other.
struct Interpreter {
    /// Records processed, by topic and partition.
    n_done: BTreeMap<(String, i32), usize>,
    totals: BTreeMap<String, String>,
    finals: BTreeMap<String, String>,
    copies: Channels,
    groups: Channels,
    sums: Channels,
    keys: Channels,
    counts: Channels,
    guarantee: Guarantee,
}

impl Interpreter {
    fn new(plan: &SimPlan) -> Self {
        let guarantee = plan.guarantee;
        let same = |a: &str, b: &str| a == b;
        let to = |topic: &str, source: &str, tolerance| {
            Channels::new(topic.to_owned(), source.to_owned(), guarantee, tolerance)
        };
        let (groups, keys) = ("app-by-group-repartition", "app-by-key-repartition");
        Self {
            n_done: BTreeMap::new(),
            totals: BTreeMap::new(),
            finals: BTreeMap::new(),
            copies: to("copies", "in", same),
            groups: to(groups, "in", same),
            sums: to("totals", groups, not_less),
            keys: to(keys, groups, not_less),
            counts: to("finals", keys, not_less),
            guarantee,
        }
    }

    fn new_of(&mut self, history: &History, topic: &str) -> Vec<Text> {
        let mut all = Vec::new();
        for partition in 0..history.n_partitions(topic) {
            let n_done = self.n_done.entry((topic.to_owned(), partition)).or_default();
            let new = done(history, topic, partition, *n_done);
            *n_done += new.len();
            all.extend(new);
        }
        all
    }
}

impl Oracle for Interpreter {
    fn look(&mut self, history: &History) -> Result<(), String> {
        let n = history.n_partitions("in");
        for record in self.new_of(history, "in") {
            let value = format!("{}:{}:{}", record.partition, record.offset, record.value);
            let (group, sent) = grouped(&record.key, &value);
            self.copies.expect(&record, &record.key, value, n);
            self.groups.expect(&record, &group, sent, n);
        }
        for record in self.new_of(history, "app-by-group-repartition") {
            let state = summed(self.totals.get(&record.key).map(String::as_str), &record.value);
            let key = last(&record.value).to_owned();
            let value = format!("{}:{}:{state}:{key}", record.partition, record.offset);
            self.totals.insert(record.key.clone(), state);
            self.sums.expect(&record, &record.key, value.clone(), n);
            self.keys.expect(&record, &key, value, n);
        }
        for record in self.new_of(history, "app-by-key-repartition") {
            let state = summed(self.finals.get(&record.key).map(String::as_str), &record.value);
            let tag = format!("{}:{}:{state}", record.partition, record.offset);
            self.finals.insert(record.key.clone(), state);
            self.counts.expect(&record, &record.key, format!("{tag}:{}", last(&record.value)), n);
        }
        if self.guarantee == Guarantee::ExactlyOnce {
            self.check(history)?;
        }
        Ok(())
    }

    fn finish(&mut self, history: &History) -> Result<(), String> {
        self.look(history)?;
        self.check(history)?;
        self.maxima(history)
    }
}

impl Interpreter {
    fn check(&mut self, history: &History) -> Result<(), String> {
        let all =
            [&mut self.copies, &mut self.groups, &mut self.sums, &mut self.keys, &mut self.counts];
        all.into_iter().try_for_each(|channels| channels.check(history))
    }

    /// The last maximum of each group is right under both guarantees: doing it twice changes
    /// nothing.
    fn maxima(&self, history: &History) -> Result<(), String> {
        let mut written: BTreeMap<String, String> = BTreeMap::new();
        for partition in 0..history.n_partitions("totals") {
            for record in super::channels::all(history, "totals", partition, 0) {
                let (_, _, state) = origin(&record.value).ok_or("no origin")?;
                let max = state.split(':').nth(2).unwrap_or_default().to_owned();
                written.insert(record.key, max);
            }
        }
        for (group, state) in &self.totals {
            let max = state.rsplit(':').next().unwrap_or_default();
            if written.get(group).map(String::as_str) != Some(max) {
                let found = written.get(group);
                return Err(format!("the maximum of {group} must be {max}, found {found:?}"));
            }
        }
        Ok(())
    }
}
