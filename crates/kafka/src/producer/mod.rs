//! Writing records, alone or in transactions.
//!
//! The producer of a thread lies in its `core`. While a transaction is being committed the core is
//! [lent](crate::lent), as librdkafka waits for each of its steps.

mod acks;
mod core;
mod ending;
mod transactions;

use std::time::Duration;

use kstreams_core::error::Result;
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_runtime::transport::{
    CommittedOffset, FailedDelivery, GroupMetadata, OutgoingRecord, Producer, ProducerOptions,
    Sent, TopicHandle, Waker,
};
use rdkafka::ClientConfig;

use self::core::Core;
use crate::lent::Lent;

/// The producer of one thread.
pub(crate) struct KafkaProducer(Lent<Core>);

impl KafkaProducer {
    /// An idempotent producer, transactional if it has an id; connects in the background.
    pub(crate) fn new(config: ClientConfig, options: &ProducerOptions) -> Result<Self> {
        Ok(Self(Lent::new(Core::new(config, options)?, "kstreams-commit")))
    }

    /// The core; waits for a commit that is going on, which is bounded.
    fn core(&mut self) -> Result<&mut Core> {
        self.0.wait()
    }
}

impl Producer for KafkaProducer {
    fn topic(&mut self, name: &str) -> Result<TopicHandle> {
        self.core()?.topic(name)
    }

    fn send(&mut self, record: &OutgoingRecord<'_>) -> Result<Sent> {
        self.core()?.send(record)
    }

    fn poll(&mut self, wait: Duration) {
        // While it commits, its reports are served there.
        if let Some(core) = self.0.here_mut() {
            core.poll(wait);
        }
    }

    fn failures(&mut self) -> Vec<FailedDelivery> {
        self.0.here_mut().map_or_else(Vec::new, Core::failures)
    }

    fn flush(&mut self, timeout: Duration) -> Result {
        self.core()?.flush(timeout)
    }

    fn draw_line(&mut self) -> bool {
        self.0.here_mut().is_some_and(Core::draw_line)
    }

    fn has_reached_line(&self) -> bool {
        self.0.here().is_some_and(Core::has_reached_line)
    }

    fn last_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        self.0.here()?.last_offset(partition)
    }

    fn init_transactions(&mut self, timeout: Duration) -> Result {
        self.core()?.init(timeout)
    }

    fn begin_transaction(&mut self) -> Result {
        self.core()?.begin()
    }

    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result {
        self.core()?.add_offsets(offsets, group, timeout)
    }

    fn commit_transaction(&mut self, timeout: Duration) -> Result {
        self.core()?.commit(timeout)
    }

    fn start_commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
        done: Waker,
    ) -> Result {
        let (offsets, group) = (offsets.to_vec(), group.clone());
        self.0.lend(move |core| ending::commit(core, &offsets, &group, timeout), done)
    }

    fn poll_commit(&mut self, wait: Duration) -> Result<bool> {
        self.0.poll(wait)
    }

    fn abort_transaction(&mut self, timeout: Duration) -> Result {
        self.core()?.abort(timeout)
    }
}
