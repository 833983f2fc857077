//! What the shop has written, as readers of committed records see it.

use std::collections::BTreeMap;
use std::time::Duration;

use kstreams::log::{Consumer, ConsumerOptions, Isolation, KafkaLog, Lane, Log};
use kstreams::record::TopicPartition;

use super::N_PARTITIONS;
use super::input::TICK;

/// A value and its time in milliseconds.
pub(super) type Row = (Option<Vec<u8>>, i64);

/// A topic that is read as it grows.
pub(super) struct Output {
    consumer: Box<dyn Consumer>,
    lanes: Vec<Lane>,
    /// What came for each key, in order; records that only move the time are left out.
    pub(super) rows: BTreeMap<Vec<u8>, Vec<Row>>,
}

impl Output {
    pub(super) fn new(log: &KafkaLog, topic: &str) -> Self {
        let isolation = Isolation::ReadCommitted;
        let options = ConsumerOptions { client_id: "output".into(), isolation };
        let mut consumer = log.consumer(options).unwrap();
        let all: Vec<_> = (0..N_PARTITIONS).map(|p| (TopicPartition::new(topic, p), 0)).collect();
        let lanes = consumer.assign(&all).unwrap();
        Self { consumer, lanes, rows: BTreeMap::new() }
    }

    /// Takes what has come; true at the end of all partitions.
    pub(super) fn look(&mut self) -> bool {
        self.consumer.wait(Duration::ZERO).unwrap();
        let mut is_at_end = true;
        for lane in &self.lanes {
            let fetched = self.consumer.fetch(*lane, 10_000).unwrap();
            is_at_end &= fetched.lag == Some(0);
            let Some(batch) = fetched.records else { continue };
            for index in 0..batch.len() {
                let record = batch.get(index);
                let key = record.key.unwrap_or_default();
                if !key.windows(TICK.len()).any(|part| part == TICK.as_bytes()) {
                    let value = record.value.map(<[u8]>::to_vec);
                    let row = (value, record.timestamp.as_millis());
                    self.rows.entry(key.to_vec()).or_default().push(row);
                }
            }
        }
        is_at_end
    }

    /// The newest value of a key.
    pub(super) fn last(&self, key: &str) -> Option<&[u8]> {
        self.rows.get(key.as_bytes())?.last()?.0.as_deref()
    }

    pub(super) fn n_rows(&self) -> usize {
        self.rows.values().map(Vec::len).sum()
    }

    /// What is left of the topic when it is compacted, without the end of each key and the beginning
    /// of each value; sorted.
    pub(super) fn compacted(&self, of_key: usize, of_value: usize) -> Vec<(&[u8], &[u8])> {
        let mut all = Vec::new();
        for (key, rows) in &self.rows {
            if let Some((Some(value), _)) = rows.last() {
                all.push((&key[..key.len() - of_key], &value[of_value..]));
            }
        }
        all.sort_unstable();
        all
    }
}
