//! One thread's work: follow the group, restore, fetch, process, punctuate, commit.
//!
//! A thread calls [`Worker::turn`] in a loop; the test driver and the simulation call it too, so
//! there is no second engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::TopicPartition;
use kstreams_core::task::TaskId;
use kstreams_core::time::millis;

use crate::config::Guarantee;
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
    Assignment, CommittedOffset, Consumer, ConsumerOptions, Isolation, MemberOptions, Membership,
    MembershipEvent, ProducerOptions, Waker,
};

/// Bounds of how many records a task processes before the others have their turn.
const MIN_BATCH: usize = 1;
const MAX_BATCH: usize = 1024;
/// A turn should not take longer than this, so that commits and punctuation come in time.
pub(crate) const TURN: Duration = Duration::from_millis(20);

/// How often the group is asked while tasks are being shared out.
const SETTLING: Duration = Duration::from_millis(5);

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
    /// The positions of the commit that is going on while tasks work.
    pub(crate) underway: Option<Vec<(TopicPartition, CommittedOffset)>>,
    /// What the group wants this worker to own.
    target: Assignment,
    /// The group is sharing out anew: nothing may be processed or committed.
    suspended: bool,
    /// What is known of the tasks that were kept meanwhile; they must not go on before it is settled.
    pub(crate) pause: Pause,
    /// Tasks to be opened as soon as their former owner has closed them.
    pub(crate) pending: BTreeSet<TaskId>,
    pub(crate) restoring: Vec<Restoring>,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    pub(crate) standbys: Standbys,
    batch: usize,
    pub(crate) slowness: Slowness,
    pub(crate) peers_told: Option<Duration>,
    pub(crate) last_commit: Duration,
    pub(crate) last_purge: Duration,
    /// Since when the broker has not answered.
    failing_since: Option<Duration>,
    /// Records are being processed or committed: an error leaves work half done.
    is_at_work: bool,
    /// What the group has not been told yet.
    unacknowledged: Option<Assignment>,
    shutdown_requested: bool,
    /// The group has told at least once what to own.
    joined: bool,
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
            failing_since: None,
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
                self.failing_since = None;
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
        let since_commit = config.clock.monotonic().saturating_sub(self.last_commit);
        let mut timeout = config.poll;
        if !self.joined || self.suspended || !self.pending.is_empty() {
            // News from the group does not wake the consumer.
            timeout = timeout.min(SETTLING);
        }
        if self.underway.is_some() {
            // Its end wakes the consumer on a real log; a step of a simulated one does not.
            timeout = timeout.min(SETTLING);
        }
        if self.tasks.values().any(Task::is_dirty) {
            let interval = config.commit_interval_or_default();
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
        if !self.suspended {
            self.settle_pause()?;
        }
        busy |= self.open_pending()?;
        busy |= self.restore()?;
        if !self.suspended && !self.shared.is_paused() {
            busy |= self.fetch()?;
            self.is_at_work = true;
            if self.slowness.is_careful() {
                busy |= self.work_one_by_one()?;
            } else {
                busy |= self.process()?;
                self.punctuate()?;
            }
        }
        self.is_at_work = true;
        self.outlet.poll()?;
        self.commit_if_due()?;
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
        group.map(|()| busy)
    }

    fn follow_group(&mut self) -> Result<bool> {
        self.acknowledge()?;
        let Some(event) = self.membership.poll()? else { return Ok(false) };
        log::debug!("thread {}: {event:?}", self.index);
        self.shared.pass(CrashPoint::GroupNews);
        match event {
            MembershipEvent::Suspend => {
                if !self.suspended {
                    self.commit_before_release();
                }
                self.note_pause();
                self.suspended = true;
                self.unacknowledged = Some(Assignment::default());
            }
            MembershipEvent::Assigned(target) => {
                self.reconcile(&target)?;
                self.unacknowledged = Some(target);
            }
            MembershipEvent::Lost => {
                log::warn!("thread {}: lost its tasks to other members", self.index);
                self.joined = false;
                let limit = self.shared.config.rebalance_timeout;
                self.slowness.setback(limit, "rebalance_timeout")?;
                if !self.shared.has(Bug::IgnoreLost) {
                    self.target = Assignment::default();
                    self.give_up_all()?;
                }
                self.unacknowledged = Some(Assignment::default());
            }
            MembershipEvent::ShutdownRequested => self.shutdown_requested = true,
        }
        self.acknowledge()?;
        Ok(true)
    }

    /// Tells the group what is ours now, until it has heard.
    fn acknowledge(&mut self) -> Result {
        if let Some(owned) = &self.unacknowledged {
            self.shared.pass(CrashPoint::BeforeAcknowledge);
            self.membership.acknowledge(owned)?;
            self.unacknowledged = None;
            self.shared.pass(CrashPoint::AfterAcknowledge);
        }
        Ok(())
    }

    /// Gives up what is not ours any more and takes on what is new; other tasks go on untouched.
    fn reconcile(&mut self, target: &Assignment) -> Result {
        let is_late = self.shared.has(Bug::ReleaseLate);
        let gone = |id: &TaskId| !target.active.contains(id) && !is_late;
        let released: Vec<TaskId> = self.tasks.keys().copied().filter(gone).collect();
        let is_at_stake = |id: &TaskId| self.tasks[id].is_dirty() || self.tasks[id].is_underway();
        if !self.suspended && released.iter().any(is_at_stake) {
            self.commit_before_release();
        }
        for id in &released {
            if let Some(task) = self.tasks.remove(id) {
                self.consumer.unassign(&task.lanes())?;
                self.shared.withdraw(*id);
                if target.standby.contains(id) && !task.is_dirty() {
                    self.standbys.idle.push(task.recycle());
                    self.shared.pass(CrashPoint::TaskRecycled);
                } else {
                    task.close();
                    self.shared.pass(CrashPoint::TaskClosed);
                }
                log::info!("task {id}: closed, it has a new owner");
            }
        }
        let (kept, released): (Vec<_>, Vec<_>) =
            self.restoring.drain(..).partition(|task| target.active.contains(&task.open.id));
        self.restoring = kept;
        for task in released {
            task.close(&mut *self.consumer, &self.shared.config);
        }
        self.suspended = false;
        self.reconcile_standbys(target);
        let owned: BTreeSet<TaskId> = self
            .tasks
            .keys()
            .copied()
            .chain(self.restoring.iter().map(|task| task.open.id))
            .collect();
        self.pending = target.active.difference(&owned).copied().collect();
        if !self.pending.is_empty() {
            let names: Vec<String> = self.pending.iter().map(ToString::to_string).collect();
            log::info!("thread {}: takes on tasks {}", self.index, names.join(", "));
        }
        self.target = target.clone();
        self.joined = true;
        Ok(())
    }

    /// Commits so that the next owner repeats nothing. If it fails, the next owner repeats what was
    /// not committed; that is no reason to keep the tasks.
    fn commit_before_release(&mut self) {
        if let Err(error) = self.commit() {
            log::warn!("thread {}: commit before giving tasks up failed: {error}", self.index);
            self.is_outlet_spent = true;
            if let Err(error) = self.give_up_all() {
                log::warn!("thread {}: {error}", self.index);
            }
        }
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
        for (id, task) in &mut self.tasks {
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

    /// Decides what an error means: go on, open tasks anew, or end.
    fn recover(&mut self, error: Error) -> Turn {
        let was_at_work = std::mem::take(&mut self.is_at_work);
        let monotonic = self.shared.config.clock.monotonic();
        let outcome = match error.kind() {
            _ if error.is_retriable() => {
                let since = *self.failing_since.get_or_insert(monotonic);
                let limit = self.shared.config.task_timeout;
                if monotonic.saturating_sub(since) >= limit {
                    let text = format!(
                        "gave up after {} ms (task timeout): {}",
                        millis(limit),
                        error.message()
                    );
                    return Turn::Failed(Error::new(error.kind(), text).with_source(error));
                }
                log::warn!("thread {}: tries again: {error}", self.index);
                if was_at_work && self.shared.config.guarantee == Guarantee::ExactlyOnce {
                    if let Err(error) = self.transaction_lost() {
                        return Turn::Failed(error);
                    }
                    if self.shared.has(Bug::ReuseProducer) {
                        self.give_up_all()
                    } else {
                        self.replace_outlet()
                    }
                } else {
                    Ok(())
                }
            }
            ErrorKind::Fenced => {
                log::warn!("thread {}: fenced: {error}", self.index);
                let timeout = self.shared.config.request_timeout;
                if self.shared.has(Bug::KeepWhenFenced) && self.outlet.abort(timeout).is_ok() {
                    return Turn::Idle;
                }
                if let Err(error) = self.transaction_lost() {
                    return Turn::Failed(error);
                }
                self.replace_outlet()
            }
            ErrorKind::Corrupted => {
                log::warn!("thread {}: {error}", self.index);
                self.wipe_and_reopen(error.task())
            }
            _ => return Turn::Failed(error),
        };
        match outcome {
            Ok(()) => Turn::Idle,
            Err(error) if error.is_retriable() => {
                log::warn!("thread {}: tries again: {error}", self.index);
                Turn::Idle
            }
            Err(error) => Turn::Failed(error),
        }
    }

    /// The outcome of a transaction is unknown, or it was refused: this producer is never used
    /// again (KIP-890 has no client side here), and all tasks go on from what is committed.
    ///
    /// Nothing is aborted: the next producer of the same transactional id does that, and fences
    /// requests of this one that are still on their way. It is asked for until there is one.
    pub(crate) fn replace_outlet(&mut self) -> Result {
        self.is_outlet_spent = true;
        self.give_up_all()?;
        self.renew_outlet()
    }

    fn renew_outlet(&mut self) -> Result {
        if self.is_outlet_spent {
            self.outlet = new_outlet(&self.shared, self.index)?;
            self.is_outlet_spent = false;
            self.shared.pass(CrashPoint::ProducerReplaced);
        }
        Ok(())
    }

    fn wipe_and_reopen(&mut self, task: Option<TaskId>) -> Result {
        if self.shared.config.guarantee == Guarantee::ExactlyOnce {
            self.replace_outlet()?;
        } else {
            self.give_up_all()?;
        }
        if let Some(task) = task {
            self.shared.wipe(task)?;
        }
        Ok(())
    }

    /// Closes every task without a commit and opens those that are still ours anew.
    pub(crate) fn give_up_all(&mut self) -> Result {
        // Its outcome is not known here; the next producer settles it.
        self.is_outlet_spent |= self.underway.take().is_some();
        if !self.is_outlet_spent
            && let Err(error) = self.outlet.abort(self.shared.config.request_timeout)
        {
            log::warn!("thread {}: abort failed: {error}", self.index);
            self.is_outlet_spent = true;
        }
        for (id, mut task) in std::mem::take(&mut self.tasks) {
            self.consumer.unassign(&task.lanes())?;
            self.shared.withdraw(id);
            if self.shared.has(Bug::CloseCommits) {
                task.commit_stores(&self.outlet)?;
            }
            task.close();
        }
        for task in std::mem::take(&mut self.restoring) {
            task.close(&mut *self.consumer, &self.shared.config);
        }
        let target = self.target.clone();
        self.reconcile_standbys(&target);
        self.pending = target.active;
        self.pause = Pause::None;
        Ok(())
    }

    /// Ends in order: commits, closes the tasks, leaves the group.
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
        if let Err(error) = self.membership.leave(self.shared.config.request_timeout) {
            log::warn!("thread {}: leaving the group: {error}", self.index);
        }
        self.shared.report(self.index, WorkerState::Dead);
    }

    pub(crate) fn request_shutdown(&mut self) -> Result {
        self.membership.request_shutdown()
    }
}

fn new_outlet(shared: &Shared, index: usize) -> Result<Outlet> {
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
