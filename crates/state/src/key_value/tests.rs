//! The typed key-value stores: results, changelog bytes, restore; the same on every backing.

use kstreams_core::record::Headers;
use kstreams_core::serde::{Nullable, U64, Utf8};
use kstreams_core::store::{StateStore, StoreBuilder};
use kstreams_core::time::Timestamp;
use kstreams_core::{ErrorKind, Result};

use crate::testing::{self, Change, TempDir, changelog, context, take_changes};
use crate::{KeyValue, KeyValueStore, Stamped};

fn text(key: &str) -> String {
    key.to_owned()
}

fn change(key: &str, value: Option<u64>, time: i64) -> Change {
    (key.into(), value.map(|v| v.to_be_bytes().to_vec()), time)
}

fn keys<T>(entries: impl Iterator<Item = Result<(String, T)>>) -> String {
    entries.map(|entry| entry.unwrap().0).collect::<Vec<_>>().join(" ")
}

/// Runs `check` on an empty store of each backing.
fn on_each(check: impl Fn(KeyValue<String, u64>, &TempDir)) {
    check(KeyValue::in_memory("s", Utf8, U64), &TempDir::new());
    check(KeyValue::lru("s", 10_000, Utf8, U64), &TempDir::new());
    #[cfg(feature = "rocksdb")]
    check(KeyValue::persistent("s", Utf8, U64), &TempDir::new());
}

#[test]
fn points() {
    on_each(|builder, dir| {
        let store = testing::open_in(&builder, dir.path()).unwrap();
        assert_eq!(store.get(&text("a")).unwrap(), None);
        store.put(&text("a"), &1).unwrap();
        assert_eq!(store.put_if_absent(&text("a"), &9).unwrap(), Some(1));
        assert_eq!(store.put_if_absent(&text("b"), &2).unwrap(), None);
        store.put_all([(text("c"), 3), (text("d"), 4)]).unwrap();
        assert_eq!(store.delete(&text("c")).unwrap(), Some(3));
        assert_eq!(store.delete(&text("c")).unwrap(), None);
        assert_eq!(store.get(&text("b")).unwrap(), Some(2));
        assert_eq!(keys(store.all()), "a b d");
        assert!((3..=4).contains(&store.approximate_len().unwrap()));
    });
}

#[test]
fn ranges_compare_bytes() {
    on_each(|builder, dir| {
        let store = testing::open_in(&builder, dir.path()).unwrap();
        for key in ["b", "a", "ab", "c", "B", "\u{e9}"] {
            store.put(&text(key), &0).unwrap();
        }
        let range = |from: &str, to: &str| keys(store.range(text(from)..=text(to)).unwrap());
        assert_eq!(range("a", "b"), "a ab b");
        assert_eq!(range("b", "a"), "");
        assert_eq!(keys(store.range(text("a")..text("b")).unwrap()), "a ab");
        assert_eq!(keys(store.range(text("b")..).unwrap()), "b c \u{e9}");
        assert_eq!(keys(store.reverse_range(..=text("ab")).unwrap()), "ab a B");
        assert_eq!(keys(store.all()), "B a ab b c \u{e9}");
        assert_eq!(keys(store.reverse_all()), "\u{e9} c b ab a B");
        assert_eq!(keys(store.prefix_scan("a")), "a ab");
    });
}

#[test]
fn an_iterator_survives_writes_and_its_store() {
    on_each(|builder, dir| {
        let store = testing::open_in(&builder, dir.path()).unwrap();
        for n in 0..2000_u64 {
            store.put(&format!("{n:04}"), &n).unwrap();
        }
        let mut seen = 0;
        for entry in store.all() {
            let (key, value) = entry.unwrap();
            assert_eq!(value, seen);
            store.delete(&key).unwrap();
            if seen % 700 == 0 {
                store.commit(None).unwrap();
            }
            seen += 1;
        }
        assert_eq!(seen, 2000);
        store.put(&text("x"), &1).unwrap();
        let mut rest = store.all();
        drop(store);
        assert_eq!(rest.next().unwrap().unwrap(), (text("x"), 1));
        assert!(rest.next().is_none() && rest.next().is_none());
    });
}

