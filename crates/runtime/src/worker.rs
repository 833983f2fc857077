//! One thread's work: follow the group, restore, fetch, process, punctuate, commit.
//!
//! A thread calls [`Worker::turn`] in a loop; the test driver and the simulation call it too, so
//! there is no second engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::task::TaskId;

use crate::config::Guarantee;
use crate::failing::Failing;
use crate::identity;
use crate::outlet::Outlet;
use crate::pause::Pause;
use crate::planted::Bug;
use crate::probe::CrashPoint;
use crate::shared::{Shared, WorkerState};
use crate::slowness::Slowness;
use crate::standbys::Standbys;
use crate::task::{Means, Restoring, Share, Task};
use crate::transport::{
    Assignment, Consumer, ConsumerOptions, Isolation, MemberOptions, Membership, ProducerOptions,
    Waker,
};
use crate::underway::Underway;

/// Bounds of how many records a task processes before the others have their turn.
const MIN_BATCH: usize = 1;
const MAX_BATCH: usize = 1024;
/// A turn should not take longer than this, so that commits and punctuation come in time.
pub(crate) const TURN: Duration = Duration::from_millis(20);

/// How often the group is asked while tasks are being shared out.
const SETTLING: Duration = Duration::from_millis(5);

/// A task that ended the thread before is left alone for so long at the most.
const SETTLED: Duration = Duration::from_secs(1);

/// What a turn came to.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Something was done: call again at once.
    Busy,
    /// Nothing to do: wait for the consumer.
    Idle,
    /// An error that no handler took care of; the worker has to be dropped.
    Failed(Error),
    /// Some member asked the application to stop.
    ShutdownRequested,
}

pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) index: usize,
    pub(crate) consumer: Box<dyn Consumer>,
    pub(crate) membership: Box<dyn Membership>,
    pub(crate) outlet: Outlet,
    /// The outlet must not be used again: its last transaction may have ended in either way.
    pub(crate) is_outlet_spent: bool,
    /// The commit that is going on while tasks work.
    pub(crate) underway: Option<Underway>,
    /// What the group wants this worker to own.
    pub(crate) target: Assignment,
    /// The group is sharing out anew: nothing may be processed or committed.
    pub(crate) suspended: bool,
    /// What is known of the tasks that were kept meanwhile; they must not go on before it is settled.
    pub(crate) pause: Pause,
    /// Tasks to be opened as soon as their former owner has closed them.
    pub(crate) pending: BTreeSet<TaskId>,
    pub(crate) restoring: Vec<Restoring>,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    pub(crate) standbys: Standbys,
    pub(crate) batch: usize,
    pub(crate) slowness: Slowness,
    pub(crate) peers_told: Option<Duration>,
    pub(crate) last_commit: Duration,
    pub(crate) last_purge: Duration,
    /// Since when the broker has not answered.
    pub(crate) failing: Failing,
    /// When tasks are opened that could not be, because the broker did not tell where they stand.
    pub(crate) open_again: Option<Duration>,
    /// When it was made.
    began: Duration,
    /// Nothing has been processed since the last commit.
    pub(crate) has_just_committed: bool,
    /// Records are being processed or committed: an error leaves work half done.
    pub(crate) is_at_work: bool,
    /// What the group has not been told yet.
    pub(crate) unacknowledged: Option<Assignment>,
    pub(crate) shutdown_requested: bool,
    /// The group has told at least once what to own.
    pub(crate) joined: bool,
}

impl Worker {
    /// Makes the clients of one thread.
    ///
    /// # Errors
    /// If the log refuses its settings, or transactions cannot be initialised.
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Result<Self> {
        let config = &shared.config;
        let client_id = shared.client_id(index);
        let isolation = match config.guarantee {
            Guarantee::AtLeastOnce => Isolation::ReadUncommitted,
            Guarantee::ExactlyOnce if shared.has(Bug::ReadUncommitted) => {
                Isolation::ReadUncommitted
            }
            Guarantee::ExactlyOnce => Isolation::ReadCommitted,
        };
        let consumer =
            shared.log.consumer(ConsumerOptions { client_id: client_id.clone(), isolation })?;
        let membership = shared.log.membership(MemberOptions {
            application_id: Arc::clone(&config.application_id),
            process_id: shared.directory.process_id().to_owned(),
            client_id,
            member_id: Some(identity::member_id(shared.directory.process_id(), index)),
            topology: Arc::clone(&shared.topology),
            internal_topics: config.internal_topics(),
            replication: config.replication,
            application_server: config.application_server.clone(),
            group_instance_id: config
                .group_instance_id
                .as_ref()
                .map(|id| format!("{id}-{}", index + 1)),
            session_timeout: config.session_timeout,
            rebalance_timeout: config.rebalance_timeout,
        })?;
        let outlet = new_outlet(&shared, index)?;
        let last_commit = config.clock.monotonic();
        Ok(Self {
            shared,
            index,
            consumer,
            membership,
            outlet,
            is_outlet_spent: false,
            underway: None,
            target: Assignment::default(),
            suspended: false,
            pause: Pause::None,
            pending: BTreeSet::new(),
            restoring: Vec::new(),
            tasks: BTreeMap::new(),
            standbys: Standbys::default(),
            batch: 32,
            slowness: Slowness::default(),
            peers_told: None,
            last_commit,
            last_purge: last_commit,
            failing: Failing::default(),
            open_again: None,
            began: last_commit,
            has_just_committed: false,
            is_at_work: false,
            unacknowledged: None,
            shutdown_requested: false,
            joined: false,
        })
    }

