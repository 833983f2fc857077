//! What a buffer holds for one key, and its bytes in changelogs.
//!
//! The layout is that of Kafka Streams (`BufferValue`, `ProcessorRecordContext`); the formats of
//! its releases before 2.6 are read too.

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Headers, RawRecord};

/// Where the record that made a change came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) timestamp: i64,
    pub(crate) offset: i64,
    pub(crate) topic: Box<str>,
    pub(crate) partition: i32,
    pub(crate) headers: Headers,
}

/// Serialized values, with where the newest came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Buffered {
    pub(crate) origin: Origin,
    /// What downstream has seen last.
    pub(crate) prior: Bytes,
    pub(crate) old: Bytes,
    pub(crate) new: Bytes,
}

/// The bytes of a value, or null.
pub(crate) type Bytes = Option<Box<[u8]>>;

impl Buffered {
    /// The memory it takes, by Kafka Streams' estimate.
    pub(crate) fn size(&self) -> u64 {
        let len = |bytes: &Bytes| bytes.as_ref().map_or(0, |bytes| bytes.len());
        let old = if self.old == self.prior { 0 } else { len(&self.old) };
        let of_header = |h: &kstreams_core::record::Header| {
            utf16(&h.name) + h.value.as_ref().map_or(0, |v| v.len())
        };
        let headers: usize = self.origin.headers.iter().map(of_header).sum();
        let origin = 8 + 8 + utf16(&self.origin.topic) + 4 + headers;
        (len(&self.prior) + old + len(&self.new) + origin) as u64
    }

    /// Appends everything but the time it waits for.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result {
        self.origin.write(out)?;
        put(self.prior.as_deref(), out)?;
        match &self.old {
            Some(_) if self.old == self.prior => out.extend(SAME_AS_PRIOR.to_be_bytes()),
            old => put(old.as_deref(), out)?,
        }
        put(self.new.as_deref(), out)
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let origin = Origin::read(from)?;
        let prior = from.nullable()?;
        let old = match from.i32()? {
            SAME_AS_PRIOR => prior.clone(),
            len => from.sized(len)?,
        };
        Some(Self { origin, prior, old, new: from.nullable()? })
    }
}

impl Origin {
    fn write(&self, out: &mut Vec<u8>) -> Result {
        out.extend(self.timestamp.to_be_bytes());
        out.extend(self.offset.to_be_bytes());
        put(Some(self.topic.as_bytes()), out)?;
        out.extend(self.partition.to_be_bytes());
        out.extend(length(self.headers.len())?.to_be_bytes());
        for header in self.headers.iter() {
            put(Some(header.name.as_bytes()), out)?;
            put(header.value.as_deref(), out)?;
        }
        Ok(())
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let (timestamp, offset) = (from.i64()?, from.i64()?);
        let topic = from.text()?;
        let partition = from.i32()?;
        let mut headers = Headers::default();
        // Old writers have -1 for none.
        for _ in 0..from.i32()?.max(0) {
            let name = from.text()?;
            headers.push(&name, from.nullable()?.as_deref());
        }
        Some(Self { timestamp, offset, topic, partition, headers })
    }
}

/// What a changelog record says: the time a key waits for, and what it holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) time: i64,
    pub(crate) buffered: Buffered,
}

/// The header of changelog records that tells their format.
pub(crate) const VERSION: &str = "v";
/// The format that is written.
pub(crate) const CURRENT: u8 = 3;

/// Appends the value of a changelog record.
pub(crate) fn write_logged(time: i64, buffered: &Buffered, out: &mut Vec<u8>) -> Result {
    buffered.write(out)?;
    out.extend(time.to_be_bytes());
    Ok(())
}

/// Reads the value of a changelog record of any format. `prior` is what the key's entry in the
/// buffer has, which the first formats do not tell; `place` is the changelog's own partition.
pub(crate) fn read_logged(
    record: &RawRecord<'_>,
    value: &[u8],
    prior: Option<Bytes>,
    place: (&str, i32),
) -> Result<Logged> {
    let version = match record.headers.last(VERSION) {
        None => 0,
        Some(Some([version])) => *version,
        Some(_) => u8::MAX,
    };
    let read = match version {
        0 => read_v0(record, value, prior, place),
        1 => read_v1(value, prior),
        // Some releases wrote the third format under this number.
        2 => read_v2(value).or_else(|| read_v3(value)),
        CURRENT => read_v3(value),
        _ => None,
    };
    read.ok_or_else(|| {
        let text = format!(
            "the record at offset {} of changelog {} is no entry of a buffer of format {version}",
            record.offset, place.0
        );
        Error::new(ErrorKind::Deserialization, text)
    })
}

