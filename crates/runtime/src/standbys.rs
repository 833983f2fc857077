//! How a worker keeps standby tasks: takes them on, lets them follow, promotes and recycles them.
//!
//! An active task that becomes a standby, and a standby that becomes active, keep their stores
//! open. Which task is whose standby is the group's to say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kstreams_core::error::{ErrorKind, Result};
use kstreams_core::record::TopicPartition;
use kstreams_core::task::TaskId;

use crate::directory::TaskClaim;
use crate::opening::open;
use crate::probe::CrashPoint;
use crate::task::{OpenTask, Standby};
use crate::transport::Assignment;
use crate::worker::Worker;

/// The standby tasks of one worker.
#[derive(Default)]
pub(crate) struct Standbys {
    pub(crate) warm: BTreeMap<TaskId, Standby>,
    /// Tasks whose stores are open, and that are neither active nor following: they were active,
    /// or the log did not answer when they were to become so.
    pub(crate) idle: Vec<OpenTask>,
    /// Standbys that were withdrawn a moment ago, with their stores open: a broker takes a standby
    /// away before it makes the same task active.
    parked: Vec<Parked>,
    /// Tasks to be opened as soon as no other thread of this process holds them.
    pub(crate) pending: BTreeSet<TaskId>,
    /// When it was last asked how far sources are committed.
    limits_asked: Duration,
}

struct Parked {
    open: OpenTask,
    until: Duration,
}

/// How long a standby that was withdrawn may come back as an active task with its stores open.
const PARKED: Duration = Duration::from_secs(10);

impl Standbys {
    fn unpark(&mut self, id: TaskId) -> Option<OpenTask> {
        let at = self.parked.iter().position(|parked| parked.open.id == id)?;
        Some(self.parked.swap_remove(at).open)
    }

    /// Closes everything that is open and does not follow.
    pub(crate) fn close_idle(&mut self) {
        let parked = self.parked.drain(..).map(|parked| parked.open);
        self.idle.drain(..).chain(parked).for_each(OpenTask::close);
    }
}

impl Worker {
    /// Follows a new assignment: parks standbys that go elsewhere, notes new ones. Those that become
    /// active stay until they are opened.
    pub(crate) fn reconcile_standbys(&mut self, target: &Assignment) {
        let is_kept = |id: &TaskId| target.standby.contains(id) || target.active.contains(id);
        let gone: Vec<TaskId> =
            self.standbys.warm.keys().copied().filter(|id| !is_kept(id)).collect();
        let until = self.shared.config.clock.monotonic() + PARKED;
        for id in gone {
            if let Some(standby) = self.standbys.warm.remove(&id) {
                let open = standby.stop(&mut *self.consumer, &self.shared.config);
                self.standbys.parked.push(Parked { open, until });
                log::info!("task {id}: no standby any more");
            }
        }
        let (kept, gone): (Vec<_>, Vec<_>) =
            self.standbys.idle.drain(..).partition(|open| is_kept(&open.id));
        self.standbys.idle = kept;
        gone.into_iter().for_each(OpenTask::close);
        let is_here = |id: &&TaskId| {
            self.standbys.warm.contains_key(id)
                || self.standbys.idle.iter().any(|open| open.id == **id)
        };
        self.standbys.pending = target.standby.iter().filter(|id| !is_here(id)).copied().collect();
        self.report_standbys();
    }

    /// The stores of a task that was kept warm here, if it was: it becomes active.
    ///
    /// # Errors
    /// If the consumer failed.
    pub(crate) fn promote(&mut self, id: TaskId) -> Result<Option<OpenTask>> {
        self.standbys.pending.remove(&id);
        if let Some(at) = self.standbys.idle.iter().position(|open| open.id == id) {
            return Ok(Some(self.standbys.idle.swap_remove(at)));
        }
        if let Some(open) = self.standbys.unpark(id) {
            log::info!("task {id}: becomes active, it was a standby");
            return Ok(Some(open));
        }
        let Some(standby) = self.standbys.warm.remove(&id) else { return Ok(None) };
        let open = standby.promote(&mut *self.consumer, &self.shared.config)?;
        self.shared.pass(CrashPoint::StandbyPromoted);
        self.report_standbys();
        Ok(Some(open))
    }