    pub(crate) fn waker(&self) -> Waker {
        self.consumer.waker()
    }

    /// Does a bounded amount of whatever there is to do.
    pub(crate) fn turn(&mut self) -> Turn {
        match self.run_once() {
            Ok(busy) => {
                if self.open_again.is_none() {
                    self.failing.end();
                }
                match (std::mem::take(&mut self.shutdown_requested), busy) {
                    (true, _) => Turn::ShutdownRequested,
                    (_, true) => Turn::Busy,
                    _ => Turn::Idle,
                }
            }
            Err(error) => self.recover(error),
        }
    }

    /// Waits until there may be something to do.
    ///
    /// # Errors
    /// If the consumer failed.
    pub(crate) fn wait(&mut self) -> Result {
        let config = &self.shared.config;
        let monotonic = config.clock.monotonic();
        let since_commit = monotonic.saturating_sub(self.last_commit);
        let mut timeout = config.poll;
        if !self.joined || self.suspended || !self.pending.is_empty() {
            // News from the group does not wake the consumer.
            timeout = timeout.min(SETTLING);
        }
        let may_begin = match &self.underway {
            None => true,
            Some(Underway::Stores(stores)) => {
                timeout = timeout.min(stores.next.saturating_sub(monotonic));
                true
            }
            // Its end wakes the consumer on a real log; a step of a simulated one does not.
            Some(_) => {
                timeout = timeout.min(SETTLING);
                false
            }
        };
        if may_begin && self.tasks.values().any(Task::is_dirty) {
            let interval = config.commit_after(true);
            timeout = timeout.min(interval.saturating_sub(since_commit));
        }
        let now = config.clock.now();
        for due in self.tasks.values().filter_map(Task::next_punctuation) {
            let left = due.as_millis().saturating_sub(now.as_millis()).max(0).unsigned_abs();
            timeout = timeout.min(Duration::from_millis(left));
        }
        self.consumer.wait(timeout)
    }

    fn run_once(&mut self) -> Result<bool> {
        // A group that does not answer is no reason to stop working: it says what is lost.
        let (mut busy, group) = match self.follow_group() {
            Err(error) if error.is_retriable() => (false, Err(error)),
            followed => (followed?, Ok(())),
        };
        self.renew_outlet()?;
        self.redo_lost()?;
        if !self.suspended {
            self.settle_pause()?;
        }
        // Nor are tasks that cannot be opened yet: a transaction that nobody ends holds their
        // positions back until its time is over.
        let opened = match self.open_when_due() {
            Err(error) if error.is_retriable() => Err(error),
            opened => {
                busy |= opened?;
                Ok(())
            }
        };
        busy |= self.restore()?;
        let mut is_dry = true;
        if !self.suspended && !self.shared.is_paused() {
            is_dry &= !self.fetch()?;
            self.is_at_work = true;
            if self.slowness.is_careful() {
                is_dry &= !self.work_one_by_one()?;
            } else {
                is_dry &= !self.process()?;
                self.punctuate()?;
            }
        }
        busy |= !is_dry;
        self.is_at_work = true;
        self.outlet.poll()?;
        self.commit_if_due(is_dry)?;
        self.is_at_work = false;
        if !self.shared.is_paused() {
            match self.keep_standbys() {
                // Tasks that run do not wait for those that are kept warm.
                Err(error) if error.is_retriable() => {
                    log::warn!("thread {}: standbys: {error}", self.index);
                }
                kept => busy |= kept?,
            }
        }
        self.report();
        self.tell_peers();
        group.and(opened).map(|()| busy)
    }

    fn restore(&mut self) -> Result<bool> {
        let mut any = false;
        let mut index = 0;
        while index < self.restoring.len() {
            let mut means = Means {
                consumer: &mut *self.consumer,
                config: &self.shared.config,
                appliers: self.shared.appliers.as_ref(),
            };
            any |= self.restoring[index].step(&mut means)?;
            self.shared.pass(CrashPoint::RestoreStep);
            if self.restoring[index].is_done() {
                let restored = self.restoring.swap_remove(index);
                self.run_task(restored)?;
                any = true;
            } else {
                index += 1;
            }
        }
        Ok(any)
    }

