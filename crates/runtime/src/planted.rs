//! Mistakes that can be put into the engine on purpose: a simulation that does not find them proves
//! nothing.
//!
//! Each is checked where the right behaviour is decided. Without the feature `planted-bugs` every
//! check is the constant `false`.

use crate::config::Config;

macro_rules! bugs {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// A mistake that is put into the engine on purpose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[cfg_attr(
            not(feature = "planted-bugs"),
            allow(unreachable_pub, reason = "public with the feature alone")
        )]
        pub enum Bug {
            $($(#[doc = $doc])+ $name,)+
        }

        #[cfg(feature = "planted-bugs")]
        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name on a command line.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

bugs! {
    /// A transaction commits without the input positions.
    SkipOffsets = "skip-offsets",
    /// A transaction that only punctuators have filled has no positions, so nobody fences it.
    OffsetsIfMoved = "offsets-if-moved",
    /// At least once: positions are committed before the output is acknowledged.
    CommitBeforeFlush = "commit-before-flush",
    /// At least once: tasks go on after a record of theirs was not written.
    ForgetRefused = "forget-refused",
    /// Stores commit before the log does.
    StoresBeforeLog = "stores-before-log",
    /// What is written while the log commits goes to disk with that commit.
    CommitThawed = "commit-thawed",
    /// A store's offset stands for changes that were sent after those it commits.
    LineAfterwards = "line-afterwards",
    /// Output leaves while the transaction before it is being committed.
    SendWhileCommitting = "send-while-committing",
    /// A fenced worker takes a new producer and keeps its tasks.
    KeepWhenFenced = "keep-when-fenced",
    /// A producer is used again after a commit whose outcome is not known.
    ReuseProducer = "reuse-producer",
    /// Exactly once: records of aborted transactions are read.
    ReadUncommitted = "read-uncommitted",
    /// Tasks that were lost to others go on.
    IgnoreLost = "ignore-lost",
    /// A store that has some data is not brought up to date.
    SkipRestore = "skip-restore",
    /// Positions behind everything fetched are committed.
    CommitFetched = "commit-fetched",
    /// A store keeps its uncommitted writes when its task is given up.
    CloseCommits = "close-commits",
    /// Stream time is not stored with the positions.
    ForgetStreamTime = "forget-stream-time",
    /// What processors hold back is not asked for before a commit.
    NoFlush = "no-flush",
    /// Tasks go on after their release was acknowledged.
    ReleaseLate = "release-late",
    /// A simulated store writes its offset before its data.
    OffsetBeforeData = "offset-before-data",
}

#[cfg(feature = "planted-bugs")]
pub(crate) fn is_planted(config: &Config, bug: Bug) -> bool {
    config.planted == Some(bug)
}

#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub(crate) const fn is_planted(_: &Config, _: Bug) -> bool {
    false
}
