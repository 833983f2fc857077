//! The application of a fleet: counts records per key, and says with each count who counted.

use std::time::Duration;

use kstreams::log::GroupProtocol;
use kstreams::prelude::*;

use crate::counting::counted;
use crate::kills::process::Role;

pub(crate) const INPUT: &str = "in";
/// `count process-id` for each record, by its key.
pub(crate) const OUTPUT: &str = "out";
/// A session for those who wait for its end.
pub(crate) const SESSION: Duration = Duration::from_secs(6);

/// Runs it until this process is killed or told to end.
pub(super) fn play(role: &Role) {
    let session = role.millis("session");
    let mut config = Config::new("fleet")
        .guarantee(Guarantee::ExactlyOnce)
        .state_dir(role.get("state"))
        .session_timeout(session)
        // When a member is given up its transactions are over.
        .transaction_timeout(session * 2 / 3)
        .on_standby(|change, store| {
            log::info!("standby {} {change:?} {:?}", store.task, store.lag);
        });
    if role.remains() && role.protocol() == GroupProtocol::Classic {
        config = config.group_instance_id(role.get("remains"));
    }
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
