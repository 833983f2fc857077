//! The bytes of values in stores, equal to those of Kafka Streams; integers are big-endian.
//!
//! Reading never trusts the bytes: what is too short or garbled is `None`.

use kstreams_core::record::Headers;
use kstreams_core::time::Timestamp;

/// Appends what stands in front of a value with a time (`ValueAndTimestamp`): i64 milliseconds.
///
/// ```
/// use kstreams_core::time::Timestamp;
/// use kstreams_state::values::{split_time, time};
/// let mut out = Vec::new();
/// time(Timestamp::from_millis(7), &mut out);
/// out.extend_from_slice(b"tea");
/// assert_eq!(split_time(&out), Some((Timestamp::from_millis(7), &b"tea"[..])));
/// ```
pub fn time(time: Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(&time.as_millis().to_be_bytes());
}

/// The time in front of a value, and the value.
pub fn split_time(stored: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (time, value) = stored.split_first_chunk()?;
    Some((Timestamp::from_millis(i64::from_be_bytes(*time)), value))
}

/// Appends what stands in front of a value with headers (KIP-1271): the length of the rest, the
/// number of headers, and for each the length and bytes of its name and of its value.
///
/// All numbers are varints in zigzag form, as in Kafka's records. The length of a null value is -1;
/// no headers at all are a length of zero and nothing more.
///
/// ```
/// use kstreams_core::record::Headers;
/// use kstreams_state::values::{headers, split_headers};
/// let mut own = Headers::default();
/// own.push("a", Some(b"1"));
/// let mut out = Vec::new();
/// headers(&own, &mut out);
/// assert_eq!(out, b"\x0a\x02\x02a\x021");
/// assert_eq!(split_headers(&out), Some((own, &b""[..])));
/// ```
pub fn headers(headers: &Headers, out: &mut Vec<u8>) {
    if headers.is_empty() {
        return out.push(0);
    }
    let mut bytes = Vec::new();
    write_varint(headers.len() as i64, &mut bytes);
    for header in headers.iter() {
        write_varint(header.name.len() as i64, &mut bytes);
        bytes.extend_from_slice(header.name.as_bytes());
        match &header.value {
            Some(value) => {
                write_varint(value.len() as i64, &mut bytes);
                bytes.extend_from_slice(value);
            }
            None => write_varint(-1, &mut bytes),
        }
    }
    write_varint(bytes.len() as i64, out);
    out.extend_from_slice(&bytes);
}

/// The headers in front of a value, and what follows them.
pub fn split_headers(mut stored: &[u8]) -> Option<(Headers, &[u8])> {
    let len = read_varint(&mut stored)?;
    let (bytes, rest) = stored.split_at_checked(usize::try_from(len).ok()?)?;
    Some((read_headers(bytes)?, rest))
}

fn read_headers(mut bytes: &[u8]) -> Option<Headers> {
    let mut headers = Headers::default();
    if bytes.is_empty() {
        return Some(headers);
    }
    for _ in 0..read_varint(&mut bytes)? {
        let name = std::str::from_utf8(take(&mut bytes)??).ok()?;
        headers.push(name, take(&mut bytes)?);
    }
    bytes.is_empty().then_some(headers)
}

/// Takes bytes with their length in front; the inner `None` is null.
fn take<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let len = read_varint(bytes)?;
    if len == -1 {
        return Some(None);
    }
    let (taken, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    *bytes = rest;
    Some(Some(taken))
}

fn write_varint(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((number >> 1) as i64 ^ -((number & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(headers: &Headers) -> Vec<u8> {
        let mut out = Vec::new();
        super::headers(headers, &mut out);
        out
    }

    #[test]
    fn headers_have_the_bytes_of_kip_1271() {
        let mut headers = Headers::default();
        assert_eq!(bytes_of(&headers), [0]);
        headers.push("hb", Some(&[0x5d, 0xd8]));
        headers.push("", None);
        assert_eq!(bytes_of(&headers), b"\x12\x04\x04hb\x04\x5d\xd8\x00\x01");
        headers.push(&"n".repeat(100), Some(&[7; 300]));
        let bytes = bytes_of(&headers);
        assert_eq!(bytes[..3], [0xba, 0x06, 6], "413 bytes, 3 headers");
        assert_eq!(split_headers(&bytes), Some((headers, &b""[..])));
    }
}
