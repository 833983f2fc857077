//! The transaction coordinator: who holds a transactional id, what its open transaction has
//! touched, and how it ends (KIP-98, KIP-360, KIP-447).
//!
//! It is the coordinator of transactions as librdkafka speaks them: the epoch moves when a producer
//! is initialised or its transaction timed out, not with each transaction. So a late EndTxn may
//! end a later transaction, here as there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::TopicPartition;
use kstreams_core::time::Timestamp;
use parking_lot::MutexGuard;

use super::broker::Broker;
use super::fault::{Fault, Request, RequestKind};
use super::group::Proof;
use super::partition::{Batch, Partition, Refusal};
use super::producer_state::Identity;
use crate::transport::CommittedOffset;

/// All transactional ids, and the numbers given to producers.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    by_id: BTreeMap<Arc<str>, Transaction>,
    n_producers: i64,
}

#[derive(Debug)]
struct Transaction {
    producer: Identity,
    phase: Phase,
    timeout: Duration,
    /// When the open transaction began.
    since: Duration,
    partitions: BTreeMap<TopicPartition, Arc<Partition>>,
    /// Groups whose offsets are part of it.
    groups: BTreeSet<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was ever done.
    Empty,
    Ongoing,
    /// Decided and answered to the producer; the markers are not yet written.
    Prepared {
        is_commit: bool,
    },
    Complete {
        is_commit: bool,
    },
}

impl Transactions {
    fn next_producer(&mut self) -> Identity {
        self.n_producers += 1;
        Identity { id: self.n_producers - 1, epoch: 0 }
    }

    /// The transaction of this id, if this producer still holds it.
    fn held(&mut self, id: &str, producer: Identity) -> Result<&mut Transaction> {
        let found = self.by_id.get_mut(id).filter(|found| found.producer == producer);
        found.ok_or_else(|| fenced(id))
    }
}

impl Broker {
    /// A number for a producer without transactions.
    pub(super) fn new_producer(&self) -> Identity {
        self.transactions.lock().next_producer()
    }

    /// Gives the transactional id to a new producer: ends what the old one left, and fences it.
    pub(super) fn init_producer(&self, id: &Arc<str>, timeout: Duration) -> Result<Identity> {
        let mut transactions = self.coordinator();
        let Some(found) = transactions.by_id.get_mut(id) else {
            let producer = transactions.next_producer();
            let transaction = Transaction {
                producer,
                phase: Phase::Empty,
                timeout,
                since: Duration::ZERO,
                partitions: BTreeMap::new(),
                groups: BTreeSet::new(),
            };
            transactions.by_id.insert(Arc::clone(id), transaction);
            return Ok(producer);
        };
        match found.phase {
            Phase::Prepared { .. } => return Err(concurrent(id)),
            Phase::Ongoing => {
                self.fence_and_abort(id, found);
                if matches!(found.phase, Phase::Prepared { .. }) {
                    return Err(concurrent(id));
                }
            }
            Phase::Empty | Phase::Complete { .. } => {}
        }
        found.timeout = timeout;
        found.phase = Phase::Empty;
        if found.producer.epoch >= LAST_EPOCH {
            let producer = transactions.next_producer();
            transactions.held_mut(id).producer = producer;
            return Ok(producer);
        }
        found.producer.epoch += 1;
        Ok(found.producer)
    }

    /// Makes a partition part of the transaction; the first one opens it.
    pub(super) fn add_partition(
        &self,
        id: &str,
        producer: Identity,
        partition: &Arc<Partition>,
    ) -> Result {
        let mut transactions = self.coordinator();
        let transaction = transactions.held(id, producer)?;
        transaction.open(id, self.clock.monotonic())?;
        transaction.partitions.insert(partition.name.clone(), Arc::clone(partition));
        Ok(())
    }

    /// Writes the first batch of a transaction in a partition, after a look whether the partition
    /// is part of it (KIP-890, part 1).
    pub(super) fn append_verified(
        &self,
        id: &str,
        partition: &Partition,
        batch: &Batch<'_>,
        now: Timestamp,
    ) -> Result<Result<i64, Refusal>> {
        let mut transactions = self.coordinator();
        let transaction = transactions.held(id, batch.producer)?;
        let is_open = transaction.phase == Phase::Ongoing;
        if !is_open || !transaction.partitions.contains_key(&partition.name) {
            let text = format!("{id}: {} is not part of a transaction", partition.name);
            return Err(Error::new(ErrorKind::Fatal, text));
        }
        Ok(partition.append(&Batch { is_verified: true, ..*batch }, now))
    }

