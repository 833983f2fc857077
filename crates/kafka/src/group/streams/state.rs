//! What a member knows and does next, without threads or connections: news for the engine on one
//! side, heartbeats and their answers on the other.
//!
//! The group says what to own *now*; a task that is absent is to be given up. The member keeps its
//! old epoch with the group until it has reported tasks without it, so the report goes out at once.

mod heard;

use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_runtime::transport::{Assignment, MembershipEvent};

use crate::wire::{Endpoint, EndpointPartitions, Heartbeat, Join};

/// A member of a group, as it sees itself.
#[derive(Debug)]
pub(super) struct State {
    group: String,
    member: String,
    /// The id to go on with if another incarnation lives under ours. Without one it goes already by an
    /// id that no restart brings back.
    spare: Option<String>,
    /// When the group was last joined.
    joined: Duration,
    join: Join,
    endpoint: Option<Endpoint>,
    rebalance_timeout: Duration,
    phase: Phase,
    epoch: i32,
    /// What the group wants us to own.
    target: Assignment,
    /// What of it the engine was told last.
    told: Option<Assignment>,
    /// What the engine owns.
    owned: Assignment,
    /// What of it the group was told last.
    reported: Option<Assignment>,
    /// Since when the group has not been able to assign anything.
    hindered_since: Option<Duration>,
    error: Option<Error>,
    is_stopping: bool,
    was_told_to_stop: bool,
    asks_to_stop: bool,
    /// The broker failed when it was told our endpoint: it is told later.
    hides_endpoint: bool,
    broken_since: Option<Duration>,
    occupied_since: Option<Duration>,
    has_told_endpoint: bool,
    endpoint_epoch: i32,
    endpoints: Vec<EndpointPartitions>,
    interval: Duration,
    /// When the next heartbeat is to be sent.
    due: Duration,
    /// Until then tasks may change hands: ask often.
    hasty_until: Duration,
    is_hindered: bool,
    n_failed: u32,
    polled: Duration,
}

/// Where a member stands with its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody has polled yet.
    Idle,
    Joining,
    Joined,
    /// The engine has not polled for too long: gives its tasks up by leaving.
    Stuck,
    /// The group does not know us any more; the engine is to hear it, and to acknowledge.
    Lost {
        is_told: bool,
    },
    Leaving,
    Left,
}

/// What the background thread is to do.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing for so long, unless it is woken.
    Wait(Duration),
    Send(Box<Heartbeat>),
    End,
}

/// What the background thread has to see to after an answer.
#[derive(Debug)]
pub(super) enum After {
    Nothing,
    /// Find the coordinator again.
    Forget,
    /// The topology was refused: find out how it differs, then [`State::refused`].
    Compare(Error),
}

impl State {
    pub(super) fn new(
        group: &str,
        member: String,
        spare: Option<String>,
        join: Join,
        endpoint: Option<Endpoint>,
        now: Duration,
    ) -> Self {
        let rebalance_timeout =
            Duration::from_millis(join.rebalance_timeout_ms.unsigned_abs().into());
        Self {
            group: group.to_owned(),
            member,
            spare,
            joined: now,
            join,
            endpoint,
            rebalance_timeout,
            phase: Phase::Idle,
            epoch: 0,
            target: Assignment::default(),
            told: None,
            owned: Assignment::default(),
            reported: None,
            hindered_since: None,
            error: None,
            is_stopping: false,
            was_told_to_stop: false,
            asks_to_stop: false,
            hides_endpoint: false,
            broken_since: None,
            occupied_since: None,
            has_told_endpoint: false,
            endpoint_epoch: -1,
            endpoints: Vec::new(),
            interval: Duration::from_secs(5),
            due: now,
            hasty_until: now,
            is_hindered: false,
            n_failed: 0,
            polled: now,
        }
    }

    /// The engine asks for news.
    pub(super) fn poll(&mut self, now: Duration) -> Result<Option<MembershipEvent>> {
        self.polled = now;
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        match self.phase {
            Phase::Idle => {
                (self.phase, self.due) = (Phase::Joining, now);
                return Ok(None);
            }
            Phase::Lost { is_told: false } => {
                self.phase = Phase::Lost { is_told: true };
                return Ok(Some(MembershipEvent::Lost));
            }
            Phase::Leaving | Phase::Left => return Err(self.left()),
            Phase::Joined => {}
            Phase::Joining | Phase::Stuck | Phase::Lost { is_told: true } => return Ok(None),
        }
        if self.is_stopping && !self.was_told_to_stop {
            self.was_told_to_stop = true;
            return Ok(Some(MembershipEvent::ShutdownRequested));
        }
        if self.told.as_ref() == Some(&self.target) {
            return Ok(None);
        }
        // It cannot assign yet, because it misses a topic that was just made, say: that is no share.
        if self.told.is_none() && self.is_hindered && self.target == Assignment::default() {
            return Ok(None);
        }
        self.told = Some(self.target.clone());
        Ok(Some(MembershipEvent::Assigned(self.target.clone())))
    }

    /// The engine has closed everything but this.
    pub(super) fn acknowledge(&mut self, owned: &Assignment, now: Duration) -> Result {
        match self.phase {
            Phase::Leaving | Phase::Left => return Err(self.left()),
            Phase::Lost { is_told: true } => {
                self.reset();
                (self.phase, self.due) = (Phase::Joining, now);
            }
            _ => {
                self.owned = owned.clone();
                if self.phase == Phase::Joined && self.reported.as_ref() != Some(owned) {
                    self.due = now;
                }
            }
        }
        Ok(())
    }

