//! Crashes, damage and refusals of stores on disk.

mod damage;
mod restoring;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use kstreams_core::random::Random;
use kstreams_core::serde::{U64, Utf8};
use kstreams_core::store::StateStore;
use kstreams_core::{Error, ErrorKind, Result};

use super::RocksMemory;
use crate::testing::{Change, TempDir, changelog, open_in};
use crate::{KeyValue, KeyValueStore};

type Counts = KeyValueStore<String, u64>;

fn open(dir: &Path) -> Result<Counts> {
    open_in(&KeyValue::persistent("s", Utf8, U64), dir)
}

/// The task directory as a crash would leave it now. RocksDB deletes files in the background: a
/// copy during which some came or went is none of one moment, and is made again.
fn crash_image(dir: &Path) -> TempDir {
    for _ in 0..1000 {
        let image = TempDir::new();
        let before = listing(dir);
        if copy(dir, image.path()).is_ok() && listing(dir) == before {
            return image;
        }
    }
    panic!("{} does not come to rest", dir.display());
}

/// Every file with its size.
fn listing(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut files = BTreeMap::new();
    let Ok(entries) = fs::read_dir(dir) else { return files };
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(found) if found.is_dir() => files.extend(listing(&entry.path())),
            Ok(found) => drop(files.insert(entry.path(), found.len())),
            Err(_) => {}
        }
    }
    files
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let rocks = dir.join("rocksdb").join("s");
    let all = fs::read_dir(rocks).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> =
        all.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    all.sort();
    all
}

fn put(store: &Counts, keys: std::ops::Range<u64>, value: u64) {
    for key in keys {
        store.put(&format!("key-{key:06}"), &value).unwrap();
    }
}

fn contents(store: &Counts) -> Result<Vec<(String, u64)>> {
    store.all().collect()
}

#[test]
fn a_crash_leaves_the_last_commit() {
    let dir = TempDir::new();
    let store = open(dir.path()).unwrap();
    put(&store, 0..1000, 1);
    store.commit(Some(41)).unwrap();
    let expected = contents(&store).unwrap();
    put(&store, 500..2000, 2);
    let image = crash_image(dir.path());
    let after = open(image.path()).unwrap();
    assert_eq!(after.committed_offset().unwrap(), Some(41));
    assert_eq!(contents(&after).unwrap(), expected);
    drop(after);
    assert_eq!(contents(&open(image.path()).unwrap()).unwrap(), expected);
}

#[test]
fn a_crash_at_any_length_of_the_log_leaves_a_committed_prefix() {
    let dir = TempDir::new();
    let store = open(dir.path()).unwrap();
    let mut commits = vec![(None, Vec::new())];
    for commit in 0..20 {
        put(&store, commit..commit + 10, commit);
        store.commit(Some(commit as i64)).unwrap();
        commits.push((Some(commit as i64), contents(&store).unwrap()));
    }
    let image = crash_image(dir.path());
    let log = files(image.path(), "log").pop().unwrap();
    let bytes = fs::read(&log).unwrap();
    let random = Random::seeded(3);
    for _ in 0..25 {
        let torn = crash_image(image.path());
        let log = torn.path().join("rocksdb").join("s").join(log.file_name().unwrap());
        fs::write(&log, &bytes[..random.below(bytes.len() as u64) as usize]).unwrap();
        let after = open(torn.path()).unwrap();
        let found = (after.committed_offset().unwrap(), contents(&after).unwrap());
        assert!(commits.contains(&found), "offset {:?}", found.0);
    }
}

#[test]
fn a_crash_while_restoring_leaves_a_prefix_of_the_changelog() {
    let dir = TempDir::new();
    let store = open(dir.path()).unwrap();
    let changes: Vec<Change> =
        (0..100).map(|n: u64| (n.to_be_bytes().to_vec(), Some(vec![0; 8]), 0)).collect();
    store.restore(&mut changelog(&changes, 0), 99).unwrap();
    let image = crash_image(dir.path());
    assert_eq!(open(image.path()).unwrap().committed_offset().unwrap(), None);

    store.commit(Some(99)).unwrap();
    put(&store, 0..1, 1);
    store.commit(Some(100)).unwrap();
    let image = crash_image(dir.path());
    let after = open(image.path()).unwrap();
    assert_eq!(after.committed_offset().unwrap(), Some(100));
    assert_eq!(contents(&after).unwrap().len(), 101);
}

