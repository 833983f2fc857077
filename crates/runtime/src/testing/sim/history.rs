//! What the log has committed, as an observer with `read_committed` sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{ErrorKind, Result};
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::task::TaskId;

use super::ledger::Ledger;
use super::network::{OBSERVER, SimNetwork};
use super::order::{Orders, Taken};
use super::trace::{Hash, Step, Trace};
use crate::transport::memory::{MemoryLog, OwnedRecord};
use crate::transport::{Admin, Consumer, ConsumerOptions, Isolation, Lane, Log, OffsetSpec};

/// All records that are committed so far, and the positions of the application.
#[derive(Debug)]
pub struct History {
    application_id: Arc<str>,
    partitions: BTreeMap<TopicPartition, Seen>,
    committed: BTreeMap<TopicPartition, Offset>,
    ledger: Ledger,
    orders: Orders,
}

#[derive(Debug)]
struct Seen {
    lane: Lane,
    records: Vec<OwnedRecord>,
    position: Offset,
    end: Offset,
}

impl History {
    /// The full name of a topic: an internal one has the application id in front.
    pub fn internal(&self, topic: &str) -> String {
        format!("{}-{topic}", self.application_id)
    }

    /// The committed records of a partition, in order.
    pub fn records(&self, topic: &str, partition: i32) -> &[OwnedRecord] {
        let seen = self.partitions.get(&TopicPartition::new(topic, partition));
        seen.map_or(&[], |seen| &seen.records)
    }

    /// The committed record at an offset, if there is one.
    pub fn record(&self, at: &TopicPartition, offset: Offset) -> Option<&OwnedRecord> {
        let records = &self.partitions.get(at)?.records;
        let found = records.binary_search_by_key(&offset, |record| record.offset);
        records.get(found.ok()?)
    }

    /// How many partitions a topic has; 0 if it is not there yet.
    pub fn n_partitions(&self, topic: &str) -> i32 {
        self.partitions.keys().filter(|at| &*at.topic == topic).count() as i32
    }

    /// The position that the application has committed; 0 if none.
    pub fn committed(&self, topic: &str, partition: i32) -> Offset {
        self.committed.get(&TopicPartition::new(topic, partition)).copied().unwrap_or(0)
    }

    /// The committed records of a partition that the application is done with, by its own word.
    pub fn done(&self, topic: &str, partition: i32) -> &[OwnedRecord] {
        let position = self.committed(topic, partition);
        let records = self.records(topic, partition);
        &records[..records.partition_point(|record| record.offset < position)]
    }

    /// True if no open transaction hides what comes behind the committed records of a partition.
    ///
    /// Readers see nothing behind the first record of an open transaction, be it committed or not.
    pub fn is_complete(&self, topic: &str, partition: i32) -> bool {
        let seen = self.partitions.get(&TopicPartition::new(topic, partition));
        seen.is_none_or(|seen| seen.position >= seen.end)
    }

    /// How often a processor with a [`Tap`](super::Tap) saw this record.
    pub fn n_seen(&self, topic: &str, partition: i32, offset: Offset) -> u32 {
        self.ledger.n_seen(topic, partition, offset)
    }

    /// The records that a task is done with, in the order in which it took them.
    pub fn order(&self, task: TaskId) -> &[Taken] {
        self.orders.of(task)
    }

    pub(super) fn positions(&self) -> &BTreeMap<TopicPartition, Offset> {
        &self.committed
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = (&TopicPartition, &[OwnedRecord])> {
        self.partitions.iter().map(|(name, seen)| (name, &*seen.records))
    }

    pub(super) fn topics(&self) -> std::collections::BTreeSet<&str> {
        self.partitions.keys().map(|name| &*name.topic).collect()
    }

    /// Everything before this offset is decided: committed, and seen here, or aborted.
    pub(super) fn stable(&self, partition: &TopicPartition) -> Offset {
        self.partitions.get(partition).map_or(0, |seen| seen.position)
    }
}

/// Reads the log as it grows.
pub(super) struct Observer {
    log: MemoryLog,
    network: Arc<SimNetwork>,
    admin: Arc<dyn Admin>,
    consumer: Box<dyn Consumer>,
    trace: Trace,
    pub(super) history: History,
}

impl Observer {
    pub(super) fn new(
        log: &MemoryLog,
        network: Arc<SimNetwork>,
        application_id: Arc<str>,
        ledger: Ledger,
        trace: Trace,
    ) -> Result<Self> {
        let (client_id, isolation) = (OBSERVER.to_owned(), Isolation::ReadCommitted);
        Ok(Self {
            log: log.clone(),
            network,
            admin: log.admin()?,
            consumer: log.consumer(ConsumerOptions { client_id, isolation })?,
            trace,
            history: History {
                application_id,
                partitions: BTreeMap::new(),
                committed: BTreeMap::new(),
                ledger,
                orders: Orders::default(),
            },
        })
    }

