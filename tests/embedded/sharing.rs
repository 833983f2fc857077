//! Threads and instances that share the tasks; tasks that move.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::*;
use kstreams::log::memory::GroupMode;
use kstreams::log::{Assignment, Log, MemberOptions, Membership, MembershipEvent};
use kstreams::topology::InternalTopicSettings;

const MODES: [GroupMode; 2] = [GroupMode::Streams, GroupMode::Classic];

fn log_of(mode: GroupMode) -> MemoryLog {
    with_topics(MemoryLog::builder().group_mode(mode).build(), 4)
}

/// Counts in a store, so that a record lost or repeated shows in the last count of its key.
fn start(log: &MemoryLog, threads: usize) -> Streams {
    let (topology, _) = counting(counts_in_memory());
    run(topology, config().threads(threads), log)
}

fn feed(log: &MemoryLog, n: usize) {
    for i in 0..n {
        log.produce("in", format!("key-{}", i % 20), "v", at(i as i64)).unwrap();
    }
}

/// The counts that came out, per key.
fn counted(log: &MemoryLog) -> BTreeMap<String, Vec<u64>> {
    let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (key, n) in numbers(log, "out") {
        counts.entry(key).or_default().push(n);
    }
    counts
}

/// Each key has come `n` times, and its counts are 1, 2, .., n: none lost, none repeated.
fn assert_counted(log: &MemoryLog, n: u64) {
    eventually("all is counted", || log.records("out").len() as u64 >= 20 * n);
    let expected: Vec<u64> = (1..=n).collect();
    for (key, counts) in counted(log) {
        assert_eq!(counts, expected, "{key}");
    }
}

fn tasks(app: &Streams) -> BTreeSet<TaskId> {
    app.tasks().into_iter().map(|info| info.task).collect()
}

#[test]
fn threads_are_added_and_removed_without_losing_or_repeating_a_record() {
    for mode in MODES {
        let log = log_of(mode);
        let app = start(&log, 1);
        feed(&log, 200);
        assert_eq!(app.add_thread().unwrap(), 1);
        assert_eq!(app.add_thread().unwrap(), 2);
        feed(&log, 200);
        assert!(app.wait_for(State::Running, SOON));
        eventually("all tasks run", || tasks(&app).len() == 4);
        feed(&log, 200);
        assert_eq!(app.remove_thread(SOON), Some(2));
        feed(&log, 200);
        assert_eq!(app.remove_thread(SOON), Some(1));
        assert_eq!(app.remove_thread(SOON), None, "the last one stays");
        feed(&log, 200);
        eventually("all tasks run", || tasks(&app).len() == 4);
        assert_counted(&log, 50);
        assert_eq!(app.add_thread().unwrap(), 1, "the lowest free index");
        assert!(app.close(SOON));
    }
}

#[test]
fn the_threads_of_an_application_share_its_tasks() {
    let log = log_of(GroupMode::Streams);
    let threads = Notes::default();
    let seen = threads.clone();
    let topology = observed(move |ctx, _| {
        let thread = std::thread::current();
        seen.add(format!("{} {}", ctx.task_id(), thread.name().unwrap_or("?")));
        Ok(())
    });
    let app = run(topology, config().threads(2), &log);
    eventually("all tasks run", || tasks(&app).len() == 4);
    threads.take();
    feed(&log, 100);
    eventually("processed", || threads.len() == 100);
    let of_tasks: BTreeSet<String> = threads.all().into_iter().collect();
    let mut per_thread: BTreeMap<String, usize> = BTreeMap::new();
    for one in of_tasks {
        *per_thread.entry(one.split_once(' ').unwrap().1.to_owned()).or_default() += 1;
    }
    let expected = ["app-StreamThread-1", "app-StreamThread-2"].map(|name| (name.to_owned(), 2));
    assert_eq!(per_thread, expected.into());
    assert!(app.close(SOON));
}

