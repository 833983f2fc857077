//! Three processes on twelve partitions under load, exactly-once: one is added, removed, killed,
//! paused, and all are replaced one by one. Every record counts once, and tasks that stay where they
//! are go on.
//!
//! `scripts/kills rolling` runs it with a pause of 90 seconds and three rounds of replacement.

use std::time::Duration;

use crate::fleet::app::SESSION;
use crate::fleet::{self, Fleet, Settings};
use crate::kills::setting;

const N_PROCESSES: usize = 3;

#[test]
fn processes_are_killed_paused_and_replaced_in_a_streams_group() {
    run("streams", "rolling::processes_are_killed_paused_and_replaced_in_a_streams_group");
}

#[test]
fn processes_are_killed_paused_and_replaced_in_a_classic_group() {
    run("classic", "rolling::processes_are_killed_paused_and_replaced_in_a_classic_group");
}

#[expect(clippy::print_stdout, reason = "the output of a test")]
fn run(protocol: &'static str, test: &'static str) {
    if fleet::is_played() {
        return;
    }
    let mut fleet = Fleet::new(Settings {
        test,
        protocol,
        n_processes: N_PROCESSES,
        n_partitions: 12,
        n_standbys: 0,
        n_keys: 600,
        rate: 2000,
        session: SESSION,
        remains: false,
    });
    fleet.processes[0].start();
    fleet.processes[1].start();
    fleet.settle("two processes");
    fleet.watch.longest = Duration::ZERO;
    fleet.processes[2].start();
    fleet.settle("one added");
    fleet.end(1);
    fleet.settle("one removed");
    fleet.processes[1].start();
    fleet.settle("one added");
    fleet.processes[0].kill();
    fleet.settle("one killed");
    fleet.processes[0].start();
    fleet.settle("the killed one started again");
    fleet.processes[2].pause();
    fleet.go_on_for(Duration::from_secs(setting("KSTREAMS_ROLLING_PAUSE", 10)));
    fleet.settle("one paused");
    fleet.processes[2].resume();
    fleet.settle("the paused one goes on");
    for _ in 0..setting("KSTREAMS_ROLLING_ROUNDS", 1) {
        for process in 0..N_PROCESSES {
            fleet.end(process);
            fleet.processes[process].start();
            fleet.settle("one replaced");
        }
    }
    let n = fleet.finish();
    let longest = fleet.watch.longest.as_secs_f64();
    println!("{protocol}: {n} records, each counted once; stood still for {longest:.2} s at most");
    // A quiet machine takes less than one second; a busy one has its time.
    assert!(longest < 5.0, "a task that stayed stood still for {longest} s");
}
