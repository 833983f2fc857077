//! The primitives of Kafka's protocol: numbers in network order, compact strings and arrays (whose
//! length is told plus one, zero for null), tagged fields.

use kstreams_core::error::{Error, ErrorKind, Result};

/// Bytes to be sent.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn int8(&mut self, value: i8) {
        self.0.extend(value.to_be_bytes());
    }

    pub(crate) fn int16(&mut self, value: i16) {
        self.0.extend(value.to_be_bytes());
    }

    pub(crate) fn uint16(&mut self, value: u16) {
        self.0.extend(value.to_be_bytes());
    }

    pub(crate) fn int32(&mut self, value: i32) {
        self.0.extend(value.to_be_bytes());
    }

    pub(crate) fn int64(&mut self, value: i64) {
        self.0.extend(value.to_be_bytes());
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }

    /// Seven bits a byte, the low ones first.
    pub(crate) fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(crate) fn string(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    pub(crate) fn optional_string(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.string(value),
            None => self.varint(0),
        }
    }

    /// A string of the older, not compact kind.
    pub(crate) fn old_string(&mut self, value: &str) {
        self.int16(i16::try_from(value.len()).unwrap_or(i16::MAX));
        self.0.extend(&value.as_bytes()[..value.len().min(i16::MAX as usize)]);
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.length(value.len());
        self.0.extend(value);
    }

    pub(crate) fn array<T>(
        &mut self,
        items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        let items = items.into_iter();
        self.length(items.len());
        items.for_each(|item| each(self, item));
    }

    /// An array that is not there.
    pub(crate) fn no_array(&mut self) {
        self.varint(0);
    }

    /// The end of a structure without tagged fields.
    pub(crate) fn end(&mut self) {
        self.varint(0);
    }

    fn length(&mut self, length: usize) {
        self.varint(u32::try_from(length).unwrap_or(u32::MAX - 1) + 1);
    }
}

/// Bytes that came.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| malformed())
    }

    pub(crate) fn int8(&mut self) -> Result<i8> {
        self.fixed().map(i8::from_be_bytes)
    }

    pub(crate) fn int16(&mut self) -> Result<i16> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub(crate) fn uint16(&mut self) -> Result<u16> {
        self.fixed().map(u16::from_be_bytes)
    }

    pub(crate) fn int32(&mut self) -> Result<i32> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub(crate) fn int64(&mut self) -> Result<i64> {
        self.fixed().map(i64::from_be_bytes)
    }

    pub(crate) fn varint(&mut self) -> Result<u32> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.fixed::<1>()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed())
    }

    pub(crate) fn optional_string(&mut self) -> Result<Option<String>> {
        let Some(length) = self.length()? else { return Ok(None) };
        let text = self.take(length)?.to_vec();
        String::from_utf8(text).map(Some).map_err(|_| malformed())
    }

    pub(crate) fn string(&mut self) -> Result<String> {
        self.optional_string()?.ok_or_else(malformed)
    }

    /// A string of the older, not compact kind.
    pub(crate) fn old_string(&mut self) -> Result<String> {
        let length = usize::try_from(self.int16()?).map_err(|_| malformed())?;
        String::from_utf8(self.take(length)?.to_vec()).map_err(|_| malformed())
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.length()?.ok_or_else(malformed)?;
        self.take(length)
    }

    pub(crate) fn optional_array<T>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(length) = self.length()? else { return Ok(None) };
        // Every item takes a byte at least: a length that lies costs no memory.
        if length > self.0.len() {
            return Err(malformed());
        }
        (0..length).map(|_| each(self)).collect::<Result<_>>().map(Some)
    }

    pub(crate) fn array<T>(&mut self, each: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.optional_array(each)?.ok_or_else(malformed)
    }

    /// An array of the older, not compact kind.
    pub(crate) fn old_array<T>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let length = usize::try_from(self.int32()?).map_err(|_| malformed())?;
        if length > self.0.len() {
            return Err(malformed());
        }
        (0..length).map(|_| each(self)).collect()
    }

    /// The end of a structure: hands each tagged field to `each`.
    pub(crate) fn tags(
        &mut self,
        mut each: impl FnMut(u32, &mut Self) -> Result<()>,
    ) -> Result<()> {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let length = self.varint()? as usize;
            each(tag, &mut Self(self.take(length)?))?;
        }
        Ok(())
    }

    /// The end of a structure whose tagged fields are of no interest.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.tags(|_, _| Ok(()))
    }

    fn length(&mut self) -> Result<Option<usize>> {
        Ok((self.varint()? as usize).checked_sub(1))
    }
}

/// An answer that is not what its version says; the connection is of no use any more.
#[cold]
pub(crate) fn malformed() -> Error {
    Error::new(ErrorKind::Unavailable, "the broker's answer cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut to = Writer::default();
        to.int8(-1);
        to.int16(-2);
        to.uint16(65_535);
        to.int32(i32::MIN);
        to.int64(i64::MAX);
        to.bool(true);
        to.string("übung");
        to.optional_string(None);
        to.old_string("old");
        to.array([1, 300], |to, item| to.varint(item));
        to.no_array();
        to.end();
        let bytes = to.into_bytes();
        let from = &mut Reader::new(&bytes);
        assert_eq!(from.int8().expect("there"), -1);
        assert_eq!(from.int16().expect("there"), -2);
        assert_eq!(from.uint16().expect("there"), 65_535);
        assert_eq!(from.int32().expect("there"), i32::MIN);
        assert_eq!(from.int64().expect("there"), i64::MAX);
        assert_eq!(from.int8().expect("there"), 1);
        assert_eq!(from.string().expect("there"), "übung");
        assert_eq!(from.optional_string().expect("there"), None);
        assert_eq!(from.old_string().expect("there"), "old");
        assert_eq!(from.array(Reader::varint).expect("there"), [1, 300]);
        assert_eq!(from.optional_array(Reader::varint).expect("there"), None);
        from.end().expect("no tags");
        assert!(from.int8().is_err(), "nothing is left");
    }

    #[test]
    fn tagged_fields_are_handed_out_or_skipped() {
        // Two fields: tag 0 with one byte, tag 2 with two bytes.
        let bytes = [2, 0, 1, 7, 2, 2, 8, 9];
        let mut seen = Vec::new();
        let mut from = Reader::new(&bytes);
        from.tags(|tag, field| {
            seen.push((tag, field.int8()?));
            Ok(())
        })
        .expect("read");
        assert_eq!(seen, [(0, 7), (2, 8)]);
        Reader::new(&bytes).end().expect("skipped");
    }

    #[test]
    fn lies_about_lengths_are_refused() {
        let mut long = Writer::default();
        long.varint(u32::MAX);
        let bytes = long.into_bytes();
        assert!(Reader::new(&bytes).array(Reader::int8).is_err());
        assert!(Reader::new(&bytes).string().is_err());
        assert!(Reader::new(&[0xff; 9]).varint().is_err());
        assert!(Reader::new(&[]).int64().is_err());
    }
}
