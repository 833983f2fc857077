//! What the nodes of one task share.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::FlowInput;
use crate::context::RecordContext;
use crate::error::{Error, ErrorKind, Result};
use crate::handler::{Failure, Handlers, Verdict};
use crate::punctuation::{Every, Schedule, Schedules};
use crate::record::{Offset, RawRecord, RecordMetadata};
use crate::sink::{Outbox, PartitionCounts};
use crate::store::{StateStore, TaskTimes};
use crate::task::TaskId;
use crate::time::{Clock, Timestamp};

/// What a task is made with; see [`Flow::new`](super::Flow::new).
#[derive(Clone)]
pub struct TaskSetup {
    /// The application.
    pub application_id: Arc<str>,
    /// The task.
    pub task: TaskId,
    /// The task's own directory.
    pub state_dir: PathBuf,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The times shared with the stores.
    pub times: Arc<TaskTimes>,
    /// The handlers.
    pub handlers: Arc<Handlers>,
    /// Partition counts of sink topics.
    pub partition_counts: Arc<dyn PartitionCounts>,
}

impl fmt::Debug for TaskSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSetup").field("task", &self.task).finish_non_exhaustive()
    }
}

/// How often something happened in a task since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records taken in by a source.
    pub processed: u64,
    /// Records dropped: skipped by a handler, invalid time, no partition, too old for a store.
    pub dropped: u64,
    /// Records written to a dead-letter topic.
    pub dead_lettered: u64,
    /// Punctuators called.
    pub punctuated: u64,
}

/// How far processors have come with something, by the names they chose; see
/// [`TaskEnv::set_progress`].
pub type Progress = BTreeMap<Arc<str>, i64>;

/// The task as its nodes see it: who it is, what it works on, what time it is.
///
/// [`Context`](crate::context::Context) and [`Init`](crate::context::Init) dereference to it.
pub struct TaskEnv {
    pub(super) setup: TaskSetup,
    pub(super) inputs: Vec<FlowInput>,
    pub(super) names: Vec<Arc<str>>,
    pub(super) processor_types: Vec<Option<TypeId>>,
    pub(super) stores: Vec<Arc<dyn StateStore>>,
    pub(super) connections: Vec<Vec<usize>>,
    pub(super) schedules: Schedules,
    pub(super) dead_letters: Vec<(Arc<str>, Error)>,
    pub(super) outbox: Outbox,
    pub(super) counters: Counters,
    pub(super) current: Option<(usize, Offset)>,
    pub(super) now: Timestamp,
    pub(super) commit_requested: bool,
    pub(super) progress: Progress,
    /// The node at work.
    pub(crate) at: usize,
}

impl TaskEnv {
    /// The task's id.
    pub fn task_id(&self) -> TaskId {
        self.setup.task
    }

    /// The application's id.
    pub fn application_id(&self) -> &str {
        &self.setup.application_id
    }

    /// The task's own directory; it may not exist yet.
    pub fn state_dir(&self) -> &Path {
        &self.setup.state_dir
    }

