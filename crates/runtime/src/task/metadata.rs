//! The text stored with a committed offset: Kafka Streams' partition times.
//!
//! `base64(0x02, i64 partition time, i32 n, n x {i32 length, name, i64})`; version 1 ends after the
//! time (`org.apache.kafka.streams.processor.internals.TopicPartitionMetadata`).

use kstreams_core::time::Timestamp;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn encode(partition_time: Timestamp) -> String {
    let mut bytes = vec![2];
    bytes.extend_from_slice(&partition_time.as_millis().to_be_bytes());
    bytes.extend_from_slice(&0_i32.to_be_bytes());
    base64(&bytes)
}

/// The partition time; unknown for text of others, as Java treats it.
pub(crate) fn decode(text: &str) -> Timestamp {
    let bytes = unbase64(text).unwrap_or_default();
    match bytes.split_first() {
        Some((1 | 2, rest)) => rest
            .first_chunk::<8>()
            .map_or(Timestamp::NONE, |time| Timestamp::from_millis(i64::from_be_bytes(*time))),
        _ => Timestamp::NONE,
    }
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for index in 0..4 {
            if index <= chunk.len() {
                let digit = (word >> (18 - 6 * index)) & 0x3f;
                text.push(char::from(ALPHABET[digit as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').bytes();
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut word, mut n_bits) = (0_u32, 0);
    for digit in digits {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        word = (word << 6 | value as u32) & 0xffff;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((word >> n_bits) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_and_foreign_text_is_unknown() {
        for time in [0, 1, -1, 1_372_654_800_000, i64::MAX] {
            let time = Timestamp::from_millis(time);
            assert_eq!(decode(&encode(time)), time);
        }
        assert_eq!(encode(Timestamp::from_millis(1)), "AgAAAAAAAAABAAAAAA==");
        for foreign in ["", "x", "AAAA", "AgAA", "{}"] {
            assert_eq!(decode(foreign), Timestamp::NONE, "{foreign}");
        }
    }

    #[test]
    fn version_one_is_read() {
        assert_eq!(decode(&base64(&[1, 0, 0, 0, 0, 0, 0, 0, 9])).as_millis(), 9);
    }
}
