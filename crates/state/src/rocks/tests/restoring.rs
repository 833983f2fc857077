//! Restoring in bulk: what is read afterwards, and what a crash or a close in the middle leaves.

use kstreams_core::random::Random;

use super::*;
use crate::bytes::{End, Mark, Writes};
use crate::overlay::Base;
use crate::rocks::bulk::Gathered;
use std::collections::BTreeMap;

/// Changes of few keys, so that keys repeat; some are deletes.
fn random_changes(n: usize, seed: u64) -> Vec<Change> {
    let random = Random::seeded(seed);
    let change = |index: usize| {
        let key = format!("key-{:04}", random.below(900)).into_bytes();
        let value = (random.below(8) > 0).then(|| (index as u64).to_be_bytes().to_vec());
        (key, value, 0)
    };
    (0..n).map(change).collect()
}

/// What a store holds after these changes.
fn expected(changes: &[Change]) -> Vec<(String, u64)> {
    let mut map = BTreeMap::new();
    for (key, value, _) in changes {
        let key = String::from_utf8(key.clone()).unwrap();
        match value {
            Some(value) => map.insert(key, u64::from_be_bytes(value[..].try_into().unwrap())),
            None => map.remove(&key),
        };
    }
    map.into_iter().collect()
}

fn restore(store: &Counts, changes: &[Change], from: usize, to: usize) {
    let mut records = changelog(&changes[from..to], from as i64);
    store.restore(&mut records, to as i64 - 1).unwrap();
}

#[test]
fn the_last_change_of_a_key_wins_within_a_file_and_between_files() {
    let dir = TempDir::new();
    let store = open(dir.path()).unwrap();
    let changes = random_changes(6000, 1);
    for (step, from) in (0..changes.len()).step_by(500).enumerate() {
        restore(&store, &changes, from, from + 500);
        if step % 3 == 0 {
            // A read writes what was gathered into a file.
            let so_far = expected(&changes[..from + 500]);
            let offset = Some(from as i64 + 499);
            assert_eq!(
                (contents(&store).unwrap(), store.committed_offset().unwrap()),
                (so_far, offset)
            );
        }
    }
    put(&store, 10_000..10_001, 7);
    store.commit(Some(6000)).unwrap();
    let mut all = expected(&changes);
    all.push(("key-010000".into(), 7));
    all.sort();
    assert_eq!(contents(&store).unwrap(), all);
    let image = crash_image(dir.path());
    let after = open(image.path()).unwrap();
    assert_eq!(after.committed_offset().unwrap(), Some(6000));
    assert_eq!(contents(&after).unwrap(), all);
}

#[test]
fn restoring_goes_on_after_a_crash_and_after_a_close() {
    let changes = random_changes(4000, 2);
    let dir = TempDir::new();
    let mut store = open(dir.path()).unwrap();
    let random = Random::seeded(4);
    let (mut image, mut at, mut n_resumed) = (dir, 0, 0);
    while at < changes.len() {
        let to = (at + 1 + random.below(300) as usize).min(changes.len());
        restore(&store, &changes, at, to);
        at = to;
        match random.below(4) {
            0 => drop(contents(&store).unwrap()),
            1 => {
                store.close().unwrap();
                store = open(image.path()).unwrap();
                assert_eq!(store.committed_offset().unwrap(), Some(at as i64 - 1), "kept by close");
            }
            2 => {
                image = crash_image(image.path());
                store = open(image.path()).unwrap();
                at = store.committed_offset().unwrap().map_or(0, |offset| offset as usize + 1);
                n_resumed += usize::from(at > 0);
            }
            _ => {}
        }
    }
    assert!(n_resumed > 3, "{n_resumed}");
    assert_eq!(contents(&store).unwrap(), expected(&changes));
}

/// A file was taken in, but the crash came before its offset was written: with no offset at all
/// nothing may be used, since the changelog may not have a later removal any more.
#[test]
fn data_without_an_offset_is_thrown_away() {
    let dir = TempDir::new();
    let store = open(dir.path()).unwrap();
    restore(&store, &random_changes(10, 3), 0, 10);
    assert_eq!(store.committed_offset().unwrap(), Some(9));
    store.close().unwrap();
    let path = dir.path().join("rocksdb").join("s");
    let db = rocksdb::DB::open_cf(&Default::default(), &path, ["default", "offsets"]).unwrap();
    db.delete_cf(db.cf_handle("offsets").unwrap(), "test-s-changelog-0").unwrap();
    drop(db);
    let store = open(dir.path()).unwrap();
    assert_eq!((store.committed_offset().unwrap(), contents(&store).unwrap()), (None, vec![]));
}

#[test]
fn a_store_without_changelog_keeps_its_data() {
    let builder = KeyValue::persistent("s", Utf8, U64).without_logging();
    let dir = TempDir::new();
    let store = open_in(&builder, dir.path()).unwrap();
    put(&store, 0..10, 1);
    store.commit(None).unwrap();
    store.close().unwrap();
    let store = open_in(&builder, dir.path()).unwrap();
    assert_eq!(contents(&store).unwrap().len(), 10);
}

