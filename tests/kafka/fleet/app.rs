//! The application of a fleet: counts records per key, and says with each count who counted.

use std::time::Duration;

use kstreams::prelude::*;

use crate::kills::process::Role;

pub(crate) const INPUT: &str = "in";
/// `count process-id` for each record, by its key.
pub(crate) const OUTPUT: &str = "out";
/// After which a silent member loses its tasks: with the transactions of it over.
pub(crate) const SESSION: Duration = Duration::from_secs(6);
/// After which the broker aborts an open transaction.
const TRANSACTION: Duration = Duration::from_secs(4);

/// Runs it until this process is killed or told to end.
pub(super) fn play(role: &Role) {
    let config = Config::new("fleet")
        .guarantee(Guarantee::ExactlyOnce)
        .state_dir(role.get("state"))
        .session_timeout(SESSION)
        .transaction_timeout(TRANSACTION)
        .on_standby(|change, store| {
            log::info!("standby {} {change:?} {:?}", store.task, store.lag);
        });
    role.run(&config, topology);
}

fn topology() -> Topology {
    let mut topology = Topology::builder();
    let counts = topology.store(KeyValue::persistent("counts", Utf8, I64));
    let events = topology.source("events", INPUT, (Utf8, Utf8));
    let id = counts.clone();
    let count =
        topology.processor("count", &[events], move || Count { id: id.clone(), counts: None });
    topology.connect(count, &counts);
    topology.sink("counted", &[count], OUTPUT, (Utf8, Utf8));
    topology.build().unwrap()
}

struct Count {
    id: StoreId<KeyValueStore<String, i64>>,
    counts: Option<Store<KeyValueStore<String, i64>>>,
}

impl Processor<String, String, String, String> for Count {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
        self.counts = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, String, String>,
        event: Record<String, String>,
    ) -> Result {
        let Some(counts) = &self.counts else { return Err("no store".into()) };
        let n = counts.get(&event.key)?.unwrap_or(0) + 1;
        counts.put(&event.key, &n)?;
        ctx.forward(event.with_value(format!("{n} {}", std::process::id())))
    }
}
