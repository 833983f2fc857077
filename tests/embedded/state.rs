//! State that survives: changelogs, restarts, stores without a changelog.

use crate::support::*;
use kstreams::state::Stamped;

fn feed(log: &MemoryLog, keys: &[&str]) {
    for key in keys {
        log.produce("in", key, "v", at(7)).unwrap();
    }
}

/// Runs until as many results are there, then closes.
fn work(log: &MemoryLog, store: KeyValue<String, u64>, config: Config, n_results: usize) {
    let app = run(counting(store).0, config, log);
    eventually("all is counted", || log.records("out").len() == n_results);
    assert!(app.close(SOON));
}

fn last_of(log: &MemoryLog, key: &str) -> Option<u64> {
    numbers(log, "out").into_iter().rev().find(|(of, _)| of == key).map(|(_, n)| n)
}

#[test]
fn counts_survive_a_restart_through_the_changelog() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let log = log_with(2);
        for round in 1..=3 {
            feed(&log, &["a", "b", "a"]);
            let config = config().guarantee(guarantee).commit_interval(ms(20));
            work(&log, counts_in_memory(), config, 3 * round);
        }
        assert_eq!((last_of(&log, "a"), last_of(&log, "b")), (Some(6), Some(3)));
    }
}

#[test]
fn a_changelog_has_javas_name_partitions_settings_and_bytes() {
    let log = log_with(3);
    feed(&log, &["a", "b", "a"]);
    work(&log, counts_in_memory().logging([("segment.ms", "60000")]), config(), 3);
    let settings = log.topic_config("app-counts-changelog");
    let get = |name: &str| settings.get(name).map(String::as_str);
    assert_eq!(get("cleanup.policy"), Some("compact"));
    assert_eq!(get("message.timestamp.type"), Some("CreateTime"));
    assert_eq!(get("segment.ms"), Some("60000"));

    let mut changes = log.records("app-counts-changelog");
    changes.sort_by_key(|change| change.value.clone());
    for change in &changes {
        let key = change.key.as_deref().unwrap();
        assert_eq!(change.partition, kstreams::partition::partition_for(key, 3));
        assert_eq!(change.timestamp, at(7));
    }
    let seen = numbers(&log, "app-counts-changelog");
    for expected in [("a", 1), ("a", 2), ("b", 1)] {
        assert!(seen.contains(&(expected.0.to_owned(), expected.1)), "{seen:?}");
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_store_without_logging_is_empty_after_a_restart() {
    let log = log_with(1);
    for round in 1..=2 {
        feed(&log, &["a"]);
        work(&log, counts_in_memory().without_logging(), config(), round);
    }
    assert_eq!(numbers(&log, "out"), [("a".to_owned(), 1), ("a".to_owned(), 1)]);
    assert!(log.topic_config("app-counts-changelog").is_empty(), "no such topic");
}

#[test]
fn deletes_survive_too() {
    let log = log_with(1);
    let topology = || {
        let mut topology = Topology::builder();
        let id = topology.store(KeyValue::in_memory("texts", Utf8, Utf8));
        let lines = topology.source("lines", "in", (Utf8, Utf8));
        let own = id.clone();
        let set = topology.processor("set", &[lines], move || {
            let id = own.clone();
            move |ctx: &mut Ctx<'_>, record: Line| {
                let store = ctx.store(&id)?;
                match record.value.as_str() {
                    "delete" => drop(store.delete(&record.key)?),
                    _ => store.put(&record.key, &record.value)?,
                }
                ctx.forward(record)
            }
        });
        topology.connect(set, &id);
        topology.sink("sink", &[set], "out", (Utf8, Utf8));
        (topology.build().unwrap(), id)
    };
    let app = run(topology().0, config(), &log);
    for (key, value) in [("a", "1"), ("b", "2"), ("a", "delete"), ("c", "3"), ("b", "4")] {
        log.produce("in", key, value, at(0)).unwrap();
    }
    eventually("processed", || log.records("out").len() == 5);
    assert!(app.close(SOON));
    let (topology, id) = topology();
    let app = run(topology, config(), &log);
    let (_, store) = app.stores(&id).pop().unwrap();
    let all: Vec<(String, String)> = store.all().collect::<Result<_>>().unwrap();
    assert_eq!(all, [("b", "4"), ("c", "3")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    assert!(app.close(SOON));
}

#[test]
fn a_timestamped_store_keeps_times_over_a_restart() {
    let log = log_with(1);
    let make = || {
        let mut topology = Topology::builder();
        let id = topology.store(KeyValue::in_memory("times", Utf8, Utf8).timestamped());
        let lines = topology.source("lines", "in", (Utf8, Utf8));
        let own = id.clone();
        let set = topology.processor("set", &[lines], move || {
            let id = own.clone();
            move |ctx: &mut Ctx<'_>, record: Line| {
                let stamped = Stamped::new(record.value.clone(), record.timestamp);
                ctx.store(&id)?.put(&record.key, &stamped)?;
                ctx.forward(record)
            }
        });
        topology.connect(set, &id);
        topology.sink("sink", &[set], "out", (Utf8, Utf8));
        (topology.build().unwrap(), id)
    };
    let app = run(make().0, config(), &log);
    log.produce("in", "a", "x", at(42)).unwrap();
    log.produce("in", "a", "y", at(40)).unwrap();
    eventually("processed", || log.records("out").len() == 2);
    assert!(app.close(SOON));
    let change = &log.records("app-times-changelog")[1];
    assert_eq!((change.value.as_deref(), change.timestamp), (Some(&b"y"[..]), at(40)));

    let (topology, id) = make();
    let app = run(topology, config(), &log);
    let (_, store) = app.stores(&id).pop().unwrap();
    assert_eq!(store.get(&"a".to_owned()).unwrap(), Some(Stamped::new("y".to_owned(), at(40))));
    assert!(app.close(SOON));
}

#[test]
fn a_restore_is_reported_from_start_to_end() {
    let log = log_with(1);
    let keys: Vec<String> = (0..2000).map(|n| format!("key-{n}")).collect();
    feed(&log, &keys.iter().map(String::as_str).collect::<Vec<_>>());
    work(&log, counts_in_memory(), config(), 2000);
    let notes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&notes);
    let config = config().on_restore(move |progress| seen.lock().unwrap().push(progress.clone()));
    let app = run(counting(counts_in_memory()).0, config, &log);
    let seen = notes.lock().unwrap().clone();
    let (first, last) = (seen.first().unwrap(), seen.last().unwrap());
    assert_eq!((first.task, &*first.store, first.start), (task(0, 0), "counts", 0));
    assert!((first.position, first.is_done()) == (0, false), "{first:?}");
    assert!(last.is_done() && last.position >= 2000, "{last:?}");
    assert!(seen.is_sorted_by_key(|progress| progress.position));
    assert!(app.close(SOON));
}

#[test]
fn a_read_only_store_lives_from_its_topic_and_does_not_write_it() {
    let log = log_with(1);
    log.create_topic("table", 1).unwrap();
    let make = || {
        let mut topology = Topology::builder();
        let store = KeyValue::in_memory("table-store", Utf8, Utf8);
        let source = Source::new(Utf8, Utf8);
        let id = topology.read_only_store(store, "rows", "table", source, "keep", |id| {
            let id = id.clone();
            move |ctx: &mut Context<'_, (), ()>, row: Line| {
                ctx.store(&id)?.put(&row.key, &row.value)
            }
        });
        let lines = topology.source("lines", "in", (Utf8, Utf8));
        let own = id.clone();
        let join = topology.processor("join", &[lines], move || {
            let id = own.clone();
            move |ctx: &mut Ctx<'_>, record: Line| {
                let found = ctx.store(&id)?.get(&record.key)?.unwrap_or_else(|| "none".into());
                ctx.forward(record.with_value(found))
            }
        });
        topology.connect(join, &id);
        topology.sink("sink", &[join], "out", (Utf8, Utf8));
        topology.build().unwrap()
    };
    let app = run(make(), config(), &log);
    log.produce("table", "k", "row", at(0)).unwrap();
    eventually("kept", || committed(&log, "table", 0) == Some(1));
    produce(&log, "in", &["?"]);
    eventually("joined", || texts(&log, "out") == ["row"]);
    assert!(app.close(SOON));
    assert_eq!(log.records("table").len(), 1);
    assert!(log.topic_config("app-table-store-changelog").is_empty());

    let app = run(make(), config(), &log);
    produce(&log, "in", &["?"]);
    eventually("restored", || texts(&log, "out") == ["row", "row"]);
    assert!(app.close(SOON));
    assert_eq!(log.records("table").len(), 1);
}
