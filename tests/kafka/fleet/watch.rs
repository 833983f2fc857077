//! Reads what is committed: each record must count once and in order, and tasks must go on.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use kstreams::log::{Consumer, ConsumerOptions, Isolation, KafkaLog, Lane, Log};
use kstreams::record::TopicPartition;

use super::app::OUTPUT;

const LOOK: Duration = Duration::from_millis(5);
/// A partition that has not moved for so long stands still.
const STILL: Duration = Duration::from_secs(1);

/// Who has committed a result of a partition last, and when it was seen.
struct Seen {
    by: u32,
    at: Duration,
}

pub(crate) struct Watch {
    consumer: Box<dyn Consumer>,
    lanes: Vec<Lane>,
    counts: HashMap<Vec<u8>, i64>,
    seen: HashMap<Lane, Seen>,
    pub(crate) n_read: u64,
    /// The longest time between two commits of a task that stayed where it was.
    pub(crate) longest: Duration,
}

impl Watch {
    pub(super) fn new(log: &KafkaLog, n_partitions: i32) -> Self {
        let isolation = Isolation::ReadCommitted;
        let options = ConsumerOptions { client_id: "watch".into(), isolation };
        let mut consumer = log.consumer(options).unwrap();
        let all: Vec<_> = (0..n_partitions).map(|p| (TopicPartition::new(OUTPUT, p), 0)).collect();
        let lanes = consumer.assign(&all).unwrap();
        Self {
            consumer,
            lanes,
            counts: HashMap::new(),
            seen: HashMap::new(),
            n_read: 0,
            longest: Duration::ZERO,
        }
    }

    /// Takes what has come by `now`, and waits a little for more.
    pub(super) fn look(&mut self, now: Duration) {
        for lane in &self.lanes {
            let Some(batch) = self.consumer.fetch(*lane, 10_000).unwrap().records else { continue };
            for index in 0..batch.len() {
                let record = batch.get(index);
                let value = std::str::from_utf8(record.value.unwrap()).unwrap();
                let (told, by) = value.split_once(' ').unwrap();
                let count = self.counts.entry(record.key.unwrap().to_vec()).or_default();
                *count += 1;
                assert_eq!(told, count.to_string(), "lost or repeated at {lane:?}");
                self.n_read += 1;
                let by = by.parse().unwrap();
                let before = self.seen.insert(*lane, Seen { by, at: now });
                if let Some(before) = before.filter(|before| before.by == by) {
                    self.longest = self.longest.max(now.saturating_sub(before.at));
                }
            }
        }
        self.consumer.wait(LOOK).unwrap();
    }

    /// All partitions have moved since `began` and still do, in all of these processes.
    pub(super) fn is_shared_out(
        &self,
        processes: &BTreeSet<u32>,
        began: Duration,
        now: Duration,
    ) -> bool {
        let moves = |seen: &Seen| seen.at > began && seen.at + STILL > now;
        self.seen.len() == self.lanes.len()
            && self.seen.values().all(moves)
            && self.seen.values().map(|seen| seen.by).collect::<BTreeSet<u32>>() == *processes
    }
}
