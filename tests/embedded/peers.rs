//! Where state is, as processes are told of each other.

use std::collections::BTreeSet;

use crate::support::*;
use kstreams::KeyLocation;
use kstreams::log::memory::GroupMode;

const SERVERS: [&str; 2] = ["one:1", "two:2"];

fn key(n: i32) -> String {
    format!("key-{n}")
}

#[test]
fn a_key_is_in_one_process_and_all_are_told_in_which() {
    let log = with_topics(MemoryLog::builder().n_standby(1).build(), 4);
    let start = |server: &str| {
        let (topology, counts) = counting(counts_in_memory());
        (run(topology, config().application_server(server), &log), counts)
    };
    let apps = SERVERS.map(start);
    let locate = |key: &String| -> Vec<KeyLocation> {
        apps.iter().map(|(app, counts)| app.locate(counts, key, &Utf8).unwrap()).collect()
    };
    for n in 0..50 {
        eventually("both say the same", || {
            let told = locate(&key(n));
            let here: Vec<bool> = told.iter().map(|location| location.is_here).collect();
            let owner = SERVERS[usize::from(here[1])];
            let other = SERVERS[usize::from(here[0])];
            here[0] != here[1]
                && told.iter().all(|location| {
                    location.active.as_deref() == Some(owner) && location.standby == [other]
                })
        });
    }
    // The task that is named is the one that counts the key.
    for n in 0..50 {
        log.produce("in", key(n), "v", at(0)).unwrap();
    }
    eventually("all is counted", || log.records("out").len() == 50);
    for n in 0..50 {
        let with_key = apps
            .iter()
            .flat_map(|(app, counts)| app.stores(counts))
            .filter_map(|(task, store)| store.get(&key(n)).unwrap().map(|_| task));
        let tasks: BTreeSet<TaskId> = with_key.collect();
        assert_eq!(tasks, BTreeSet::from([locate(&key(n))[0].task]), "{}", key(n));
    }
    let (app, counts) = &apps[0];
    assert_eq!(app.locate_partition(counts, 3).unwrap().task.partition, 3);
    assert!(app.locate_partition(counts, 4).is_err());
}

#[test]
fn a_classic_group_tells_of_nobody() {
    let log = with_topics(MemoryLog::builder().group_mode(GroupMode::Classic).build(), 1);
    let (topology, counts) = counting(counts_in_memory());
    let app = run(topology, config().application_server("one:1"), &log);
    let location = app.locate(&counts, &key(0), &Utf8).unwrap();
    assert!(location.is_here && location.active.is_none() && app.peers().is_empty());
}
