//! One running task: chooses the next record, feeds the flow, drains what comes out.
//!
//! Called by the worker only, from one thread at a time.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::flow::Flow;
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::task::TaskId;
use kstreams_core::time::{Clock, Timestamp};

use super::{OpenTask, PartitionQueue, TaskStore, encode_metadata};
use crate::directory::TaskClaim;
use crate::outlet::{Outlet, Topics};
use crate::probe::{CrashPoint, unless_crash};
use crate::shared::TaskInfo;
use crate::transport::{CommittedOffset, Consumer, Lane};

/// Above this many waiting bytes the outbox is drained in the middle of a batch.
const DRAIN_BYTES: usize = 256 << 10;
/// So many bytes may wait in a task while the log commits, before it waits too.
const HELD_BYTES: usize = 1 << 20;
/// After so many records the clock is asked whether the task's time is over.
const CLOCK_EACH: usize = 32;

/// How much of the thread a task may have before the others have their turn.
#[derive(Clone, Copy)]
pub(crate) struct Share<'a> {
    pub(crate) clock: &'a dyn Clock,
    /// The wall clock's time, of the turn.
    pub(crate) now: Timestamp,
    pub(crate) max_records: usize,
    /// When the turn began, by the monotonic clock.
    pub(crate) began: Duration,
    pub(crate) max_time: Duration,
}

impl Share<'_> {
    fn is_over(&self) -> bool {
        self.clock.monotonic().saturating_sub(self.began) >= self.max_time
    }
}

pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(super) flow: Flow,
    pub(super) queues: Vec<PartitionQueue>,
    pub(super) stores: Vec<TaskStore>,
    pub(super) topics: Topics,
    pub(super) max_idle: Option<Duration>,
    /// Something happened since the last commit.
    pub(super) dirty: bool,
    /// It is part of the commit that is going on.
    pub(super) is_underway: bool,
    pub(super) last_record: Option<(usize, Offset)>,
    pub(super) claim: TaskClaim,
}

impl Task {
    /// Takes what the consumer has for partitions that have room; true if anything came.
    pub(crate) fn fetch(&mut self, consumer: &mut dyn Consumer, limit: usize) -> Result<bool> {
        let mut any = false;
        for queue in &mut self.queues {
            let room = limit.saturating_sub(queue.n_buffered());
            // Small remainders are not worth a call for each record that was processed.
            if room * 2 < limit {
                continue;
            }
            let fetched = consumer.fetch(queue.lane, room).map_err(|error| {
                let at = &queue.partition;
                error.at_task(self.id).at_partition(&at.topic, at.partition)
            })?;
            any |= fetched.records.is_some();
            queue.push(fetched);
        }
        Ok(any)
    }

    /// Processes records, each to the end before the next begins; tells how many.
    ///
    /// # Errors
    /// If a node failed and its handler decided to fail, or user code panicked. The task must not
    /// be committed then.
    pub(crate) fn process(&mut self, share: &Share<'_>, outlet: &mut Outlet) -> Result<usize> {
        if outlet.is_held() && self.n_waiting() >= HELD_BYTES {
            return Ok(0);
        }
        let limit = if outlet.is_held() { HELD_BYTES } else { DRAIN_BYTES };
        self.flow.set_system_time(share.now);
        let mut n_processed = 0;
        while n_processed < share.max_records {
            let max = share.max_records - n_processed;
            let processed = self.guarded(|task| task.process_chunk(max, limit, share, outlet));
            // Records before a failed one have moved the position; what they wrote must leave too.
            self.dirty |= processed.as_ref().map_or(true, |(done, _)| *done > 0);
            let (done, more) = processed?;
            n_processed += done;
            outlet.pass(CrashPoint::Processed);
            self.drain(outlet)?;
            if !more || outlet.is_held() {
                break;
            }
        }
        Ok(n_processed)
    }

    /// Processes until `max`, until nothing is ready, until the time is over, or until enough bytes
    /// wait to be sent; only then there may be more.
    fn process_chunk(
        &mut self,
        max: usize,
        limit: usize,
        share: &Share<'_>,
        outlet: &Outlet,
    ) -> Result<(usize, bool)> {
        for done in 0..max {
            if done % CLOCK_EACH == CLOCK_EACH - 1 && share.is_over() {
                return Ok((done, false));
            }
            let Some((input, time)) = self.choose(share.began)? else { return Ok((done, false)) };
            let queue = &mut self.queues[input];
            let Some(head) = queue.head() else { return Ok((done, false)) };
            outlet.took(self.id, &queue.partition, head.offset);
            self.flow.feed(input, &head, time)?;
            self.last_record = Some((input, head.offset));
            drop(head);
            queue.advance();
            self.flow.punctuate_stream_time()?;
            if self.flow.outbox().n_bytes() >= limit {
                return Ok((done + 1, !share.is_over()));
            }
        }
        Ok((max, false))
    }

