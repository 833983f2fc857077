//! The log on a real broker: the contract that every log keeps, and what only Kafka has.
//!
//! One broker serves the whole process; tests that stop one start their own.

mod backlog;
#[path = "../../../../tests/contract/mod.rs"]
mod contract;
mod group;
mod kafka;
mod positions;
mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kstreams_kafka::{GroupProtocol, KafkaLog};
use kstreams_runtime::transport::{Log, NewTopic};

use contract::{Fixture, contract_tests};

/// The shared broker, seen through a log.
struct Kafka(Arc<KafkaLog>);

impl Kafka {
    /// With groups as the broker offers them: the streams protocol.
    fn new() -> Self {
        Self::with(GroupProtocol::Auto)
    }

    fn with(protocol: GroupProtocol) -> Self {
        let broker = kstreams_broker::shared().expect("a broker");
        let log = KafkaLog::builder(broker.bootstrap()).group_protocol(protocol).build();
        Self(Arc::new(log.expect("a log")))
    }
}

impl Fixture for Kafka {
    fn log(&self) -> Arc<dyn Log> {
        Arc::clone(&self.0) as Arc<dyn Log>
    }

    fn create_topic(&self, name: &str, n_partitions: i32) {
        let topic = NewTopic {
            name: name.to_owned(),
            n_partitions,
            replication: None,
            configs: Vec::new(),
        };
        self.0.admin().expect("admin").create_topics(&[topic], LONG).expect("created");
    }

    fn unique(&self, name: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Long enough for any single call.
const LONG: Duration = Duration::from_secs(30);

mod with_streams_groups {
    use super::*;
    contract_tests!(Kafka::with(GroupProtocol::Streams));
}

mod with_classic_groups {
    use super::*;
    contract_tests!(Kafka::with(GroupProtocol::Classic));
}
