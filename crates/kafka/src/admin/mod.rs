//! Topics, made and deleted over rdkafka's admin client; offsets, and which topics there are, beside it.

mod offsets;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll, Wake};
use std::thread::{self, Thread};
use std::time::Duration;

use kstreams_core::error::{ErrorKind, Result};
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_runtime::transport::{Admin, NewTopic, OffsetSpec, TopicInfo};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic as NativeTopic, TopicReplication};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};

use crate::client::{Context, Deadline, Trouble, bounded, log};
use crate::error;
use crate::ffi::{EventKind, Handle, Queue};

use self::offsets::Offsets;

/// What all threads ask of the cluster.
pub(crate) struct KafkaAdmin {
    config: ClientConfig,
    /// Made when topics are to be made or deleted: most applications find theirs.
    changes: OnceLock<Changes>,
    offsets: Offsets,
}

/// rdkafka's admin client.
struct Changes {
    /// Log lines; rdkafka's own thread serves only answers.
    main: Queue,
    client: Arc<AdminClient<Context>>,
}

impl KafkaAdmin {
    /// Connects in the background. The clients of `readers` ask for topics and offsets.
    pub(crate) fn new(config: ClientConfig, readers: ClientConfig) -> Result<Self> {
        Ok(Self { config, changes: OnceLock::new(), offsets: Offsets::new(readers)? })
    }

    fn changes(&self) -> Result<&Changes> {
        if let Some(changes) = self.changes.get() {
            return Ok(changes);
        }
        let made = Changes::new(&self.config)?;
        Ok(self.changes.get_or_init(|| made))
    }

    /// Waits until each partition of new topics is led: a broker is told of it, and names it, before
    /// it takes records for it.
    fn wait_for_leaders(&self, topics: &[NewTopic], deadline: Deadline) -> Result {
        let of = |topic: &NewTopic| {
            let name = topic.name.clone();
            (0..topic.n_partitions).map(move |partition| TopicPartition::new(&*name, partition))
        };
        let asked: Vec<_> =
            topics.iter().flat_map(of).map(|at| (at, OffsetSpec::Earliest)).collect();
        loop {
            match self.offsets(&asked, deadline.remaining().max(LOOK_TIME)) {
                Err(error) if error.is_retriable() && !deadline.is_over() => {
                    thread::park_timeout(LOOK_AGAIN.min(deadline.remaining()));
                }
                // Who may create topics need not be allowed to read them.
                Err(error) if error.kind() == ErrorKind::Authorization => return Ok(()),
                told => return told.map(drop),
            }
        }
    }
}

impl Changes {
    /// Connects in the background.
    fn new(config: &ClientConfig) -> Result<Self> {
        let client: AdminClient<Context> = config
            .create_with_context(Context::default())
            .map_err(|refused| error::refused(refused, "admin client"))?;
        let client = Arc::new(client);
        let handle = Arc::clone(&client) as Arc<dyn Handle>;
        Ok(Self { main: Queue::main(&handle), client })
    }

    /// A list of topics leaves out what this user may not see; the broker says so when it is asked for
    /// one by its name.
    fn may_describe(&self, topic: &str, timeout: Duration) -> Result {
        let asked = self.client.inner().fetch_metadata(Some(topic), bounded(timeout));
        let refused = asked.ok().and_then(|metadata| metadata.topics().first()?.error());
        match refused.map(RDKafkaErrorCode::from) {
            Some(code @ RDKafkaErrorCode::TopicAuthorizationFailed) => {
                Err(error::coded(code, &format!("describe topic {topic}")))
            }
            _ => Ok(()),
        }
    }

