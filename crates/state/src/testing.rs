//! Opens a store without a topology: for examples, tests and benchmarks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kstreams_core::Result;
use kstreams_core::random::Random;
use kstreams_core::record::RawRecord;
use kstreams_core::store::{ChangeBuffer, StoreBuilder, StoreContext, TaskTimes};
use kstreams_core::task::TaskId;
use kstreams_core::time::Timestamp;

/// Opens a store of task `0_0` that may not touch the disk.
///
/// # Errors
/// As [`StoreBuilder::build`].
pub fn open<B: StoreBuilder>(builder: &B) -> Result<B::Store> {
    builder.build(context(builder, None))
}

/// Opens a store of task `0_0` with `dir` as the directory of the task.
///
/// # Errors
/// As [`StoreBuilder::build`].
pub fn open_in<B: StoreBuilder>(builder: &B, dir: &Path) -> Result<B::Store> {
    builder.build(context(builder, Some(dir)))
}

/// What a task `0_0` of an exactly-once application `test` would give to the store.
///
/// Keep its `changes` to see the changelog, and its `times` to move time.
pub fn context(builder: &impl StoreBuilder, dir: Option<&Path>) -> StoreContext {
    let topic = format!("test-{}-changelog", builder.name());
    let changes = builder.changelog().map(|_| Arc::new(ChangeBuffer::new(&topic, 0)));
    StoreContext {
        application_id: "test".into(),
        task: TaskId { subtopology: 0, partition: 0 },
        dir: dir.map(Path::to_owned),
        changelog_topic: topic.into(),
        changes,
        times: Arc::new(TaskTimes::new()),
        transactional: true,
    }
}

/// A change as a changelog holds it: key, value, timestamp in milliseconds.
pub type Change = (Vec<u8>, Option<Vec<u8>>, i64);

/// Takes what the store has reported since the last call.
pub fn take_changes(context: &StoreContext) -> Vec<Change> {
    let Some(changes) = &context.changes else { return Vec::new() };
    changes.with(|outbox| {
        let taken = outbox
            .iter()
            .map(|record| {
                let key = record.key.unwrap_or_default().to_vec();
                (key, record.value.map(<[u8]>::to_vec), record.timestamp.as_millis())
            })
            .collect();
        outbox.clear();
        taken
    })
}

/// The records that a restoring store would get for `changes`, the first one at `offset`.
pub fn changelog(changes: &[Change], offset: i64) -> impl Iterator<Item = RawRecord<'_>> {
    changes.iter().zip(offset..).map(|((key, value, timestamp), offset)| RawRecord {
        offset,
        timestamp: Timestamp::from_millis(*timestamp),
        key: Some(key),
        value: value.as_deref(),
        headers: Default::default(),
        leader_epoch: None,
    })
}

/// A directory that is deleted when dropped.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// A new empty directory under the system's temporary directory.
    ///
    /// # Panics
    /// If it cannot be created.
    pub fn new() -> Self {
        let name = format!("kstreams-{}", Random::from_os().uuid());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