/// The value 7 of `key` in the window that starts at `at`.
fn windowed(key: &str, at: i64) -> Change {
    let mut bytes = Vec::new();
    crate::keys::window(key.as_bytes(), at, 0, &mut bytes);
    (bytes, Some(7_u64.to_be_bytes().to_vec()), at)
}

#[test]
fn a_window_restored_in_bulk_forgets_what_is_too_old() {
    use crate::Windows;
    use kstreams_core::time::Timestamp;
    use std::time::Duration;

    let minute = Duration::from_secs(60);
    let builder = Windows::persistent("s", minute, 10 * minute, Utf8, U64);
    let dir = TempDir::new();
    let store = open_in(&builder, dir.path()).unwrap();
    let changes: Vec<Change> = (0..600).map(|n| windowed("k", n * 10_000)).collect();
    for part in 0..6 {
        let from = part * 100;
        let mut records = changelog(&changes[from..from + 100], from as i64);
        store.restore(&mut records, from as i64 + 99).unwrap();
        if part == 2 {
            assert_eq!(store.committed_offset().unwrap(), Some(299));
        }
    }
    let starts = |store: &crate::WindowStore<String, u64>| -> Vec<i64> {
        store.all().map(|entry| entry.unwrap().0.window.start.as_millis()).collect()
    };
    let expected: Vec<i64> = (0..60).map(|n| 5_400_000 + n * 10_000).collect();
    assert_eq!(starts(&store), expected);
    store.close().unwrap();
    let store = open_in(&builder, dir.path()).unwrap();
    assert_eq!(starts(&store), expected);
    assert_eq!(store.observed_stream_time(), Timestamp::from_millis(5_990_000));
}

/// A window that began after all that is on disk is not looked for there; these did not.
#[test]
fn windows_that_were_restored_are_found_after_commits() {
    use crate::Windows;
    use kstreams_core::time::Timestamp;
    use std::time::Duration;

    let minute = Duration::from_secs(60);
    let builder = Windows::persistent("s", minute, 10 * minute, Utf8, U64);
    let dir = TempDir::new();
    let mut store = open_in(&builder, dir.path()).unwrap();
    let changes = [windowed("a", 0), windowed("a", 60_000), windowed("b", 60_000)];
    store.restore(&mut changelog(&changes, 0), 2).unwrap();
    let at = Timestamp::from_millis;
    for round in 0..3 {
        let (c, newer) = ("c".to_owned(), at(120_000 + round * 60_000));
        store.put(&c, &1, at(60_000)).unwrap();
        store.put(&c, &1, newer).unwrap();
        store.commit(Some(3 + round)).unwrap();
        for (key, start) in [("a", at(0)), ("a", at(60_000)), ("b", at(60_000))] {
            assert_eq!(store.fetch(&key.to_owned(), start).unwrap(), Some(7), "{key} {start:?}");
        }
        assert_eq!(store.fetch(&"b".to_owned(), newer).unwrap(), None);
        assert_eq!(store.fetch(&c, newer).unwrap(), Some(1));
        if round == 1 {
            store.close().unwrap();
            store = open_in(&builder, dir.path()).unwrap();
        }
    }
}

/// RocksDB lets writes wait for a merge above 36 files unless it is told otherwise.
#[test]
fn a_commit_does_not_wait_until_what_was_restored_is_merged() {
    let dir = TempDir::new();
    let rocks = crate::rocks::database::Rocks::open(crate::rocks::database::Place {
        name: "s".into(),
        path: dir.path().to_owned(),
        format: "test".to_owned(),
        offset_key: "s-changelog-0".to_owned(),
        settings: crate::rocks::Settings::default(),
    })
    .unwrap();
    let end = |offset| End { mark: Mark { offset: Some(offset), ..Mark::EMPTY }, floor: None };
    for file in 0..50 {
        let mut fill = |writes: &mut dyn Writes| {
            for n in 0..10_000_u64 {
                writes.put(&(n * 50 + file).to_be_bytes(), &[0; 100]);
            }
            Ok(end(file as i64))
        };
        rocks.write(&mut fill, true).unwrap();
        assert_eq!(rocks.mark().unwrap().offset, Some(file as i64), "in a file of its own");
    }
    rocks.write(&mut |_| Ok(end(50)), false).unwrap();
    let stalls = rocks.property("rocksdb.cf-write-stall-stats").unwrap();
    assert!(stalls.contains("total-delays: 0, total-stops: 0"), "{stalls}");
}

#[test]
fn what_waits_is_counted_and_given_back() {
    let mut gathered = Gathered::default();
    assert!(gathered.is_empty() && !gathered.is_full());
    gathered.put(b"k", &[0; 40 << 20]);
    gathered.account();
    assert!(gathered.is_full() && !gathered.is_empty());
    gathered.clear();
    assert!(gathered.is_empty() && !gathered.is_full());
}