/// Reads what [`write_logged`] wrote.
pub(crate) fn read_v3(value: &[u8]) -> Option<Logged> {
    let mut from = Reader(value);
    let buffered = Buffered::read(&mut from)?;
    from.end(Logged { time: from.clone().i64()?, buffered })
}

fn read_v2(value: &[u8]) -> Option<Logged> {
    let mut from = Reader(value);
    let origin = Origin::read(&mut from)?;
    let change = from.nullable()??;
    let (old, new) = read_change(&mut Reader(&change))?;
    let prior = from.nullable()?;
    let buffered = Buffered { origin, prior, old, new };
    from.end(Logged { time: from.clone().i64()?, buffered })
}

fn read_v1(value: &[u8], prior: Option<Bytes>) -> Option<Logged> {
    let mut from = Reader(value);
    let time = from.i64()?;
    let origin = Origin::read(&mut from)?;
    let change = from.nullable()??;
    let (old, new) = read_change(&mut Reader(&change))?;
    let prior = prior.flatten().or_else(|| old.clone());
    Some(Logged { time, buffered: Buffered { origin, prior, old, new } })
}

fn read_v0(
    record: &RawRecord<'_>,
    value: &[u8],
    prior: Option<Bytes>,
    (topic, partition): (&str, i32),
) -> Option<Logged> {
    let mut from = Reader(value);
    let time = from.i64()?;
    let (old, new) = read_change(&mut from)?;
    let prior = prior.flatten().or_else(|| old.clone());
    let origin = Origin {
        timestamp: record.timestamp.as_millis(),
        offset: record.offset,
        topic: topic.into(),
        partition,
        headers: record.headers.clone(),
    };
    Some(Logged { time, buffered: Buffered { origin, prior, old, new } })
}

fn read_change(from: &mut Reader<'_>) -> Option<(Bytes, Bytes)> {
    Some((from.nullable()?, from.nullable()?))
}

fn put(bytes: Option<&[u8]>, out: &mut Vec<u8>) -> Result {
    match bytes {
        Some(bytes) => {
            out.extend(length(bytes.len())?.to_be_bytes());
            out.extend_from_slice(bytes);
        }
        None => out.extend(NULL.to_be_bytes()),
    }
    Ok(())
}

fn length(len: usize) -> Result<i32> {
    let too_long = |_| Error::new(ErrorKind::Serialization, "a value is longer than 2 GiB");
    i32::try_from(len).map_err(too_long)
}

/// Kafka Streams counts the characters of its strings, which are UTF-16.
fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Takes fields from the front.
#[derive(Clone)]
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn i64(&mut self) -> Option<i64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i64::from_be_bytes(*bytes))
    }

    fn i32(&mut self) -> Option<i32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*bytes))
    }

    fn sized(&mut self, len: i32) -> Option<Bytes> {
        if len == NULL {
            return Some(None);
        }
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(Some(bytes.into()))
    }

    fn nullable(&mut self) -> Option<Bytes> {
        let len = self.i32()?;
        self.sized(len)
    }

    fn text(&mut self) -> Option<Box<str>> {
        let bytes = self.nullable()??;
        String::from_utf8(bytes.into()).ok().map(Into::into)
    }

    /// `read`, if nothing but its last field is left.
    fn end<T>(&self, read: T) -> Option<T> {
        (self.0.len() == size_of::<i64>()).then_some(read)
    }
}

const NULL: i32 = -1;
const SAME_AS_PRIOR: i32 = -2;

#[cfg(test)]
mod tests {
    use kstreams_core::time::Timestamp;

    use super::*;

    fn bytes(text: &str) -> Bytes {
        Some(text.as_bytes().into())
    }

    fn origin() -> Origin {
        let mut headers = Headers::default();
        headers.push("h", Some(b"x"));
        headers.push("n", None);
        Origin { timestamp: 7, offset: 9, topic: "t".into(), partition: 2, headers }
    }

