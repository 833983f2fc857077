//! Committed writes that are kept in memory, so that a key in use is not looked for in the base
//! again.
//!
//! It is worth its memory only where keys come back. So each time it is full it forgets all, and if
//! too little was read of what it held it rests for some commits. Windows, whose keys are soon past,
//! have less of it from the start.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Keys;
use super::generation::{Generation, Key};

/// A part of what the base holds.
#[derive(Debug)]
pub(super) struct Cached {
    held: Generation,
    /// Reads that it has answered since it was last empty.
    n_hits: AtomicUsize,
    /// Commits that it does not take.
    rest: u32,
    keys: Keys,
}

impl Cached {
    pub(super) fn new(keys: Keys, held: Generation) -> Self {
        Self { held, n_hits: AtomicUsize::new(0), rest: 0, keys }
    }

    pub(super) fn keys(&self) -> Keys {
        self.keys
    }

    pub(super) fn get(&self, key: Key<'_>) -> Option<Option<&[u8]>> {
        let found = self.held.get(key)?;
        // One task reads all the time, others seldom: a hit that is lost between two does not matter.
        self.n_hits.store(self.n_hits.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        Some(found)
    }

    /// Takes over what was just committed, if there is room, and empties it.
    pub(super) fn take(&mut self, newer: &mut Generation) {
        if self.rest > 0 {
            self.rest -= 1;
            return newer.clear();
        }
        if !self.has_room(newer.n_bytes()) {
            self.begin_anew();
        }
        if self.rest > 0 || !self.has_room(newer.n_bytes()) {
            return newer.clear();
        }
        CACHED.fetch_sub(self.held.n_bytes(), Ordering::Relaxed);
        self.held.absorb(newer);
        CACHED.fetch_add(self.held.n_bytes(), Ordering::Relaxed);
    }

    /// Forgets all of it.
    pub(super) fn clear(&mut self) {
        CACHED.fetch_sub(self.held.n_bytes(), Ordering::Relaxed);
        self.held.clear();
        self.n_hits = AtomicUsize::new(0);
    }

    fn has_room(&self, n_bytes: usize) -> bool {
        let max = match self.keys {
            Keys::Lasting => MAX,
            Keys::Passing => MAX_PASSING,
        };
        self.held.n_bytes() + n_bytes <= max
            && CACHED.load(Ordering::Relaxed) + n_bytes <= MAX_BY_ALL
    }

    /// Forgets all, and rests if that was of little use.
    fn begin_anew(&mut self) {
        let has_paid = *self.n_hits.get_mut() >= self.held.len() / 2;
        self.clear();
        if !has_paid {
            self.held = self.held.fresh();
            self.rest = REST;
        }
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Bytes that a store may keep, and all stores of the process together.
const MAX: usize = 4 << 20;
const MAX_PASSING: usize = 1 << 20;
const MAX_BY_ALL: usize = 64 << 20;
/// So many commits pass before what has not paid is tried again.
const REST: u32 = 256;
/// What they keep now.
static CACHED: AtomicUsize = AtomicUsize::new(0);

#[cfg(test)]
mod tests {
    use super::*;

    /// Commits `n` keys of which `n_read` are read afterwards.
    fn commit(cached: &mut Cached, keys: std::ops::Range<u32>, n_read: usize) {
        let mut newer = cached.held.fresh();
        for key in keys.clone() {
            newer.set(newer.key(&key.to_be_bytes()), Some(&[7; 60]));
        }
        cached.take(&mut newer);
        assert_eq!(newer.len(), 0);
        for key in keys.take(n_read) {
            get(cached, key);
        }
    }

    fn empty(keys: Keys) -> Cached {
        Cached::new(keys, Generation::default())
    }

    fn get(cached: &Cached, key: u32) -> Option<Option<&[u8]>> {
        cached.get(cached.held.key(&key.to_be_bytes()))
    }

    /// How many of many commits find it at rest.
    fn n_at_rest(n_read: usize) -> usize {
        let mut cached = empty(Keys::Lasting);
        let mut n_at_rest = 0;
        for n in 0..2000 {
            commit(&mut cached, n * 1000..n * 1000 + 1000, n_read);
            assert!(cached.held.n_bytes() <= MAX);
            assert!(cached.rest == 0 || cached.held.len() == 0, "nothing stale");
            n_at_rest += usize::from(cached.rest > 0);
        }
        n_at_rest
    }

    #[test]
    fn it_rests_unless_keys_come_back() {
        assert_eq!(n_at_rest(600), 0);
        assert!(n_at_rest(300) > 1500);
    }

    #[test]
    fn a_write_replaces_what_is_kept() {
        let mut cached = empty(Keys::Lasting);
        commit(&mut cached, 0..10, 0);
        let mut newer = cached.held.fresh();
        newer.set(newer.key(&3_u32.to_be_bytes()), None);
        cached.take(&mut newer);
        assert_eq!(get(&cached, 3), Some(None));
        assert_eq!(get(&cached, 11), None);
    }

    #[test]
    fn a_commit_larger_than_the_room_is_not_kept() {
        let mut cached = empty(Keys::Lasting);
        commit(&mut cached, 0..10, 0);
        commit(&mut cached, 5..200_000, 0);
        assert!(cached.held.len() == 0, "not even what it has replaced");
    }

    #[test]
    fn keys_that_pass_have_less_room() {
        let most = |keys| {
            let mut cached = empty(keys);
            let sizes = (0..200).map(|n| {
                commit(&mut cached, n * 1000..n * 1000 + 1000, 1000);
                cached.held.n_bytes()
            });
            sizes.max().unwrap()
        };
        assert!(most(Keys::Passing) <= MAX_PASSING);
        assert!(most(Keys::Lasting) > MAX / 2);
    }
}
