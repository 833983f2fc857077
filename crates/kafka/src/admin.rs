//! Topics and offsets, over rdkafka's admin client.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake};
use std::thread::{self, Thread};
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_runtime::transport::{Admin, Isolation, NewTopic, OffsetSpec, TopicInfo};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic as NativeTopic, TopicReplication};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::client::{Context, Deadline, Trouble, bounded, log};
use crate::error;
use crate::ffi::{self, EventKind, Handle, Queue};

/// The admin client, shared by all threads.
pub(crate) struct KafkaAdmin {
    /// Log lines; rdkafka's own thread serves only answers.
    main: Queue,
    client: Arc<AdminClient<Context>>,
    handle: Arc<dyn Handle>,
}

impl KafkaAdmin {
    /// An admin client; connects in the background.
    pub(crate) fn new(config: &ClientConfig) -> Result<Self> {
        let client: AdminClient<Context> = config
            .create_with_context(Context::default())
            .map_err(|refused| error::refused(refused, "admin client"))?;
        let client = Arc::new(client);
        let handle = Arc::clone(&client) as Arc<dyn Handle>;
        Ok(Self { main: Queue::main(&handle), client, handle })
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
                EventKind::Deliveries | EventKind::Offsets | EventKind::Other => {}
            }
        }
        trouble
    }

    /// Waits until each partition of new topics is led: a broker is told of it, and names it, before
    /// it takes records for it.
    fn wait_for_leaders(&self, topics: &[NewTopic], deadline: Deadline) -> Result {
        let latest = OffsetSpec::Latest(Isolation::ReadUncommitted);
        let of = |topic: &NewTopic| {
            let name = topic.name.clone();
            (0..topic.n_partitions).map(move |partition| TopicPartition::new(&*name, partition))
        };
        let asked: Vec<_> = topics.iter().flat_map(of).map(|at| (at, latest)).collect();
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

    /// Names the partition that does not exist.
    fn missing(&self, round: &[&Question<'_>], deadline: Deadline) -> Error {
        let topics = match self.topics(deadline.remaining().max(Duration::from_millis(1))) {
            Ok(topics) => topics,
            Err(error) => return error,
        };
        let gone = round.iter().map(|question| question.partition).find(|partition| {
            !topics.iter().any(|topic| {
                topic.name == *partition.topic && partition.partition < topic.n_partitions
            })
        });
        match gone {
            Some(gone) => Error::new(ErrorKind::Topic, "list offsets: no such partition")
                .at_partition(&gone.topic, gone.partition),
            None => Error::new(ErrorKind::Unavailable, "list offsets: a partition has no leader"),
        }
    }

    /// One request per isolation level and partition: the first that fits takes it.
    fn ask(
        &self,
        round: &[&Question<'_>],
        isolation: Isolation,
        deadline: Deadline,
        timeout: Duration,
    ) -> Result<Vec<Offset>> {
        let mut list = TopicPartitionList::with_capacity(round.len());
        for question in round {
            let offset = rdkafka::Offset::from_raw(question.ask);
            list.add_partition_offset(
                &question.partition.topic,
                question.partition.partition,
                offset,
            )
            .map_err(|failed| error::wrapped(failed, "list offsets"))?;
        }
        let answer = ffi::list_offsets(&self.handle, &list, isolation, deadline.remaining());
        let entries = match answer {
            Some(Ok(entries)) => entries,
            Some(Err((code, reason))) if error::kind(code) == ErrorKind::Timeout => {
                let doing = format!("list offsets: {reason}");
                return Err(error::unanswered(self.trouble(), timeout, &doing));
            }
            // librdkafka does not say of which topic it found no leader.
            Some(Err((RDKafkaErrorCode::NoEnt, _))) => return Err(self.missing(round, deadline)),
            Some(Err((code, _))) => return Err(error::coded(code, "list offsets")),
            None => return Err(error::unanswered(self.trouble(), timeout, "list offsets")),
        };
        round
            .iter()
            .map(|question| {
                let TopicPartition { topic, partition } = question.partition;
                let entry = entries
                    .iter()
                    .find(|entry| entry.topic == **topic && entry.partition == *partition);
                let code = match entry {
                    Some(entry) => match entry.error {
                        None => return Ok(entry.offset),
                        Some(code) => code,
                    },
                    None => RDKafkaErrorCode::UnknownPartition,
                };
                Err(error::coded(code, "list offsets").at_partition(topic, *partition))
            })
            .collect()
    }
}

/// One offset that is asked for.
struct Question<'a> {
    partition: &'a TopicPartition,
    /// As the protocol says it: a timestamp, -1 for the end, -2 for the beginning.
    ask: i64,
    isolation: Isolation,
    index: usize,
}

impl Admin for KafkaAdmin {
    fn topics(&self, timeout: Duration) -> Result<Vec<TopicInfo>> {
        let timeout = bounded(timeout);
        let metadata = self
            .client
            .inner()
            .fetch_metadata(None, timeout)
            .map_err(|failed| error::asked(failed, self.trouble(), timeout, "list topics"))?;
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
        let answer = self.client.create_topics(&natives, &options(timeout));
        for outcome in self.wait(answer, timeout, "create topics")? {
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
            self.may_describe(&missing.name, deadline.remaining().max(LOOK_TIME))?;
            if deadline.is_over() {
                let doing = format!("topic {} was created but is not seen yet", missing.name);
                return Err(error::unanswered(self.trouble(), timeout, &doing));
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
        let answer = self.client.delete_topics(&names, &options(timeout));
        for outcome in self.wait(answer, timeout, "delete topics")? {
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
        let deadline = Deadline::after(timeout);
        let mut answers = vec![NONE; partitions.len()];
        let mut open: Vec<Question<'_>> = Vec::new();
        for (index, (partition, spec)) in partitions.iter().enumerate() {
            let (ask, isolation) = match spec {
                OffsetSpec::Earliest => (BEGINNING, Isolation::ReadUncommitted),
                OffsetSpec::Latest(isolation) => (END, *isolation),
                OffsetSpec::At(time) => (time.as_millis().max(0), Isolation::ReadUncommitted),
            };
            open.push(Question { partition, ask, isolation, index });
        }
        while let Some(first) = open.first() {
            let isolation = first.isolation;
            let mut round: Vec<&Question<'_>> = Vec::new();
            for question in open.iter().filter(|question| question.isolation == isolation) {
                if !round.iter().any(|other| other.partition == question.partition) {
                    round.push(question);
                }
            }
            let offsets = match self.ask(&round, isolation, deadline, timeout) {
                // Leaders may have changed since this client was told of them, and nothing else
                // makes it ask again within minutes: after a broker was killed, the epochs it
                // knows are fenced.
                Err(error) if error.kind() == ErrorKind::Unavailable && !deadline.is_over() => {
                    self.topics(deadline.remaining())?;
                    self.ask(&round, isolation, deadline, timeout)?
                }
                asked => asked?,
            };
            for (question, offset) in round.iter().zip(offsets) {
                answers[question.index] = offset;
            }
            let asked: Vec<usize> = round.iter().map(|question| question.index).collect();
            // No record is that new: the end, which is asked for next. Up to the last stable
            // offset, so that records of an open transaction are not skipped.
            let again = asked.iter().filter(|index| answers[**index] < 0);
            let again: Vec<Question<'_>> = again
                .map(|&index| Question {
                    partition: &partitions[index].0,
                    ask: END,
                    isolation: Isolation::ReadCommitted,
                    index,
                })
                .collect();
            open.retain(|question| !asked.contains(&question.index));
            open.extend(again);
        }
        Ok(answers)
    }

    fn delete_records(&self, before: &[(TopicPartition, Offset)], timeout: Duration) -> Result {
        if before.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(before.len());
        for (TopicPartition { topic, partition }, offset) in before {
            list.add_partition_offset(topic, *partition, rdkafka::Offset::from_raw(*offset))
                .map_err(|failed| error::wrapped(failed, "delete records"))?;
        }
        let answer = self.client.delete_records(&list, &options(timeout));
        let answer = self.wait(answer, timeout, "delete records")?;
        for entry in ffi::list_entries(&answer) {
            if let Some(code) = entry.error {
                return Err(error::coded(code, "delete records")
                    .at_partition(&entry.topic, entry.partition));
            }
        }
        Ok(())
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
const BEGINNING: i64 = -2;
const END: i64 = -1;
const NONE: Offset = -1;
/// How often it is looked whether a new topic is seen.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The least time for one look.
const LOOK_TIME: Duration = Duration::from_secs(1);
