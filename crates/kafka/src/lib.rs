//! kstreams on Apache Kafka: the log port over librdkafka.
//!
//! [`KafkaLog`] is what an application is given in place of the in-memory log. Any property of
//! librdkafka can be set on it, TLS and SASL included, except for the few that decide whether the
//! engine is correct.
//!
//! ```no_run
//! use kstreams_kafka::KafkaLog;
//!
//! let log = KafkaLog::builder("broker-1:9093,broker-2:9093")
//!     .set("security.protocol", "SASL_SSL")
//!     .set("sasl.mechanism", "SCRAM-SHA-512")
//!     .set("sasl.username", "orders")
//!     .set("sasl.password", std::env::var("KAFKA_PASSWORD")?)
//!     .set("producer.compression.type", "lz4")
//!     .build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Groups
//! Members speak the streams rebalance protocol (KIP-1071) where the broker offers it (Kafka 4.2 with
//! `streams.version` 1), over connections of their own with the same TLS and SASL properties, and
//! the classic protocol elsewhere, or where only that can serve: sources by pattern, Kerberos,
//! OAUTHBEARER. [`GroupProtocol`] forces one. In streams groups the broker decides how long a
//! session is (`group.streams.session.timeout.ms`, or `streams.session.timeout.ms` of the group).
//!
//! # Exactly-once, and its limit
//! Transactions are fenced by the transactional id and by the group's generation. librdkafka has
//! no client side of KIP-890, so an end of a transaction that was delayed in the network may hit
//! the next one of the same producer. The engine therefore discards a producer after any outcome
//! it cannot know. Errors that librdkafka retries by itself stay hidden from it: there the hole is
//! narrow, not closed.

#![deny(unsafe_code)]

mod admin;
mod client;
mod consumer;
mod error;
#[expect(unsafe_code, reason = "librdkafka calls that rdkafka does not wrap, each with its proof")]
mod ffi;
mod group;
mod group_admin;
mod lent;
mod log;
mod producer;
mod settings;
mod wire;

pub use self::group::GroupProtocol;
pub use self::group_admin::{
    GroupAdmin, GroupDescription, GroupListing, MemberDescription, SubtopologyDescription,
};
pub use self::log::{KafkaLog, KafkaLogBuilder};
