//! Bytes that nobody of ours wrote, for every decoder: an error or a value, never a panic, and
//! never more memory than a few times the input.

use kstreams::random::Random;
use kstreams::serde::{
    At, Bool, ByteArray, F32, F64, FixedList, I16, I32, I64, List, Nullable, Serde, U32, U64, Unit,
    Utf8, UuidText,
};
use kstreams::state::keys;

/// How many inputs each decoder gets; a thousand times as many take some minutes.
const N: u64 = 20_000;

/// Random bytes, short ones more often, with small and large numbers at the front: they are where
/// lengths and counts are.
fn inputs(seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let random = Random::seeded(seed);
    (0..N).map(move |_| {
        let len = random.below([4, 16, 64, 300][random.below(4) as usize]) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        let front: [i32; 6] = [0, 1, -1, i32::MAX, i32::MIN, len as i32];
        if random.below(2) == 0 {
            let number = front[random.below(6) as usize].to_be_bytes();
            bytes.splice(0..len.min(4), number);
        }
        if random.below(4) == 0 {
            // Often nearly right: mostly zeros.
            bytes.iter_mut().skip(2).for_each(|byte| *byte = 0);
        }
        bytes
    })
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
