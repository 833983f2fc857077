//! Which partition a key belongs to, byte-equal to Java's producer and Kafka Streams.

/// Kafka's variant of murmur2 (`org.apache.kafka.common.utils.Utils.murmur2`), as an unsigned word.
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut h = 0x9747_b28c ^ data.len() as u32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> R;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = chunks.remainder();
    for (index, byte) in tail.iter().enumerate() {
        h ^= u32::from(*byte) << (8 * index);
    }
    if !tail.is_empty() {
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

/// The partition of `key` among `n_partitions`, as Java's default partitioner chooses it.
///
/// ```
/// use kstreams_core::partition::partition_for;
/// assert!((0..6).contains(&partition_for(b"key", 6)));
/// ```
///
/// # Panics
/// If `n_partitions` is not positive.
pub fn partition_for(key: &[u8], n_partitions: i32) -> i32 {
    assert!(n_partitions > 0, "a topic has at least one partition");
    (murmur2(key) & 0x7fff_ffff) as i32 % n_partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs from `org.apache.kafka.common.utils.UtilsTest`.
    #[test]
    fn java_hashes() {
        let cases: [(&[u8], i32); 5] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key) as i32, hash, "{}", String::from_utf8_lossy(key));
        }
    }
}
