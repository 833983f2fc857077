//! A group: its members, what they own, and who may commit what. How tasks change hands is in
//! `streams` and `classic`, by the mode.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::TopicPartition;
use kstreams_core::task::TaskId;

use super::assignor::{Candidate, assign};
use super::broker::Broker;
use super::offsets::Offsets;
use super::plan::{Laid, Plan};
use crate::transport::{Assignment, CommittedOffset, MemberOptions, Peer};

/// How tasks change hands in the groups of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupMode {
    /// As the streams protocol (KIP-1071): a member gives up single tasks while it goes on with
    /// the others; a task goes to its new owner once the old one has released it.
    #[default]
    Streams,
    /// As an eager classic group: at each change all members release all, then a new generation
    /// shares the tasks out.
    Classic,
}

/// What holds for all groups of a log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GroupSettings {
    pub(super) mode: GroupMode,
    pub(super) n_standby: usize,
}

/// All groups by id.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) by_id: BTreeMap<Arc<str>, Group>,
}

/// One group.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) mode: GroupMode,
    n_standby: usize,
    /// That of the first member.
    plan: Option<Plan>,
    laid: Option<Laid>,
    /// The state of the topics that the plan was laid over.
    topics_seen: Option<u64>,
    /// Why it could not be.
    unlaid: Option<(ErrorKind, String)>,
    /// Moves with each assignment: the group epoch, or the generation.
    pub(super) epoch: i32,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) target: BTreeMap<String, Assignment>,
    /// Classic: since when the members are asked to release everything.
    pub(super) pausing_since: Option<Duration>,
    pub(super) offsets: Offsets,
    is_stopping: bool,
    n_joined: u64,
    /// Moves with each change that a member may see.
    pub(super) version: u64,
}

/// A member as its group sees it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) process: String,
    server: Option<String>,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    /// When it was last heard.
    pub(super) heard: Duration,
    pub(super) epoch: i32,
    /// Its active tasks, each with the epoch at which it got it.
    pub(super) owned: BTreeMap<TaskId, i32>,
    pub(super) standby: BTreeSet<TaskId>,
    /// Active tasks that it was told to give up and has not released.
    pub(super) revoking: BTreeMap<TaskId, i32>,
    /// Until when it must release them.
    pub(super) deadline: Option<Duration>,
    /// Classic: it has released everything and waits for the next generation.
    pub(super) is_waiting: bool,
}

/// What a member is to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) version: u64,
    pub(super) epoch: i32,
    pub(super) standing: Standing,
    pub(super) must_stop: bool,
}

/// What a member is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Own exactly this.
    Owns(Assignment),
    /// Release everything until the next assignment.
    Pauses,
    /// Wait for it.
    Waits,
}

/// What a transaction is shown by a member.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) group: Arc<str>,
    pub(super) member: String,
    pub(super) epoch: i32,
}

impl Broker {
    /// Works on a group; others are woken if it changed.
    pub(super) fn with_group<T>(
        &self,
        id: &Arc<str>,
        work: impl FnOnce(&mut Group, Duration) -> T,
    ) -> T {
        let mut groups = self.groups.lock();
        let group = groups.by_id.entry(Arc::clone(id)).or_insert_with(|| {
            let GroupSettings { mode, n_standby } = self.group_settings;
            Group { mode, n_standby, ..Group::default() }
        });
        let now = self.clock.monotonic();
        let version = group.version;
        group.expire(now);
        group.look_at_topics(self, now);
        let result = work(group, now);
        let changed = group.version != version;
        drop(groups);
        if changed {
            self.signal.control();
        }
        result
    }
}

impl Groups {
    /// Checks offsets that are to be part of a transaction, and keeps them until it ends.
    pub(super) fn hold_offsets(
        &mut self,
        proof: &Proof,
        producer: i64,
        offsets: &[(TopicPartition, CommittedOffset)],
        now: Duration,
    ) -> Result {
        let group = self.by_id.get_mut(&proof.group).ok_or_else(|| proof.unknown())?;
        group.expire(now);
        group.check(proof, offsets)?;
        group.offsets.hold(producer, offsets);
        Ok(())
    }

