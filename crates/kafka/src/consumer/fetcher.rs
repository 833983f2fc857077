//! A client of librdkafka that reads partitions, or asks for their offsets.

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use rdkafka::ClientConfig;
use rdkafka::client::Client;
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use crate::client::{Context, bounded, log};
use crate::error;
use crate::ffi::{self, EventKind, Handle, Queue};

/// It has one fetch at a time under way to each broker, for all partitions that have room. If none
/// of these has anything, the broker keeps it for `fetch.wait.max.ms`.
pub(crate) struct Fetcher {
    main: Queue,
    client: Arc<Client<Context>>,
    handle: Arc<dyn Handle>,
}

impl Fetcher {
    /// Connects in the background.
    pub(crate) fn new(config: &ClientConfig) -> Result<Arc<Self>> {
        let client = ffi::reader(config).map_err(|refused| error::refused(refused, "consumer"))?;
        let client = Arc::new(client);
        let handle: Arc<dyn Handle> = Arc::clone(&client) as Arc<dyn Handle>;
        Ok(Arc::new(Self { main: Queue::main(&handle), client, handle }))
    }

    pub(crate) fn handle(&self) -> &Arc<dyn Handle> {
        &self.handle
    }

    pub(crate) fn context(&self) -> &Context {
        self.client.context()
    }

    /// Has the client told of a topic, or of all.
    pub(crate) fn metadata(&self, topic: Option<&str>, timeout: Duration) -> KafkaResult<Metadata> {
        self.client.fetch_metadata(topic, bounded(timeout))
    }

    /// Works off log lines and errors of the client as a whole.
    pub(crate) fn serve(&self) -> Result {
        while let Some(event) = self.main.poll(Duration::ZERO) {
            match event.kind() {
                EventKind::Log(level, line) => log(level, &line),
                EventKind::Error(code, reason, fatal) => {
                    self.context().trouble().note(code, &reason);
                    if fatal || code == RDKafkaErrorCode::Fatal {
                        return Err(Error::new(ErrorKind::Fatal, format!("consumer: {reason}")));
                    }
                    if error::kind(code) == ErrorKind::Authorization {
                        let message = format!("consumer: {reason}");
                        return Err(Error::new(ErrorKind::Authorization, message));
                    }
                }
                EventKind::Deliveries | EventKind::Other => {}
            }
        }
        Ok(())
    }
}
