//! The writes since the last commit, over a base that holds only committed data.
//!
//! The task writes into the active generation. A commit freezes it: then it is in flight until the
//! base has it, and the task goes on in a new one. Under both lies a cache of what was committed
//! last, key by key, so that a key in use is not looked for in the base again. Points see active over
//! frozen over cached over base; ranges need no cache, since the base has all of it. The disk never
//! sees an uncommitted write, so a crash leaves a committed prefix and a rollback forgets two maps.

mod cached;
mod entries;
mod generation;
#[cfg(test)]
mod tests;

use kstreams_core::Result;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::bytes::{ByteStore, End, Fill, Mark, Writes};
use crate::scan::{Page, Scan};
use cached::Cached;
use generation::Generation;

/// Committed data under an [`Overlay`].
pub(crate) trait Base: Send + Sync + 'static {
    /// As [`ByteStore::get`].
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool>;

    /// As [`ByteStore::page`].
    fn page(&self, scan: &Scan, limit: usize, page: &mut Page) -> Result;

    /// As [`ByteStore::approximate_len`].
    fn approximate_len(&self) -> Result<u64>;

    /// Where the data stands.
    fn mark(&self) -> Result<Mark>;

    /// Writes what `fill` writes and the end it returns: all of it or nothing. What is `restoring`
    /// can be replayed, so it may be lost if its mark is lost too.
    fn write(&self, fill: Fill<'_>, restoring: bool) -> Result;

    /// As [`ByteStore::close`].
    fn close(&self) -> Result;

    /// As [`ByteStore::wipe`].
    fn wipe(&self) -> Result;
}

/// How the keys of a store are used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keys {
    /// Any may come back.
    Lasting,
    /// Those of a time are soon past.
    Passing,
    /// They too, and this tells the time of one. No key of the base has one above that of its mark.
    Timed(fn(&[u8]) -> i64),
}

#[derive(Debug)]
pub(crate) struct Overlay<B> {
    layers: RwLock<Layers>,
    base: B,
}

#[derive(Debug)]
struct Layers {
    active: Generation,
    /// What the next commit is of, if it was fixed.
    frozen: Generation,
    is_frozen: bool,
    /// A part of what the base holds.
    cached: Cached,
}

impl Layers {
    fn new(keys: Keys) -> Self {
        let active = Generation::default();
        let (frozen, cached) = (active.fresh(), Cached::new(keys, active.fresh()));
        Self { active, frozen, is_frozen: false, cached }
    }

    /// Forgets all, and gives its memory back.
    fn reset(&mut self) {
        *self = Self::new(self.cached.keys());
    }

    fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        let key = self.active.key(key);
        let older = || self.frozen.get(key).or_else(|| self.cached.get(key));
        self.active.get(key).or_else(older)
    }

    fn set(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.active.set(self.active.key(key), value);
    }

    fn is_ordered(&self) -> bool {
        self.active.is_ordered() && self.frozen.is_ordered()
    }

    fn freeze(&mut self) {
        if !self.is_frozen {
            std::mem::swap(&mut self.active, &mut self.frozen);
            self.is_frozen = true;
        }
    }

    /// The base has refused what was frozen: it is uncommitted as before, under what is newer.
    fn thaw(&mut self) {
        self.frozen.absorb(&mut self.active);
        std::mem::swap(&mut self.active, &mut self.frozen);
        self.is_frozen = false;
    }

    /// The base has what was frozen, and has `removed` more; before, its mark was of the time `newest`.
    fn settle(&mut self, removed: bool, newest: i64) {
        self.is_frozen = false;
        if removed {
            self.cached.clear();
            self.frozen.clear();
        } else {
            self.cached.take(&mut self.frozen, newest);
        }
    }
}

impl<B: Base> Overlay<B> {
    pub(crate) fn new(base: B, keys: Keys) -> Self {
        Self { layers: RwLock::new(Layers::new(keys)), base }
    }

    /// The layers, the uncommitted ones with an order, which the first scan builds.
    fn ordered(&self) -> RwLockReadGuard<'_, Layers> {
        let layers = self.layers.read();
        if layers.is_ordered() {
            return layers;
        }
        drop(layers);
        let mut layers = self.layers.write();
        layers.active.order();
        layers.frozen.order();
        RwLockWriteGuard::downgrade(layers)
    }
}

