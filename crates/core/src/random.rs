//! Chance: the port through which randomness enters, so that a seed decides it all in simulation.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// A shareable stream of pseudo-random numbers (SplitMix64), not for secrets.
///
/// ```
/// use kstreams_core::random::Random;
/// let (a, b) = (Random::seeded(7), Random::seeded(7));
/// assert_eq!(a.next(), b.next());
/// ```
#[derive(Debug)]
pub struct Random(AtomicU64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Seeded by the operating system.
    pub fn from_os() -> Self {
        Self::seeded(RandomState::new().build_hasher().finish())
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; 0 if `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64 }
    }

    /// A random (version 4) UUID as text: the form of Kafka Streams' process ids.
    pub fn uuid(&self) -> String {
        let high = (self.next() & !0xf000) | 0x4000;
        let low = (self.next() & !(0b11 << 62)) | (0b10 << 62);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }

    /// Bytes that decoders are tried with: mostly short, at times with a number at the front that is
    /// at the end of its range or the length of the rest, at times nearly all zeros.
    ///
    /// ```
    /// use kstreams_core::random::Random;
    /// use kstreams_core::serde::{At, Serde, Utf8};
    /// let random = Random::seeded(7);
    /// for _ in 0..1000 {
    ///     // It may refuse, it may not panic.
    ///     let _ = Utf8.deserialize(&random.hostile_bytes(), &At::value("t"));
    /// }
    /// ```
    pub fn hostile_bytes(&self) -> Vec<u8> {
        let len = self.below([4, 16, 64, 300][self.below(4) as usize]) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| self.next() as u8).collect();
        let front: [i32; 6] = [0, 1, -1, i32::MAX, i32::MIN, len as i32];
        if self.below(2) == 0 {
            let number = front[self.below(6) as usize].to_be_bytes();
            bytes.splice(0..len.min(4), number);
        }
        if self.below(4) == 0 {
            bytes.iter_mut().skip(2).for_each(|byte| *byte = 0);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_version_four() {
        let uuid = Random::seeded(1).uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"));
    }
}
