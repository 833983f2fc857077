//! Bytes that nobody of ours wrote, for every decoder: an error or a value, never a panic, and
//! never more memory than a few times the input.

use std::time::Duration;

use kstreams::serde::{
    Bool, ByteArray, F32, F64, FixedList, I16, I32, I64, List, Nullable, U32, U64, Unit, Utf8,
    UuidText,
};
use kstreams::state::testing::{changelog, open};
use kstreams::state::{KeyValue, Sessions, Versioned, Window, Windowed, Windows, keys};
use kstreams::store::StateStore;
use kstreams::testing::{hostile_inputs, take_hostile_inputs};
use kstreams::time::Timestamp;

#[test]
fn serdes_take_any_bytes() {
    take_hostile_inputs(&Utf8, 7);
    take_hostile_inputs(&ByteArray, 7);
    take_hostile_inputs(&I16, 7);
    take_hostile_inputs(&I32, 7);
    take_hostile_inputs(&I64, 7);
    take_hostile_inputs(&U32, 7);
    take_hostile_inputs(&U64, 7);
    take_hostile_inputs(&F32, 7);
    take_hostile_inputs(&F64, 7);
    take_hostile_inputs(&Bool, 7);
    take_hostile_inputs(&Unit, 7);
    take_hostile_inputs(&UuidText, 7);
    take_hostile_inputs(&Nullable(Utf8), 7);
    take_hostile_inputs(&List(Utf8), 7);
    take_hostile_inputs(&List(List(I32)), 7);
    take_hostile_inputs(&FixedList { inner: I64, width: 8 }, 7);
}

#[test]
fn keys_of_windows_and_sessions_take_any_bytes() {
    for bytes in hostile_inputs(9) {
        if let Some((key, start, sequence)) = keys::split_window(&bytes) {
            let mut again = Vec::new();
            keys::window(key, start, sequence, &mut again);
            assert_eq!(again, bytes);
        }
        if let Some((key, start)) = keys::split_time_windowed(&bytes) {
            let mut again = Vec::new();
            keys::time_windowed(key, start, &mut again);
            assert_eq!(again, bytes);
        }
        if let Some((key, start, end)) = keys::split_session(&bytes) {
            let mut again = Vec::new();
            keys::session(key, start, end, &mut again);
            assert_eq!(again, bytes);
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);

/// A changelog as anybody may have written it.
fn restore(store: &impl StateStore) {
    // They are held in memory: a bounded part of a long run.
    let (keys, values) = (hostile_inputs(11).take(1 << 20), hostile_inputs(13));
    let changes: Vec<_> = keys
        .zip(values)
        .enumerate()
        .map(|(n, (key, value))| (key, (n % 5 > 0).then_some(value), n as i64 * 1000))
        .collect();
    let through = changes.len() as i64 - 1;
    // It may refuse; what it takes must be readable without a panic.
    let _ = store.restore(&mut changelog(&changes, 0), through);
}

#[test]
fn stores_take_any_changelog() {
    let plain = open(&KeyValue::in_memory("s", Utf8, U64)).unwrap();
    restore(&plain);
    let stamped = open(&KeyValue::in_memory("s", Utf8, U64).timestamped()).unwrap();
    restore(&stamped);
    let windows = open(&Windows::in_memory("s", HOUR, HOUR * 4, Utf8, U64)).unwrap();
    restore(&windows);
    let sessions = open(&Sessions::in_memory("s", HOUR, Utf8, U64)).unwrap();
    restore(&sessions);
    let versioned = open(&Versioned::in_memory("s", HOUR, Utf8, U64)).unwrap();
    restore(&versioned);
    let n = plain.all().count() + stamped.all().count();
    assert!(n > 1000, "{n}");
    let _ = windows.all().count() + sessions.all().count();
    let _ = versioned.get(&"k".to_owned());
}

/// Times at the ends of the scale: no overflow, and an entry is found or was dropped as too old.
#[test]
fn windows_and_sessions_take_any_time() {
    let times = [i64::MIN, -1, 0, 1, 1 << 40, i64::MAX - 1, i64::MAX];
    for first in times {
        for second in times {
            let windows = open(&Windows::in_memory("s", HOUR, HOUR * 4, Utf8, U64)).unwrap();
            let sessions = open(&Sessions::in_memory("s", HOUR, Utf8, U64)).unwrap();
            for time in [first, second] {
                let time = Timestamp::from_millis(time);
                let _ = windows.put(&"k".to_owned(), &1, time);
                let session = Windowed::new("k".to_owned(), Window::new(time, time));
                let _ = sessions.put(&session, &1);
            }
            assert!(windows.all().count() <= 2 && sessions.all().count() <= 2);
            let _ = windows.fetch(&"k".to_owned(), Timestamp::from_millis(first));
            let _ = windows.fetch_all(Timestamp::from_millis(first)..).count();
            let _ = sessions.fetch(&"k".to_owned()).map(Iterator::count);
        }
    }
}
