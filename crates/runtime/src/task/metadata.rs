//! The text stored with a committed offset: Kafka Streams' partition time, and how far processors
//! of the task have come.
//!
//! `base64(0x02, i64 partition time, i32 n, n x {i32 length, name, i64})`; version 1 ends after the
//! time (`org.apache.kafka.streams.processor.internals.TopicPartitionMetadata`).

use kstreams_core::flow::Progress;
use kstreams_core::time::Timestamp;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What a committed offset came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) time: Timestamp,
    pub(crate) progress: Progress,
}

impl Metadata {
    /// Nothing is known.
    pub(crate) fn unknown() -> Self {
        Self { time: Timestamp::NONE, progress: Progress::new() }
    }
}

pub(crate) fn encode(partition_time: Timestamp, progress: &Progress) -> String {
    let mut bytes = vec![2];
    bytes.extend_from_slice(&partition_time.as_millis().to_be_bytes());
    bytes.extend_from_slice(&(progress.len() as i32).to_be_bytes());
    for (name, value) in progress {
        bytes.extend_from_slice(&(name.len() as i32).to_be_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&value.to_be_bytes());
    }
    base64(&bytes)
}

/// Reads it; text of others is unknown, as Java treats it.
pub(crate) fn decode(text: &str) -> Metadata {
    let bytes = unbase64(text).unwrap_or_default();
    let Some((1 | 2, rest)) = bytes.split_first() else { return Metadata::unknown() };
    let Some((time, rest)) = rest.split_first_chunk() else { return Metadata::unknown() };
    let time = Timestamp::from_millis(i64::from_be_bytes(*time));
    Metadata { time, progress: read_progress(rest).unwrap_or_default() }
}

fn read_progress(bytes: &[u8]) -> Option<Progress> {
    let (n, mut rest) = bytes.split_first_chunk()?;
    let mut progress = Progress::new();
    for _ in 0..i32::from_be_bytes(*n) {
        let (len, behind) = rest.split_first_chunk()?;
        let len = usize::try_from(i32::from_be_bytes(*len)).ok()?;
        let (name, behind) = behind.split_at_checked(len)?;
        let (value, behind) = behind.split_first_chunk()?;
        progress.insert(std::str::from_utf8(name).ok()?.into(), i64::from_be_bytes(*value));
        rest = behind;
    }
    Some(progress)
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
            assert_eq!(decode(&encode(time, &Progress::new())).time, time);
        }
        let one = Timestamp::from_millis(1);
        assert_eq!(encode(one, &Progress::new()), "AgAAAAAAAAABAAAAAA==");
        for foreign in ["", "x", "AAAA", "AgAA", "{}"] {
            assert_eq!(decode(foreign), Metadata::unknown(), "{foreign}");
        }
    }

    #[test]
    fn version_one_is_read() {
        assert_eq!(decode(&base64(&[1, 0, 0, 0, 0, 0, 0, 0, 9])).time.as_millis(), 9);
    }

    #[test]
    fn progress_comes_back() {
        let progress: Progress = [("counts".into(), 7), ("sums".into(), -1)].into();
        let text = encode(Timestamp::from_millis(1), &progress);
        assert_eq!(decode(&text).progress, progress);
        // Cut off in the middle, the time is all that is known.
        let cut = base64(&unbase64(&text).unwrap()[..20]);
        let known = Metadata { time: Timestamp::from_millis(1), progress: Progress::new() };
        assert_eq!(decode(&cut), known);
    }
}
