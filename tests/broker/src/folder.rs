//! A folder of its own for each broker, gone when the broker is. Used by `Broker`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{Error, Result};

/// A new folder under the system's temporary one, removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("kstreams-broker-{}-{count}", process::id()));
        if path.exists() {
            // Left by a process that had our id before.
            fs::remove_dir_all(&path).map_err(Error::io(format!("remove {}", path.display())))?;
        }
        fs::create_dir_all(&path).map_err(Error::io(format!("create {}", path.display())))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the temporary folder; nothing else depends on it.
        let _ = fs::remove_dir_all(&self.path);
    }
}
