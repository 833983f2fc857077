//! The bytes of composite keys, equal to those of Kafka Streams; integers are big-endian.
//!
//! Reading never trusts the bytes: what is too short is `None`.

/// Appends the key of a window store's changelog (`WindowKeySchema.toStoreKeyBinary`): the key,
/// i64 start of the window, i32 sequence number (0 unless duplicates are kept).
///
/// ```
/// use kstreams_state::keys::{split_window, window};
/// let mut out = Vec::new();
/// window(b"k", 1, 2, &mut out);
/// assert_eq!(out, b"k\0\0\0\0\0\0\0\x01\0\0\0\x02");
/// assert_eq!(split_window(&out), Some((&b"k"[..], 1, 2)));
/// ```
pub fn window(key: &[u8], start: i64, sequence: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    out.extend_from_slice(&start.to_be_bytes());
    out.extend_from_slice(&sequence.to_be_bytes());
}

/// Key, start and sequence number of [`window`].
pub fn split_window(bytes: &[u8]) -> Option<(&[u8], i64, i32)> {
    let (rest, sequence) = bytes.split_last_chunk()?;
    let (key, start) = rest.split_last_chunk()?;
    Some((key, i64::from_be_bytes(*start), i32::from_be_bytes(*sequence)))
}

/// The start of [`window`], whatever is in front of it; of other bytes, a time before all.
pub(crate) fn start_of_window(bytes: &[u8]) -> i64 {
    split_window(bytes).map_or(i64::MIN, |(_, start, _)| start)
}

/// Appends a time-windowed key as topics of users hold it (`TimeWindowedSerializer`): the key and
/// i64 start of the window.
///
/// ```
/// use kstreams_state::keys::{split_time_windowed, time_windowed};
/// let mut out = Vec::new();
/// time_windowed(b"k", 1, &mut out);
/// assert_eq!(split_time_windowed(&out), Some((&b"k"[..], 1)));
/// ```
pub fn time_windowed(key: &[u8], start: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    out.extend_from_slice(&start.to_be_bytes());
}

/// Key and start of [`time_windowed`].
pub fn split_time_windowed(bytes: &[u8]) -> Option<(&[u8], i64)> {
    let (key, start) = bytes.split_last_chunk()?;
    Some((key, i64::from_be_bytes(*start)))
}

/// Appends the key of a session, in changelogs as on topics of users
/// (`SessionKeySchema.toBinary`): the key, i64 *end*, i64 start.
///
/// ```
/// use kstreams_state::keys::{session, split_session};
/// let mut out = Vec::new();
/// session(b"k", 3, 5, &mut out);
/// assert_eq!(out, b"k\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x03");
/// assert_eq!(split_session(&out), Some((&b"k"[..], 3, 5)));
/// ```
pub fn session(key: &[u8], start: i64, end: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    out.extend_from_slice(&end.to_be_bytes());
    out.extend_from_slice(&start.to_be_bytes());
}

/// Key, start and end of [`session`].
pub fn split_session(bytes: &[u8]) -> Option<(&[u8], i64, i64)> {
    let (rest, start) = bytes.split_last_chunk()?;
    let (key, end) = rest.split_last_chunk()?;
    Some((key, i64::from_be_bytes(*start), i64::from_be_bytes(*end)))
}

/// Appends the largest composite key that a key up to `last` and a suffix up to `suffix` can have.
///
/// A key that is a prefix of `last` may sort behind it once its suffix follows, so each prefix of
/// `last` is considered, as Java's `OrderedBytes.upperRange` does.
pub(crate) fn upper_bound(last: &[u8], suffix: &[u8]) -> Vec<u8> {
    let with_suffix = |len: usize| [&last[..len], suffix].concat();
    (0..=last.len()).map(with_suffix).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_bytes_are_no_keys() {
        for len in 0..16 {
            let bytes = vec![0; len];
            assert_eq!(split_window(&bytes).is_some(), len >= 12);
            assert_eq!(split_time_windowed(&bytes).is_some(), len >= 8);
            assert_eq!(split_session(&bytes), None);
        }
    }

    #[test]
    fn no_key_of_the_range_is_above_the_bound() {
        let suffix = [0, 5];
        for last in [&b""[..], b"a", b"a\0", b"a\0\0", b"\0\0\0", b"ab"] {
            let bound = upper_bound(last, &suffix);
            for key in [&b""[..], b"\0", b"\0\0", b"a", b"a\0", b"a\0\0", b"ab", b"b"] {
                for second in 0..=5 {
                    let composite = [key, &[0, second]].concat();
                    assert!(key > last || composite <= bound, "{key:?} {last:?}");
                }
            }
        }
    }
}