    /// Opens standbys and lets them follow; true if anything was done. Tasks that restore come
    /// first: they are waited for.
    ///
    /// # Errors
    /// As opening and restoring a task. A standby that cannot follow its changelog is wiped and
    /// begins anew; that is no error.
    pub(crate) fn keep_standbys(&mut self) -> Result<bool> {
        self.close_parked();
        if !self.restoring.is_empty() || !self.pending.is_empty() {
            return Ok(false);
        }
        let mut any = self.open_standbys()?;
        self.ask_limits();
        let ids: Vec<TaskId> = self.standbys.warm.keys().copied().collect();
        for id in ids {
            let Some(standby) = self.standbys.warm.get_mut(&id) else { continue };
            match standby.step(&mut *self.consumer, &self.shared.config) {
                Ok(moved) => {
                    any |= moved;
                    if moved {
                        self.shared.pass(CrashPoint::StandbyStep);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Corrupted => {
                    log::warn!("{error}; the standby is restored from the beginning");
                    if let Some(standby) = self.standbys.warm.remove(&id) {
                        standby.close(&mut *self.consumer, &self.shared.config);
                    }
                    self.shared.wipe(id)?;
                    self.standbys.pending.insert(id);
                }
                Err(error) => return Err(error),
            }
        }
        if any {
            self.report_standbys();
        }
        Ok(any)
    }

    /// Closes those whose time is over, or that another thread of this process is to have.
    fn close_parked(&mut self) {
        let now = self.shared.config.clock.monotonic();
        let directory = &self.shared.directory;
        let is_over =
            |parked: &mut Parked| now >= parked.until || directory.is_wanted(parked.open.id);
        for Parked { open, .. } in self.standbys.parked.extract_if(.., is_over) {
            log::info!("task {}: standby closed", open.id);
            open.close();
        }
    }

    fn open_standbys(&mut self) -> Result<bool> {
        let mut opened = std::mem::take(&mut self.standbys.idle);
        let mut claims: Vec<TaskClaim> = Vec::new();
        for id in self.standbys.pending.clone() {
            // One that was withdrawn and comes back goes on with its stores.
            match self.standbys.unpark(id) {
                Some(open) => opened.push(open),
                None => claims.extend(self.shared.directory.claim(id)),
            }
        }
        for claim in claims {
            opened.push(open(&self.shared, claim)?.0);
        }
        if opened.is_empty() {
            return Ok(false);
        }
        self.shared.pass(CrashPoint::StandbyOpened);
        let tasks: Vec<&OpenTask> = opened.iter().collect();
        let ranges = match self.changelog_ranges(&tasks, &[]) {
            Ok(ranges) => ranges,
            Err(error) => {
                self.standbys.idle = opened;
                return Err(error);
            }
        };
        for (open, ranges) in opened.into_iter().zip(ranges) {
            let id = open.id;
            let standby = Standby::start(open, &ranges, &mut *self.consumer, &self.shared.config)?;
            self.standbys.pending.remove(&id);
            self.standbys.warm.insert(id, standby);
        }
        self.standbys.limits_asked = Duration::ZERO;
        Ok(true)
    }

    /// Learns how far source topics are committed that stores are kept from, at each commit
    /// interval.
    fn ask_limits(&mut self) {
        let sources: Vec<TopicPartition> =
            self.standbys.warm.values().flat_map(Standby::sources).cloned().collect();
        let config = &self.shared.config;
        let now = config.clock.monotonic();
        let since = now.saturating_sub(self.standbys.limits_asked);
        if sources.is_empty() || since < config.commit_interval_or_default() {
            return;
        }
        self.standbys.limits_asked = now;
        match self.membership.committed(&sources, config.patience()) {
            Ok(committed) => {
                for (source, committed) in sources.iter().zip(committed) {
                    let Some(committed) = committed else { continue };
                    for standby in self.standbys.warm.values_mut() {
                        standby.set_limit(source, committed.offset);
                    }
                }
            }
            Err(error) => log::warn!("thread {}: standbys wait: {error}", self.index),
        }
    }

    fn report_standbys(&self) {
        let stores = self.standbys.warm.values().flat_map(Standby::stores).collect();
        self.shared.report_standbys(self.index, stores);
    }
}