    /// Reads what is new; no fault happens to the observer's requests.
    pub(super) fn look(&mut self) -> Result {
        let current = self.network.serve(None);
        let looked = self.read_on();
        self.network.serve(current);
        looked
    }

    fn read_on(&mut self) -> Result {
        self.assign_new()?;
        for (name, seen) in &mut self.history.partitions {
            loop {
                let fetched = match self.consumer.fetch(seen.lane, usize::MAX) {
                    // The application has purged what it is done with; up to there lay what was
                    // seen, and markers.
                    Err(error) if error.kind() == ErrorKind::OffsetReset => {
                        let asked = [(name.clone(), OffsetSpec::Earliest)];
                        let starts = self.admin.offsets(&asked, Duration::ZERO)?;
                        self.consumer.seek(seen.lane, starts[0])?;
                        continue;
                    }
                    fetched => fetched?,
                };
                seen.position = fetched.position;
                let Some(batch) = fetched.records else { break };
                for index in 0..batch.len() {
                    let raw = batch.get(index);
                    let mut content = Hash::default();
                    content.bytes(raw.key.unwrap_or_default());
                    content.bytes(raw.value.unwrap_or_default());
                    let (offset, partition) = (raw.offset, name.partition);
                    let (topic, content) = (name.topic.to_string(), content.0);
                    self.trace.note(Step::Seen { topic, partition, offset, content });
                    seen.records.push(OwnedRecord {
                        partition,
                        offset,
                        key: raw.key.map(<[u8]>::to_vec),
                        value: raw.value.map(<[u8]>::to_vec),
                        timestamp: raw.timestamp,
                        headers: raw.headers.clone(),
                    });
                }
            }
        }
        let ends = self.offsets(OffsetSpec::Latest(Isolation::ReadUncommitted))?;
        for (seen, end) in self.history.partitions.values_mut().zip(ends) {
            seen.end = end;
        }
        let committed = self.log.committed(&self.history.application_id);
        self.history.committed =
            committed.into_iter().map(|(name, offset)| (name, offset.offset)).collect();
        for event in self.history.ledger.takes() {
            self.history.orders.took(event);
        }
        self.history.orders.committed(&self.history.committed);
        Ok(())
    }

    fn assign_new(&mut self) -> Result {
        // Late requests arrive at the first call; a second one brings what the first has caused.
        let _ = self.admin.topics(Duration::ZERO)?;
        for topic in self.admin.topics(Duration::ZERO)? {
            for partition in 0..topic.n_partitions {
                let name = TopicPartition::new(&*topic.name, partition);
                if !self.history.partitions.contains_key(&name) {
                    let lanes = self.consumer.assign(&[(name.clone(), 0)])?;
                    let lane = lanes[0];
                    let seen = Seen { lane, records: Vec::new(), position: 0, end: 0 };
                    self.history.partitions.insert(name, seen);
                }
            }
        }
        Ok(())
    }

    fn offsets(&self, spec: OffsetSpec) -> Result<Vec<Offset>> {
        let asked: Vec<_> =
            self.history.partitions.keys().map(|name| (name.clone(), spec)).collect();
        self.admin.offsets(&asked, Duration::ZERO)
    }

    /// Partitions in which a transaction is open.
    pub(super) fn open_transactions(&self) -> Vec<&TopicPartition> {
        let all = self.history.partitions.iter();
        all.filter(|(_, seen)| seen.position < seen.end).map(|(name, _)| name).collect()
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer").field("history", &self.history).finish_non_exhaustive()
    }
}
