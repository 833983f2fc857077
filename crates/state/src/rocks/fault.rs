//! RocksDB's errors as ours: what happened, where, and what the engine should do about it.

use std::path::Path;

use kstreams_core::{Error, ErrorKind};
use rocksdb::ErrorKind as RocksKind;

/// An error of the store `name` at `path`, while `doing`.
#[cold]
pub(super) fn fault(name: &str, path: &Path, doing: &str, error: rocksdb::Error) -> Error {
    let (kind, what) = judge(&error, doing == OPENING);
    let path = path.display();
    Error::new(kind, format!("store {name}: {what}, {doing} {path}: {error}")).with_source(error)
}

/// The same for errors of the file system.
#[cold]
pub(super) fn io_fault(name: &str, path: &Path, doing: &str, error: std::io::Error) -> Error {
    let (kind, what) = match error.kind() {
        std::io::ErrorKind::PermissionDenied => (ErrorKind::StateDir, "permission denied"),
        std::io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::StateDir, "the disk is read only"),
        std::io::ErrorKind::StorageFull => (ErrorKind::Store, "the disk is full"),
        _ => (ErrorKind::StateDir, "the disk failed"),
    };
    let path = path.display();
    Error::new(kind, format!("store {name}: {what}, {doing} {path}: {error}")).with_source(error)
}

/// RocksDB says little in types; its texts are those of `strerror`.
fn judge(error: &rocksdb::Error, opening: bool) -> (ErrorKind, &'static str) {
    let text: &str = error.as_ref();
    let says = |part: &str| text.contains(part);
    if says("No space left on device") || says("Disk quota exceeded") {
        (ErrorKind::Store, "the disk is full")
    } else if says("/LOCK: ") && !says("Permission denied") {
        (ErrorKind::StateDir, "in use by another process or task")
    } else if says("Permission denied") {
        (ErrorKind::StateDir, "permission denied")
    } else if says("Read-only file system") {
        (ErrorKind::StateDir, "the disk is read only")
    } else if says("Too many open files") {
        (ErrorKind::StateDir, "too many open files (see ulimit -n)")
    } else if error.kind() == RocksKind::Corruption || says("No such file or directory") {
        (ErrorKind::Corrupted, "the data is damaged")
    } else if opening && error.kind() == RocksKind::InvalidArgument {
        // Column families of another program or version.
        (ErrorKind::Corrupted, "the data is not ours")
    } else {
        (ErrorKind::Store, "RocksDB failed")
    }
}

pub(super) const OPENING: &str = "opening";
