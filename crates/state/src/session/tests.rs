//! Session stores on each backing.

use std::time::Duration;

use kstreams_core::random::Random;
use kstreams_core::serde::{U64, Utf8};
use kstreams_core::store::{StateStore, StoreBuilder};
use kstreams_core::time::Timestamp;

use crate::testing::{TempDir, changelog, context, open_in, take_changes};
use crate::{SessionStore, Sessions, Window, Windowed};

const RETENTION: i64 = 300_000;

fn on_each(check: impl Fn(Sessions<String, u64>, &TempDir)) {
    let retention = Duration::from_millis(RETENTION as u64);
    check(Sessions::in_memory("s", retention, Utf8, U64), &TempDir::new());
    #[cfg(feature = "rocksdb")]
    check(Sessions::persistent("s", retention, Utf8, U64), &TempDir::new());
}

fn window(start: i64, end: i64) -> Window {
    Window::new(Timestamp::from_millis(start), Timestamp::from_millis(end))
}

fn session(key: &str, start: i64, end: i64) -> Windowed<String> {
    Windowed::new(key.to_owned(), window(start, end))
}

type Found = Vec<(i64, i64, u64)>;

fn find(store: &SessionStore<String, u64>, key: &str, end: i64, start: i64) -> Found {
    let (end, start) = (Timestamp::from_millis(end), Timestamp::from_millis(start));
    let found = store.find_sessions(&key.to_owned(), end, start).unwrap();
    found
        .map(|entry| {
            let (session, value) = entry.unwrap();
            assert_eq!(session.key, key);
            (session.window.start.as_millis(), session.window.end.as_millis(), value)
        })
        .collect()
}

#[test]
fn sessions_are_found_by_overlap() {
    on_each(|builder, dir| {
        let store = open_in(&builder, dir.path()).unwrap();
        for (key, start, end, value) in
            [("a", 0, 10, 1), ("a", 20, 30, 2), ("a", 25, 90_000, 3), ("aa", 0, 10, 4)]
        {
            store.put(&session(key, start, end), &value).unwrap();
        }
        assert_eq!(find(&store, "a", 0, 100), [(0, 10, 1), (20, 30, 2), (25, 90_000, 3)]);
        assert_eq!(find(&store, "a", 11, 20), [(20, 30, 2)]);
        assert_eq!(find(&store, "a", 31, i64::MAX), [(25, 90_000, 3)]);
        assert_eq!(store.fetch_session(&"a".into(), window(20, 30)).unwrap(), Some(2));
        assert_eq!(store.fetch_session(&"a".into(), window(20, 31)).unwrap(), None);
        store.remove(&session("a", 20, 30)).unwrap();
        assert_eq!(store.fetch(&"a".into()).unwrap().count(), 2);
        assert_eq!(store.fetch_keys("a".to_owned()..).unwrap().count(), 3);
        assert_eq!(store.all().count(), 3);
        store.put(&session("b", 0, 400_000), &5).unwrap();
        assert_eq!(store.all().count(), 1, "the others end too long ago");
    });
}

#[test]
fn changes_have_javas_bytes_and_restore() {
    on_each(|builder, dir| {
        let context = context(&builder, Some(dir.path()));
        context.times.set_record(Timestamp::from_millis(9));
        let store = builder.build(context.clone()).unwrap();
        store.put(&session("k", 3, 5), &1).unwrap();
        store.put(&session("k", 3, 900_000), &2).unwrap();
        store.remove(&session("k", 3, 5)).unwrap();
        let changes = take_changes(&context);
        let key = b"k\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x03".to_vec();
        assert_eq!(changes[0], (key.clone(), Some(1_u64.to_be_bytes().to_vec()), 9));
        assert_eq!(changes[2], (key, None, 9), "too old, but logged");
        store.wipe().unwrap();
        store.restore(&mut changelog(&changes, 0), 2).unwrap();
        assert_eq!(find(&store, "k", 0, 100), [(3, 900_000, 2)]);
        assert!(store.restore(&mut changelog(&[(vec![0; 15], None, 0)], 0), 0).is_err());
    });
}

