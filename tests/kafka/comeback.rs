//! A process that was killed, or closed in order, and is started again on its state directory: it is
//! itself, so it has its tasks at once, not after the session of its former life.
//!
//! `scripts/kills comeback` runs it with a million keys.

use std::time::Duration;

use crate::fleet::{self, Fleet, Settings};
use crate::kills::setting;

/// The default of Kafka's clients and brokers.
const SESSION: Duration = Duration::from_secs(45);
/// Under load before a kill.
const UNDER_LOAD: Duration = Duration::from_secs(3);

#[test]
fn a_process_comes_back_as_itself_in_a_streams_group() {
    run("streams", "comeback::a_process_comes_back_as_itself_in_a_streams_group");
}

#[test]
fn a_static_member_comes_back_as_itself_in_a_classic_group() {
    run("classic", "comeback::a_static_member_comes_back_as_itself_in_a_classic_group");
}

#[expect(clippy::print_stdout, reason = "the output of a test")]
fn run(protocol: &'static str, test: &'static str) {
    if fleet::is_played() {
        return;
    }
    let n_keys = setting("KSTREAMS_COMEBACK_KEYS", 20_000);
    let mut fleet = Fleet::new(Settings {
        test,
        protocol,
        n_processes: 1,
        n_partitions: 4,
        n_standbys: 0,
        n_keys,
        rate: 2000,
        session: SESSION,
        remains: true,
    });
    fleet.processes[0].start();
    fleet.feed_each_key();
    fleet.settle("first start");
    fleet.go_on_for(UNDER_LOAD);
    fleet.processes[0].kill();
    fleet.processes[0].start();
    let killed = fleet.settle("killed and started again");
    fleet.go_on_for(UNDER_LOAD);
    fleet.end(0);
    fleet.processes[0].start();
    let closed = fleet.settle("closed and started again");
    let n = fleet.finish();
    println!(
        "{protocol}: {n_keys} keys, {n} records, each counted once; from the start of the process until \
         all partitions go on: {:.1} s after a kill, {:.1} s after it was closed",
        killed.as_secs_f64(),
        closed.as_secs_f64()
    );
    assert!(killed < Duration::from_secs(5), "{killed:?} after a kill");
    assert!(closed < Duration::from_secs(3), "{closed:?} after it was closed");
}
