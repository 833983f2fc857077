//! Bytes that nobody of ours wrote, for every decoder: an error or a value, never a panic, and
//! never more memory than a few times the input.

use std::time::Duration;

use kstreams::random::Random;
use kstreams::serde::{
    At, Bool, ByteArray, F32, F64, FixedList, I16, I32, I64, List, Nullable, Serde, U32, U64, Unit,
    Utf8, UuidText,
};
use kstreams::state::testing::{changelog, open};
use kstreams::state::{KeyValue, Sessions, Versioned, Window, Windowed, Windows, keys};
use kstreams::store::StateStore;
use kstreams::time::Timestamp;

/// How many inputs each decoder gets, or what the variable `KSTREAMS_HOSTILE` says.
const N: u64 = 20_000;

fn inputs(seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let said = std::env::var("KSTREAMS_HOSTILE").ok().and_then(|n| n.parse().ok());
    let random = Random::seeded(seed);
    (0..said.unwrap_or(N)).map(move |_| random.hostile_bytes())
}

/// What was read is written again, and that reads and writes as itself.
fn check<S: Serde>(name: &str, serde: &S) {
    let at = At::value("t");
    for bytes in inputs(7) {
        let Ok(item) = serde.deserialize(&bytes, &at) else { continue };
        let mut again = Vec::new();
        if serde.serialize(&item, &at, &mut again).is_ok() {
            assert!(again.len() <= 4 * bytes.len() + 16, "{name}: {bytes:?}");
            let mut third = Vec::new();
            let item = serde.deserialize(&again, &at).unwrap();
            serde.serialize(&item, &at, &mut third).unwrap();
            assert_eq!(again, third, "{name}: {bytes:?}");
        }
    }
}

#[test]
fn serdes_take_any_bytes() {
    check("Utf8", &Utf8);
    check("ByteArray", &ByteArray);
    check("I16", &I16);
    check("I32", &I32);
    check("I64", &I64);
    check("U32", &U32);
    check("U64", &U64);
    check("F32", &F32);
    check("F64", &F64);
    check("Bool", &Bool);
    check("Unit", &Unit);
    check("UuidText", &UuidText);
    check("Nullable", &Nullable(Utf8));
    check("List of text", &List(Utf8));
    check("List of lists", &List(List(I32)));
    check("FixedList", &FixedList { inner: I64, width: 8 });
}

#[test]
fn keys_of_windows_and_sessions_take_any_bytes() {
    for bytes in inputs(9) {
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
    let (keys, values) = (inputs(11).take(1 << 20), inputs(13));
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
