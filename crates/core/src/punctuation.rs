//! Schedules of punctuators, with Java's rules for missed intervals.
//!
//! Called by [`Flow`](crate::flow::Flow) after each record (stream time) and by the worker's loop
//! (wall clock).

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::time::{Timestamp, millis};

/// Which time drives a punctuator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeKind {
    /// The largest timestamp the task has processed; it stands still without new records.
    Stream,
    /// The clock of the machine.
    WallClock,
}

/// When a punctuator is due: each `interval`, by stream time or wall clock, perhaps anchored.
///
/// ```
/// use std::time::Duration;
/// use kstreams_core::punctuation::Every;
/// use kstreams_core::time::Timestamp;
///
/// // At each full hour of event time.
/// let hourly = Every::stream_time(Duration::from_secs(3600)).from(Timestamp::from_millis(0));
/// assert_eq!(hourly.interval(), Duration::from_secs(3600));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Every {
    kind: TimeKind,
    interval: Duration,
    start: Option<Timestamp>,
}

impl Every {
    /// Each `interval` of stream time; the first call comes with the first record.
    ///
    /// Intervals shorter than a millisecond count as one millisecond.
    pub const fn stream_time(interval: Duration) -> Self {
        Self { kind: TimeKind::Stream, interval, start: None }
    }

    /// Each `interval` of wall-clock time; the first call comes one interval from now.
    pub const fn wall_clock(interval: Duration) -> Self {
        Self { kind: TimeKind::WallClock, interval, start: None }
    }

    /// Anchors the calls to `start`, `start + interval`, .. (KIP-1146).
    ///
    /// An anchor in the past means the next moment of that grid.
    #[must_use]
    pub const fn from(mut self, start: Timestamp) -> Self {
        self.start = Some(start);
        self
    }

    /// The interval.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// Which time drives it.
    pub const fn kind(&self) -> TimeKind {
        self.kind
    }

    fn first(&self, stream_time: Timestamp, now: Timestamp) -> i64 {
        let interval = self.interval_millis();
        match (self.kind, self.start) {
            (TimeKind::Stream, None) => 0,
            (TimeKind::WallClock, None) => now.as_millis().saturating_add(interval),
            (TimeKind::Stream, Some(start)) => next_on_grid(start, interval, stream_time),
            (TimeKind::WallClock, Some(start)) => next_on_grid(start, interval, now),
        }
    }

    fn interval_millis(&self) -> i64 {
        millis(self.interval).max(1)
    }
}

fn next_on_grid(start: Timestamp, interval: i64, now: Timestamp) -> i64 {
    let (start, now) = (start.as_millis(), now.as_millis());
    if now <= start {
        return start;
    }
    let passed = now.saturating_sub(start);
    start.saturating_add((passed / interval + i64::from(passed % interval != 0)) * interval)
}

/// A scheduled punctuator; keep it to cancel it. Dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Schedule(Arc<AtomicBool>);

impl Schedule {
    /// Stops the punctuator, also from within its own call.
    pub fn cancel(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// True until cancelled.
    pub fn is_active(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// All schedules of one task.
pub(crate) struct Schedules {
    entries: Vec<Entry>,
    // The earliest due time of each kind, so that the check per record is one comparison.
    stream_due: i64,
    wall_due: i64,
}

struct Entry {
    node: usize,
    every: Every,
    due: i64,
    schedule: Schedule,
    punctuator: Option<Box<dyn Any + Send>>,
}

/// A punctuator taken out to be called; it is put back afterwards.
pub(crate) struct Due {
    pub(crate) node: usize,
    pub(crate) punctuator: Box<dyn Any + Send>,
    entry: usize,
}

impl Schedules {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), stream_due: i64::MAX, wall_due: i64::MAX }
    }

    pub(crate) fn add(
        &mut self,
        node: usize,
        every: Every,
        punctuator: Box<dyn Any + Send>,
        stream_time: Timestamp,
        now: Timestamp,
    ) -> Schedule {
        let schedule = Schedule(Arc::new(AtomicBool::new(true)));
        let due = every.first(stream_time, now);
        let punctuator = Some(punctuator);
        self.entries.push(Entry { node, every, due, schedule: schedule.clone(), punctuator });
        self.refresh();
        schedule
    }

