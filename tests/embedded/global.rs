//! Global stores: filled before the start returns, kept up to date, read-only for others.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::*;
use kstreams::log::memory::NewRecord;
use kstreams::{Error, ErrorKind};

/// `in` is joined with the global table `table`; the value `write` tries to write it.
fn joining() -> (Topology, StoreId<KeyValueStore<String, String>>) {
    let mut topology = Topology::builder();
    let store = KeyValue::in_memory("global", Utf8, Utf8);
    let serdes = (Utf8, Nullable(Utf8));
    let id = topology.global_store(store, "rows", "table", serdes, "keep", |id| {
        let id = id.clone();
        move |ctx: &mut Context<'_, (), ()>, row: Record<String, Option<String>>| {
            let store = ctx.store(&id)?;
            match &row.value {
                Some(value) => store.put(&row.key, value),
                None => store.delete(&row.key).map(drop),
            }
        }
    });
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let own = id.clone();
    let join = topology.processor("join", &[lines], move || {
        let id = own.clone();
        move |ctx: &mut Ctx<'_>, record: Line| {
            let store = ctx.store(&id)?;
            if record.value == "write" {
                store.put(&record.key, &record.value)?;
            }
            let found = store.get(&record.key)?.unwrap_or_else(|| "none".into());
            ctx.forward(record.with_value(found))
        }
    });
    topology.sink("sink", &[join], "out", (Utf8, Utf8));
    (topology.build().unwrap(), id)
}

fn log_with_table() -> MemoryLog {
    let log = log_with(2);
    log.create_topic("table", 3).unwrap();
    log
}

#[test]
fn a_global_store_is_full_when_the_start_returns() {
    let log = log_with_table();
    for n in 0..1000 {
        log.produce("table", format!("key-{n}"), n.to_string(), at(0)).unwrap();
    }
    let app = Streams::new(joining().0, config(), log.clone()).unwrap();
    app.start().unwrap();
    for n in 0..1000 {
        log.produce("in", format!("key-{n}"), "?", at(0)).unwrap();
    }
    eventually("joined", || log.records("out").len() == 1000);
    assert!(!texts(&log, "out").contains(&"none".to_owned()));
    assert!(app.close(SOON));
}

#[test]
fn a_global_store_follows_its_topic() {
    let log = log_with_table();
    let app = run(joining().0, config(), &log);
    let ask = || {
        let n_before = log.records("out").len();
        produce(&log, "in", &["?"]);
        eventually("joined", || log.records("out").len() > n_before);
        texts(&log, "out").pop().unwrap()
    };
    assert_eq!(ask(), "none");
    log.produce("table", "k", "new", at(0)).unwrap();
    eventually("it has come", || ask() == "new");
    let tombstone = NewRecord { key: Some(b"k"), ..NewRecord::default() };
    log.produce_record("table", &tombstone).unwrap();
    eventually("it is gone", || ask() == "none");
    assert!(app.close(SOON));
}

#[test]
fn a_global_store_is_read_only_for_other_processors() {
    let mut driver = TestDriver::new(joining().0, Config::new("app")).unwrap();
    let mut table = driver.input("table", Utf8, Nullable(Utf8));
    table.pipe("k".into(), Some("row".into())).unwrap();
    pipe(&mut driver, "in", "?", 0).unwrap();
    assert_eq!(values(&mut driver, "out"), ["row"]);
    let error = pipe(&mut driver, "in", "write", 0).unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::Store, Some("join")));
    assert!(error.to_string().contains("global"), "{error}");
}

#[test]
fn a_global_store_has_neither_tasks_nor_a_changelog() {
    let log = log_with_table();
    let app = run(joining().0, config(), &log);
    let tasks: Vec<u32> = app.tasks().iter().map(|info| info.task.subtopology).collect();
    assert_eq!(tasks.len(), 2, "those of `in` alone");
    assert!(log.topic_config("app-global-changelog").is_empty());
    assert!(app.close(SOON));
    assert!(!log.committed("app").keys().any(|partition| &*partition.topic == "table"));
}

