//! The topology of a kstreams application: built, checked, cut into sub-topologies, described.
//!
//! [`TopologyBuilder`] collects nodes, stores and edges through typed [`Handle`]s, so that an edge
//! between nodes of different types does not compile. [`build`](TopologyBuilder::build) checks
//! every rule and reports all [`Fault`]s at once, or gives a [`Topology`]: what the executor runs
//! ([`SubTopology`], [`Layout`]) and what people read ([`Topology::describe`]).
//!
//! ```
//! use kstreams_core::context::Context;
//! use kstreams_core::record::Record;
//! use kstreams_core::serde::{U64, Utf8};
//! use kstreams_topology::Topology;
//!
//! let mut topology = Topology::builder();
//! let lines = topology.source("lines", "input", (Utf8, Utf8));
//! let lengths = topology.processor("measure", &[lines], || {
//!     |ctx: &mut Context<'_, String, u64>, line: Record<String, String>| {
//!         ctx.forward(line.map_value(|text| text.len() as u64))
//!     }
//! });
//! topology.sink("out", &[lengths], "lengths", (Utf8, U64));
//! let topology = topology.build()?;
//!
//! assert_eq!(topology.subtopologies().len(), 1);
//! assert!(topology.describe().contains("Processor: measure (stores: [])"));
//! # Ok::<(), kstreams_topology::TopologyErrors>(())
//! ```
//!
//! Invariant: no IO, no threads, no clock; everything here is a pure function of what was built.

#![forbid(unsafe_code)]

mod builder;
mod by_name;
mod draft;
mod handle;
mod spec;
mod topics;

mod fault;
mod graph;
mod validate;

mod copartition;
mod internal_topic;
mod layout;
mod store;
mod subtopology;
mod topology;

mod describe;
mod diagram;
mod fingerprint;
mod java_order;
mod json;

pub use builder::TopologyBuilder;
pub use by_name::ByName;
pub use copartition::CopartitionGroup;
pub use fault::{Fault, TopologyErrors};
pub use fingerprint::Fingerprint;
pub use handle::{Handle, NodeRef, StoreNames};
pub use internal_topic::{InternalTopic, InternalTopicKind, InternalTopicSettings};
pub use layout::{Layout, TopicCounts};
pub use spec::{Destination, Sink, Source, TimeRule};
pub use store::{Changelog, ErasedStoreBuilder, StoreSpec};
pub use subtopology::{SourceTopics, SubTopology, TopologySource};
pub use topics::{RepartitionTopic, Topic, TopicPattern, Topics};
pub use topology::Topology;
