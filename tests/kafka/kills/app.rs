//! The application that is killed: three sub-topologies, two of them with a store, whose results
//! carry running values and the input record they come from. So a record that is lost, or done
//! twice, shows in every later result of its key.

use std::time::Duration;

use kstreams::UncaughtVerdict;
use kstreams::prelude::*;
use kstreams::state::rocks::RocksMemory;

use super::process::Role;

pub(super) const N_PARTITIONS: i32 = 6;
pub(super) const INPUT: &str = "orders";
/// `partition:offset:count:sum` for each input record, by group.
pub(super) const TOTALS: &str = "totals";
/// `partition:offset:count:sum of the counts above` for each input record, by its key.
pub(super) const TALLIES: &str = "tallies";

const N_GROUPS: u64 = 257;
/// A coordinator that a killed broker loads at times forgets to watch the members it finds in its
/// log (4.3.1): it waits for the dead ones so long, which are five minutes by default.
const REBALANCE: Duration = Duration::from_secs(15);

/// The group that an amount belongs to.
pub(super) fn group(amount: u64) -> String {
    format!("g{}", amount % N_GROUPS)
}

/// Runs the application until this process is killed or told to end.
pub(super) fn run(role: &Role) {
    RocksMemory::set_process(role.get("rocks").parse().unwrap()).unwrap();
    let config = Config::new(role.get("app"))
        .threads(2)
        .guarantee(Guarantee::ExactlyOnce)
        .state_dir(role.get("state"))
        .session_timeout(role.millis("session"))
        .transaction_timeout(role.millis("transaction"))
        .rebalance_timeout(REBALANCE)
        .on_uncaught(|_| UncaughtVerdict::ReplaceThread);
    role.run(&config, || topology().unwrap());
}

pub(super) fn topology() -> Result<Topology> {
    let mut topology = Topology::builder();
    let sums = topology.store(KeyValue::persistent("sums", Utf8, Utf8));
    let counts = topology.store(KeyValue::persistent("counts", Utf8, Utf8));

    let orders = topology.source("orders", INPUT, (Utf8, Utf8));
    let by_group = topology.repartition_topic("by-group", None);
    let grouped = topology.processor("group", &[orders], || {
        |ctx: &mut Context<'_, String, String>, order: Record<String, String>| {
            let value = format!("{}:{}:{}", origin(ctx)?, order.value, order.key);
            ctx.forward(order.with_key(group(number(&value, 2)?)).with_value(value))
        }
    });
    topology.sink("to-groups", &[grouped], &by_group, (Utf8, Utf8));

    let groups = topology.source("groups", &by_group, (Utf8, Utf8));
    let by_key = topology.repartition_topic("by-key", None);
    let id = sums.clone();
    let total = topology.processor("total", &[groups], move || Sum { id: id.clone(), store: None });
    topology.connect(total, &sums);
    topology.sink("totals", &[total], TOTALS, (Utf8, Utf8));
    let keyed = topology.processor("key", &[total], || {
        |ctx: &mut Context<'_, String, String>, total: Record<String, String>| {
            let key = total.value.rsplit(':').next().unwrap_or_default().to_owned();
            ctx.forward(total.with_key(key))
        }
    });
    topology.sink("to-keys", &[keyed], &by_key, (Utf8, Utf8));

    let keys = topology.source("keys", &by_key, (Utf8, Utf8));
    let id = counts.clone();
    let tally = topology.processor("tally", &[keys], move || Sum { id: id.clone(), store: None });
    topology.connect(tally, &counts);
    topology.sink("tallies", &[tally], TALLIES, (Utf8, Utf8));
    Ok(topology.build()?)
}

/// Keeps count and sum per key. From `partition:offset:amount:..:key` it makes
/// `partition:offset:count:sum:key`.
struct Sum {
    id: StoreId<KeyValueStore<String, String>>,
    store: Option<Store<KeyValueStore<String, String>>>,
}

impl Processor<String, String, String, String> for Sum {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
        self.store = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, String, String>,
        record: Record<String, String>,
    ) -> Result {
        let Some(store) = &self.store else { return Err("no store".into()) };
        let state = store.get(&record.key)?;
        let state = added(state.as_deref(), number(&record.value, 2)?);
        store.put(&record.key, &state)?;
        let mut fields = record.value.split(':');
        let (partition, offset) = (fields.next(), fields.next());
        let (partition, offset) = (partition.unwrap_or_default(), offset.unwrap_or_default());
        let key = fields.next_back().unwrap_or_default();
        let value = format!("{partition}:{offset}:{state}:{key}");
        ctx.forward(record.with_value(value))
    }
}

/// `count:sum` with one amount more.
pub(super) fn added(state: Option<&str>, amount: u64) -> String {
    let field = |at| state.and_then(|state| number(state, at).ok()).unwrap_or(0);
    format!("{}:{}", field(0) + 1, field(1) + amount)
}

/// The number in a field of a text with colons.
pub(super) fn number(text: &str, at: usize) -> Result<u64> {
    let field = text.split(':').nth(at).and_then(|field| field.parse().ok());
    field.ok_or_else(|| format!("no number in field {at} of {text}").into())
}

/// `partition:offset` of the record in work.
fn origin<K, V>(ctx: &Context<'_, K, V>) -> Result<String> {
    let at = ctx.record_metadata().ok_or("no record")?;
    Ok(format!("{}:{}", at.partition, at.offset))
}