#[test]
fn every_instance_has_the_whole_global_store() {
    let log = log_with_table();
    log.produce("table", "k", "row", at(0)).unwrap();
    let (one, two) = (run(joining().0, config(), &log), run(joining().0, config(), &log));
    for n in 0..20 {
        let key = format!("key-{n}");
        log.produce("table", &key, "row", at(0)).unwrap();
    }
    // All partitions are read by both, so each finds a key of any partition at some time.
    let seen = || texts(&log, "out").iter().filter(|value| *value == "row").count();
    eventually("both know all keys", || {
        let n_before = (log.records("out").len(), seen());
        for n in 0..20 {
            log.produce("in", format!("key-{n}"), "?", at(0)).unwrap();
        }
        within(SOON, || log.records("out").len() == n_before.0 + 20) && seen() == n_before.1 + 20
    });
    assert!(one.close(SOON) && two.close(SOON));
}

#[test]
fn a_start_with_an_unreadable_global_record_fails_and_names_it() {
    let log = log_with_table();
    log.produce("table", "k", [0xff], at(0)).unwrap();
    let app = Streams::new(joining().0, config(), log).unwrap();
    let error = app.start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deserialization);
    assert!(error.to_string().contains("table-"), "{error}");
    assert!(app.close(SOON));
}

/// A global store that appends rows to what it has; asked for `n_refusals` answers more it gets none.
fn refusing(n_refusals: &Arc<AtomicUsize>) -> (Topology, StoreId<KeyValueStore<String, String>>) {
    let mut topology = Topology::builder();
    let store = KeyValue::in_memory("global", Utf8, Utf8);
    let n_refusals = Arc::clone(n_refusals);
    let id = topology.global_store(store, "rows", "table", (Utf8, Utf8), "keep", move |id| {
        let (id, n_refusals) = (id.clone(), Arc::clone(&n_refusals));
        move |ctx: &mut Context<'_, (), ()>, row: Record<String, String>| {
            let one_less = |n: usize| n.checked_sub(1);
            let order = Ordering::SeqCst;
            if row.value == "b" && n_refusals.fetch_update(order, order, one_less).is_ok() {
                return Err(Error::new(ErrorKind::Unavailable, "what it asks does not answer"));
            }
            let store = ctx.store(&id)?;
            let before = store.get(&row.key)?.unwrap_or_default();
            store.put(&row.key, &(before + &row.value))
        }
    });
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    topology.sink("sink", &[lines], "out", (Utf8, Utf8));
    (topology.build().unwrap(), id)
}

#[test]
fn what_cannot_be_done_yet_is_tried_again() {
    let log = log_with_table();
    let n_refusals = Arc::new(AtomicUsize::new(3));
    let (topology, id) = refusing(&n_refusals);
    let put_all = || ["a", "b", "c"].map(|row| log.produce("table", "k", row, at(0)).unwrap());
    put_all();
    let app = run(topology, config(), &log);
    let held = || app.global_store(&id).unwrap().get(&"k".to_owned()).unwrap();
    assert_eq!(held().as_deref(), Some("abc"), "the start waits for it");
    n_refusals.store(3, Ordering::SeqCst);
    put_all();
    eventually("all is applied, once", || held().as_deref() == Some("abcabc"));
    assert_eq!(n_refusals.load(Ordering::SeqCst), 0);
    assert!(app.close(SOON));
}

#[test]
fn what_cannot_be_done_for_long_ends_the_application() {
    let log = log_with_table();
    let n_refusals = Arc::new(AtomicUsize::new(usize::MAX));
    let app = run(refusing(&n_refusals).0, config().task_timeout(Duration::from_millis(100)), &log);
    log.produce("table", "k", "b", at(0)).unwrap();
    eventually("it gave up", || app.state() == State::Error);
    assert!(app.close(SOON));
}

#[test]
fn filling_a_global_store_is_reported() {
    let log = log_with_table();
    for n in 0..500 {
        log.produce("table", format!("key-{n}"), n.to_string(), at(0)).unwrap();
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&seen);
    let config = config().on_restore(move |progress| own.lock().unwrap().push(progress.clone()));
    let app = run(joining().0, config, &log);
    let seen = seen.lock().unwrap().clone();
    let (first, last) = (seen.first().unwrap(), seen.last().unwrap());
    assert_eq!((&*first.store, first.task.partition, first.start), ("global", -1, 0));
    assert_eq!((first.position, first.is_done(), first.end), (0, false, 500));
    assert_eq!((last.position, last.is_done(), last.n_records), (500, true, 500));
    assert!(app.close(SOON));
}