    /// True if something of `kind` is due at `now`: cheap, asked for each record.
    pub(crate) fn is_due(&self, kind: TimeKind, now: Timestamp) -> bool {
        now.as_millis() >= self.due(kind)
    }

    /// When the next punctuator of `kind` is due (`i64::MAX`: never).
    pub(crate) fn due(&self, kind: TimeKind) -> i64 {
        match kind {
            TimeKind::Stream => self.stream_due,
            TimeKind::WallClock => self.wall_due,
        }
    }

    /// Takes the punctuator that has been due longest, and sets when it is due next.
    pub(crate) fn take(&mut self, kind: TimeKind, now: Timestamp) -> Option<Due> {
        // Cancelled ones go first; none is taken out at this moment, so indices may move.
        if self.entries.iter().any(|entry| !entry.schedule.is_active()) {
            self.entries.retain(|entry| entry.schedule.is_active());
            self.refresh();
        }
        let due = |entry: &&mut (usize, &mut Entry)| {
            entry.1.every.kind == kind && entry.1.due <= now.as_millis()
        };
        let mut entries: Vec<(usize, &mut Entry)> = self.entries.iter_mut().enumerate().collect();
        let (index, entry) = entries.iter_mut().filter(due).min_by_key(|entry| entry.1.due)?;
        let (index, punctuator) = (*index, entry.punctuator.take()?);
        entry.due = next_due(entry.due, entry.every.interval_millis(), now.as_millis());
        let node = entry.node;
        self.refresh();
        Some(Due { node, punctuator, entry: index })
    }

    pub(crate) fn put_back(&mut self, due: Due) {
        if let Some(entry) = self.entries.get_mut(due.entry) {
            entry.punctuator = Some(due.punctuator);
        }
    }

    fn refresh(&mut self) {
        let earliest = |kind| {
            let of_kind = self.entries.iter().filter(|entry| entry.every.kind == kind);
            of_kind.map(|entry| entry.due).min().unwrap_or(i64::MAX)
        };
        (self.stream_due, self.wall_due) =
            (earliest(TimeKind::Stream), earliest(TimeKind::WallClock));
    }
}

/// `PunctuationSchedule.next`: missed intervals collapse, the grid stays.
fn next_due(due: i64, interval: i64, now: i64) -> i64 {
    let next = due.saturating_add(interval);
    if now < next {
        return next;
    }
    let missed = now.saturating_sub(due) / interval;
    due.saturating_add((missed + 1).saturating_mul(interval))
}

impl fmt::Debug for Schedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedules").field("n_entries", &self.entries.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn missed_intervals_collapse_and_the_grid_stays() {
        assert_eq!(next_due(0, 10, 5), 10);
        assert_eq!(next_due(0, 10, 35), 40);
        assert_eq!(next_due(10, 10, 20), 30);
    }

    #[test]
    fn first_calls() {
        let ten = Duration::from_millis(10);
        assert_eq!(Every::stream_time(ten).first(Timestamp::NONE, at(100)), 0);
        assert_eq!(Every::wall_clock(ten).first(Timestamp::NONE, at(100)), 110);
        assert_eq!(Every::wall_clock(ten).from(at(5)).first(Timestamp::NONE, at(100)), 105);
        assert_eq!(Every::wall_clock(ten).from(at(5)).first(Timestamp::NONE, at(105)), 105);
        assert_eq!(Every::stream_time(ten).from(at(500)).first(Timestamp::NONE, at(0)), 500);
    }

    #[test]
    fn a_cancelled_schedule_is_not_taken() {
        let mut schedules = Schedules::new();
        let every = Every::stream_time(Duration::from_millis(10));
        let one = schedules.add(0, every, Box::new(()), Timestamp::NONE, at(0));
        schedules.add(1, every, Box::new(()), Timestamp::NONE, at(0));
        one.cancel();
        let due = schedules.take(TimeKind::Stream, at(3)).unwrap();
        assert_eq!(due.node, 1);
        schedules.put_back(due);
        assert!(schedules.take(TimeKind::Stream, at(3)).is_none());
        assert!(schedules.is_due(TimeKind::Stream, at(10)));
    }
}
