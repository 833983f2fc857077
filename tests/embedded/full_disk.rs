//! A real file system that is full: a small one in memory, mounted in a namespace of its own.
//!
//! The test starts itself again below `unshare`, which may mount without being root. A system that
//! forbids even that is told on standard error; the simulation fills its disks everywhere.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus};

use crate::support::*;
use kstreams::random::Random;

const DISK: &str = "KSTREAMS_TEST_SMALL_DISK";
const SIZE_MB: usize = 64;
/// What is left for state while the disk is full of other things.
const LEFT_MB: usize = 12;
const N_KEYS: usize = 16_000;
const MOUNT: &str = r#"mount -t tmpfs -o size="$0"m tmpfs "$1" || exit 77; shift; exec "$@""#;

#[test]
fn a_full_disk_stops_work_with_its_path_and_loses_nothing() {
    if let Ok(disk) = std::env::var(DISK) {
        return fill_and_go_on(Path::new(&disk));
    }
    let dir = kstreams::state::testing::TempDir::new();
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT])
        .arg(SIZE_MB.to_string())
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "full_disk::a_full_disk_stops_work_with_its_path_and_loses_nothing"])
        .arg("--nocapture")
        .env(DISK, dir.path())
        .status();
    match status.as_ref().map(ExitStatus::code) {
        Ok(Some(0)) => {}
        // unshare has 1 for itself, the script 77; a test that fails has 101.
        Ok(Some(1 | 77)) | Err(_) => {
            eprintln!("NOT RUN: this system lets no user mount a file system: {status:?}");
        }
        Ok(code) => panic!("the test on the small disk failed: {code:?}"),
    }
}

/// Long, and each another: a kilobyte on the disk too.
fn key(n: usize) -> String {
    let random = Random::seeded(n as u64);
    (0..64).map(|_| format!("{:016x}", random.next())).collect()
}

fn fill_and_go_on(disk: &Path) {
    let ballast = disk.join("ballast");
    File::create(&ballast).unwrap().write_all(&vec![7; (SIZE_MB - LEFT_MB) << 20]).unwrap();
    let errors = Notes::default();
    let noted = errors.clone();
    let state = disk.join("state");
    let config =
        config().guarantee(Guarantee::ExactlyOnce).state_dir(&state).on_uncaught(move |e| {
            noted.add(e.to_string());
            UncaughtVerdict::ReplaceThread
        });
    let log = log_with(1);
    let app = run(counting(KeyValue::persistent("counts", Utf8, U64)).0, config, &log);
    for n in (0..N_KEYS).chain(0..N_KEYS) {
        log.produce("in", key(n), "v", at(0)).unwrap();
    }
    eventually("the disk is full", || !errors.all().is_empty());
    let error = errors.all().remove(0);
    for part in ["the disk is full", "counts", "task 0_0", state.to_str().unwrap()] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(log.records("out").len() < 2 * N_KEYS, "the disk was full too late to matter");
    fs::remove_file(&ballast).unwrap();
    eventually("all is counted", || log.records("out").len() >= 2 * N_KEYS);
    assert!(app.close(SOON));
    let counts: Vec<u64> = numbers(&log, "out").into_iter().map(|(_, n)| n).collect();
    let expected = [vec![1; N_KEYS], vec![2; N_KEYS]].concat();
    assert!(counts == expected, "{} results", counts.len());
}