#[test]
fn two_instances_share_the_work_and_one_takes_over_when_the_other_leaves() {
    for mode in MODES {
        let log = log_of(mode);
        let one = start(&log, 1);
        feed(&log, 200);
        let two = start(&log, 1);
        feed(&log, 200);
        let all: BTreeSet<TaskId> = (0..4).map(|partition| task(0, partition)).collect();
        eventually("shared", || {
            let (of_one, of_two) = (tasks(&one), tasks(&two));
            of_one.len() == 2 && of_two.len() == 2 && &of_one | &of_two == all
        });
        feed(&log, 200);
        assert!(one.close(SOON));
        feed(&log, 200);
        eventually("taken over", || tasks(&two) == all);
        assert_counted(&log, 40);
        assert!(two.close(SOON));
        let offsets: i64 = (0..4).filter_map(|partition| committed(&log, "in", partition)).sum();
        assert_eq!(offsets, 800);
    }
}

#[test]
fn state_moves_with_its_task() {
    for mode in MODES {
        let log = log_of(mode);
        let one = start(&log, 1);
        feed(&log, 100);
        assert_counted(&log, 5);
        let two = start(&log, 2);
        assert!(one.close(SOON));
        feed(&log, 100);
        assert_counted(&log, 10);
        assert!(two.close(SOON));
    }
}

#[test]
fn an_instance_that_finds_no_task_left_runs_idle() {
    let log = log_with(1);
    let one = start(&log, 1);
    let two = start(&log, 1);
    assert_eq!(two.state(), State::Running);
    assert!(one.close(SOON));
    feed(&log, 20);
    assert_counted(&log, 1);
    assert!(two.close(SOON));
}

#[test]
fn instances_with_equal_keys_of_two_topics_meet_in_one_task() {
    let log = log_with(3);
    log.create_topic("more", 3).unwrap();
    let make = || {
        let mut topology = Topology::builder();
        let store = topology.store(counts_in_memory());
        let lines = topology.source("lines", "in", (Utf8, Utf8));
        let more = topology.source("more", "more", (Utf8, Utf8));
        let id = store.clone();
        let count = topology.processor("count", &[lines, more], move || Count::new(&id));
        topology.connect(count, &store);
        topology.copartition([lines.node(), more.node()]);
        topology.sink("sink", &[count], "out", (Utf8, U64));
        topology.build().unwrap()
    };
    let (one, two) = (run(make(), config(), &log), run(make(), config(), &log));
    for n in 0..20 {
        for topic in ["in", "more"] {
            log.produce(topic, format!("key-{n}"), "v", at(0)).unwrap();
        }
    }
    assert_counted(&log, 2);
    assert!(one.close(SOON) && two.close(SOON));
}

fn member(log: &MemoryLog, client: &str) -> Box<dyn Membership> {
    let options = MemberOptions {
        application_id: "app".into(),
        process_id: client.to_owned(),
        client_id: client.to_owned(),
        topology: Arc::new(observed(|_, _| Ok(()))),
        member_id: None,
        internal_topics: InternalTopicSettings::default(),
        replication: None,
        application_server: None,
        group_instance_id: None,
        session_timeout: NEVER,
        rebalance_timeout: NEVER,
    };
    log.membership(options).unwrap()
}

#[test]
fn a_member_hears_of_a_second_pause_though_it_missed_the_generation_before() {
    let log = log_of(GroupMode::Classic);
    let (mut stays, mut passes) = (member(&log, "stays"), member(&log, "passes"));
    let Ok(Some(MembershipEvent::Assigned(all))) = stays.poll() else {
        panic!("the first is alone")
    };
    stays.acknowledge(&all).unwrap();
    passes.poll().unwrap();
    for _ in 0..2 {
        assert_eq!(stays.poll().unwrap(), Some(MembershipEvent::Suspend));
        stays.acknowledge(&Assignment::default()).unwrap();
        passes.leave(SOON).unwrap();
    }
    assert_eq!(stays.poll().unwrap(), Some(MembershipEvent::Assigned(all)));
}
