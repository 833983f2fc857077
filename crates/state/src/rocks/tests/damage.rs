//! Files that are cut, flipped or gone: refused as corrupted, or a committed prefix is served.

use super::*;

/// A store after several commits, some flushed and some in the log only, with what it held after
/// each of them.
struct Past {
    dir: TempDir,
    commits: Vec<Found>,
}

/// The offset and the contents of a store.
type Found = (Option<i64>, Vec<(String, u64)>);

fn past() -> Past {
    let dir = TempDir::new();
    let mut commits = vec![(None, Vec::new())];
    for round in 0..3 {
        let store = open(dir.path()).unwrap();
        for commit in round * 8..(round + 1) * 8 {
            put(&store, commit * 20..commit * 20 + 60, commit);
            if commit % 3 == 0 {
                store.delete(&format!("key-{:06}", commit * 20)).unwrap();
            }
            store.commit(Some(commit as i64)).unwrap();
            commits.push((Some(commit as i64), contents(&store).unwrap()));
        }
        if round < 2 {
            // Into table files; the last round stays in the log.
            store.close().unwrap();
        } else {
            // The process dies here.
            return Past { dir: crash_image(dir.path()), commits };
        }
    }
    unreachable!("the last round returns");
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip,
    Cut,
    Zeros,
    Gone,
}

fn damage(path: &Path, how: Damage, random: &Random) {
    let mut bytes = fs::read(path).unwrap();
    let at = random.below(bytes.len().max(1) as u64) as usize;
    match how {
        Damage::Gone => return fs::remove_file(path).unwrap(),
        Damage::Flip if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        Damage::Zeros => {
            // A block that was allocated, but not written before the power went.
            let to = (at + 512).min(bytes.len());
            bytes[at..to].fill(0);
        }
        _ => bytes.truncate(at),
    }
    fs::write(path, bytes).unwrap();
}

/// The files whose names start with, or end with, `pattern`.
fn matching(dir: &Path, pattern: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(dir.join("rocksdb").join("s")).unwrap();
    let all = all.map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut all: Vec<_> =
        all.filter(|p| name(p).starts_with(pattern) || name(p).ends_with(pattern)).collect();
    all.sort();
    all
}

/// Opens a damaged image and reads all of it, by scan and by point: whatever is served must be what
/// some commit left; else it is refused as corrupted. True if it was refused.
fn check(past: &Past, image: &Path, what: &str) -> bool {
    let read = open(image).and_then(|store| {
        let found = (store.committed_offset()?, contents(&store)?);
        for (key, value) in &found.1 {
            assert_eq!(store.get(key)?, Some(*value), "{what}");
        }
        Ok(found)
    });
    match read {
        Ok(found) => {
            assert!(past.commits.contains(&found), "{what}: serves what no commit left");
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupted, "{what}: {error}");
            assert!(error.to_string().contains("store s"), "{what}: {error}");
            true
        }
    }
}

#[track_caller]
fn check_damaged(pattern: &str, n_each: usize, refusals: std::ops::Range<usize>) {
    let past = past();
    let random = Random::seeded(pattern.len() as u64);
    let mut n_refused = 0;
    for how in [Damage::Flip, Damage::Cut, Damage::Zeros, Damage::Gone] {
        for _ in 0..n_each {
            let image = crash_image(past.dir.path());
            let files = matching(image.path(), pattern);
            let path = &files[random.below(files.len() as u64) as usize];
            damage(path, how, &random);
            let what = format!("{how:?} of {}", path.display());
            n_refused += usize::from(check(&past, image.path(), &what));
        }
    }
    assert!(refusals.contains(&n_refused), "{pattern}: {n_refused} refused");
}

#[test]
fn an_undamaged_image_holds_the_last_commit() {
    let past = past();
    let store = open(past.dir.path()).unwrap();
    let last = past.commits.last().unwrap();
    assert_eq!((store.committed_offset().unwrap(), &contents(&store).unwrap()), (last.0, &last.1));
}

#[test]
fn damaged_table_files() {
    check_damaged(".sst", 10, 20..41);
}

#[test]
fn a_damaged_log() {
    check_damaged(".log", 10, 0..41);
}

#[test]
fn a_damaged_manifest() {
    check_damaged("MANIFEST", 10, 10..41);
}

#[test]
fn a_damaged_current() {
    check_damaged("CURRENT", 6, 6..25);
}

/// The files of one database do not fit those of another moment.
#[test]
fn files_of_different_moments_are_refused_or_harmless() {
    let past = past();
    let dir = crash_image(past.dir.path());
    let store = open(dir.path()).unwrap();
    put(&store, 0..2000, 9);
    store.commit(Some(99)).unwrap();
    store.close().unwrap();
    for pattern in [".sst", ".log", "MANIFEST", "CURRENT"] {
        let image = crash_image(past.dir.path());
        for path in matching(dir.path(), pattern) {
            let target = image.path().join("rocksdb").join("s").join(path.file_name().unwrap());
            fs::copy(&path, target).unwrap();
        }
        let found =
            open(image.path()).and_then(|store| Ok((store.committed_offset()?, contents(&store)?)));
        match found {
            Ok(found) => assert!(past.commits.contains(&found), "{pattern}: {:?}", found.0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupted, "{error}"),
        }
    }
}

/// At each commit the directory is copied, as a kill then would leave it.
#[test]
fn a_kill_at_any_commit_leaves_that_commit() {
    let dir = TempDir::new();
    let store = open(dir.path()).unwrap();
    for commit in 0..30_u64 {
        put(&store, commit * 7..commit * 7 + 200, commit);
        store.commit(Some(commit as i64)).unwrap();
        let expected = contents(&store).unwrap();
        put(&store, 0..500, 77);
        let image = crash_image(dir.path());
        store.rollback();
        let after = open(image.path()).unwrap();
        assert_eq!(after.committed_offset().unwrap(), Some(commit as i64));
        assert_eq!(contents(&after).unwrap(), expected);
    }
}
