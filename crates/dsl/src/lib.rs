//! The Streams DSL of kstreams: streams, tables, aggregates, windows and joins.
//!
//! A [`StreamsBuilder`] gives streams and tables; their operators are planned, and
//! [`build`](StreamsBuilder::build) writes them into a [`Topology`](kstreams_topology::Topology) of
//! ordinary processors. Results, names and bytes are those of Kafka Streams 4.3; where something
//! differs, the operator says so under "Differs from Kafka Streams".
//!
//! ```
//! use kstreams_dsl::StreamsBuilder;
//!
//! let builder = StreamsBuilder::new();
//! let orders = builder.stream::<String, i64>("orders");
//! let large = orders.filter(|_, amount| *amount > 1_000).named("large");
//! large.to("large-orders");
//! orders.group_by_key().count("orders-per-customer").to_stream().to("order-counts");
//!
//! println!("{}", builder.build()?.describe());
//! # Ok::<(), kstreams_dsl::BuildErrors>(())
//! ```
//!
//! Invariant: only the public traits of the Processor API are used, so that whatever an operator
//! does, a processor of yours can do too.

#![forbid(unsafe_code)]

mod buffer;
mod builder;
mod cache;
mod options;
mod plan;
mod serdes;
mod store;

mod grouped;
mod stream;
mod table;
mod window;

pub use builder::StreamsBuilder;
pub use grouped::{
    CogroupedKStream, EmitStrategy, KGroupedStream, SessionWindowedCogroupedKStream,
    SessionWindowedKStream, TimeWindowedCogroupedKStream, TimeWindowedKStream,
};
pub use kstreams_state::{Window, Windowed};
pub use options::{
    BufferConfig, Consumed, Grouped, Joined, Materialized, Produced, Repartitioned, StoreKind,
    StreamJoined, StrictBufferConfig, Suppressed, TableJoined,
};
pub use plan::{BuildErrors, DslFault, Naming};
pub use serdes::{DefaultSerde, SerdeOf};
pub use store::DslStore;
pub use stream::{Branches, KStream, Printed, Split};
pub use table::{Change, GlobalKTable, KGroupedTable, KTable, ValueTransformer};
pub use window::{
    AnyWindows, JoinWindows, SessionWindowedSerde, SessionWindows, SlidingWindows,
    TimeWindowedSerde, TimeWindows, UnlimitedWindows,
};
