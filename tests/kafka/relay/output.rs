//! What the shop has written, as readers of committed records see it.

use std::collections::BTreeMap;
use std::time::Duration;

use kstreams::log::KafkaLog;

use super::N_PARTITIONS;
use super::input::TICK;
use crate::topics::Reader;

/// A value and its time in milliseconds.
pub(super) type Row = (Option<Vec<u8>>, i64);

/// A topic that is read as it grows.
pub(super) struct Output {
    reader: Reader,
    /// What came for each key, in order; records that only move the time are left out.
    pub(super) rows: BTreeMap<Vec<u8>, Vec<Row>>,
}

impl Output {
    pub(super) fn new(log: &KafkaLog, topic: &str) -> Self {
        Self { reader: Reader::new(log, topic, N_PARTITIONS), rows: BTreeMap::new() }
    }

    /// Takes what has come; true at the end of all partitions.
    pub(super) fn look(&mut self) -> bool {
        self.reader.wait(Duration::ZERO);
        let rows = &mut self.rows;
        self.reader.take(|_, record| {
            let key = record.key.unwrap_or_default();
            if !key.windows(TICK.len()).any(|part| part == TICK.as_bytes()) {
                let row = (record.value.map(<[u8]>::to_vec), record.timestamp.as_millis());
                rows.entry(key.to_vec()).or_default().push(row);
            }
        })
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
