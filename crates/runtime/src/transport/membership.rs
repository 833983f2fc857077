//! Being a member of the application's group: which tasks are ours, and what is committed.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::Result;
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::task::TaskId;
use kstreams_topology::{InternalTopicSettings, Topology};

use super::consumer::Waker;

/// What a member tells its group.
#[derive(Clone, Debug)]
pub struct MemberOptions {
    /// The application id, which is the group's id.
    pub application_id: Arc<str>,
    /// The process that the member belongs to; members of one process share it.
    pub process_id: String,
    /// Named in the broker's logs and metrics; unique in the process.
    pub client_id: String,
    /// The id the member had before its process ended, if the group may know it still: it then has
    /// its tasks back at once, where members choose their ids themselves (streams protocol). `None`
    /// for a new one.
    pub member_id: Option<String>,
    /// What the application runs.
    pub topology: Arc<Topology>,
    /// How internal topics are to be made, where the group makes them.
    pub internal_topics: InternalTopicSettings,
    /// The replication factor of internal topics; `None` leaves it to the broker.
    pub replication: Option<i16>,
    /// `host:port` under which other members may ask for state.
    pub application_server: Option<String>,
    /// Static membership (KIP-345): a member that comes back under this id within the session time-out
    /// has its tasks back, and the others hear nothing. It does not leave when it closes. Only for
    /// classic groups on a broker; the embedded log's groups ignore it.
    pub group_instance_id: Option<String>,
    /// How long a member may be silent before its tasks are given to others.
    pub session_timeout: Duration,
    /// How long a member may take to give tasks up.
    pub rebalance_timeout: Duration,
}

/// The tasks that a member is to own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// To run.
    pub active: BTreeSet<TaskId>,
    /// To keep warm.
    pub standby: BTreeSet<TaskId>,
}

/// News from the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipEvent {
    /// The group pauses to share the tasks out anew: commit, stop working, acknowledge the empty
    /// assignment, but keep tasks open; the next [`Assigned`](Self::Assigned) says which of them
    /// come back. Groups that take single tasks away (streams protocol) never send it.
    Suspend,
    /// Own exactly these tasks from now on. Commit and give up the others first, then call
    /// [`Membership::acknowledge`]: after that nothing may be committed for them.
    Assigned(Assignment),
    /// Everything is lost to others already: give it up without a commit, then
    /// acknowledge the empty assignment. The member joins again by itself.
    Lost,
    /// Some member asked that the whole application stops.
    ShutdownRequested,
}

/// A process that can be asked for state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// `host:port`, as its members gave it.
    pub server: String,
    /// The source partitions of its active tasks.
    pub active: BTreeSet<TopicPartition>,
    /// Those of its standby tasks.
    pub standby: BTreeSet<TopicPartition>,
}

/// A committed position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: Offset,
    /// The leader epoch of the record before it, if known.
    pub leader_epoch: Option<i32>,
    /// The text stored with it; Kafka Streams keeps partition times there.
    pub metadata: String,
}

/// Proves to a transaction that a member is current; each log has its own kind.
#[derive(Clone)]
pub struct GroupMetadata(Arc<dyn Any + Send + Sync>);

impl GroupMetadata {
    /// Wraps what the log implementation needs.
    pub fn new(inner: impl Any + Send + Sync) -> Self {
        Self(Arc::new(inner))
    }

    /// What the log implementation has wrapped.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for GroupMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupMetadata")
    }
}

/// One member of the group; each thread has one. Heartbeats do not depend on how often it is
/// polled, but a member that is not polled for too long is taken for stuck and loses its tasks.
pub trait Membership: Send {
    /// Takes the next piece of news; never waits. The first call joins.
    ///
    /// # Errors
    /// `Topic` if source topics are missing, `Authorization`, `Fatal`; retriable kinds for a
    /// broker that does not answer: the member goes on trying.
    fn poll(&mut self) -> Result<Option<MembershipEvent>>;

    /// Says that the tasks not in `owned` are closed and those in it are ours.
    ///
    /// # Errors
    /// If the client failed.
    fn acknowledge(&mut self, owned: &Assignment) -> Result;

    /// The group's committed positions, in the order asked.
    ///
    /// Does not wait for transactions that hold positions back (KIP-447): they may take long, and the
    /// caller has other work.
    ///
    /// # Errors
    /// `Unavailable` if a transaction is open over one of them, ask again; `Timeout`,
    /// `Authorization`.
    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>>;

    /// Commits positions outside of a transaction (at-least-once).
    ///
    /// # Errors
    /// `Fenced` if the partitions are not ours any more; `Timeout`, `Unavailable`: try again.
    fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
    ) -> Result;

    /// Begins to commit as [`commit`](Self::commit) does, and returns: the caller goes on meanwhile,
    /// and asks [`poll_commit`](Self::poll_commit) for the outcome. `done` is called when there is
    /// one, from any thread.
    ///
    /// This one is done with all of it before it returns.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    fn start_commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
        done: Waker,
    ) -> Result {
        let _ = done;
        self.commit(offsets, timeout)
    }

    /// True once the commit that was started is done; waits for it for at most `wait`.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); it is not going on any more then.
    fn poll_commit(&mut self, wait: Duration) -> Result<bool> {
        let _ = wait;
        Ok(true)
    }

    /// Who can be asked for which state, as the group told last: this process too, and only
    /// processes with an [application server](MemberOptions::application_server). Empty where the
    /// group does not carry it (classic protocol).
    fn peers(&mut self) -> Vec<Peer> {
        Vec::new()
    }

    /// What a transaction needs to commit offsets for this member.
    ///
    /// # Errors
    /// If it has not joined yet.
    fn group_metadata(&mut self) -> Result<GroupMetadata>;

    /// Asks all members to stop.
    ///
    /// # Errors
    /// If this kind of group cannot carry it.
    fn request_shutdown(&mut self) -> Result;

    /// Leaves the group, so that others take over at once.
    ///
    /// # Errors
    /// `Timeout`; the others then wait for the session time-out.
    fn leave(&mut self, timeout: Duration) -> Result;

    /// Ends without leaving: the group keeps the tasks for this member until its session is over. A
    /// member that cannot come back as itself leaves.
    ///
    /// # Errors
    /// As [`leave`](Self::leave), if it does that.
    fn remain(&mut self, timeout: Duration) -> Result {
        self.leave(timeout)
    }
}