    /// Where the source record in work came from; `None` in `init`, `flush` and punctuators.
    ///
    /// # Differs from Kafka Streams
    /// Java gives dummy metadata (topic null, offset -1) where there is no record.
    pub fn record_metadata(&self) -> Option<RecordMetadata<'_>> {
        let (input, offset) = self.current?;
        let input = self.inputs.get(input)?;
        Some(RecordMetadata { topic: &input.topic, partition: input.partition, offset })
    }

    /// The record in work, for [`Context::within`](crate::context::Context::within).
    pub fn record_context(&self) -> RecordContext {
        RecordContext { time: self.setup.times.record(), place: self.current }
    }

    pub(crate) fn set_record_context(&mut self, context: RecordContext) {
        self.setup.times.set_record(context.time);
        self.current = context.place;
    }

    /// The largest event time the task has processed; [`Timestamp::NONE`] before the first record.
    pub fn stream_time(&self) -> Timestamp {
        self.setup.times.stream()
    }

    /// Wall-clock time, read once per record.
    pub fn system_time(&self) -> Timestamp {
        self.now
    }

    /// Asks for a commit soon, before the commit interval has passed.
    pub fn request_commit(&mut self) {
        self.commit_requested = true;
    }

    /// How far a processor had come with something when the task was last committed, or has come
    /// since; `None` if nobody has said so yet.
    pub fn progress(&self, name: &str) -> Option<i64> {
        self.progress.get(name).copied()
    }

    /// Says how far a processor has come with something: a number that only goes up, committed
    /// together with the position of the record in work (`ProcessorMetadata`).
    ///
    /// It is for what must not be done twice and leaves no trace in a store. The names of stores
    /// are taken by operators of the DSL.
    pub fn set_progress(&mut self, name: &Arc<str>, to: i64) {
        let at = self.progress.entry(Arc::clone(name)).or_insert(to);
        *at = to.max(*at);
    }

    /// Counts a record that a processor dropped on purpose (Java's `dropped-records`).
    pub fn record_dropped(&mut self) {
        self.counters.dropped += 1;
    }

    /// The name of the node at work.
    pub fn node_name(&self) -> &str {
        self.names.get(self.at).map_or("", |name| name)
    }

    pub(crate) fn add_schedule(
        &mut self,
        every: Every,
        punctuator: Box<dyn Any + Send>,
    ) -> Result<Schedule> {
        let scheduled = (*punctuator).type_id();
        match self.processor_types.get(self.at) {
            Some(Some(expected)) if *expected == scheduled => {}
            _ => {
                return Err(Error::new(
                    ErrorKind::User,
                    "a punctuator must be scheduled for the processor type of its own node",
                ));
            }
        }
        let now = self.setup.clock.now();
        Ok(self.schedules.add(self.at, every, punctuator, self.stream_time(), now))
    }

    pub(crate) fn connected_store(&self, name: &str) -> Result<Arc<dyn StateStore>> {
        let connected = self.connections.get(self.at).map_or(&[][..], |stores| stores);
        let mut stores = connected.iter().filter_map(|index| self.stores.get(*index));
        stores.find(|store| store.name() == name).cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::Topology,
                format!(
                    "store {name} is not connected to this processor; \
                     call connect on the topology"
                ),
            )
            .at_node(self.node_name())
        })
    }

    /// A node's code failed: asks the handler. `Ok` means that the record is given up and the task
    /// goes on. An error that was decided about further down passes through.
    #[cold]
    pub(super) fn processing_failed(&mut self, error: Error) -> Result {
        if error.is_handled() {
            return Err(error);
        }
        let error = self.place(error);
        if error.kind() == ErrorKind::Corrupted {
            // The state is damaged, not the record: no handler may step over that.
            return Err(error.handled());
        }
        let handlers = Arc::clone(&self.setup.handlers);
        let verdict = (handlers.processing)(&self.failure(&error, None));
        self.carry_out(verdict, error)
    }

    /// A source could not read a record: asks the handler.
    #[cold]
    pub(super) fn deserialization_failed(&mut self, error: Error, raw: &RawRecord<'_>) -> Result {
        let error = self.place(error);
        let handlers = Arc::clone(&self.setup.handlers);
        let verdict = (handlers.deserialization)(&self.failure(&error, Some(raw)));
        self.carry_out(verdict, error)
    }

    pub(super) fn carry_out(&mut self, verdict: Verdict, error: Error) -> Result {
        match verdict {
            Verdict::Fail => return Err(error.handled()),
            Verdict::Continue => {
                self.counters.dropped += 1;
                log::warn!("record skipped: {error}");
            }
            Verdict::DeadLetter(topic) => {
                self.counters.dead_lettered += 1;
                self.dead_letters.push((topic, error));
            }
        }
        Ok(())
    }

    /// Says where an error happened.
    pub(super) fn place(&self, error: Error) -> Error {
        let error = error.at_node(self.node_name()).at_task(self.task_id());
        match self.record_metadata() {
            Some(at) => error.at_record(at.topic, at.partition, at.offset),
            None => error,
        }
    }

    fn failure<'a>(&'a self, error: &'a Error, raw: Option<&'a RawRecord<'a>>) -> Failure<'a> {
        Failure {
            error,
            node: error.node().unwrap_or_default(),
            task: self.task_id(),
            record: self.record_metadata(),
            timestamp: self.setup.times.record(),
            raw,
        }
    }
}

impl fmt::Debug for TaskEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskEnv").field("task", &self.setup.task).finish_non_exhaustive()
    }
}
