//! The iterators of key-value stores.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;

use kstreams_core::Result;

use crate::codec::Codec;
use crate::core::Core;
use crate::scan::{Pages, Scan};

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

impl<K: 'static, V: 'static> Entries<K, V> {
    pub(super) fn new(core: &Core<K, V>, scan: Scan) -> Self {
        let pages = Pages::new(Arc::clone(&core.bytes), scan);
        Self { pages, codec: Arc::clone(&core.codec) }
    }
}

impl<K: 'static, V: 'static> Iterator for Entries<K, V> {
    type Item = Result<(K, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.pages.next() {
            Ok(None) => None,
            Ok(Some((key, value))) => Some(self.codec.read_entry(key, value)),
            Err(error) => Some(Err(error)),
        }
    }
}

impl<K: 'static, V: 'static> FusedIterator for Entries<K, V> {}

impl<K, V> fmt::Debug for Entries<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entries({})", self.codec.name)
    }
}