    const ORIGIN: &[u8] = b"\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x09\0\0\0\x01t\0\0\0\x02\
        \0\0\0\x02\0\0\0\x01h\0\0\0\x01x\0\0\0\x01n\xff\xff\xff\xff";

    fn read(version: Option<&[u8]>, value: &[u8], prior: Option<Bytes>) -> Result<Logged> {
        let mut headers = Headers::default();
        if let Some(version) = version {
            headers.push(VERSION, Some(version));
        }
        let record = RawRecord {
            offset: 4,
            timestamp: Timestamp::from_millis(5),
            key: Some(b"k"),
            value: Some(value),
            headers,
            leader_epoch: None,
        };
        read_logged(&record, value, prior, ("log", 1))
    }

    #[track_caller]
    fn check(buffered: Buffered, values: &[u8]) {
        let mut out = Vec::new();
        write_logged(6, &buffered, &mut out).unwrap();
        let expected = [ORIGIN, values, &6_i64.to_be_bytes()].concat();
        assert_eq!(out, expected);
        let logged = Logged { time: 6, buffered };
        assert_eq!(read(Some(&[3]), &out, None).unwrap(), logged);
        // Releases 2.4 and 2.5.0 called it the second format.
        assert_eq!(read(Some(&[2]), &out, None).unwrap(), logged);
        for cut in [0, 1, out.len() / 2, out.len() - 1] {
            assert!(read(Some(&[3]), &out[..cut], None).is_err(), "{cut}");
        }
    }

    #[test]
    fn the_current_format() {
        let buffered = |prior, old, new| Buffered { origin: origin(), prior, old, new };
        check(buffered(bytes("p"), bytes("o"), bytes("nn")), b"\0\0\0\x01p\0\0\0\x01o\0\0\0\x02nn");
        check(
            buffered(bytes("p"), bytes("p"), bytes("n")),
            b"\0\0\0\x01p\xff\xff\xff\xfe\0\0\0\x01n",
        );
        check(buffered(None, None, None), b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    }

    #[test]
    fn the_formats_of_older_releases() {
        let change = b"\0\0\0\x01o\0\0\0\x01n";
        let time = 6_i64.to_be_bytes();
        let logged = |origin, prior| Logged {
            time: 6,
            buffered: Buffered { origin, prior, old: bytes("o"), new: bytes("n") },
        };
        let sized = [&10_i32.to_be_bytes()[..], change].concat();
        let v2 = [ORIGIN, &sized, b"\0\0\0\x01p", &time].concat();
        assert_eq!(read(Some(&[2]), &v2, None).unwrap(), logged(origin(), bytes("p")));
        let v1 = [&time, ORIGIN, &sized].concat();
        assert_eq!(read(Some(&[1]), &v1, None).unwrap(), logged(origin(), bytes("o")));
        let v0 = [&time[..], change].concat();
        let place = Origin {
            timestamp: 5,
            offset: 4,
            topic: "log".into(),
            partition: 1,
            headers: Headers::default(),
        };
        let prior = Some(bytes("before"));
        assert_eq!(read(None, &v0, prior).unwrap(), logged(place, bytes("before")));
        assert!(read(Some(&[9]), &v0, None).is_err());
    }

    #[test]
    fn what_is_the_same_counts_once() {
        let of = |prior, old| Buffered { origin: origin(), prior, old, new: bytes("n") }.size();
        assert_eq!(of(None, None), 8 + 8 + 1 + 4 + 3 + 1);
        assert_eq!(of(bytes("p"), bytes("p")), 25 + 1);
        assert_eq!(of(bytes("p"), bytes("o")), 25 + 2);
    }

    #[test]
    fn any_bytes() {
        let mut inputs = kstreams_core::testing::hostile_inputs(17);
        while let (Some(version), Some(mut value)) = (inputs.next(), inputs.next()) {
            // Often nearly right.
            if value.len() % 2 == 0 {
                value = [ORIGIN, &value[..]].concat();
            }
            let version = version.first().map(|version| [version % 5]);
            let Ok(logged) = read(version.as_ref().map(|v| &v[..]), &value, None) else { continue };
            let mut again = Vec::new();
            if write_logged(logged.time, &logged.buffered, &mut again).is_ok() {
                assert_eq!(read(Some(&[CURRENT]), &again, None).unwrap(), logged, "{value:?}");
            }
        }
    }
}