    /// The partition whose head has the smallest event time, if the task is ready to go on.
    ///
    /// Java's rule (`PartitionGroup.readyToProcess`): with an empty partition it waits while the
    /// broker has, or may have, more of it, and then for `max.task.idle`.
    fn choose(&mut self, monotonic: Duration) -> Result<Option<(usize, Timestamp)>> {
        let mut best: Option<(usize, Timestamp)> = None;
        let mut waits = false;
        for (input, queue) in self.queues.iter_mut().enumerate() {
            match queue.head_time(input, &mut self.flow)? {
                Some(time) if best.is_none_or(|(_, least)| time < least) => {
                    best = Some((input, time));
                }
                Some(_) => {}
                None => waits |= is_waited_for(queue, self.max_idle, monotonic),
            }
        }
        Ok(if waits { None } else { best })
    }

    /// Calls wall-clock punctuators that are due; true if any was.
    ///
    /// # Errors
    /// As [`process`](Self::process).
    pub(crate) fn punctuate(&mut self, now: Timestamp, outlet: &mut Outlet) -> Result<bool> {
        self.flow.set_system_time(now);
        let punctuated = self.guarded(|task| task.flow.punctuate_wall_clock(now));
        self.dirty |= punctuated.as_ref().map_or(true, |any| *any);
        let any = punctuated?;
        if any {
            outlet.pass(CrashPoint::Punctuated);
            self.drain(outlet)?;
        }
        Ok(any)
    }

    pub(crate) fn next_punctuation(&self) -> Option<Timestamp> {
        self.flow.next_wall_clock()
    }

    pub(crate) fn take_commit_request(&mut self) -> bool {
        self.flow.take_commit_request()
    }

    /// Before a commit: processors forward what they hold back, everything goes to the producer.
    ///
    /// # Errors
    /// As [`process`](Self::process).
    pub(crate) fn flush(&mut self, outlet: &mut Outlet) -> Result {
        if !self.dirty {
            return Ok(());
        }
        self.guarded(|task| task.flow.flush())?;
        self.drain(outlet)
    }

    fn n_waiting(&mut self) -> usize {
        let changes: usize = self.stores.iter().map(TaskStore::n_waiting).sum();
        self.flow.outbox().n_bytes() + changes
    }

    /// Hands over what waits to be sent, unless the log is committing: then it waits for that.
    ///
    /// # Errors
    /// As [`Outlet::drain`].
    pub(crate) fn drain(&mut self, outlet: &mut Outlet) -> Result {
        if outlet.is_held() {
            return Ok(());
        }
        outlet.drain(self.flow.outbox(), &mut self.topics, self.id)?;
        outlet.pass(CrashPoint::OutputDrained);
        for store in &mut self.stores {
            store.drain(outlet, self.id)?;
        }
        outlet.pass(CrashPoint::Drained);
        Ok(())
    }