    /// The transaction of this producer has ended.
    pub(super) fn release_offsets(&mut self, group: &str, producer: i64, is_commit: bool) {
        if let Some(group) = self.by_id.get_mut(group) {
            group.offsets.release(producer, is_commit);
        }
    }
}

impl Group {
    /// Takes a member in; tells its id.
    ///
    /// The topology of a group is fixed by its first member, as in Kafka 4.3 (streams protocol).
    pub(super) fn join(
        &mut self,
        options: &MemberOptions,
        plan: &Plan,
        broker: &Broker,
        now: Duration,
    ) -> Result<String> {
        let is_fixed = self.n_joined > 0
            && match self.mode {
                GroupMode::Streams => true,
                GroupMode::Classic => !self.members.is_empty(),
            };
        let known = self.plan.as_ref().filter(|_| is_fixed);
        if let Some(difference) = known.and_then(|known| known.difference(plan)) {
            let group = &options.application_id;
            let text = format!("group {group} runs another topology: {difference}");
            return Err(Error::new(ErrorKind::Topology, text));
        }
        if !is_fixed {
            self.plan = Some(plan.clone());
            self.topics_seen = None;
        }
        self.look_at_topics(broker, now);
        self.check_topics()?;
        self.n_joined += 1;
        let id = format!("{}-{:06}", options.client_id, self.n_joined);
        let member = Member {
            process: options.process_id.clone(),
            server: options.application_server.clone(),
            session_timeout: options.session_timeout,
            rebalance_timeout: options.rebalance_timeout,
            heard: now,
            epoch: 0,
            owned: BTreeMap::new(),
            standby: BTreeSet::new(),
            revoking: BTreeMap::new(),
            deadline: None,
            is_waiting: true,
        };
        self.members.insert(id.clone(), member);
        log::debug!("group {}: {id} joins", options.application_id);
        self.rebalance(now);
        Ok(id)
    }

    /// A member lives. Tells what it is to know, if that is not what it knew at `version`; `None`
    /// within if the group does not know the member.
    pub(super) fn heartbeat(
        &mut self,
        id: &str,
        version: Option<u64>,
        now: Duration,
    ) -> Result<Option<Option<View>>> {
        let Some(member) = self.members.get_mut(id) else { return Ok(None) };
        member.heard = now;
        self.check_topics()?;
        if version == Some(self.version) {
            return Ok(Some(None));
        }
        if self.mode == GroupMode::Streams {
            self.reconcile(id, now);
        }
        Ok(Some(self.view(id)))
    }

    /// A member says what it owns now; tells its epoch, or `None` if the member is not known.
    pub(super) fn acknowledge(
        &mut self,
        id: &str,
        owned: &Assignment,
        now: Duration,
    ) -> Option<i32> {
        self.members.get_mut(id)?.heard = now;
        match self.mode {
            GroupMode::Streams => self.release(id, owned, now),
            GroupMode::Classic => self.pause(id, owned, now),
        }
        self.members.get(id).map(|member| member.epoch)
    }

    /// Takes a member out.
    pub(super) fn leave(&mut self, id: &str, now: Duration) {
        if self.members.remove(id).is_some() {
            self.target.remove(id);
            self.is_stopping &= !self.members.is_empty();
            self.rebalance(now);
        }
    }

    /// Which processes can be asked for which state; a classic group does not carry it.
    pub(super) fn peers(&self) -> Vec<Peer> {
        let Some(laid) = self.laid.as_ref().filter(|_| self.mode == GroupMode::Streams) else {
            return Vec::new();
        };
        let mut peers: BTreeMap<&str, Peer> = BTreeMap::new();
        for member in self.members.values() {
            let Some(server) = &member.server else { continue };
            let peer = peers
                .entry(server)
                .or_insert_with(|| Peer { server: server.clone(), ..Peer::default() });
            peer.active.extend(member.owned.keys().flat_map(|task| laid.inputs(*task)));
            peer.standby.extend(member.standby.iter().flat_map(|task| laid.inputs(*task)));
        }
        peers.into_values().collect()
    }

