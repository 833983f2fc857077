//! kstreams: Kafka Streams for Rust.
//!
//! A library, not a cluster: implement [`Processor`](processor::Processor)s, wire them into a
//! [`Topology`], and run it as [`Streams`]. Run the program twice and the two share the work. It
//! reads and writes Kafka, keeps its state locally, mirrors it to changelog topics, and survives
//! crashes. On the embedded [`MemoryLog`](log::MemoryLog) everything runs with nothing installed;
//! [`KafkaLog`](log::KafkaLog) points the same program at a cluster.
//!
//! ```
//! use std::time::Duration;
//! use kstreams::prelude::*;
//!
//! /// Counts words.
//! struct Count {
//!     id: StoreId<KeyValueStore<String, u64>>,
//!     counts: Option<Store<KeyValueStore<String, u64>>>,
//! }
//!
//! impl Processor<String, String, String, u64> for Count {
//!     fn init(&mut self, ctx: &mut Init<'_, Self, String, u64>) -> Result {
//!         self.counts = Some(ctx.store(&self.id)?);
//!         Ok(())
//!     }
//!
//!     fn process(
//!         &mut self,
//!         ctx: &mut Context<'_, String, u64>,
//!         line: Record<String, String>,
//!     ) -> Result {
//!         let Some(counts) = &self.counts else { return Ok(()) };
//!         for word in line.value.split_whitespace() {
//!             let n = counts.get(&word.to_owned())?.unwrap_or(0) + 1;
//!             counts.put(&word.to_owned(), &n)?;
//!             ctx.forward(Record::new(word.to_owned(), n, line.timestamp))?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let mut topology = Topology::builder();
//! let counts = topology.store(KeyValue::in_memory("counts", Utf8, U64));
//! let lines = topology.source("lines", "text", (Nullable(Utf8), Utf8));
//! # let lines = topology.processor("keyed", &[lines], || {
//! #     |ctx: &mut Context<'_, String, String>, r: Record<Option<String>, String>| {
//! #         ctx.forward(r.with_key(String::new()))
//! #     }
//! # });
//! let id = counts.clone();
//! let totals =
//!     topology.processor("count", &[lines], move || Count { id: id.clone(), counts: None });
//! topology.connect(totals, &counts);
//! topology.sink("out", &[totals], "word-counts", (Utf8, U64));
//!
//! let mut driver = TestDriver::new(topology.build()?, Config::new("word-count"))?;
//! driver.input("text", Nullable(Utf8), Utf8).pipe(None, "to be or not to be".into())?;
//! let out = driver.output("word-counts", Utf8, U64).read_pairs()?;
//! assert_eq!(out.last(), Some(&("be".to_owned(), 2)));
//! # Ok::<(), kstreams::Error>(())
//! ```

#![forbid(unsafe_code)]

pub use kstreams_core::{Error, ErrorKind, Result};
pub use kstreams_core::{context, serde, sink, source, store, task, time};
pub use kstreams_core::{error, handler, partition, processor, punctuation, random, record};
#[cfg(feature = "dsl")]
pub use kstreams_dsl as dsl;
pub use kstreams_runtime::{
    Config, Guarantee, KeyLocation, RestoreProgress, StandbyChange, StandbyStore, State, Streams,
    TaskInfo, UncaughtVerdict, clean_up,
};
pub use kstreams_state as state;
pub use kstreams_topology as topology;
pub use kstreams_topology::Topology;

/// The logs an application can run on.
pub mod log {
    #[cfg(feature = "kafka")]
    pub use kstreams_kafka::{GroupAdmin, GroupProtocol, KafkaLog};
    pub use kstreams_runtime::transport::memory::MemoryLog;
    pub use kstreams_runtime::transport::*;
}

/// Tests without a broker: the production engine on the embedded log, with a manual clock.
pub mod testing {
    pub use kstreams_core::testing::*;
    pub use kstreams_runtime::testing::*;
}

/// What most programs need.
pub mod prelude {
    pub use std::sync::Arc as Store;

    #[cfg(feature = "kafka")]
    pub use crate::log::KafkaLog;
    pub use crate::log::MemoryLog;
    pub use crate::testing::TestDriver;
    pub use kstreams_core::context::{Child, Context, FixedKeyContext, FixedKeyInit, Init};
    pub use kstreams_core::error::{Error, ErrorKind, Result};
    pub use kstreams_core::handler::{Handlers, ProductionVerdict, Verdict};
    pub use kstreams_core::processor::{FixedKeyProcessor, Processor, Punctuator};
    pub use kstreams_core::punctuation::{Every, Schedule};
    pub use kstreams_core::record::{FixedKeyRecord, Headers, Record, RecordMetadata};
    #[cfg(feature = "bincode")]
    pub use kstreams_core::serde::Bincode;
    pub use kstreams_core::serde::{
        At, Bool, ByteArray, F32, F64, I16, I32, I64, List, Nullable, Serde, U32, U64, Unit, Utf8,
        UuidText,
    };
    pub use kstreams_core::source::{EventTime, OffsetReset};
    pub use kstreams_core::store::StoreId;
    pub use kstreams_core::time::Timestamp;
    pub use kstreams_runtime::{Config, Guarantee, State, Streams};
    pub use kstreams_state::{KeyValue, KeyValueStore, TimestampedKeyValueStore};
    pub use kstreams_topology::{Handle, Sink, Source, Topics, Topology, TopologyBuilder};
}