    /// Who commits: member and epoch.
    pub(super) fn identity(&self) -> Result<(String, i32)> {
        match self.phase {
            Phase::Joined => Ok((self.member.clone(), self.epoch)),
            Phase::Idle | Phase::Joining => {
                Err(Error::new(ErrorKind::Unavailable, "the member has not joined yet"))
            }
            Phase::Stuck | Phase::Lost { .. } => {
                let text = format!("group {} does not know member {}", self.group, self.member);
                Err(Error::new(ErrorKind::Fenced, text))
            }
            Phase::Leaving | Phase::Left => Err(self.left()),
        }
    }

    /// Asks all members to stop.
    pub(super) fn stop_all(&mut self, now: Duration) -> Result {
        self.identity()?;
        (self.asks_to_stop, self.due) = (true, now);
        Ok(())
    }

    /// Leaves; true if there is something to wait for.
    pub(super) fn leave(&mut self, now: Duration) -> bool {
        self.phase = match self.phase {
            Phase::Joining | Phase::Joined | Phase::Stuck | Phase::Leaving => Phase::Leaving,
            Phase::Idle | Phase::Lost { .. } | Phase::Left => Phase::Left,
        };
        self.due = now;
        self.phase == Phase::Leaving
    }

    /// Ends without a word if it can come back as itself, and leaves otherwise; true if there is
    /// something to wait for.
    pub(super) fn remain(&mut self, now: Duration) -> bool {
        if self.spare.is_none() {
            return self.leave(now);
        }
        self.end();
        false
    }

    /// No more heartbeats, whatever is left to say.
    pub(super) fn end(&mut self) {
        self.phase = Phase::Left;
    }

    pub(super) fn has_left(&self) -> bool {
        self.phase == Phase::Left
    }

    /// Who can be asked for which partitions, as the group told last.
    pub(super) fn endpoints(&self) -> &[EndpointPartitions] {
        &self.endpoints
    }

    pub(super) fn topology(&self) -> &crate::wire::WireTopology {
        &self.join.topology
    }

    /// What decides when there is something to do; changes when the thread must look again.
    pub(super) fn agenda(&self) -> impl PartialEq + use<> {
        (self.phase, self.due)
    }

    /// What to do now.
    pub(super) fn step(&mut self, now: Duration) -> Step {
        if self.phase == Phase::Joined && now.saturating_sub(self.polled) > self.rebalance_timeout {
            log::warn!(
                "group {}: member {} leaves: its thread has not asked for news for {:?}; give it \
                 less work per record, or a longer rebalance timeout",
                self.group,
                self.member,
                self.rebalance_timeout
            );
            (self.phase, self.due) = (Phase::Stuck, now);
        }
        match self.phase {
            Phase::Left => Step::End,
            Phase::Idle | Phase::Lost { .. } => Step::Wait(self.interval),
            _ if now < self.due => Step::Wait(self.due.saturating_sub(now)),
            _ => Step::Send(Box::new(self.heartbeat())),
        }
    }

    fn heartbeat(&self) -> Heartbeat {
        let is_join = self.phase == Phase::Joining;
        let is_leave = matches!(self.phase, Phase::Stuck | Phase::Leaving);
        let shows_endpoint = match self.phase {
            Phase::Joining => !self.hides_endpoint,
            Phase::Joined => !self.hides_endpoint && !self.has_told_endpoint,
            _ => false,
        };
        let owned = match self.phase {
            Phase::Joining => Some(Assignment::default()),
            Phase::Joined if self.reported.as_ref() != Some(&self.owned) => {
                Some(self.owned.clone())
            }
            _ => None,
        };
        Heartbeat {
            group: self.group.clone(),
            member: self.member.clone(),
            epoch: if is_join {
                JOIN
            } else if is_leave {
                LEAVE
            } else {
                self.epoch
            },
            endpoint_epoch: self.endpoint_epoch,
            join: is_join.then(|| self.join.clone()),
            endpoint: self.endpoint.clone().filter(|_| shows_endpoint),
            owned,
            shutdown: self.asks_to_stop,
        }
    }

    /// Another process fences us as soon as we have joined: it has our id, from a directory or a
    /// machine that was copied behind our back. One of the two has to be another member.
    fn suspect_twin(&mut self, now: Duration) {
        if now.saturating_sub(self.joined) < TWIN
            && let Some(spare) = self.spare.take()
        {
            log::warn!(
                "group {}: another process lives as member {}, from a copy of its state \
                 directory? This one goes on as {spare}",
                self.group,
                self.member
            );
            self.member = spare;
        }
    }

    /// Starts from nothing, as the same member.
    fn reset(&mut self) {
        self.epoch = 0;
        self.endpoint_epoch = -1;
        self.has_told_endpoint = false;
        self.target = Assignment::default();
        self.told = None;
        self.owned = Assignment::default();
        self.reported = None;
        self.n_failed = 0;
        self.is_stopping = false;
        self.was_told_to_stop = false;
    }

    fn left(&self) -> Error {
        Error::new(ErrorKind::Closed, format!("the member has left group {}", self.group))
    }
}

const JOIN: i32 = 0;
const LEAVE: i32 = -1;
const LOST: Phase = Phase::Lost { is_told: false };
/// Who is fenced so soon after joining has a twin.
const TWIN: Duration = Duration::from_secs(15);
/// How often the group is asked while tasks change hands.
const HASTY: Duration = Duration::from_millis(250);
/// The same just after joining; the pauses grow from here with the time since then.
const SOON: Duration = Duration::from_millis(20);
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LAST_BACKOFF: Duration = Duration::from_secs(3);
