//! The contract of a log, kept by the log in memory: with waits and without, in both group modes.

use std::sync::Arc;

use kstreams_runtime::transport::Log;
use kstreams_runtime::transport::memory::{GroupMode, MemoryLog};

#[path = "../../../tests/contract/mod.rs"]
mod contract;

struct Memory(MemoryLog);

impl contract::Fixture for Memory {
    fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.0.clone())
    }

    fn create_topic(&self, name: &str, n_partitions: i32) {
        self.0.create_topic(name, n_partitions).expect("created");
    }

    fn unique(&self, name: &str) -> String {
        name.to_owned()
    }
}

mod streams {
    use super::*;
    contract::contract_tests!(Memory(MemoryLog::new()));
}

mod classic {
    use super::*;
    contract::contract_tests!(Memory(MemoryLog::builder().group_mode(GroupMode::Classic).build()));
}

mod non_blocking {
    use super::*;
    contract::contract_tests!(Memory(MemoryLog::builder().non_blocking().build()));
}