#[test]
fn closing_keeps_commits_and_forgets_the_rest() {
    let dir = TempDir::new();
    let store = open(dir.path()).unwrap();
    put(&store, 0..10, 1);
    store.commit(Some(9)).unwrap();
    put(&store, 0..20, 2);
    store.close().unwrap();
    assert_eq!(store.get(&"a".to_owned()).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(store.commit(None).unwrap_err().kind(), ErrorKind::Closed);
    let store = open(dir.path()).unwrap();
    assert_eq!(contents(&store).unwrap().len(), 10);
    store.wipe().unwrap();
    assert_eq!(store.committed_offset().unwrap(), None);
    assert_eq!(contents(&store).unwrap(), []);
}

#[track_caller]
fn check_refused(result: Result<Counts>, kind: ErrorKind, words: &str) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "{error}");
    error
}

#[test]
fn refusals_say_where_and_why() {
    let dir = TempDir::new();
    let store = open(dir.path()).unwrap();
    let error = check_refused(open(dir.path()), ErrorKind::StateDir, "in use by another");
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    put(&store, 0..10, 1);
    store.commit(Some(1)).unwrap();
    store.close().unwrap();

    let other = KeyValue::persistent("s", Utf8, U64).timestamped();
    let error = open_in(&other, dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupted);
    assert!(error.message().contains("`key-value`, not `timestamped-key-value`"), "{error}");

    let image = crash_image(dir.path());
    for table in files(image.path(), "sst") {
        fs::remove_file(table).unwrap();
    }
    check_refused(open(image.path()), ErrorKind::Corrupted, "damaged");

    let image = TempDir::new();
    fs::write(image.path().join("rocksdb"), "a file").unwrap();
    check_refused(open(image.path()), ErrorKind::StateDir, "rocksdb/s");

    let no_dir = crate::testing::open(&KeyValue::persistent("s", Utf8, U64));
    check_refused(no_dir, ErrorKind::StateDir, "nothing may be written");
}

#[test]
fn a_garbled_offset_counts_as_absent() {
    let dir = TempDir::new();
    let store = open(dir.path()).unwrap();
    store.commit(Some(7)).unwrap();
    store.close().unwrap();
    let path = dir.path().join("rocksdb").join("s");
    for (garbled, expected) in [
        (&b""[..], None),
        (b"abc", None),
        (&(-5_i64).to_be_bytes(), None),
        (&8_i64.to_be_bytes(), Some(8)),
    ] {
        let families = ["default", "offsets"];
        let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), &path, families).unwrap();
        let offsets = db.cf_handle("offsets").unwrap();
        assert!(db.get_cf(offsets, "test-s-changelog-0").unwrap().is_some());
        db.put_cf(offsets, "test-s-changelog-0", garbled).unwrap();
        drop(db);
        let store = open(dir.path()).unwrap();
        assert_eq!(store.committed_offset().unwrap(), expected);
    }
}

#[test]
fn stores_share_one_budget() {
    let memory = RocksMemory::new(32 << 20);
    let (one, two) = (TempDir::new(), TempDir::new());
    let builder = KeyValue::persistent("s", Utf8, U64).rocksdb_memory(&memory);
    let stores = [&one, &two].map(|dir| open_in(&builder, dir.path()).unwrap());
    for round in 0..10 {
        for store in &stores {
            put(store, round * 10_000..(round + 1) * 10_000, round);
            store.commit(None).unwrap();
        }
    }
    assert!(memory.used_bytes() > 0);
    assert!(memory.used_bytes() <= memory.n_bytes() + (4 << 20), "{}", memory.used_bytes());
}

/// What an empty store takes of the budget must be little: where it is used up, each write flushes.
#[test]
fn many_stores_that_share_a_budget_do_not_flush_small_writes() {
    let memory = RocksMemory::new(64 << 20);
    let stores: Vec<(TempDir, Counts)> = (0..64)
        .map(|_| {
            let dir = TempDir::new();
            let builder = KeyValue::persistent("s", Utf8, U64).rocksdb_memory(&memory);
            let store = open_in(&builder, dir.path()).unwrap();
            (dir, store)
        })
        .collect();
    for round in 0..4 {
        for (_, store) in &stores {
            put(store, 0..10, round);
            store.commit(Some(round as i64)).unwrap();
        }
    }
    // A flush would be under way at least: what it writes is there once the store is closed.
    for (dir, store) in stores {
        drop(store);
        assert_eq!(files(dir.path(), "sst"), [] as [PathBuf; 0]);
    }
}
