//! The iterators of key-value stores.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use kstreams_core::Result;

use crate::codec::Codec;
use crate::core::Core;
use crate::scan::{Pages, Scan};
use crate::stamped::{Stamped, read_stamped};

/// The entries of a range, in the order of the keys' bytes.
///
/// It owns its place in the store and holds no lock: writes and commits may happen between two
/// items. Items behind the place see such writes, at the latest from the next page on (of at most
/// 512 entries); no key comes twice.
///
/// # Differs from Kafka Streams
/// Nothing has to be closed, and it is not a snapshot. Who adds keys behind the place it has
/// reached may meet them.
pub struct Entries<K, V> {
    pages: Pages,
    codec: Arc<Codec<K, V>>,
}

/// As [`Entries`], with the time of each value.
pub struct StampedEntries<K, V>(Entries<K, V>);

impl<K: 'static, V: 'static> Entries<K, V> {
    pub(super) fn new(core: &Core<K, V>, scan: Scan) -> Self {
        let pages = Pages::new(Arc::clone(&core.bytes), scan);
        Self { pages, codec: Arc::clone(&core.codec) }
    }

    fn read<T>(
        &mut self,
        value: impl FnOnce(&Codec<K, V>, &[u8]) -> Result<T>,
    ) -> Option<Result<(K, T)>> {
        match self.pages.next() {
            Ok(None) => None,
            Ok(Some((key, bytes))) => Some(
                self.codec
                    .read_key(key)
                    .and_then(|key| value(&self.codec, bytes).map(|value| (key, value))),
            ),
            Err(error) => Some(Err(error)),
        }
    }
}

impl<K: 'static, V: 'static> StampedEntries<K, V> {
    pub(super) fn new(core: &Core<K, V>, scan: Scan) -> Self {
        Self(Entries::new(core, scan))
    }
}

impl<K: 'static, V: 'static> Iterator for Entries<K, V> {
    type Item = Result<(K, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read(Codec::read_value)
    }
}

impl<K: 'static, V: 'static> Iterator for StampedEntries<K, V> {
    type Item = Result<(K, Stamped<V>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.read(read_stamped)
    }
}

impl<K: 'static, V: 'static> FusedIterator for Entries<K, V> {}
impl<K: 'static, V: 'static> FusedIterator for StampedEntries<K, V> {}

impl<K, V> fmt::Debug for Entries<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entries({})", self.codec.name)
    }
}

impl<K, V> fmt::Debug for StampedEntries<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StampedEntries({})", self.0.codec.name)
    }
}

/// The scan between two typed bounds, which are compared as bytes, as Java does.
pub(super) fn range<K: 'static, V: 'static>(
    core: &Core<K, V>,
    keys: &impl RangeBounds<K>,
) -> Result<Scan> {
    let bytes = |bound: Bound<&K>| -> Result<Bound<Vec<u8>>> {
        let serialize = |key: &K| {
            let mut out = Vec::new();
            core.codec.key(key, &mut out).map(|()| out)
        };
        Ok(match bound {
            Bound::Included(key) => Bound::Included(serialize(key)?),
            Bound::Excluded(key) => Bound::Excluded(serialize(key)?),
            Bound::Unbounded => Bound::Unbounded,
        })
    };
    Ok(Scan::between(bytes(keys.start_bound())?, bytes(keys.end_bound())?))
}
