//! A process dies, and the one that kept its state warm takes over: it replays what it lacked, not
//! the store.
//!
//! `scripts/kills failover` runs it with a million keys.

use std::time::Duration;

use kstreams::time::Clock;

use crate::fleet::app::SESSION;
use crate::fleet::{self, Fleet, Settings};
use crate::kills::setting;

/// Under load before the kill.
const UNDER_LOAD: Duration = Duration::from_secs(3);
/// More than a standby lacks under this load.
const LAG: i64 = 10_000;

#[test]
fn a_standby_takes_over_with_what_it_lacks_alone() {
    if fleet::is_played() {
        return;
    }
    let n_keys = setting("KSTREAMS_FAILOVER_KEYS", 50_000);
    let mut fleet = Fleet::new(Settings {
        test: "failover::a_standby_takes_over_with_what_it_lacks_alone",
        protocol: "streams",
        n_processes: 2,
        n_partitions: 2,
        n_standbys: 1,
        n_keys,
        rate: 2000,
        session: SESSION,
        remains: false,
    });
    fleet.processes.iter_mut().for_each(crate::kills::process::Process::start);
    fleet.feed_each_key();
    fleet.settle("two processes");
    // The one that is left was told of its standby, and follows it.
    let is_warm = |said: &str| {
        let mut news = said.lines().filter(|line| line.contains(" standby "));
        news.next_back().is_some_and(|line| line.ends_with("Moved Some(0)"))
    };
    while !is_warm(&fleet.processes[1].said()) {
        fleet.go_on_for(Duration::from_millis(20));
        assert!(fleet.clock.monotonic() < Duration::from_secs(600), "never warm");
    }
    fleet.go_on_for(UNDER_LOAD);
    let n_lines = fleet.processes[1].said().lines().count();
    fleet.processes[0].kill();
    let without = fleet.settle("one killed");
    fleet.finish();

    let said = fleet.processes[1].said();
    let lines: Vec<&str> = said.lines().skip(n_lines).collect();
    let time = |text: &str| {
        let line = lines.iter().find(|line| line.contains(text));
        let line = line.unwrap_or_else(|| panic!("no `{text}` in:\n{}", lines.join("\n")));
        let millis: u64 = line.split(' ').next().unwrap().parse().unwrap();
        Duration::from_millis(millis)
    };
    let to_running = time(": running").saturating_sub(time("takes on tasks"));
    time("it was a standby");
    let n_replayed: i64 =
        lines.iter().filter_map(|line| crate::kills::restart::replayed(line)).sum();
    println!(
        "{n_keys} keys: {:.1} s after the kill all goes on, {:.3} s after the task was assigned; \
         {n_replayed} records replayed",
        without.as_secs_f64(),
        to_running.as_secs_f64()
    );
    assert!(n_replayed < LAG, "{n_replayed} records replayed");
    assert!(to_running < Duration::from_secs(5), "{to_running:?} from assigned to running");
}
