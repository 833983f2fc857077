//! The streams rebalance protocol (KIP-1071): the group's coordinator is told the topology, makes
//! internal topics, and assigns tasks one by one; librdkafka does not speak it.
//!
//! Records still come and go through librdkafka; heartbeats and at-least-once commits go over
//! connections of our own (`wire`), and transactions carry the member's id and epoch.
//!
//! # What fences, and what does not
//! The broker refuses a stale epoch's commit of a partition that the member has lost, and any
//! commit of a member it does not know. It takes the *current* epoch's commit of any partition: so
//! nothing may be committed for a task after its release was acknowledged, which the engine keeps.
//!
//! # What Kafka 4.3 does not do yet
//! Let a group's topology change, serve patterns of topics, static membership, and assignment by
//! lag: a task that moves is active at once and restores where it went.

mod beat;
mod member;
mod positions;
mod state;
#[cfg(test)]
mod tests;
mod topology;
mod verdict;

pub(crate) use member::{StreamsMember, endpoint};
