//! The log port: what the executor needs of Kafka, and no more.
//!
//! [`memory`] implements it inside the process: the default of every example, the log of the test
//! driver and of simulation. The crate `kstreams-kafka` implements it with librdkafka. One contract
//! suite runs on both.
//!
//! Every call that waits takes a bound; nothing blocks for longer.

mod admin;
mod consumer;
mod membership;
pub mod memory;
mod producer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::Result;

pub use admin::{Admin, NewTopic, OffsetSpec, TopicInfo};
pub use consumer::{Batch, Consumer, Fetched, Isolation, Lane, Waker};
pub use membership::{
    Assignment, CommittedOffset, GroupMetadata, MemberOptions, Membership, MembershipEvent, Peer,
};
pub use producer::{FailedDelivery, OutgoingRecord, Producer, Sent, TopicHandle};

/// A log that an application runs on; makes the clients of each thread.
pub trait Log: Send + Sync + fmt::Debug {
    /// A consumer that is told which partitions to read.
    ///
    /// # Errors
    /// If the settings are refused.
    fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>>;

    /// A producer; transactional if it has a transactional id.
    ///
    /// # Errors
    /// If the settings are refused.
    fn producer(&self, options: ProducerOptions) -> Result<Box<dyn Producer>>;

    /// A member of the application's group. It joins on the first
    /// [`poll`](Membership::poll).
    ///
    /// # Errors
    /// If the settings are refused.
    fn membership(&self, options: MemberOptions) -> Result<Box<dyn Membership>>;

    /// The client for topics and offsets; shared by all threads.
    ///
    /// # Errors
    /// If the settings are refused.
    fn admin(&self) -> Result<Arc<dyn Admin>>;
}

/// How a consumer reads.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// Named in the broker's logs and metrics.
    pub client_id: String,
    /// Which records it sees.
    pub isolation: Isolation,
}

/// How a producer writes.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// Named in the broker's logs and metrics.
    pub client_id: String,
    /// Makes it transactional, and fences older producers of the same id.
    pub transactional_id: Option<String>,
    /// After this the broker aborts a transaction that was left open.
    pub transaction_timeout: Duration,
}
