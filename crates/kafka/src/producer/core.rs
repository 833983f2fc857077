//! Writing records: hand-over, delivery reports, and draining.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_runtime::transport::{
    FailedDelivery, OutgoingRecord, ProducerOptions, Sent, TopicHandle,
};
use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer as _};

use crate::client::{Context, Deadline, log};
use crate::error;
use crate::ffi::{self, EventKind, Handle, Queue, Topic};

use super::acks::Acks;
use super::transactions;

/// The producer of one thread, as far as it is with that thread.
pub(super) struct Core {
    topics: Vec<Topic>,
    by_name: HashMap<String, TopicHandle>,
    pub(super) acks: Acks,
    main: Queue,
    pub(super) client: Arc<BaseProducer<Context>>,
    pub(super) handle: Arc<dyn Handle>,
    pub(super) transactional_id: String,
}

impl Core {
    /// An idempotent producer, transactional if it has an id; connects in the background.
    pub(super) fn new(mut config: ClientConfig, options: &ProducerOptions) -> Result<Self> {
        if let Some(id) = &options.transactional_id {
            config.set("transactional.id", id);
            let millis = options.transaction_timeout.as_millis().to_string();
            config.set("transaction.timeout.ms", millis);
        }
        let client: BaseProducer<Context> = config
            .create_with_context(Context::default())
            .map_err(|refused| error::refused(refused, "producer"))?;
        let client = Arc::new(client);
        let handle: Arc<dyn Handle> = Arc::clone(&client) as Arc<dyn Handle>;
        Ok(Self {
            transactional_id: options.transactional_id.clone().unwrap_or_default(),
            topics: Vec::new(),
            by_name: HashMap::new(),
            acks: Acks::default(),
            main: Queue::main(&handle),
            client,
            handle,
        })
    }

    /// Works on one event; false if there was none in time.
    pub(super) fn serve(&mut self, wait: Duration) -> bool {
        let Some(event) = self.main.poll(wait) else { return false };
        match event.kind() {
            EventKind::Deliveries => {
                let why = || failure(&self.client, &self.handle);
                event.deliveries().for_each(|report| self.acks.take(&report, &why));
            }
            EventKind::Log(level, line) => {
                // The only place that names the partition.
                if line.contains("Failed to add partition") && line.contains("authorization") {
                    let code = RDKafkaErrorCode::TopicAuthorizationFailed;
                    self.client.context().trouble().note(code, &line);
                } else {
                    log(level, &line);
                }
            }
            EventKind::Error(code, reason, _) => {
                self.client.context().trouble().note(code, &reason);
            }
            EventKind::Other => {}
        }
        true
    }

    /// Serves until every record has its report; false if the time is over before.
    ///
    /// rdkafka's own flush sleeps 100 ms at a time while anything is on its way.
    pub(super) fn drain(&mut self, deadline: Deadline) -> bool {
        loop {
            while self.serve(Duration::ZERO) {}
            if self.client.in_flight_count() == 0 {
                return true;
            }
            if deadline.is_over() {
                return false;
            }
            ffi::transaction::hurry(&self.handle, STEP.min(deadline.remaining()));
            self.serve(STEP.min(deadline.remaining()));
        }
    }

    /// Why a record was not taken in.
    fn not_taken(&self, code: RDKafkaErrorCode, record: &OutgoingRecord<'_>) -> Error {
        let name = self.by_name.iter().find(|(_, handle)| **handle == record.topic);
        let name = name.map_or("", |(name, _)| name.as_str());
        let error = match code {
            RDKafkaErrorCode::Fatal | RDKafkaErrorCode::Fenced => {
                return fatal(&self.client).unwrap_or_else(|| error::coded(code, "send"));
            }
            // A transaction that has failed takes no more: what it has failed of says what to do.
            RDKafkaErrorCode::State => failure(&self.client, &self.handle)
                .unwrap_or_else(|| Error::new(ErrorKind::Fatal, "send: no transaction is open")),
            code => error::coded(code, "send"),
        };
        match record.partition {
            Some(partition) => error.at_partition(name, partition),
            None => Error::new(error.kind(), format!("topic {name}: {}", error.message())),
        }
    }
}

impl Core {
    pub(super) fn topic(&mut self, name: &str) -> Result<TopicHandle> {
        if let Some(handle) = self.by_name.get(name) {
            return Ok(*handle);
        }
        let topic = Topic::new(&self.handle, name)
            .map_err(|code| error::coded(code, &format!("topic {name}")))?;
        let handle = TopicHandle(self.topics.len());
        self.acks.add(topic.identity(), name);
        self.topics.push(topic);
        self.by_name.insert(name.to_owned(), handle);
        Ok(handle)
    }

    pub(super) fn send(&mut self, record: &OutgoingRecord<'_>) -> Result<Sent> {
        let sent = ffi::produce(
            &self.topics[record.topic.0],
            record.partition,
            record.key,
            record.value,
            // librdkafka takes 0 for "now"; one millisecond off is the least wrong.
            if record.timestamp.as_millis() == 0 { 1 } else { record.timestamp.as_millis() },
            record.headers,
            self.acks.sent_as(record.tag),
        );
        match sent {
            Ok(()) => {
                self.acks.sent();
                Ok(Sent::Queued)
            }
            Err(RDKafkaErrorCode::QueueFull) => Ok(Sent::Full),
            Err(code) => Err(self.not_taken(code, record)),
        }
    }

    pub(super) fn poll(&mut self, wait: Duration) {
        if self.serve(wait) {
            while self.serve(Duration::ZERO) {}
        }
    }

    pub(super) fn has_failures(&self) -> bool {
        self.acks.has_failures()
    }

    pub(super) fn failures(&mut self) -> Vec<FailedDelivery> {
        self.acks.failures()
    }

    pub(super) fn flush(&mut self, timeout: Duration) -> Result {
        if self.drain(Deadline::after(timeout)) {
            return Ok(());
        }
        let n_left = self.client.in_flight_count();
        let doing = format!("flush: {n_left} records are not acknowledged");
        Err(error::unanswered(self.client.context().trouble(), timeout, &doing))
    }

    pub(super) fn draw_line(&mut self) -> bool {
        self.acks.draw_line()
    }

    pub(super) fn has_reached_line(&self) -> bool {
        self.acks.has_reached_line()
    }

    pub(super) fn last_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        let handle = self.by_name.get(&*partition.topic)?;
        self.acks.last_offset(handle.0, partition.partition)
    }
}

/// What broke a producer for good, or failed its transaction, if anything did.
fn failure(client: &BaseProducer<Context>, handle: &Arc<dyn Handle>) -> Option<Error> {
    fatal(client).or_else(|| transactions::cause(handle))
}

/// The error that broke a producer for good, if any.
pub(super) fn fatal(client: &BaseProducer<Context>) -> Option<Error> {
    let (code, reason) = client.client().fatal_error()?;
    let kind = match error::kind(code) {
        ErrorKind::Fenced => ErrorKind::Fenced,
        _ => ErrorKind::Fatal,
    };
    Some(Error::new(kind, format!("producer: {reason}")))
}

/// How long a drain waits at most before it looks again.
const STEP: Duration = Duration::from_millis(2);