    /// Waits for an answer of rdkafka.
    fn wait<T>(
        &self,
        answer: impl Future<Output = KafkaResult<T>>,
        timeout: Duration,
        doing: &str,
    ) -> Result<T> {
        // librdkafka answers by itself when the time is over; the second bound is for a bug there.
        match block_on(answer, Deadline::after(timeout + Duration::from_secs(1))) {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(failed)) => Err(error::asked(failed, self.trouble(), timeout, doing)),
            None => Err(error::unanswered(self.trouble(), timeout, doing)),
        }
    }

    /// What the client complained about last. Without events for errors, librdkafka logs them.
    fn trouble(&self) -> &Trouble {
        let trouble = self.client.inner().context().trouble();
        while let Some(event) = self.main.poll(Duration::ZERO) {
            match event.kind() {
                EventKind::Log(level, line) if level <= WARNING => {
                    let refused = line.to_ascii_lowercase().contains("authentication");
                    let code = if refused {
                        RDKafkaErrorCode::Authentication
                    } else {
                        RDKafkaErrorCode::BrokerTransportFailure
                    };
                    trouble.note(code, &line);
                }
                EventKind::Log(level, line) => log(level, &line),
                EventKind::Error(code, reason, _) => trouble.note(code, &reason),
                EventKind::Deliveries | EventKind::Other => {}
            }
        }
        trouble
    }
}

impl Admin for KafkaAdmin {
    fn topics(&self, timeout: Duration) -> Result<Vec<TopicInfo>> {
        let metadata = self.offsets.topics(timeout)?;
        let there = metadata.topics().iter().filter(|topic| topic.error().is_none());
        Ok(there
            .map(|topic| TopicInfo {
                name: topic.name().to_owned(),
                n_partitions: i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
            })
            .collect())
    }

    fn create_topics(&self, topics: &[NewTopic], timeout: Duration) -> Result {
        if topics.is_empty() {
            return Ok(());
        }
        let deadline = Deadline::after(timeout);
        let natives: Vec<NativeTopic<'_>> = topics.iter().map(native).collect();
        let changes = self.changes()?;
        let answer = changes.client.create_topics(&natives, &options(timeout));
        for outcome in changes.wait(answer, timeout, "create topics")? {
            match outcome {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    return Err(error::coded(code, &format!("create topic {name}")));
                }
            }
        }
        // The broker that answered may know of them before the others do.
        loop {
            let there = self.topics(deadline.remaining().max(LOOK_TIME))?;
            let missing = topics.iter().find(|new| {
                !there.iter().any(|info| info.name == new.name && info.n_partitions > 0)
            });
            let Some(missing) = missing else { break };
            changes.may_describe(&missing.name, deadline.remaining().max(LOOK_TIME))?;
            if deadline.is_over() {
                let doing = format!("topic {} was created but is not seen yet", missing.name);
                return Err(error::unanswered(changes.trouble(), timeout, &doing));
            }
            thread::park_timeout(LOOK_AGAIN.min(deadline.remaining()));
        }
        self.wait_for_leaders(topics, deadline)
    }

    fn delete_topics(&self, names: &[String], timeout: Duration) -> Result {
        if names.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let changes = self.changes()?;
        let answer = changes.client.delete_topics(&names, &options(timeout));
        for outcome in changes.wait(answer, timeout, "delete topics")? {
            match outcome {
                Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
                Err((name, code)) => {
                    return Err(error::coded(code, &format!("delete topic {name}")));
                }
            }
        }
        Ok(())
    }

    fn offsets(
        &self,
        partitions: &[(TopicPartition, OffsetSpec)],
        timeout: Duration,
    ) -> Result<Vec<Offset>> {
        self.offsets.list(partitions, timeout)
    }

    fn delete_records(&self, before: &[(TopicPartition, Offset)], timeout: Duration) -> Result {
        self.offsets.delete(before, timeout)
    }
}

fn native(topic: &NewTopic) -> NativeTopic<'_> {
    let replication = TopicReplication::Fixed(topic.replication.map_or(-1, i32::from));
    let native = NativeTopic::new(&topic.name, topic.n_partitions, replication);
    topic.configs.iter().fold(native, |native, (key, value)| native.set(key, value))
}

fn options(timeout: Duration) -> AdminOptions {
    let timeout = bounded(timeout).max(Duration::from_millis(1));
    AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout))
}

/// Runs a future on this thread; `None` if the time is over before it is done.
fn block_on<T>(future: impl Future<Output = T>, deadline: Deadline) -> Option<T> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = TaskContext::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(done) => return Some(done),
            Poll::Pending if deadline.is_over() => return None,
            Poll::Pending => thread::park_timeout(deadline.remaining()),
        }
    }
}

/// As syslog counts.
const WARNING: i32 = 4;
/// How often it is looked whether a new topic is seen.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The least time for one look.
const LOOK_TIME: Duration = Duration::from_secs(1);
