//! MurmurHash3, x64, 128 bits: the hash that foreign-key joins recognise values by.
//!
//! The algorithm is Austin Appleby's, in the public domain; the seed is Kafka Streams'.

/// A hash of 128 bits.
pub(super) type Hash = [u64; 2];

const SEED: u64 = 104_729;
const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

/// The hash of `data`.
pub(super) fn hash128(data: &[u8]) -> Hash {
    let (mut h1, mut h2) = (SEED, SEED);
    let mut blocks = data.chunks_exact(16);
    for block in &mut blocks {
        let (low, high) = block.split_at(8);
        h1 ^= mix1(word(low));
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix2(word(high));
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let tail = blocks.remainder();
    let (low, high) = tail.split_at(tail.len().min(8));
    h2 ^= mix2(word(high));
    h1 ^= mix1(word(low));

    h1 ^= data.len() as u64;
    h2 ^= data.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    (h1, h2) = (finish(h1), finish(h2));
    h1 = h1.wrapping_add(h2);
    [h1, h2.wrapping_add(h1)]
}

/// Up to eight bytes, the first one lowest; what is missing is zero, and zero mixes to zero.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn mix1(word: u64) -> u64 {
    word.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn mix2(word: u64) -> u64 {
    word.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn finish(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafka_streams() {
        // `Murmur3.hash128` of 4.3.1, of the bytes 0, 7, 14 and so on.
        let bytes: Vec<u8> = (0..40_u8).map(|n| n.wrapping_mul(7)).collect();
        for (len, expected) in [
            (0, [-7_122_613_646_888_064_702, -8_341_524_471_658_347_240]),
            (1, [-4_654_978_917_449_141_626, 4_100_248_936_650_863_565]),
            (8, [-9_098_713_551_761_904_406, -8_510_221_833_917_058_231]),
            (15, [2_101_410_239_415_268_318, -3_182_828_752_614_713_631]),
            (16, [-4_913_367_798_584_393_872, -8_044_128_286_627_752_471]),
            (40, [9_066_265_889_993_755_008, 9_003_979_752_786_668_165]),
        ] {
            assert_eq!(hash128(&bytes[..len]).map(|half| half as i64), expected, "{len}");
        }
    }
}