#[test]
fn random_sessions_are_those_of_a_list() {
    on_each(|builder, dir| {
        let store = open_in(&builder, dir.path()).unwrap();
        let random = Random::seeded(9);
        let mut model: Vec<(String, i64, i64, u64)> = Vec::new();
        let mut now = 0;
        for step in 0..2000 {
            now += random.below(500) as i64;
            let key = ["a", "aa", "a\0", "b"][random.below(4) as usize];
            let start = now - random.below(now as u64 / 8 + 1) as i64;
            let end = start + random.below(5000) as i64;
            match random.below(10) {
                0..6 => {
                    store.put(&session(key, start, end), &step).unwrap();
                    model.retain(|(k, s, e, _)| (&k[..], *s, *e) != (key, start, end));
                    model.push((key.to_owned(), start, end, step));
                }
                6 => store.commit(None).unwrap(),
                7 if !model.is_empty() => {
                    let (key, start, end, _) =
                        model.swap_remove(random.below(model.len() as u64) as usize);
                    store.remove(&session(&key, start, end)).unwrap();
                }
                _ => {
                    let first = store.observed_stream_time().as_millis() - RETENTION + 1;
                    let mut expected: Found = model
                        .iter()
                        .filter(|(k, s, e, _)| k == key && *e >= start.max(first) && *s <= end)
                        .map(|(_, s, e, v)| (*s, *e, *v))
                        .collect();
                    expected.sort_by_key(|(start, end, _)| (*end, *start));
                    assert_eq!(find(&store, key, start, end), expected);
                }
            }
        }
    });
}

/// Every read against the same question asked of a plain list, forwards and backwards.
#[test]
fn reads_find_what_a_filter_finds_in_both_directions() {
    on_each(|builder, dir| {
        let store = open_in(&builder, dir.path()).unwrap();
        let random = Random::seeded(8);
        let time = |max: u64| random.below(max) as i64;
        let mut all = std::collections::BTreeMap::new();
        for n in 0..200 {
            let (key, start) = (["a", "aa", "b", "c"][n % 4], time(200_000));
            let end = start + time(50_000);
            store.put(&session(key, start, end), &(n as u64)).unwrap();
            all.insert((key.to_owned(), start, end), n as u64);
        }
        let at = Timestamp::from_millis;
        for _ in 0..50 {
            let (from, to, start) = (time(200_000), time(250_000), time(250_000));
            let some = |is: &dyn Fn(&str, i64, i64) -> bool| -> Vec<u64> {
                let found = all.iter().filter(|((key, start, end), _)| is(key, *start, *end));
                let mut found: Vec<u64> = found.map(|(_, value)| *value).collect();
                found.sort_unstable();
                found
            };
            let keys = || "aa".to_owned()..="b".to_owned();
            let is_key = |key: &str| ("aa"..="b").contains(&key);
            let overlap = |s: i64, e: i64| e >= from && s <= start;
            check_both(
                store.find_ending(at(from)..=at(to)),
                store.reverse_find_ending(at(from)..=at(to)),
                &some(&|_, _, end| (from..=to).contains(&end)),
            );
            check_both(
                store.find_sessions_of(keys(), at(from), at(start)).unwrap(),
                store.reverse_find_sessions_of(keys(), at(from), at(start)).unwrap(),
                &some(&|key, s, e| is_key(key) && overlap(s, e)),
            );
            let a = "a".to_owned();
            check_both(
                store.find_sessions(&a, at(from), at(start)).unwrap(),
                store.reverse_find_sessions(&a, at(from), at(start)).unwrap(),
                &some(&|key, s, e| key == "a" && overlap(s, e)),
            );
            check_both(
                store.fetch(&a).unwrap(),
                store.reverse_fetch(&a).unwrap(),
                &some(&|key, _, _| key == "a"),
            );
            check_both(
                store.fetch_keys(keys()).unwrap(),
                store.reverse_fetch_keys(keys()).unwrap(),
                &some(&|key, _, _| is_key(key)),
            );
            check_both(store.all(), store.reverse_all(), &some(&|_, _, _| true));
        }
    });
}

type Entries = crate::WindowedEntries<String, u64>;

#[track_caller]
fn check_both(forward: Entries, backward: Entries, expected: &[u64]) {
    let read = |entries: Entries| entries.map(|entry| entry.unwrap().1).collect::<Vec<_>>();
    let (forward, mut backward) = (read(forward), read(backward));
    backward.reverse();
    assert_eq!(forward, backward);
    let mut sorted = forward;
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
}
