//! The application of a fleet: counts records per key, and says with each count who counted.

use std::time::Duration;

use kstreams::prelude::*;

use crate::counting::counted;
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
    let count = counted(&mut topology, INPUT);
    let signed = topology.processor("sign", &[count], || {
        |ctx: &mut Context<'_, String, String>, count: Record<String, i64>| {
            ctx.forward(count.map_value(|n| format!("{n} {}", std::process::id())))
        }
    });
    topology.sink("counted", &[signed], OUTPUT, (Utf8, Utf8));
    topology.build().unwrap()
}