    /// Makes offsets part of the transaction.
    pub(super) fn add_offsets(
        &self,
        id: &str,
        producer: Identity,
        proof: &Proof,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result {
        let mut transactions = self.coordinator();
        let transaction = transactions.held(id, producer)?;
        transaction.open(id, self.clock.monotonic())?;
        transaction.groups.insert(Arc::clone(&proof.group));
        self.groups.lock().hold_offsets(proof, producer.id, offsets, self.clock.monotonic())
    }

    /// Commits or aborts. Doing again what was done last succeeds.
    pub(super) fn end_transaction(
        &self,
        id: &Arc<str>,
        producer: Identity,
        is_commit: bool,
    ) -> Result {
        let mut transactions = self.coordinator();
        let transaction = transactions.held(id, producer)?;
        match transaction.phase {
            Phase::Ongoing => {
                self.end(id, transaction, is_commit);
                Ok(())
            }
            Phase::Prepared { is_commit: was } | Phase::Complete { is_commit: was }
                if was == is_commit =>
            {
                Ok(())
            }
            phase => {
                let wish = if is_commit { "commit" } else { "abort" };
                let text = format!("{id}: cannot {wish}, the transaction is {phase:?}");
                Err(Error::new(ErrorKind::Fatal, text))
            }
        }
    }

    /// True if this producer still holds the transactional id.
    pub(super) fn holds(&self, id: &str, producer: Identity) -> bool {
        self.transactions.lock().held(id, producer).is_ok()
    }

    /// Aborts transactions that are open for too long and fences their producers; true if there
    /// were some.
    pub(super) fn expire_transactions(&self) -> bool {
        self.expire_among(&mut self.transactions.lock())
    }

    /// The coordinator's state, after what is overdue was ended.
    fn coordinator(&self) -> MutexGuard<'_, Transactions> {
        let mut transactions = self.transactions.lock();
        self.expire_among(&mut transactions);
        transactions
    }

    fn expire_among(&self, transactions: &mut Transactions) -> bool {
        let now = self.clock.monotonic();
        let mut n_expired = 0;
        for (id, transaction) in &mut transactions.by_id {
            let is_late = now.saturating_sub(transaction.since) >= transaction.timeout;
            if transaction.phase == Phase::Ongoing && is_late {
                log::warn!("transaction {id} timed out after {:?}", transaction.timeout);
                self.fence_and_abort(id, transaction);
                n_expired += 1;
            }
        }
        n_expired > 0
    }

    fn fence_and_abort(&self, id: &Arc<str>, transaction: &mut Transaction) {
        transaction.producer.epoch = transaction.producer.epoch.saturating_add(1);
        self.end(id, transaction, false);
    }

    /// The decision is made here; the markers follow at once, unless a fault delays them.
    fn end(&self, id: &Arc<str>, transaction: &mut Transaction, is_commit: bool) {
        transaction.phase = Phase::Prepared { is_commit };
        if let Some(network) = &self.network {
            let kind = RequestKind::WriteMarkers;
            let request = Request { client_id: id, kind, partition: None };
            let by = match network.decide(&request) {
                Some(Fault::Delay(by)) => Some(by),
                Some(Fault::DropRequest) => Some(Duration::ZERO),
                _ => None,
            };
            if let Some(by) = by {
                let (id, producer) = (Arc::clone(id), transaction.producer);
                network.delay(self.clock.monotonic().saturating_add(by), move |broker| {
                    let mut transactions = broker.transactions.lock();
                    if let Ok(transaction) = transactions.held(&id, producer) {
                        broker.complete(transaction);
                    }
                });
                return;
            }
        }
        self.complete(transaction);
    }

    /// Writes the markers and lets the offsets become visible, or forgets them.
    fn complete(&self, transaction: &mut Transaction) {
        let Phase::Prepared { is_commit } = transaction.phase else { return };
        for partition in std::mem::take(&mut transaction.partitions).values() {
            partition.mark(transaction.producer, is_commit);
        }
        let mut groups = self.groups.lock();
        for group in std::mem::take(&mut transaction.groups) {
            groups.release_offsets(&group, transaction.producer.id, is_commit);
        }
        transaction.phase = Phase::Complete { is_commit };
        self.signal.records();
    }
}

impl Transactions {
    /// The transaction of an id that is known to exist.
    fn held_mut(&mut self, id: &str) -> &mut Transaction {
        self.by_id.get_mut(id).expect("transactional ids are never removed")
    }
}

impl Transaction {
    /// Opens it, unless it is open.
    fn open(&mut self, id: &str, now: Duration) -> Result {
        match self.phase {
            Phase::Prepared { .. } => return Err(concurrent(id)),
            Phase::Ongoing => {}
            Phase::Empty | Phase::Complete { .. } => {
                self.phase = Phase::Ongoing;
                self.since = now;
            }
        }
        Ok(())
    }
}

fn fenced(id: &str) -> Error {
    let text = format!("another producer has taken over {id}, or its transaction timed out");
    Error::new(ErrorKind::Fenced, text)
}

/// Kafka's CONCURRENT_TRANSACTIONS: the markers of the last one are still being written.
fn concurrent(id: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{id}: the last transaction is still being ended"))
}

/// From this epoch on a producer gets a new id, so that an abort can still move the epoch.
const LAST_EPOCH: i16 = i16::MAX - 2;
