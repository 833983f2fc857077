//! Versioned stores on each backing, against the plain list of all puts.

use std::collections::BTreeMap;
use std::time::Duration;

use kstreams_core::random::Random;
use kstreams_core::serde::{U64, Utf8};
use kstreams_core::store::{StateStore, StoreBuilder};
use kstreams_core::time::Timestamp;

use crate::scan::{Pages, Scan};
use crate::testing::{TempDir, changelog, context, open_in, take_changes};
use crate::versioned::Put;
use crate::{Versioned, VersionedRecord, VersionedStore};

const RETENTION: i64 = 30_000;

fn on_each(check: impl Fn(Versioned<String, u64>, &TempDir)) {
    let retention = Duration::from_millis(RETENTION as u64);
    check(Versioned::in_memory("v", retention, Utf8, U64), &TempDir::new());
    #[cfg(feature = "rocksdb")]
    check(Versioned::persistent("v", retention, Utf8, U64), &TempDir::new());
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn record(value: u64, from: i64, to: Option<i64>) -> Option<VersionedRecord<u64>> {
    Some(VersionedRecord { value, timestamp: at(from), valid_to: to.map(at) })
}

impl VersionedStore<String, u64> {
    fn as_of(&self, key: &str, time: i64) -> Option<VersionedRecord<u64>> {
        self.get_as_of(&key.to_owned(), at(time)).unwrap()
    }

    fn n_rows(&self) -> usize {
        let mut pages = Pages::new(std::sync::Arc::clone(&self.core.bytes), Scan::all());
        std::iter::from_fn(|| pages.next().unwrap().map(drop)).count()
    }
}

#[test]
fn puts_in_and_out_of_order() {
    on_each(|builder, dir| {
        let store = open_in(&builder, dir.path()).unwrap();
        let key = "k".to_owned();
        assert_eq!(store.put(&key, &1, at(10)).unwrap(), Put::Latest);
        assert_eq!(store.put(&key, &2, at(20)).unwrap(), Put::Latest);
        assert_eq!(store.put(&key, &3, at(15)).unwrap(), Put::ValidTo(at(20)));
        assert_eq!(store.put(&key, &0, at(5)).unwrap(), Put::ValidTo(at(10)));
        assert_eq!(store.put(&key, &4, at(15)).unwrap(), Put::ValidTo(at(20)));
        let read = [4, 5, 9, 10, 14, 15, 19, 20, 99].map(|time| store.as_of("k", time));
        let expected = [
            None,
            record(0, 5, Some(10)),
            record(0, 5, Some(10)),
            record(1, 10, Some(15)),
            record(1, 10, Some(15)),
            record(4, 15, Some(20)),
            record(4, 15, Some(20)),
            record(2, 20, None),
            record(2, 20, None),
        ];
        assert_eq!(read, expected);
        assert_eq!(store.delete(&key, at(17)).unwrap(), record(4, 15, Some(20)));
        assert_eq!(store.as_of("k", 18), None);
        assert_eq!(store.delete(&key, at(30)).unwrap(), record(2, 20, None));
        assert_eq!(store.get(&key).unwrap(), None);
        assert_eq!(store.put(&key, &5, at(25)).unwrap(), Put::ValidTo(at(30)));
        assert_eq!(store.as_of("k", 29), record(5, 25, Some(30)));
        assert_eq!(store.as_of("k", 30), None);
    });
}

#[test]
fn history_expires_and_tombstones_with_it() {
    on_each(|builder, dir| {
        let context = context(&builder, Some(dir.path()));
        let store = builder.build(context.clone()).unwrap();
        let put =
            |key: &str, value: u64, time| store.put(&key.to_owned(), &value, at(time)).unwrap();
        put("old", 1, 0);
        put("old", 2, 10);
        put("gone", 1, 5);
        store.delete(&"gone".to_owned(), at(6)).unwrap();
        assert_eq!(put("new", 1, 100_000), Put::Latest);
        assert_eq!(put("old", 3, 69_999), Put::TooOld);
        assert_eq!(store.n_dropped(), 1);
        assert_eq!(take_changes(&context).len(), 6, "what is refused is logged");
        assert_eq!(store.as_of("old", 5), None);
        assert_eq!(store.as_of("old", 50), record(2, 10, None), "the latest never expires");
        assert_eq!(put("gone", 2, 70_000), Put::Latest);
        store.delete(&"gone".to_owned(), at(70_001)).unwrap();
        store.commit(Some(0)).unwrap();
        // The latest of `old`, `new` and `gone`, the past of `gone`, one tombstone to sweep.
        assert_eq!(store.n_rows(), 6);
        put("new", 2, 200_000);
        store.commit(Some(1)).unwrap();
        assert_eq!(store.n_rows(), 3, "latest of `old` and `new`, past of `new`");
        assert_eq!(store.get(&"gone".to_owned()).unwrap(), None);
    });
}

#[test]
fn changes_have_javas_bytes_and_restore_in_order() {
    on_each(|builder, dir| {
        let context = context(&builder, Some(dir.path()));
        let store = builder.build(context.clone()).unwrap();
        let key = "k".to_owned();
        store.put(&key, &1, at(100_000)).unwrap();
        store.put(&key, &2, at(5)).unwrap();
        store.put(&key, &3, at(90_000)).unwrap();
        store.delete(&key, at(110_000)).unwrap();
        let changes = take_changes(&context);
        let value = |n: u64| Some(n.to_be_bytes().to_vec());
        let expected = [(value(1), 100_000), (value(2), 5), (value(3), 90_000), (None, 110_000)];
        assert_eq!(changes, expected.map(|(value, time)| (b"k".to_vec(), value, time)));
        store.wipe().unwrap();
        store.restore(&mut changelog(&changes[..2], 0), 1).unwrap();
        store.restore(&mut changelog(&changes[2..], 2), 3).unwrap();
        assert_eq!(store.committed_offset().unwrap(), Some(3));
        assert!(take_changes(&context).is_empty());
        let read = [5, 90_000, 100_000, 110_000].map(|time| store.as_of("k", time));
        let expected =
            [None, record(3, 90_000, Some(100_000)), record(1, 100_000, Some(110_000)), None];
        assert_eq!(read, expected);
    });
}

#[test]
fn random_histories_are_those_of_the_list_of_puts() {
    on_each(|builder, dir| {
        let store = open_in(&builder, dir.path()).unwrap();
        let random = Random::seeded(21);
        // Of each key: time -> value or tombstone, never forgotten.
        let mut model: BTreeMap<&str, BTreeMap<i64, Option<u64>>> = BTreeMap::new();
        let mut committed = (model.clone(), -1);
        let (mut now, mut observed) = (0_i64, -1);
        for step in 0..6000 {
            now += random.below(300) as i64;
            let key = ["a", "aa", "b"][random.below(3) as usize];
            let time = (now - random.below(40_000) as i64).max(0) / 50 * 50;
            let versions = model.entry(key).or_default();
            let next = versions.range(time + 1..).next().map(|(t, _)| *t);
            let readable = time >= observed - RETENTION;
            match random.below(20) {
                0..12 => {
                    let put = store.put(&key.to_owned(), &step, at(time)).unwrap();
                    let expected = match next {
                        _ if !readable => Put::TooOld,
                        Some(next) => Put::ValidTo(at(next)),
                        None => Put::Latest,
                    };
                    assert_eq!(put, expected);
                    if readable {
                        versions.insert(time, Some(step));
                        observed = observed.max(time);
                    }
                }
                12 | 13 => {
                    store.delete(&key.to_owned(), at(time)).unwrap();
                    if readable {
                        versions.insert(time, None);
                        observed = observed.max(time);
                    }
                }
                14 => {
                    store.commit(Some(step as i64)).unwrap();
                    committed = (model.clone(), observed);
                }
                15 if step % 5 == 0 => {
                    assert!(store.rollback());
                    (model, observed) = committed.clone();
                }
                _ => {
                    let current = versions.range(..=time).next_back();
                    let expected = current.filter(|_| readable || next.is_none());
                    let expected = expected.and_then(|(t, value)| record((*value)?, *t, next));
                    assert_eq!(store.as_of(key, time), expected, "{key} {time}");
                }
            }
        }
    });
}
