//! What the engine needs of a state store, and what a store needs of its task.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;

use crate::error::Result;
use crate::record::{Headers, Offset, RawRecord};
use crate::sink::{OutRecord, OutTopic, Outbox};
use crate::task::TaskId;
use crate::time::Timestamp;

/// A state store of one task, as the engine sees it. Typed reads and writes are the store's own.
///
/// A store is shared: the processors of its task write it, queries read beside them; so all
/// methods take `&self`. There is one writer: the task's thread.
///
/// # The commit contract
/// Writes since the last [`commit`](Self::commit) are *uncommitted*: reads of the task see them,
/// the disk does not. `commit` makes them durable together with the changelog offset they stand
/// for, atomically; [`rollback`](Self::rollback) forgets them. So what is on disk always equals a
/// committed prefix of the changelog, whenever the process dies.
pub trait StateStore: Any + Send + Sync {
    /// Its name, unique in the topology.
    fn name(&self) -> &str;

    /// True if it survives the process.
    fn is_persistent(&self) -> bool;

    /// The changelog offset up to which (inclusive) the committed data stands; `None` if it is
    /// empty or unknown, so that restoring starts at the beginning.
    ///
    /// # Errors
    /// If it cannot be read.
    fn committed_offset(&self) -> Result<Option<Offset>>;

    /// Applies records of the changelog, in order, as committed data.
    ///
    /// `through` is the last offset the batch stands for (it may hold fewer records, since
    /// transaction markers take offsets too).
    ///
    /// # Errors
    /// If the data cannot be written, or a record cannot be of this store.
    fn restore(&self, records: &mut dyn Iterator<Item = RawRecord<'_>>, through: Offset) -> Result;

    /// Makes all uncommitted writes durable, with the changelog offset they stand for.
    ///
    /// # Errors
    /// If the disk refuses; the store must then be closed and opened again.
    fn commit(&self, changelog_offset: Option<Offset>) -> Result;

    /// True if it can tell writes before a [`freeze`](Self::freeze) from those after it, so that the
    /// engine goes on while the log commits. Where a store cannot, the engine waits.
    fn can_freeze(&self) -> bool {
        false
    }

    /// Fixes what the next [`commit`](Self::commit) makes durable: writes after it are for the commit
    /// after that. Called only if it [can](Self::can_freeze), and once before a commit.
    fn freeze(&self) {}

    /// Forgets all uncommitted writes. A store that cannot do so returns false and is rebuilt from
    /// its changelog.
    fn rollback(&self) -> bool;

    /// Roughly how many bytes are uncommitted; the engine commits early when there are many.
    fn uncommitted_bytes(&self) -> usize {
        0
    }

    /// How many records were too old for it since it was opened; they count as dropped.
    fn n_dropped(&self) -> u64 {
        0
    }

    /// Writes everything to disk and closes; uncommitted writes are forgotten.
    ///
    /// # Errors
    /// If the disk refuses.
    fn close(&self) -> Result;

    /// Deletes all data, on disk too, so that restoring can start from the beginning.
    ///
    /// # Errors
    /// If the disk refuses.
    fn wipe(&self) -> Result;

    /// The same store for readers only: its writes fail. Used for global stores.
    fn reader(&self) -> Option<Arc<dyn StateStore>> {
        None
    }
}

/// Makes a store for each task, and says how its changelog topic should be.
pub trait StoreBuilder: Send + Sync + 'static {
    /// The typed store that processors see.
    type Store: StateStore;

    /// The store's name, unique in the topology.
    fn name(&self) -> &str;

    /// The changelog's configuration; `None` if the store has none, and so does not survive.
    fn changelog(&self) -> Option<ChangelogConfig>;

    /// True if its stores write to disk; then the application needs a state directory.
    fn is_persistent(&self) -> bool {
        true
    }

    /// Opens the store of one task.
    ///
    /// # Errors
    /// If its data cannot be opened; the kind `Corrupted` asks the engine to wipe and restore.
    fn build(&self, context: StoreContext) -> Result<Self::Store>;
}

/// How a changelog topic is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangelogConfig {
    /// What compaction may do with it.
    pub cleanup: Cleanup,
    /// Settings given by the user; they win over the derived ones.
    pub overrides: Vec<(String, String)>,
}

/// What the broker may delete from a changelog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// Older records of the same key (key-value stores).
    Compact,
    /// Those, and records older than this many milliseconds (window and session stores).
    CompactAndDelete {
        /// `retention.ms`, without the additional day that the topology adds.
        retention_ms: i64,
    },
    /// Older records of the same key, but not sooner than this (versioned stores).
    CompactAfter {
        /// `min.compaction.lag.ms`, without the additional day that the topology adds.
        min_lag_ms: i64,
    },
    /// Records older than this many milliseconds; keys repeat (stream-stream join windows).
    Delete {
        /// `retention.ms`, without the additional day that the topology adds.
        retention_ms: i64,
    },
}