impl<B: Base> ByteStore for Overlay<B> {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        if let Some(value) = self.layers.read().get(key) {
            out.extend_from_slice(value.unwrap_or_default());
            return Ok(value.is_some());
        }
        // Without the lock: if a commit comes in between, the base has what the layers had.
        self.base.get(key, out)
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result {
        self.layers.write().set(key, Some(value));
        Ok(())
    }

    fn delete(&self, key: &[u8]) -> Result {
        self.layers.write().set(key, None);
        Ok(())
    }

    fn page(&self, scan: &Scan, limit: usize, page: &mut Page) -> Result {
        let layers = self.ordered();
        let mut rest = scan.clone();
        loop {
            let mut parts = [Page::default(), Page::default(), Page::default()];
            layers.active.page(&rest, limit, &mut parts[0]);
            layers.frozen.page(&rest, limit, &mut parts[1]);
            self.base.page(&rest, limit, &mut parts[2])?;
            let horizon = merge(&parts, rest.reverse, page);
            page.complete = horizon.is_none();
            match horizon {
                // Deletes may have hidden all there was up to the horizon.
                Some(horizon) if page.len() == 0 => rest.advance(horizon),
                _ => return Ok(()),
            }
            if rest.is_empty() {
                page.complete = true;
                return Ok(());
            }
        }
    }

    fn approximate_len(&self) -> Result<u64> {
        let layers = self.layers.read();
        let uncommitted = (layers.active.len() + layers.frozen.len()) as u64;
        drop(layers);
        Ok(self.base.approximate_len()? + uncommitted)
    }

    fn mark(&self) -> Result<Mark> {
        self.base.mark()
    }

    fn restore(&self, fill: Fill<'_>) -> Result {
        self.layers.write().cached.clear();
        self.base.write(fill, true)
    }

    fn freeze(&self) {
        self.layers.write().freeze();
    }

    fn commit(&self, end: End) -> Result {
        self.layers.write().freeze();
        let layers = self.layers.read();
        let mut fill = |writes: &mut dyn Writes| {
            writes.reserve(layers.frozen.n_bytes());
            // In order, since a memtable then finds each place next to the one before.
            for (key, value) in layers.frozen.sorted() {
                if end.floor.as_ref().is_none_or(|floor| *key >= **floor) {
                    writes.set(key, value);
                }
            }
            Ok(end.clone())
        };
        let before = self.base.mark();
        let written = before.and_then(|before| self.base.write(&mut fill, false).map(|()| before));
        drop(layers);
        let mut layers = self.layers.write();
        match &written {
            Ok(before) => layers.settle(end.floor.is_some(), before.time),
            Err(_) => layers.thaw(),
        }
        written.map(drop)
    }

    fn rollback(&self) -> bool {
        let mut layers = self.layers.write();
        layers.active.clear();
        layers.frozen.clear();
        layers.is_frozen = false;
        true
    }

    fn uncommitted_bytes(&self) -> usize {
        let layers = self.layers.read();
        layers.active.n_bytes() + layers.frozen.n_bytes()
    }

    fn close(&self) -> Result {
        self.layers.write().reset();
        self.base.close()
    }

    fn wipe(&self) -> Result {
        self.layers.write().reset();
        self.base.wipe()
    }
}

/// Merges parts of one scan, the first part winning, up to the returned horizon: the first place
/// behind which a part is not known. `None` if all of them are complete.
fn merge<'a>(parts: &'a [Page; 3], reverse: bool, page: &mut Page) -> Option<&'a [u8]> {
    let before = |a: &[u8], b: &[u8]| if reverse { a > b } else { a < b };
    let ends = parts.iter().filter(|part| !part.complete).filter_map(Page::last_key);
    let horizon = ends.reduce(|a, b| if before(b, a) { b } else { a });
    let mut at = [0; 3];
    loop {
        let mut first: Option<(&[u8], Option<&[u8]>)> = None;
        for (part, at) in parts.iter().zip(at) {
            if let Some(entry) = part.get(at)
                && first.is_none_or(|(key, _)| before(entry.0, key))
            {
                first = Some(entry);
            }
        }
        let Some((key, value)) = first else { return horizon };
        if horizon.is_some_and(|horizon| before(horizon, key)) {
            return horizon;
        }
        if value.is_some() {
            page.push(key, value);
        }
        for (part, at) in parts.iter().zip(&mut at) {
            *at += usize::from(part.get(*at).is_some_and(|(other, _)| other == key));
        }
    }
}
