//! What a partition forgets: retention by size, count and age, deleted records, compaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::record::Offset;
use kstreams_core::time::Timestamp;

use super::chunk::{Chunk, RecordRef};
use super::partition::{Kind, Partition, Segment, State};
use super::topic::TopicConfig;
use crate::transport::Isolation;

impl Partition {
    /// Applies every rule of the topic now, also retention by age.
    pub(super) fn clean(&self, now: Timestamp) {
        let mut state = self.state.lock();
        if self.config.is_compacted {
            state.compact(&self.config, now);
        }
        if let Some(age) = self.config.retention {
            state.expire(now - age);
        }
        state.clean(&self.config, now);
    }
}

impl State {
    /// Keeps within the bounds of size and count; called after each append.
    pub(super) fn clean(&mut self, config: &TopicConfig, now: Timestamp) {
        if config.is_compacted {
            let limit = self.clean_bytes.saturating_add(self.clean_bytes.max(config.compact_bytes));
            if self.n_bytes > limit {
                self.compact(config, now);
            }
        }
        while self.segments.len() > 1
            && (config.retention_bytes.is_some_and(|limit| self.n_bytes > limit)
                || config
                    .retention_records
                    .is_some_and(|limit| (self.end - self.segments[0].end) as u64 >= limit))
        {
            if !self.drop_front() {
                break;
            }
        }
    }

    /// Drops whole segments whose newest record is older than `limit`.
    fn expire(&mut self, limit: Timestamp) {
        while self.segments.front().is_some_and(|segment| {
            segment.kind == Kind::Marker || segment.chunk.max_timestamp() < limit
        }) && self.drop_front()
        {}
    }

    /// Drops the oldest segment, unless an open transaction needs it.
    fn drop_front(&mut self) -> bool {
        let stable = self.visible_end(Isolation::ReadCommitted);
        let Some(front) = self.segments.front().filter(|front| front.end <= stable) else {
            return false;
        };
        self.start = self.start.max(front.end);
        self.n_bytes -= front.chunk.size();
        self.segments.pop_front();
        true
    }

    /// Forgets what lies before `offset`.
    pub(super) fn move_start(&mut self, offset: Offset) {
        self.start = self.start.max(offset);
        while self.segments.front().is_some_and(|front| front.end <= self.start)
            && self.drop_front()
        {}
    }

    /// Keeps the last record of each key among those that are stable and not too young; offsets
    /// stay as they are.
    fn compact(&mut self, config: &TopicConfig, now: Timestamp) {
        let stable = self.visible_end(Isolation::ReadCommitted);
        let youngest = now - config.compaction_lag;
        let is_ripe = |segment: &&Segment| {
            segment.end <= stable
                && (config.compaction_lag.is_zero() || segment.chunk.max_timestamp() <= youngest)
        };
        let n_ripe = self.segments.iter().take_while(is_ripe).count();
        let old: Vec<Segment> = self.segments.drain(..n_ripe).collect();
        let kept = compacted(&old, self.start, now - config.delete_retention);
        for segment in kept.into_iter().rev() {
            self.segments.push_front(segment);
        }
        self.n_bytes = self.segments.iter().map(|segment| segment.chunk.size()).sum();
        self.clean_bytes = self.n_bytes;
    }
}

/// The segments that remain of `old`: committed records from `start` on that no later one of the
/// same key replaces, without tombstones from before `tombstones_until`.
fn compacted(old: &[Segment], start: Offset, tombstones_until: Timestamp) -> Vec<Segment> {
    // Only looked up, never walked: its order does not matter.
    let mut last: HashMap<&[u8], Offset> = HashMap::new();
    let committed = || old.iter().filter(|segment| segment.kind == Kind::Committed);
    for segment in committed() {
        for index in 0..segment.chunk.len() {
            let record = segment.chunk.get(index, segment.base, segment.leader_epoch);
            if let Some(key) = record.key {
                last.insert(key, record.offset);
            }
        }
    }
    let mut kept: Vec<Segment> = Vec::new();
    let mut open: Option<(Offset, i32, Chunk)> = None;
    let mut close = |open: &mut Option<(Offset, i32, Chunk)>| {
        if let Some((base, leader_epoch, chunk)) = open.take() {
            let end = base + Offset::from(chunk.next_delta());
            let chunk = Arc::new(chunk.close());
            kept.push(Segment { base, end, chunk, kind: Kind::Committed, leader_epoch });
        }
    };
    for segment in committed() {
        for index in 0..segment.chunk.len() {
            let record = segment.chunk.get(index, segment.base, segment.leader_epoch);
            let newest = record.key.is_some_and(|key| last.get(key) == Some(&record.offset));
            let forgotten = record.value.is_none() && record.timestamp < tombstones_until;
            if !newest || forgotten || record.offset < start {
                continue;
            }
            let fits = open.as_ref().is_some_and(|(base, leader_epoch, chunk)| {
                *leader_epoch == segment.leader_epoch
                    && !chunk.is_full()
                    && record.offset - base < Offset::from(u32::MAX)
            });
            if !fits {
                close(&mut open);
            }
            let (base, _, chunk) =
                open.get_or_insert_with(|| (record.offset, segment.leader_epoch, Chunk::default()));
            let delta = (record.offset - *base) as u32;
            let (key, value, timestamp) = (record.key, record.value, record.timestamp);
            chunk.push_at(delta, &RecordRef { key, value, timestamp, headers: &record.headers });
        }
    }
    close(&mut open);
    kept
}

/// How long compaction keeps tombstones, as `delete.retention.ms`.
pub(super) const DELETE_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// How much a compacted partition may grow before it is compacted again.
pub(super) const COMPACT_BYTES: usize = 16 * 1024 * 1024;