#[test]
fn changes_have_javas_bytes() {
    on_each(|builder, dir| {
        let context = context(&builder, Some(dir.path()));
        let store = builder.build(context.clone()).unwrap();
        context.times.set_record(Timestamp::from_millis(7));
        store.put(&text("a"), &1).unwrap();
        store.put_if_absent(&text("a"), &2).unwrap();
        context.times.set_record(Timestamp::from_millis(8));
        store.delete(&text("a")).unwrap();
        let changes = [change("a", Some(1), 7), change("a", None, 8)];
        assert_eq!(take_changes(&context), changes);
    });
}

#[test]
fn a_timestamped_change_has_the_time_of_its_value() {
    on_each(|builder, dir| {
        let builder = builder.timestamped();
        let context = context(&builder, Some(dir.path()));
        let store = builder.build(context.clone()).unwrap();
        context.times.set_record(Timestamp::from_millis(100));
        let stamped = Stamped::new(1, Timestamp::from_millis(7));
        store.put(&text("a"), &stamped).unwrap();
        store.put(&text("b"), &stamped).unwrap();
        assert_eq!(store.delete(&text("b")).unwrap(), Some(stamped));
        let changes = [change("a", Some(1), 7), change("b", Some(1), 7), change("b", None, 100)];
        assert_eq!(take_changes(&context), changes);

        store.wipe().unwrap();
        store.restore(&mut changelog(&changes, 0), 5).unwrap();
        assert_eq!(store.get(&text("a")).unwrap(), Some(stamped));
        assert_eq!(keys(store.all()), "a");
        assert_eq!(store.committed_offset().unwrap(), Some(5));
        assert!(take_changes(&context).is_empty(), "restoring is not logged");
    });
}

#[test]
fn null_values_delete_and_null_keys_are_refused() {
    let builder = KeyValue::in_memory("s", Nullable(Utf8), Nullable(U64));
    let context = context(&builder, None);
    let store = builder.build(context.clone()).unwrap();
    store.put(&Some(text("a")), &Some(1)).unwrap();
    store.put(&Some(text("a")), &None).unwrap();
    assert_eq!(store.get(&Some(text("a"))).unwrap(), None);
    assert_eq!(take_changes(&context)[1], change("a", None, -1));
    let error = store.put(&None, &Some(1)).unwrap_err();
    assert_eq!(error.to_string(), "store s: null keys cannot be stored");
    assert!(store.get(&None).is_err());
}

#[test]
fn lru_forgets_what_was_used_longest_ago_and_logs_it() {
    let builder = KeyValue::lru("s", 2, Utf8, U64);
    let context = context(&builder, None);
    let store = builder.build(context.clone()).unwrap();
    store.put(&text("a"), &1).unwrap();
    store.put(&text("b"), &2).unwrap();
    store.get(&text("a")).unwrap();
    store.put(&text("c"), &3).unwrap();
    assert_eq!(keys(store.all()), "a c");
    assert_eq!(take_changes(&context)[2..], [change("c", Some(3), -1), change("b", None, -1)]);
    let changes: Vec<Change> = ["p", "q", "r"].map(|key| change(key, Some(0), 0)).into();
    store.restore(&mut changelog(&changes, 0), 2).unwrap();
    assert_eq!(keys(store.all()), "q r");
}

#[test]
fn a_reader_sees_writes_and_cannot_write() {
    let store = testing::open(&KeyValue::in_memory("s", Utf8, U64)).unwrap();
    let reader = store.reader().unwrap() as std::sync::Arc<dyn std::any::Any + Send + Sync>;
    let reader = reader.downcast::<KeyValueStore<String, u64>>().unwrap();
    store.put(&text("a"), &1).unwrap();
    assert_eq!(reader.get(&text("a")).unwrap(), Some(1));
    let error = reader.put(&text("a"), &2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.to_string().starts_with("store s: it is read only here"), "{error}");
    assert!(reader.commit(None).is_err() && !reader.rollback() && reader.wipe().is_err());
    reader.close().unwrap();
    assert_eq!(store.get(&text("a")).unwrap(), Some(1));
}

#[test]
fn records_without_key_are_skipped_on_restore() {
    let store = testing::open(&KeyValue::in_memory("s", Utf8, U64)).unwrap();
    let record = kstreams_core::record::RawRecord {
        offset: 0,
        timestamp: Timestamp::NONE,
        key: None,
        value: Some(b"x"),
        headers: Headers::default(),
        leader_epoch: None,
    };
    store.restore(&mut [record].into_iter(), 0).unwrap();
    assert_eq!(store.approximate_len().unwrap(), 0);
}
