//! Windows over a base that counts how often it is asked: what is known not to be there is not looked
//! for, and nothing that is there is ever missed.

use std::sync::Arc;

use kstreams_core::random::Random;
use parking_lot::Mutex;

use super::{Keys, Overlay};
use crate::bytes::{ByteStore, End, Mark, Writes};
use crate::contract::{Entries, MapBase, MapData};
use crate::keys;

fn key(number: u64, start: i64) -> Vec<u8> {
    let mut key = Vec::new();
    keys::window(&number.to_be_bytes(), start, 0, &mut key);
    key
}

fn get(store: &dyn ByteStore, key: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    store.get(key, &mut out).unwrap().then_some(out)
}

fn open(base: &Arc<Mutex<MapData>>) -> Overlay<MapBase> {
    Overlay::new(MapBase(Arc::clone(base)), Keys::Timed(keys::start_of_window))
}

fn end(time: i64) -> End {
    End { mark: Mark { offset: Some(1), time, sequence: 0 }, floor: None }
}

/// Writes to the keys of windows that begin one after the other, a commit after each few; tells how
/// often the base was asked.
fn count(n_windows: i64, n_keys: u64, value_len: usize) -> usize {
    let base = Arc::default();
    let store = open(&base);
    store.commit(end(-1)).unwrap();
    for start in 0..n_windows {
        for number in 0..2 * n_keys {
            let key = key(number % n_keys, start);
            assert_eq!(get(&store, &key).is_some(), number >= n_keys);
            store.put(&key, &vec![7; value_len]).unwrap();
            if number % 10 == 9 {
                store.commit(end(start)).unwrap();
            }
        }
    }
    let n_gets = base.lock().n_gets;
    assert_eq!(base.lock().entries.len(), n_windows as usize * n_keys as usize);
    n_gets
}

#[test]
fn the_base_is_not_asked_for_windows_that_fit() {
    assert_eq!(count(50, 200, 100), 0);
    // So does a window of 700 KB, beside what is left of the one before.
    assert_eq!(count(8, 700, 1000), 0);
}

#[test]
fn the_base_is_asked_for_windows_that_do_not_fit() {
    let n_gets = count(4, 2000, 1000);
    assert!((4000..16_000).contains(&n_gets), "{n_gets}");
}

#[test]
fn late_records_and_windows_of_before_are_looked_for() {
    let base = Arc::default();
    let store = open(&base);
    store.put(&key(1, 100), b"old").unwrap();
    store.commit(end(100)).unwrap();
    drop(store);
    let store = open(&base);
    store.put(&key(2, 50), b"late").unwrap();
    store.put(&key(2, 100), b"same time").unwrap();
    store.commit(end(100)).unwrap();
    assert_eq!(get(&store, &key(1, 100)).as_deref(), Some(&b"old"[..]));
    assert_eq!(get(&store, &key(3, 99)), None);
    assert_eq!(base.lock().n_gets, 2);
    assert_eq!(get(&store, &key(1, 101)), None);
    assert_eq!(base.lock().n_gets, 2);
}

#[test]
fn random_windows_are_those_of_a_map() {
    for seed in 0..60 {
        let random = Random::seeded(seed);
        let base = Arc::default();
        let mut store = open(&base);
        let (mut committed, mut current) = (Entries::new(), Entries::new());
        let (mut newest, mut observed) = (-1, -1);
        let mut now = 0;
        for step in 0..1500_i64 {
            now += i64::from(random.below(40) == 0);
            let late = random.below(4) * random.below(4) / 3;
            let key = key(random.below(12), (now - late as i64).max(0));
            match random.below(100) {
                0..45 => {
                    observed = observed.max(keys::start_of_window(&key));
                    let value = vec![step as u8; random.below(60_000) as usize];
                    store.put(&key, &value).unwrap();
                    current.insert(key, value);
                }
                45..52 => {
                    observed = observed.max(keys::start_of_window(&key));
                    store.delete(&key).unwrap();
                    current.remove(&key);
                }
                52..88 => assert_eq!(get(&store, &key), current.get(&key).cloned()),
                88..95 => {
                    let floor = (random.below(8) == 0).then(|| self::key(random.below(3), 0));
                    store.commit(End { floor: floor.clone(), ..end(observed) }).unwrap();
                    current.retain(|key, _| floor.as_ref().is_none_or(|floor| key >= floor));
                    (committed, newest) = (current.clone(), observed);
                }
                95 => {
                    assert!(store.rollback());
                    (current, observed) = (committed.clone(), newest);
                }
                96 => {
                    store.rollback();
                    newest = newest.max(keys::start_of_window(&key));
                    let mut fill = |writes: &mut dyn Writes| {
                        writes.put(&key, b"restored");
                        Ok(end(newest))
                    };
                    store.restore(&mut fill).unwrap();
                    committed.insert(key, b"restored".to_vec());
                    (current, observed) = (committed.clone(), newest);
                }
                97 => {
                    store.close().unwrap();
                    store = open(&base);
                    (current, observed) = (committed.clone(), newest);
                }
                _ => {}
            }
        }
        assert!(base.lock().n_gets < 1500 / 4, "{}", base.lock().n_gets);
    }
}
