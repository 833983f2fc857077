//! Reads what is committed: each record must count once and in order, and tasks must go on.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use kstreams::log::KafkaLog;

use super::app::OUTPUT;
use crate::topics::Reader;

const LOOK: Duration = Duration::from_millis(5);
/// A partition that has not moved for so long stands still.
const STILL: Duration = Duration::from_secs(1);

/// Who has committed a result of a partition last, and when it was seen.
struct Seen {
    by: u32,
    at: Duration,
}

pub(crate) struct Watch {
    reader: Reader,
    counts: HashMap<Vec<u8>, i64>,
    /// By partition.
    seen: HashMap<usize, Seen>,
    pub(crate) n_read: u64,
    /// The longest time between two commits of a task that stayed where it was.
    pub(crate) longest: Duration,
}

impl Watch {
    pub(super) fn new(log: &KafkaLog, n_partitions: i32) -> Self {
        Self {
            reader: Reader::new(log, OUTPUT, n_partitions),
            counts: HashMap::new(),
            seen: HashMap::new(),
            n_read: 0,
            longest: Duration::ZERO,
        }
    }

    /// Takes what has come by `now`, and waits a little for more.
    pub(super) fn look(&mut self, now: Duration) {
        let Self { reader, counts, seen, n_read, longest } = self;
        reader.take(|partition, record| {
            let value = std::str::from_utf8(record.value.unwrap()).unwrap();
            let (told, by) = value.split_once(' ').unwrap();
            let count = counts.entry(record.key.unwrap().to_vec()).or_default();
            *count += 1;
            assert_eq!(told, count.to_string(), "lost or repeated in partition {partition}");
            *n_read += 1;
            let by = by.parse().unwrap();
            let before = seen.insert(partition, Seen { by, at: now });
            if let Some(before) = before.filter(|before| before.by == by) {
                *longest = (*longest).max(now.saturating_sub(before.at));
            }
        });
        self.reader.wait(LOOK);
    }

    /// All partitions have moved since `began` and still do, in all of these processes.
    pub(super) fn is_shared_out(
        &self,
        processes: &BTreeSet<u32>,
        began: Duration,
        now: Duration,
    ) -> bool {
        let moves = |seen: &Seen| seen.at > began && seen.at + STILL > now;
        self.seen.len() == self.reader.n_partitions()
            && self.seen.values().all(moves)
            && self.seen.values().map(|seen| seen.by).collect::<BTreeSet<u32>>() == *processes
    }
}
