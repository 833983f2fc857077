//! Committed writes that are kept in memory, so that a key in use is not looked for in the base
//! again.
//!
//! It is worth its memory only where keys come back. So each time it is full it forgets all, and if
//! too little was read of what it held it rests for some commits.
//!
//! Of windows it has those that were written last, the older ones go first. When a window begins, the
//! base has none of its keys; and as long as all that was committed of it since is here, a key that is
//! not here is not there either. So most keys of a window are never looked for in the base.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Keys;
use super::generation::{Generation, Key};

/// A part of what the base holds.
#[derive(Debug)]
pub(super) struct Cached {
    held: Generation,
    /// It has all keys of the base whose times are not before this one.
    complete_from: i64,
    /// Reads that it has answered since it last made room, and what it kept then.
    n_hits: AtomicUsize,
    n_kept: usize,
    /// Commits that it does not take.
    rest: u32,
    keys: Keys,
}

impl Cached {
    pub(super) fn new(keys: Keys, held: Generation) -> Self {
        Self { held, complete_from: NOTHING, n_hits: AtomicUsize::new(0), n_kept: 0, rest: 0, keys }
    }

    pub(super) fn keys(&self) -> Keys {
        self.keys
    }

    /// The value of a key that it has, or of which it knows that the base has none.
    pub(super) fn get(&self, key: Key<'_>) -> Option<Option<&[u8]>> {
        let found = self.held.get(key);
        if found.is_none() && !self.is_complete(key.bytes) {
            return None;
        }
        // One task reads all the time, others seldom: a hit that is lost between two does not matter.
        self.n_hits.store(self.n_hits.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        Some(found.flatten())
    }

    fn is_complete(&self, key: &[u8]) -> bool {
        match self.keys {
            Keys::Timed(time) => time(key) >= self.complete_from,
            Keys::Lasting | Keys::Passing => false,
        }
    }

    /// Takes over what was just committed, if there is room, and empties it. Before, no key of the
    /// base had a time above `newest`.
    pub(super) fn take(&mut self, newer: &mut Generation, newest: i64) {
        if self.rest > 0 {
            self.rest -= 1;
            return newer.clear();
        }
        if !self.has_room(newer.n_bytes()) {
            self.make_room(newer.n_bytes());
        }
        if self.rest > 0 || !self.has_room(newer.n_bytes()) {
            // What it has is not the last any more.
            self.clear();
            return newer.clear();
        }
        if self.complete_from == NOTHING {
            self.complete_from = newest.saturating_add(1);
        }
        self.account(|held| held.absorb(newer));
    }

    /// Forgets all of it.
    pub(super) fn clear(&mut self) {
        self.account(Generation::clear);
        self.complete_from = NOTHING;
        (self.n_hits, self.n_kept) = (AtomicUsize::new(0), 0);
    }

    fn account(&mut self, change: impl FnOnce(&mut Generation)) {
        CACHED.fetch_sub(self.held.n_bytes(), Ordering::Relaxed);
        change(&mut self.held);
        CACHED.fetch_add(self.held.n_bytes(), Ordering::Relaxed);
    }

    fn has_room(&self, n_bytes: usize) -> bool {
        self.held.n_bytes() + n_bytes <= self.max()
            && CACHED.load(Ordering::Relaxed) + n_bytes <= MAX_BY_ALL
    }

    fn max(&self) -> usize {
        match self.keys {
            Keys::Lasting => MAX,
            Keys::Passing => MAX_PASSING,
            Keys::Timed(_) => MAX_TIMED,
        }
    }

    /// Forgets what is older, or all, and rests if it was of little use.
    fn make_room(&mut self, n_bytes: usize) {
        let n_taken = self.held.len() - self.n_kept;
        let has_paid = std::mem::take(self.n_hits.get_mut()) >= n_taken / 2;
        if has_paid && let Keys::Timed(time) = self.keys {
            return self.forget_old(time, n_bytes);
        }
        self.clear();
        if !has_paid {
            self.held = self.held.fresh();
            self.rest = REST;
        }
    }

    /// Leaves the newest, as long as they take half of the room; or those of the last time alone, if
    /// there is room for `n_bytes` beside them.
    fn forget_old(&mut self, time: fn(&[u8]) -> i64, n_bytes: usize) {
        let mut sizes = BTreeMap::<i64, usize>::new();
        for (key, size) in self.held.sizes() {
            *sizes.entry(time(key)).or_default() += size;
        }
        let (mut sum, mut first) = (0, NOTHING);
        for (time, size) in sizes.into_iter().rev() {
            sum += size;
            if sum > self.max() / 2 && first != NOTHING || sum + n_bytes > self.max() {
                break;
            }
            first = time;
        }
        self.account(|held| held.retain(|key| time(key) >= first));
        self.complete_from = self.complete_from.max(first);
        self.n_kept = self.held.len();
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
const MAX_TIMED: usize = 3 << 19;
const MAX_BY_ALL: usize = 64 << 20;
/// So many commits pass before what has not paid is tried again.
const REST: u32 = 256;
/// The time from which on it is complete, if it is not.
const NOTHING: i64 = i64::MAX;
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
        cached.take(&mut newer, -1);
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
        cached.take(&mut newer, -1);
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