impl ChangelogConfig {
    /// A compacted changelog.
    pub fn compacted() -> Self {
        Self { cleanup: Cleanup::Compact, overrides: Vec::new() }
    }
}

/// What a store gets from its task when it is opened.
#[derive(Clone, Debug)]
pub struct StoreContext {
    /// The application.
    pub application_id: Arc<str>,
    /// The task.
    pub task: TaskId,
    /// The task's directory; `None` where nothing may be written to disk.
    pub dir: Option<PathBuf>,
    /// Its changelog topic's name; serdes are told it also where logging is off.
    pub changelog_topic: Arc<str>,
    /// Where the store reports its changes; `None` if it is not logged.
    pub changes: Option<Arc<ChangeBuffer>>,
    /// The times of the task.
    pub times: Arc<TaskTimes>,
    /// True if the engine may ask for a [`StateStore::rollback`] (exactly-once).
    pub transactional: bool,
}

/// The times of a task, and the headers of the record in work, shared with its stores.
#[derive(Debug)]
pub struct TaskTimes {
    record: AtomicI64,
    stream: AtomicI64,
    keeps_headers: AtomicBool,
    headers: Mutex<Headers>,
}

impl TaskTimes {
    /// Before the first record.
    pub fn new() -> Self {
        Self {
            record: AtomicI64::new(-1),
            stream: AtomicI64::new(-1),
            keeps_headers: AtomicBool::new(false),
            headers: Mutex::default(),
        }
    }

    /// Time of the record in work; in a punctuator, the time it was given.
    pub fn record(&self) -> Timestamp {
        Timestamp::from_millis(self.record.load(Ordering::Relaxed))
    }

    /// The largest time the task has seen; [`Timestamp::NONE`] before the first record.
    pub fn stream(&self) -> Timestamp {
        Timestamp::from_millis(self.stream.load(Ordering::Relaxed))
    }

    /// Sets the time of the record in work; only its task does this.
    pub fn set_record(&self, time: Timestamp) {
        self.record.store(time.as_millis(), Ordering::Relaxed);
    }

    /// Asks for [`headers`](Self::headers), which cost something for each record.
    pub fn keep_headers(&self) {
        self.keeps_headers.store(true, Ordering::Relaxed);
    }

    /// Headers of the record in work, if a store asked for them; none in a punctuator.
    pub fn headers(&self) -> Headers {
        self.headers.lock().clone()
    }

    /// Sets the headers of the record in work; only its task does this.
    pub fn set_headers(&self, headers: &Headers) {
        if self.keeps_headers.load(Ordering::Relaxed) {
            self.headers.lock().clone_from(headers);
        }
    }

    /// Moves stream time forward, never back; only its task does this.
    pub fn advance_stream(&self, time: Timestamp) {
        if time.as_millis() > self.stream.load(Ordering::Relaxed) {
            self.stream.store(time.as_millis(), Ordering::Relaxed);
        }
    }
}

impl Default for TaskTimes {
    fn default() -> Self {
        Self::new()
    }
}

/// The changes of one store that wait to be written to its changelog.
///
/// The task drains it into the producer; a store only appends.
#[derive(Debug)]
pub struct ChangeBuffer {
    outbox: Mutex<Outbox>,
    partition: i32,
}

impl ChangeBuffer {
    /// For the changelog `topic`, always partition `partition`.
    pub fn new(topic: &str, partition: i32) -> Self {
        let mut outbox = Outbox::default();
        outbox.topic(topic);
        Self { outbox: Mutex::new(outbox), partition }
    }

    /// Appends a change; a value of `None` is a delete.
    pub fn append(
        &self,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp: Timestamp,
        headers: &Headers,
    ) {
        self.outbox.lock().push(OutRecord {
            topic: OutTopic(0),
            partition: Some(self.partition),
            key: Some(key),
            value,
            timestamp,
            headers,
        });
    }

    /// Roughly how many bytes wait.
    pub fn n_bytes(&self) -> usize {
        self.outbox.lock().n_bytes()
    }

    /// Lets the task work on the waiting changes.
    pub fn with<R>(&self, work: impl FnOnce(&mut Outbox) -> R) -> R {
        work(&mut self.outbox.lock())
    }
}

/// A typed reference to a store of a topology; taken to [`Init::store`](crate::context::Init::store).
pub struct StoreId<S> {
    name: Arc<str>,
    store: PhantomData<fn() -> S>,
}

impl<S> StoreId<S> {
    /// For topology builders: the store `name`, whose builder makes `S`.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), store: PhantomData }
    }

    /// The store's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl<S> Clone for StoreId<S> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.name))
    }
}

impl<S> fmt::Debug for StoreId<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreId({})", self.name)
    }
}
