//! How much it keeps, and for how long.

use kstreams_core::random::Random;

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

/// Reads and writes keys at random; tells the most bytes it kept, and the share of the second half
/// of reads that it answered.
fn counts(n_keys: u64) -> (usize, f64) {
    let random = Random::seeded(7);
    let mut cached = empty(Keys::Lasting);
    let (mut most, mut n_hits) = (0, 0);
    for turn in 0..800 {
        let mut newer = cached.held.fresh();
        for _ in 0..500 {
            let key = (random.below(n_keys) as u32).to_be_bytes();
            let is_new = newer.get(newer.key(&key)).is_none();
            let is_hit = !is_new || cached.get(cached.held.key(&key)).is_some();
            n_hits += usize::from(turn >= 400 && is_hit);
            newer.set(newer.key(&key), Some(&[7; 60]));
        }
        cached.take(&mut newer, -1);
        most = most.max(cached.held.n_bytes());
    }
    (most, n_hits as f64 / 200_000.0)
}

#[test]
fn it_has_much_room_only_if_the_keys_in_use_fit() {
    let (most, hits) = counts(45_000);
    assert!(most > MAX / 2 && hits > 0.95, "{most} {hits}");
    let (most, _) = counts(1_000_000);
    assert!(most <= MAX / 4, "{most}");
}

#[test]
fn what_is_loaded_before_it_is_read_is_kept() {
    let mut cached = empty(Keys::Lasting);
    for n in 0..50 {
        commit(&mut cached, n * 1000..n * 1000 + 1000, 0);
    }
    assert_eq!(cached.held.len(), 50_000);
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