    /// Asks every member to stop, until all have left.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
        self.version += 1;
    }

    /// Checks whether a member may commit these offsets, as the broker does.
    ///
    /// The current epoch may commit any partition; an older one those it still owns and got by
    /// then (streams protocol). A classic group knows its generation only.
    pub(super) fn check(
        &self,
        proof: &Proof,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result {
        let member = self.members.get(&proof.member).ok_or_else(|| proof.unknown())?;
        if proof.epoch == member.epoch {
            return Ok(());
        }
        let owns = |name: &TopicPartition| {
            let reads = |task| self.laid.as_ref().is_some_and(|laid| laid.reads(task, name));
            let mut held = member.owned.iter().chain(&member.revoking);
            held.any(|(task, since)| *since <= proof.epoch && reads(*task))
        };
        let is_older = proof.epoch < member.epoch && self.mode == GroupMode::Streams;
        if is_older && offsets.iter().all(|(name, _)| owns(name)) {
            return Ok(());
        }
        let Proof { group, member: id, epoch } = proof;
        let text = format!("group {group}: {id} is at epoch {}, not {epoch}", member.epoch);
        Err(Error::new(ErrorKind::Fenced, text))
    }

    /// Takes members out that were silent, or kept tasks, for too long.
    pub(super) fn expire(&mut self, now: Duration) {
        let pausing_since = self.pausing_since;
        let is_late = |member: &Member| {
            let is_silent = now.saturating_sub(member.heard) >= member.session_timeout;
            let is_slow = member.deadline.is_some_and(|deadline| now >= deadline)
                || pausing_since.is_some_and(|since| {
                    !member.is_waiting && now.saturating_sub(since) >= member.rebalance_timeout
                });
            is_silent || is_slow
        };
        let late: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| is_late(member))
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            log::warn!("member {id} is expelled");
            self.leave(&id, now);
        }
    }

    /// Shares the tasks out anew.
    pub(super) fn rebalance(&mut self, now: Duration) {
        self.version += 1;
        match self.mode {
            GroupMode::Streams => {
                self.epoch += 1;
                self.share_out();
            }
            GroupMode::Classic => self.start_pause(now),
        }
    }

    /// Computes the target from the last one.
    pub(super) fn share_out(&mut self) {
        let candidate = |(id, member): (&String, &Member)| {
            let previous = self.target.get(id).cloned().unwrap_or_default();
            (id.clone(), Candidate { process: member.process.clone(), previous })
        };
        let candidates = self.members.iter().map(candidate).collect();
        let none = BTreeMap::new();
        let tasks = self.laid.as_ref().map_or(&none, |laid| &laid.tasks);
        self.target = assign(&candidates, tasks, self.n_standby);
    }

    fn view(&self, id: &str) -> Option<View> {
        let member = self.members.get(id)?;
        let standing = if self.pausing_since.is_some() {
            if member.is_waiting { Standing::Waits } else { Standing::Pauses }
        } else {
            let active = member.owned.keys().copied().collect();
            Standing::Owns(Assignment { active, standby: member.standby.clone() })
        };
        let must_stop = self.is_stopping;
        Some(View { version: self.version, epoch: member.epoch, standing, must_stop })
    }

    /// Follows topics that were made, deleted or widened since the last look.
    fn look_at_topics(&mut self, broker: &Broker, now: Duration) {
        let version = broker.topics.version();
        let Some(plan) = self.plan.as_ref().filter(|_| self.topics_seen != Some(version)) else {
            return;
        };
        self.topics_seen = Some(version);
        match plan.lay(broker, self.mode) {
            Ok(laid) => {
                self.unlaid = None;
                let changed = self.laid.as_ref().is_none_or(|before| before.tasks != laid.tasks);
                self.laid = Some(laid);
                if changed && !self.members.is_empty() {
                    self.rebalance(now);
                }
            }
            Err(error) => self.unlaid = Some((error.kind(), error.message().to_owned())),
        }
    }

    fn check_topics(&self) -> Result {
        match &self.unlaid {
            Some((kind, text)) => Err(Error::new(*kind, text.clone())),
            None => Ok(()),
        }
    }
}

impl Proof {
    fn unknown(&self) -> Error {
        let text = format!("group {} does not know the member {}", self.group, self.member);
        Error::new(ErrorKind::Fenced, text)
    }
}
