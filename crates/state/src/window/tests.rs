//! Window stores on each backing, against a plain map and against Java's rules.

use std::collections::BTreeMap;
use std::time::Duration;

use kstreams_core::random::Random;
use kstreams_core::serde::{U64, Utf8};
use kstreams_core::store::{Cleanup, StateStore, StoreBuilder};
use kstreams_core::time::Timestamp;

use crate::testing::{TempDir, changelog, context, open_in, take_changes};
use crate::{Stamped, WindowStore, Windows};

type Counts = WindowStore<String, u64>;

const RETENTION: u64 = 300_000;

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn text(key: &str) -> String {
    key.to_owned()
}

fn builders() -> Vec<Windows<String, u64>> {
    let (size, retention) = (Duration::from_millis(10), Duration::from_millis(RETENTION));
    vec![
        Windows::in_memory("w", size, retention, Utf8, U64),
        #[cfg(feature = "rocksdb")]
        Windows::persistent("w", size, retention, Utf8, U64),
    ]
}

fn on_each(check: impl Fn(Windows<String, u64>, &TempDir)) {
    for builder in builders() {
        check(builder, &TempDir::new());
    }
}

fn values(store: &Counts, key: &str, from: i64, to: i64) -> Vec<(i64, u64)> {
    let read = store.fetch_range(&text(key), time(from)..=time(to)).unwrap();
    read.map(|item| item.map(|(start, value)| (start.as_millis(), value)).unwrap()).collect()
}

#[test]
fn fetches() {
    on_each(|builder, dir| {
        let store = open_in(&builder, dir.path()).unwrap();
        for (key, start, value) in [("a", 0, 1), ("a", 10, 2), ("b", 10, 3), ("aa", 10, 4)] {
            store.put(&text(key), &value, time(start)).unwrap();
        }
        assert_eq!(store.fetch(&text("a"), time(10)).unwrap(), Some(2));
        assert_eq!(store.fetch(&text("a"), time(5)).unwrap(), None);
        assert_eq!(values(&store, "a", 0, 100), [(0, 1), (10, 2)]);
        assert_eq!(values(&store, "a", 1, 100), [(10, 2)]);
        assert_eq!(values(&store, "a", i64::MIN, 9), [(0, 1)]);
        let entries = store.fetch_keys(text("a")..text("b"), ..).unwrap();
        let entries: Vec<_> = entries
            .map(|entry| entry.map(|(k, v)| (k.key, k.window.end.as_millis(), v)).unwrap())
            .collect();
        assert_eq!(entries, [(text("a"), 10, 1), (text("a"), 20, 2), (text("aa"), 20, 4)]);
        store.remove(&text("a"), time(0)).unwrap();
        assert_eq!(store.all().count(), 3);
        let back = store.reverse_fetch_range(&text("a"), ..).unwrap();
        assert_eq!(back.count(), 1);
    });
}

#[test]
fn what_is_too_old_is_dropped_hidden_and_removed_but_logged() {
    on_each(|builder, dir| {
        let context = context(&builder, Some(dir.path()));
        let store = builder.build(context.clone()).unwrap();
        store.put(&text("a"), &1, time(0)).unwrap();
        store.put(&text("a"), &2, time(299_999)).unwrap();
        assert_eq!(store.fetch(&text("a"), time(0)).unwrap(), Some(1));
        store.put(&text("b"), &3, time(400_000)).unwrap();
        assert_eq!(store.fetch(&text("a"), time(0)).unwrap(), None);
        assert_eq!(values(&store, "a", 0, i64::MAX), [(299_999, 2)]);
        store.commit(Some(2)).unwrap();
        store.put(&text("c"), &4, time(900_000)).unwrap();
        store.put(&text("a"), &5, time(599_999)).unwrap();
        assert_eq!(store.n_dropped(), 1, "its segment, from 450 000 to 600 000, is gone");
        assert_eq!(take_changes(&context).len(), 5, "what is dropped is logged");
        assert!(store.rollback());
        assert_eq!(store.observed_stream_time(), time(400_000));
        assert_eq!(values(&store, "a", 0, i64::MAX), [(299_999, 2)]);
        assert_eq!(store.core_len(), 3, "nothing is removed yet");
        store.put(&text("c"), &4, time(900_000)).unwrap();
        store.commit(Some(3)).unwrap();
        assert_eq!(store.core_len(), 1);
    });
}