    fn fetch(&mut self) -> Result<bool> {
        let limit = self.shared.config.buffered_records;
        let mut any = false;
        let mut lost_offset = None;
        for task in self.tasks.values_mut() {
            match task.fetch(&mut *self.consumer, limit) {
                Ok(fetched) => any |= fetched,
                Err(error) if error.kind() == ErrorKind::OffsetReset => {
                    lost_offset = Some((task.id, error));
                }
                Err(error) => return Err(error),
            }
        }
        if any {
            self.shared.pass(CrashPoint::Fetched);
        }
        match lost_offset {
            Some((task, error)) => self.reset_position(task, &error).map(|()| true),
            None => Ok(any),
        }
    }

    fn process(&mut self) -> Result<bool> {
        let clock = Arc::clone(&self.shared.config.clock);
        let (began, now) = (clock.monotonic(), clock.now());
        let mut n_processed = 0;
        let mut slowest = (Duration::ZERO, None);
        let mut ended = began;
        let suspects = self.shared.suspects();
        // Right after a commit suspects have their turn first: later there may be none.
        let is_after_commit = std::mem::take(&mut self.has_just_committed);
        for of_suspects in [is_after_commit, !is_after_commit] {
            if of_suspects && !self.may_work(&suspects, began) {
                continue;
            }
            let wanted = |(id, _): &(&TaskId, &mut Task)| suspects.contains(*id) == of_suspects;
            for (id, task) in self.tasks.iter_mut().filter(wanted) {
                let share = Share {
                    clock: &*clock,
                    now,
                    max_records: self.batch,
                    began: ended,
                    max_time: TURN,
                };
                let n = task.process(&share, &mut self.outlet)?;
                n_processed += n;
                if n > 0 {
                    let since = std::mem::replace(&mut ended, clock.monotonic());
                    slowest = slowest.max((ended.saturating_sub(since), Some(*id)));
                    if of_suspects {
                        self.shared.trust(*id);
                    }
                }
            }
        }
        let took = ended.saturating_sub(began);
        if took > TURN {
            self.batch = (self.batch / 2).max(MIN_BATCH);
            self.note_slow(took, slowest.1);
        } else if took < TURN / 4 {
            self.batch = (self.batch * 2).min(MAX_BATCH);
        }
        Ok(n_processed > 0)
    }

    /// Tasks that ended a thread work when the others have had time to commit once, and nothing of
    /// them is uncommitted that they could take with them.
    fn may_work(&self, suspects: &BTreeSet<TaskId>, now: Duration) -> bool {
        if suspects.is_empty() || !self.pending.is_empty() || !self.restoring.is_empty() {
            return false;
        }
        let interval = self.shared.config.commit_interval_or_default().min(SETTLED);
        let mut others = self.tasks.iter().filter(|(id, _)| !suspects.contains(id));
        now.saturating_sub(self.began) >= interval
            && others.all(|(_, task)| !task.is_dirty() && !task.is_underway())
    }

    fn punctuate(&mut self) -> Result {
        let now = self.shared.config.clock.now();
        for task in self.tasks.values_mut() {
            task.punctuate(now, &mut self.outlet)?;
        }
        Ok(())
    }

    fn report(&self) {
        let settled = self.pending.is_empty() && self.restoring.is_empty() && !self.suspended;
        let state =
            if settled && self.joined { WorkerState::Running } else { WorkerState::Rebalancing };
        self.shared.report(self.index, state);
    }

    /// Ends in order: commits, closes the tasks, leaves the group if it is to.
    ///
    /// # Errors
    /// If the last commit failed: its records are processed again by the next owner.
    pub(crate) fn stop(mut self) -> Result {
        let committed = if self.suspended { Ok(()) } else { self.commit() };
        self.shared.pass(CrashPoint::Leaving);
        self.abandon();
        committed
    }

    /// Ends without a commit.
    pub(crate) fn abandon(&mut self) {
        self.target = Assignment::default();
        if let Err(error) = self.give_up_all() {
            log::warn!("thread {}: {error}", self.index);
        }
        self.standbys.close_idle();
        let timeout = self.shared.config.request_timeout;
        let left = match self.shared.remains() {
            true => self.membership.remain(timeout),
            false => self.membership.leave(timeout),
        };
        if let Err(error) = left {
            log::warn!("thread {}: leaving the group: {error}", self.index);
        }
        self.shared.report(self.index, WorkerState::Dead);
    }

    pub(crate) fn request_shutdown(&mut self) -> Result {
        self.membership.request_shutdown()
    }
}

pub(crate) fn new_outlet(shared: &Shared, index: usize) -> Result<Outlet> {
    let config = &shared.config;
    let exactly_once = config.guarantee == Guarantee::ExactlyOnce;
    let transactional_id = exactly_once
        .then(|| format!("{}-{}-{index}", config.application_id, shared.directory.process_id()));
    let mut producer = shared.log.producer(ProducerOptions {
        client_id: format!("{}-producer", shared.client_id(index)),
        transactional_id,
        transaction_timeout: config.transaction_timeout,
    })?;
    if exactly_once {
        producer.init_transactions(config.request_timeout)?;
    }
    Ok(Outlet::new(producer, config))
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("index", &self.index).finish_non_exhaustive()
    }
}
