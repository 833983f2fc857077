//! Byte strings that live inside their map entry while they are short.
//!
//! A lookup of a short key then touches one cache line instead of following a pointer to it.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A value, in three words.
pub(crate) type SmallBytes = Small<22>;

/// A key, in four: one of 10 bytes with its segment, window and number fits, as it lies in a store of
/// windows.
pub(crate) type SmallKey = Small<30>;

/// Up to `INLINE` bytes beside their length and the enum's tag; clones of longer strings share them.
#[derive(Clone)]
pub(crate) enum Small<const INLINE: usize> {
    Inline { len: u8, data: [u8; INLINE] },
    Heap(Arc<[u8]>),
}

impl<const INLINE: usize> Small<INLINE> {
    /// Takes other bytes; keeps its memory if they are of the same length.
    pub(crate) fn set(&mut self, bytes: &[u8]) {
        if let Self::Heap(own) = self
            && own.len() == bytes.len()
            && let Some(own) = Arc::get_mut(own)
        {
            own.copy_from_slice(bytes);
            return;
        }
        *self = bytes.into();
    }
}

impl<const INLINE: usize> From<&[u8]> for Small<INLINE> {
    fn from(bytes: &[u8]) -> Self {
        if bytes.len() > INLINE {
            return Self::Heap(bytes.into());
        }
        let mut data = [0; INLINE];
        data[..bytes.len()].copy_from_slice(bytes);
        Self::Inline { len: bytes.len() as u8, data }
    }
}

impl<const INLINE: usize> Deref for Small<INLINE> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Inline { len, data } => &data[..usize::from(*len)],
            Self::Heap(bytes) => bytes,
        }
    }
}

impl<const INLINE: usize> Borrow<[u8]> for Small<INLINE> {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl<const INLINE: usize> Hash for Small<INLINE> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<const INLINE: usize> PartialEq for Small<INLINE> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<const INLINE: usize> Eq for Small<INLINE> {}

impl<const INLINE: usize> PartialOrd for Small<INLINE> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const INLINE: usize> Ord for Small<INLINE> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<const INLINE: usize> fmt::Debug for Small<INLINE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The first bytes of a key, which decide most comparisons: an integer of them is in the order of
/// keys, what is missing being zeros, and only equal ones need the whole keys.
pub(crate) fn head<const N: usize>(key: &[u8]) -> [u8; N] {
    let mut head = [0; N];
    let len = key.len().min(N);
    head[..len].copy_from_slice(&key[..len]);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_small_whatever_the_length() {
        assert_eq!((size_of::<Option<SmallBytes>>(), size_of::<SmallKey>()), (24, 32));
        for len in [0, 1, 22, 23, 30, 31, 1000] {
            holds::<22>(len);
            holds::<30>(len);
        }
    }

    fn holds<const INLINE: usize>(len: usize) {
        let bytes = vec![7; len];
        let mut small = Small::<INLINE>::from(&bytes[..]);
        assert_eq!(*small, bytes);
        assert_eq!(matches!(small, Small::Inline { .. }), len <= INLINE);
        small.set(&vec![8; len]);
        assert_eq!(*small, vec![8; len]);
    }

    #[test]
    fn a_change_does_not_reach_clones() {
        let mut one = SmallBytes::from(&[1; 40][..]);
        let two = one.clone();
        one.set(&[2; 40]);
        assert_eq!(*two, [1; 40]);
    }
}
