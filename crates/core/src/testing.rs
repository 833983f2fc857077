//! Decoders under bytes that nobody of yours wrote.

use crate::random::Random;
use crate::serde::{At, Serde};

/// [`Random::hostile_bytes`], 20,000 times or as often as the variable `KSTREAMS_HOSTILE` says.
pub fn hostile_inputs(seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let said = std::env::var("KSTREAMS_HOSTILE").ok().and_then(|n| n.parse().ok());
    let random = Random::seeded(seed);
    (0..said.unwrap_or(20_000_u64)).map(move |_| random.hostile_bytes())
}

/// Tries a serde with [`hostile_inputs`]; tells how many it read.
///
/// ```
/// use kstreams_core::serde::I64;
/// use kstreams_core::testing::take_hostile_inputs;
/// assert!(take_hostile_inputs(&I64, 7) > 10);
/// ```
///
/// # Panics
/// If it panics itself, if what it read and wrote does not read and write as itself, or takes much
/// more bytes than it came with.
pub fn take_hostile_inputs<S: Serde>(serde: &S, seed: u64) -> u64 {
    let (at, name, mut n_read) = (At::value("t"), std::any::type_name::<S>(), 0);
    for bytes in hostile_inputs(seed) {
        let Ok(item) = serde.deserialize(&bytes, &at) else { continue };
        n_read += 1;
        let (mut again, mut third) = (Vec::new(), Vec::new());
        if serde.serialize(&item, &at, &mut again).is_ok() {
            assert!(again.len() <= 4 * bytes.len() + 16, "{name}: {bytes:?}");
            let item = serde.deserialize(&again, &at);
            let written = item.and_then(|item| serde.serialize(&item, &at, &mut third));
            assert!(written.is_ok() && again == third, "{name}: {bytes:?}");
        }
    }
    n_read
}
