//! The real Kafka, for tests: one broker per test process, and small Java programs that print what the
//! Java classes of Kafka Streams do, to compare byte for byte. Called by tests and benches only.
//!
//! Needs `java`, `javac` and, until the jars have been fetched once, `mvn`: `scripts/setup full` installs
//! them. Jars and classes are kept in `$KSTREAMS_JAVA_DIR`, by default `~/.cache/kstreams/java-4.3.1`.
//!
//! ```no_run
//! # fn main() -> Result<(), kstreams_broker::Error> {
//! use kstreams_broker::{Broker, tools};
//!
//! let broker = Broker::builder().property("log.cleaner.backoff.ms", "100").start()?;
//! broker.tool(tools::TOPICS, ["--create", "--topic", "words", "--partitions", "3"])?;
//! broker.kill()?;
//! broker.restart()?;
//! println!("listening on {}", broker.bootstrap());
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod error;
mod hash;
mod java;
mod prepare;

mod broker;
mod builder;
mod folder;
mod node;
mod pause;
mod ports;
mod properties;

pub mod golden;
pub mod tools;

pub use broker::{Broker, shared};
pub use builder::BrokerBuilder;
pub use error::{Error, ErrorKind, Result};
pub use java::Java;
pub use pause::Pause;
