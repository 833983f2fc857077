//! Byte strings that live inside their map entry while they are short.
//!
//! A lookup of a short key then touches one cache line instead of following a pointer to it.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// Three words; clones of long strings share them.
#[derive(Clone)]
pub(crate) enum SmallBytes {
    Inline { len: u8, data: [u8; INLINE] },
    Heap(Arc<[u8]>),
}

impl SmallBytes {
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

impl From<&[u8]> for SmallBytes {
    fn from(bytes: &[u8]) -> Self {
        if bytes.len() > INLINE {
            return Self::Heap(bytes.into());
        }
        let mut data = [0; INLINE];
        data[..bytes.len()].copy_from_slice(bytes);
        Self::Inline { len: bytes.len() as u8, data }
    }
}

impl Deref for SmallBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Inline { len, data } => &data[..usize::from(*len)],
            Self::Heap(bytes) => bytes,
        }
    }
}

impl Borrow<[u8]> for SmallBytes {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl Hash for SmallBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl PartialEq for SmallBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for SmallBytes {}

impl PartialOrd for SmallBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SmallBytes {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl fmt::Debug for SmallBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// What fits beside a length and the enum's tag into three words.
const INLINE: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_words_whatever_the_length() {
        assert_eq!(size_of::<SmallBytes>(), 24);
        for len in [0, 1, INLINE, INLINE + 1, 1000] {
            let bytes = vec![7; len];
            let mut small = SmallBytes::from(&bytes[..]);
            assert_eq!(*small, bytes);
            small.set(&vec![8; len]);
            assert_eq!(*small, vec![8; len]);
        }
    }

    #[test]
    fn a_change_does_not_reach_clones() {
        let mut one = SmallBytes::from(&[1; 40][..]);
        let two = one.clone();
        one.set(&[2; 40]);
        assert_eq!(*two, [1; 40]);
    }
}
