//! What a simulation sees of a worker, and where it may end it.
//!
//! The engine passes named points between its steps. Without a probe that costs one branch; with
//! one, the instance may die on the spot: the point unwinds with [`Crash`], which nothing inside
//! the engine turns into an error.

use std::any::Any;
use std::fmt;
use std::panic::resume_unwind;

use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::task::TaskId;

use crate::transport::CommittedOffset;

/// Watches the workers of one instance.
pub(crate) trait Probe: Send + Sync {
    /// A worker passes this point; ends it by [`crash`], or returns.
    fn pass(&self, point: CrashPoint);

    /// A task begins to run.
    fn runs(&self, task: TaskId);

    /// A task takes this record.
    fn took(&self, task: TaskId, partition: &TopicPartition, offset: Offset);

    /// What a task held back until a commit is out.
    fn flushed(&self, task: TaskId);

    /// The global stores hold everything that lies before this position.
    fn knows(&self, partition: &TopicPartition, position: Offset);

    /// The log has taken these positions.
    fn committed(&self, offsets: &[(TopicPartition, CommittedOffset)]);
}

/// What unwinding carries when an instance dies.
pub(crate) struct Crash;

/// Ends the instance here: nothing is cleaned up but memory.
pub(crate) fn crash() -> ! {
    resume_unwind(Box::new(Crash))
}

/// Goes on unwinding if the panic is the end of the instance; gives any other panic back.
pub(crate) fn unless_crash(panic: Box<dyn Any + Send>) -> Box<dyn Any + Send> {
    if panic.is::<Crash>() { resume_unwind(panic) } else { panic }
}

macro_rules! crash_points {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// A place between two steps at which a simulated instance may die.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum CrashPoint {
            $($(#[doc = $doc])+ $name,)+
        }

        impl CrashPoint {
            /// All of them, in the order in which a worker passes them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in reports.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

crash_points! {
    /// The group has said something new.
    GroupNews = "group-news",
    /// Tasks are given up; the group does not know yet.
    BeforeAcknowledge = "before-acknowledge",
    /// The group knows that tasks are given up.
    AfterAcknowledge = "after-acknowledge",
    /// The stores of new tasks are open.
    StoresOpened = "stores-opened",
    /// The committed positions are read, the ends of the changelogs are not.
    PositionsRead = "positions-read",
    /// A step of restoring is done.
    RestoreStep = "restore-step",
    /// Stores are up to date, the task does not run yet.
    Restored = "restored",
    /// The task runs.
    TaskRuns = "task-runs",
    /// Records are fetched.
    Fetched = "fetched",
    /// A processor writes to a store (simulated stores only).
    StorePut = "store-put",
    /// Records are processed; nothing of it has left the task.
    Processed = "processed",
    /// The output has left the task, the changes of its stores have not.
    OutputDrained = "output-drained",
    /// Everything has left the task.
    Drained = "drained",
    /// Wall-clock punctuators were called.
    Punctuated = "punctuated",
    /// A commit begins.
    CommitBegins = "commit-begins",
    /// Processors have forwarded what they held back.
    TasksFlushed = "tasks-flushed",
    /// Everything is acknowledged by the log.
    Produced = "produced",
    /// Positions are part of the transaction, which is still open.
    OffsetsSent = "offsets-sent",
    /// The log is committing, and the tasks go on.
    CommitUnderway = "commit-underway",
    /// The log has committed, the stores have not.
    LogCommitted = "log-committed",
    /// One store has committed.
    StoreCommitted = "store-committed",
    /// The commit is done.
    CommitEnds = "commit-ends",
    /// A half of a store's write is on the disk (simulated stores only).
    HalfWritten = "half-written",
    /// A store's write is on the disk, not synced (simulated stores only).
    Written = "written",
    /// A store was written anew, under another name yet (simulated stores only).
    SnapshotWritten = "snapshot-written",
    /// A store's new file has taken the place of the old one (simulated stores only).
    SnapshotRenamed = "snapshot-renamed",
    /// A transaction is to be aborted.
    BeforeAbort = "before-abort",
    /// A transaction is aborted.
    AfterAbort = "after-abort",
    /// A producer was replaced.
    ProducerReplaced = "producer-replaced",
    /// The stores of standby tasks are open.
    StandbyOpened = "standby-opened",
    /// A standby has applied records.
    StandbyStep = "standby-step",
    /// A standby is to become active.
    StandbyPromoted = "standby-promoted",
    /// A task that was active is to become a standby.
    TaskRecycled = "task-recycled",
    /// A task is closed.
    TaskClosed = "task-closed",
    /// The local state of a task is deleted.
    StateWiped = "state-wiped",
    /// The last commit is done, the group is not left yet.
    Leaving = "leaving",
    /// A batch is about to be sent.
    SendProduce = "send-produce",
    /// A producer id is about to be asked for.
    SendInitProducer = "send-init-producer",
    /// A partition is about to be added to a transaction.
    SendAddPartition = "send-add-partition",
    /// Positions are about to be added to a transaction.
    SendAddOffsets = "send-add-offsets",
    /// A transaction is about to be ended.
    SendEndTransaction = "send-end-transaction",
    /// A heartbeat is about to be sent.
    SendHeartbeat = "send-heartbeat",
    /// What is owned is about to be told.
    SendAcknowledge = "send-acknowledge",
    /// Positions are about to be committed without a transaction.
    SendCommit = "send-commit",
    /// Committed positions are about to be asked for.
    SendCommitted = "send-committed",
    /// The group is about to be left.
    SendLeave = "send-leave",
    /// Topics or offsets are about to be asked for.
    SendAdmin = "send-admin",
    /// Records are about to be fetched.
    SendFetch = "send-fetch",
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
