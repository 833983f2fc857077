//! Committed writes that are kept in memory, so that a key in use is not looked for in the base
//! again.
//!
//! It is worth its memory only where keys come back. So it begins with little room, and takes more
//! only if what was read of it lets expect that the keys in use fit. Each time all of its room is
//! full it forgets all, and if too little was read of what it held it rests for some commits.
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
    /// Bytes that it may keep now.
    room: usize,
    /// Reads that it has answered, and has not, since it last made room, and what it kept then.
    n_hits: AtomicUsize,
    n_misses: AtomicUsize,
    n_kept: usize,
    /// Commits that it does not take.
    rest: u32,
    keys: Keys,
}

impl Cached {
    pub(super) fn new(keys: Keys, held: Generation) -> Self {
        Self {
            held,
            complete_from: NOTHING,
            room: first_room(keys),
            n_hits: AtomicUsize::new(0),
            n_misses: AtomicUsize::new(0),
            n_kept: 0,
            rest: 0,
            keys,
        }
    }

    pub(super) fn keys(&self) -> Keys {
        self.keys
    }

    /// The value of a key that it has, or of which it knows that the base has none.
    pub(super) fn get(&self, key: Key<'_>) -> Option<Option<&[u8]>> {
        let found = self.held.get(key);
        if found.is_none() && !self.is_complete(key.bytes) {
            count(&self.n_misses);
            return None;
        }
        count(&self.n_hits);
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
        self.forget_reads();
        self.n_kept = 0;
    }

    fn forget_reads(&mut self) {
        (*self.n_hits.get_mut(), *self.n_misses.get_mut()) = (0, 0);
    }

    fn account(&mut self, change: impl FnOnce(&mut Generation)) {
        CACHED.fetch_sub(self.held.n_bytes(), Ordering::Relaxed);
        change(&mut self.held);
        CACHED.fetch_add(self.held.n_bytes(), Ordering::Relaxed);
    }

    fn has_room(&self, n_bytes: usize) -> bool {
        self.held.n_bytes() + n_bytes <= self.room
            && CACHED.load(Ordering::Relaxed) + n_bytes <= MAX_BY_ALL
    }

    /// Takes more room, or forgets what is older, or all, and rests if it was of little use.
    fn make_room(&mut self, n_bytes: usize) {
        let n_taken = self.held.len() - self.n_kept;
        let (n_hits, n_misses) = (*self.n_hits.get_mut(), *self.n_misses.get_mut());
        // Where as many keys are in use, at random, as all of its room can hold, a quarter of it
        // answers an eighth as many reads as it holds keys, and all of it half as many, or more.
        let (room, all) = (self.room as u64, all_room(self.keys) as u64);
        let has_paid = n_hits as u64 * 2 * all >= n_taken as u64 * room;
        // What nobody has asked for yet may be loaded to be read later.
        let may_grow = has_paid || n_misses <= n_taken / 2;
        while may_grow && !self.has_room(n_bytes) && self.room < all_room(self.keys) {
            self.room *= 2;
        }
        if self.has_room(n_bytes) {
            return;
        }
        if has_paid && let Keys::Timed(time) = self.keys {
            self.forget_reads();
            return self.forget_old(time, n_bytes);
        }
        self.clear();
        if !has_paid {
            self.held = self.held.fresh();
            self.rest = REST;
            self.room = first_room(self.keys);
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
            if sum > self.room / 2 && first != NOTHING || sum + n_bytes > self.room {
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

/// One task reads all the time, others seldom: a read that is lost between two does not matter.
fn count(reads: &AtomicUsize) {
    reads.store(reads.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// Bytes that a store may keep before it was read.
fn first_room(keys: Keys) -> usize {
    match keys {
        Keys::Lasting => MAX / 4,
        Keys::Passing | Keys::Timed(_) => all_room(keys),
    }
}

/// Bytes that a store may keep at most.
fn all_room(keys: Keys) -> usize {
    match keys {
        Keys::Lasting => MAX,
        Keys::Passing => MAX_PASSING,
        Keys::Timed(_) => MAX_TIMED,
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
mod tests;