    /// A panic in user code is this task's failure, not the process's.
    fn guarded<R>(&mut self, work: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        match catch_unwind(AssertUnwindSafe(|| work(self))) {
            Ok(result) => result.map_err(|error| error.at_task(self.id)),
            Err(panic) => {
                let panic = unless_crash(panic);
                let text = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "no message".into());
                let env = self.flow.env();
                let error = Error::new(ErrorKind::Panic, format!("user code panicked: {text}"))
                    .at_task(self.id)
                    .at_node(env.node_name());
                Err(match env.record_metadata() {
                    Some(at) => error.at_record(at.topic, at.partition, at.offset),
                    None => error,
                })
            }
        }
    }

    /// The record that was processed last.
    pub(crate) fn last_record(&self) -> Option<(TopicPartition, Offset)> {
        let (input, offset) = self.last_record?;
        Some((self.queues.get(input)?.partition.clone(), offset))
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The positions that have moved since the last commit, or all of them: the group lets a
    /// transaction pass for its positions alone, so one without them would not be fenced.
    pub(crate) fn offsets(
        &self,
        into: &mut Vec<(TopicPartition, CommittedOffset)>,
        is_all: bool,
        is_of_fetched: bool,
    ) {
        for queue in &self.queues {
            let metadata = |time| encode_metadata(time, self.flow.progress());
            if let Some(mut offset) = queue.to_commit(is_all, metadata) {
                if is_of_fetched {
                    offset.offset = queue.fetched_to();
                }
                into.push((queue.partition.clone(), offset));
            }
        }
    }

    /// A commit begins: fixes the positions that it is of.
    pub(crate) fn freeze_positions(&mut self) {
        self.queues.iter_mut().for_each(PartitionQueue::freeze);
    }

    /// True if it can go on while a commit of it does.
    pub(crate) fn can_go_on(&self) -> bool {
        self.stores.iter().all(|store| store.store.can_freeze())
    }

    /// Fixes what the commit is of in the stores too.
    pub(crate) fn freeze_stores(&mut self) {
        self.stores.iter().for_each(|store| store.store.freeze());
    }

    /// All is fixed: from here on changes are for the next commit.
    pub(crate) fn go_on(&mut self) {
        (self.dirty, self.is_underway) = (false, true);
    }

    /// True if it is part of the commit that is going on.
    pub(crate) fn is_underway(&self) -> bool {
        self.is_underway
    }

    /// The log has the positions of the commit.
    pub(crate) fn mark_committed(&mut self) {
        self.queues.iter_mut().for_each(PartitionQueue::mark_committed);
    }

    /// After a commit: stores make durable what the log has now.
    ///
    /// # Errors
    /// If a disk refuses.
    pub(crate) fn committed(&mut self, outlet: &Outlet) -> Result {
        if !std::mem::take(&mut self.is_underway) {
            self.dirty = false;
        }
        self.commit_stores(outlet)
    }

    pub(crate) fn commit_stores(&mut self, outlet: &Outlet) -> Result {
        for store in &mut self.stores {
            store.commit(outlet).map_err(|error| error.at_task(self.id))?;
            outlet.pass(CrashPoint::StoreCommitted);
        }
        Ok(())
    }

    /// Where the group stands, as far as this task knows.
    pub(crate) fn committed_positions(&self) -> BTreeMap<TopicPartition, Offset> {
        let known = |queue: &PartitionQueue| Some((queue.partition.clone(), queue.committed()?));
        self.queues.iter().filter_map(known).collect()
    }

    pub(crate) fn stores(&self) -> &[TaskStore] {
        &self.stores
    }

    pub(crate) fn uncommitted_bytes(&self) -> usize {
        self.stores.iter().map(|store| store.store.uncommitted_bytes()).sum()
    }

    pub(crate) fn lanes(&self) -> Vec<Lane> {
        self.queues.iter().map(|queue| queue.lane).collect()
    }

    /// Ends the processors and keeps the stores open, for a standby. Everything must be committed.
    pub(crate) fn recycle(mut self) -> OpenTask {
        self.close_flow();
        let setup = self.flow.into_setup();
        OpenTask { id: self.id, stores: self.stores, claim: self.claim, setup }
    }

    fn close_flow(&mut self) {
        let close = catch_unwind(AssertUnwindSafe(|| self.flow.close()));
        if let Err(panic) = close {
            unless_crash(panic);
            log::error!("task {}: a processor panicked in close", self.id);
        }
    }

    /// Ends the task; what is not committed is forgotten.
    pub(crate) fn close(mut self) {
        self.close_flow();
        for store in &self.stores {
            if let Err(error) = store.store.close() {
                log::error!("task {}: closing store {}: {error}", self.id, store.store.name());
            }
        }
    }

    /// What users see of it.
    pub(crate) fn info(&self) -> TaskInfo {
        let position = |queue: &PartitionQueue| (queue.partition.clone(), queue.next_offset());
        let mut counters = self.flow.counters();
        counters.dropped += self.stores.iter().map(|store| store.store.n_dropped()).sum::<u64>();
        TaskInfo {
            task: self.id,
            counters,
            positions: self.queues.iter().map(position).collect(),
            n_buffered: self.queues.iter().map(PartitionQueue::n_buffered).sum(),
        }
    }

    pub(crate) fn flow(&self) -> &Flow {
        &self.flow
    }

    pub(crate) fn queue_at(&mut self, partition: &TopicPartition) -> Option<&mut PartitionQueue> {
        self.queues.iter_mut().find(|queue| queue.partition == *partition)
    }
}

fn is_waited_for(
    queue: &mut PartitionQueue,
    max_idle: Option<Duration>,
    monotonic: Duration,
) -> bool {
    let Some(max_idle) = max_idle else { return false };
    if queue.may_have_more() {
        return true;
    }
    let since = *queue.idle_since.get_or_insert(monotonic);
    monotonic.saturating_sub(since) < max_idle
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("id", &self.id).finish_non_exhaustive()
    }
}
