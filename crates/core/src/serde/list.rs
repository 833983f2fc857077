//! Lists as Java's `ListSerializer` writes them (KIP-466).

use super::builtin::malformed;
use super::{At, Serde};
use crate::error::{Error, ErrorKind, Result};

/// A list whose items have their own lengths: byte 1, i32 count, then per item i32 length (-1 for
/// null) and bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct List<S>(pub S);

/// A list of items of `width` bytes each: byte 0, i32 number of nulls, their i32 indices, i32
/// count, then the items without lengths. Java chooses it for its fixed-width types.
#[derive(Clone, Copy, Debug)]
pub struct FixedList<S> {
    /// How one item is written; every item must take `width` bytes.
    pub inner: S,
    /// Bytes per item.
    pub width: usize,
}

impl<S: Serde> Serde for List<S> {
    type Item = Vec<Option<S::Item>>;

    fn serialize(&self, items: &Self::Item, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        out.push(1);
        put_count(out, items.len())?;
        for item in items {
            let Some(item) = item else {
                out.extend_from_slice(&(-1_i32).to_be_bytes());
                continue;
            };
            let length_at = out.len();
            out.extend_from_slice(&[0; 4]);
            self.0.serialize(item, at, out)?;
            let length = i32::try_from(out.len() - length_at - 4).map_err(|_| too_long())?;
            out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<Self::Item> {
        let bad = || malformed("list", bytes);
        let mut rest = bytes.strip_prefix(&[1]).ok_or_else(bad)?;
        let count = take_count(&mut rest).ok_or_else(bad)?;
        // Each item takes at least its length field: a hostile count cannot reserve more.
        let mut items = Vec::with_capacity(count.min(rest.len() / 4));
        for _ in 0..count {
            let length = take_i32(&mut rest).ok_or_else(bad)?;
            if length == -1 {
                items.push(None);
                continue;
            }
            let length = usize::try_from(length).map_err(|_| bad())?;
            let item = rest.split_off(..length).ok_or_else(bad)?;
            items.push(Some(self.0.deserialize(item, at)?));
        }
        if rest.is_empty() { Ok(items) } else { Err(bad()) }
    }
}

impl<S: Serde> Serde for FixedList<S> {
    type Item = Vec<Option<S::Item>>;

    fn serialize(&self, items: &Self::Item, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        out.push(0);
        let nulls = items.iter().enumerate().filter(|(_, item)| item.is_none());
        put_count(out, nulls.clone().count())?;
        for (index, _) in nulls {
            put_count(out, index)?;
        }
        put_count(out, items.len())?;
        for item in items.iter().flatten() {
            let start = out.len();
            self.inner.serialize(item, at, out)?;
            if out.len() - start != self.width {
                return Err(Error::new(
                    ErrorKind::Serialization,
                    format!("item takes {} bytes, not {}", out.len() - start, self.width),
                ));
            }
        }
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<Self::Item> {
        let bad = || malformed("fixed-width list", bytes);
        let mut rest = bytes.strip_prefix(&[0]).ok_or_else(bad)?;
        let n_nulls = take_count(&mut rest).ok_or_else(bad)?;
        let mut nulls = Vec::with_capacity(n_nulls.min(rest.len() / 4));
        for _ in 0..n_nulls {
            nulls.push(take_count(&mut rest).ok_or_else(bad)?);
        }
        let count = take_count(&mut rest).ok_or_else(bad)?;
        let present = count.checked_sub(nulls.len()).ok_or_else(bad)?;
        if present.checked_mul(self.width) != Some(rest.len()) {
            return Err(bad());
        }
        nulls.sort_unstable();
        nulls.dedup();
        let mut items = Vec::with_capacity(count.min(bytes.len()));
        for index in 0..count {
            if nulls.binary_search(&index).is_ok() {
                items.push(None);
            } else {
                let item = rest.split_off(..self.width).ok_or_else(bad)?;
                items.push(Some(self.inner.deserialize(item, at)?));
            }
        }
        Ok(items)
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) -> Result {
    out.extend_from_slice(&i32::try_from(count).map_err(|_| too_long())?.to_be_bytes());
    Ok(())
}

fn take_i32(rest: &mut &[u8]) -> Option<i32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(i32::from_be_bytes(*head))
}

fn take_count(rest: &mut &[u8]) -> Option<usize> {
    take_i32(rest).and_then(|count| usize::try_from(count).ok())
}

#[cold]
fn too_long() -> Error {
    Error::new(ErrorKind::Serialization, "list is longer than an i32 can say")
}

#[cfg(test)]
mod tests {
    use super::super::{I32, Utf8};
    use super::*;

    #[test]
    fn lists_come_back_and_short_bytes_are_refused() {
        let at = At::value("t");
        let text = vec![Some("a".to_owned()), None, Some(String::new())];
        let mut out = Vec::new();
        List(Utf8).serialize(&text, &at, &mut out).unwrap();
        assert_eq!(List(Utf8).deserialize(&out, &at).unwrap(), text);
        for end in 0..out.len() {
            assert!(List(Utf8).deserialize(&out[..end], &at).is_err());
        }
        let fixed = FixedList { inner: I32, width: 4 };
        let numbers = vec![None, Some(7), None, Some(-1)];
        let mut out = Vec::new();
        fixed.serialize(&numbers, &at, &mut out).unwrap();
        assert_eq!(fixed.deserialize(&out, &at).unwrap(), numbers);
        for end in 0..out.len() {
            assert!(fixed.deserialize(&out[..end], &at).is_err());
        }
    }
}