#[test]
fn changes_have_javas_bytes() {
    on_each(|builder, dir| {
        let context = context(&builder, Some(dir.path()));
        context.times.set_record(time(77));
        let store = builder.timestamped().build(context.clone()).unwrap();
        store.put(&text("k"), &Stamped::new(1, time(5)), time(3)).unwrap();
        store.remove(&text("k"), time(3)).unwrap();
        let key = b"k\0\0\0\0\0\0\0\x03\0\0\0\0".to_vec();
        let changes = take_changes(&context);
        let value = 1_u64.to_be_bytes().to_vec();
        assert_eq!(changes, [(key.clone(), Some(value), 5), (key, None, 77)]);
        store.wipe().unwrap();
        store.restore(&mut changelog(&changes[..1], 0), 0).unwrap();
        let stamped = store.fetch(&text("k"), time(3)).unwrap();
        assert_eq!(stamped, Some(Stamped::new(1, time(5))));
        let foreign = [(b"short".to_vec(), None, 0)];
        assert!(store.restore(&mut changelog(&foreign, 1), 1).is_err());
    });
}

#[test]
fn duplicates_are_numbered_and_the_numbers_survive() {
    on_each(|builder, dir| {
        let builder = builder.retain_duplicates();
        let retention_ms = RETENTION as i64;
        assert_eq!(builder.changelog().unwrap().cleanup, Cleanup::Delete { retention_ms });
        let context = context(&builder, Some(dir.path()));
        let store = builder.build(context.clone()).unwrap();
        store.put(&text("k"), &1, time(3)).unwrap();
        store.put(&text("k"), &2, time(3)).unwrap();
        assert_eq!(values(&store, "k", 0, 10), [(3, 1), (3, 2)]);
        let changes = take_changes(&context);
        assert_eq!(changes[1].0, b"k\0\0\0\0\0\0\0\x03\0\0\0\x02");
        store.commit(Some(1)).unwrap();
        store.close().unwrap();

        let store = builder.build(context).unwrap();
        if !store.is_persistent() {
            store.restore(&mut changelog(&changes, 0), 1).unwrap();
        }
        store.put(&text("k"), &3, time(3)).unwrap();
        assert_eq!(values(&store, "k", 0, 10), [(3, 1), (3, 2), (3, 3)]);
        assert_eq!(store.fetch(&text("k"), time(3)).unwrap(), Some(1));
    });
}

#[test]
fn random_windows_are_those_of_a_map() {
    on_each(|builder, dir| {
        let store = open_in(&builder, dir.path()).unwrap();
        let random = Random::seeded(5);
        let mut model: BTreeMap<(String, i64), u64> = BTreeMap::new();
        let mut now = 0;
        for step in 0..4000 {
            now += random.below(400) as i64;
            let key = ["a", "aa", "ab", "b", "\0", "a\0"][random.below(6) as usize];
            let start = now - random.below(200_000) as i64;
            match random.below(10) {
                0..7 => {
                    store.put(&text(key), &step, time(start)).unwrap();
                    if start >= 0 {
                        model.insert((text(key), start), step);
                    }
                }
                7 => {
                    store.remove(&text(key), time(start)).unwrap();
                    model.remove(&(text(key), start));
                }
                8 if step % 3 == 0 => store.commit(Some(step as i64)).unwrap(),
                _ => {
                    let observed = store.observed_stream_time().as_millis();
                    let first = (observed - RETENTION as i64 + 1).max(start);
                    let to = start + 150_000;
                    let inside = |t: i64| first <= t && t <= to;
                    let expected: Vec<_> = model
                        .iter()
                        .filter(|((k, t), _)| k == key && inside(*t))
                        .map(|((_, t), v)| (*t, *v))
                        .collect();
                    assert_eq!(values(&store, key, start, to), expected);
                    let all = store.fetch_keys(text("a")..=text(key), time(start)..=time(to));
                    let n = all.unwrap().filter(|entry| entry.is_ok()).count();
                    let within = |k: &str| ("a"..=key).contains(&k);
                    let expected = model.keys().filter(|(k, t)| within(k) && inside(*t)).count();
                    assert_eq!(n, expected);
                }
            }
        }
        let forward: Vec<_> = store.all().map(|entry| entry.unwrap()).collect();
        let mut back: Vec<_> = store.reverse_all().map(|entry| entry.unwrap()).collect();
        back.reverse();
        assert!(!forward.is_empty());
        assert_eq!(forward, back);
    });
}

impl Counts {
    /// How many entries lie in the byte store, readable or not.
    fn core_len(&self) -> usize {
        let mut pages = crate::scan::Pages::new(
            std::sync::Arc::clone(&self.core.bytes),
            crate::scan::Scan::all(),
        );
        std::iter::from_fn(|| pages.next().unwrap().map(drop)).count()
    }
}
