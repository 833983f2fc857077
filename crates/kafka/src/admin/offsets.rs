//! Offsets that only brokers know, and records that they delete.
//!
//! librdkafka's own `ListOffsets` (2.12) looks for leaders on the thread of the caller and, if a timer or
//! news of the cluster say so, on its main thread too: both work on one request, and whoever is second
//! on memory that the first has freed. So offsets come from `offsets_for_times`, which waits on the
//! caller's thread alone. It asks at the isolation level of its client: there is one for committed
//! records, and another once it is asked for. `DeleteRecords` has no such sister: it is called when its
//! client knows all leaders, where nothing is waited for.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_runtime::transport::{Isolation, OffsetSpec};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::Metadata;
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::client::{Deadline, Trouble};
use crate::consumer::Fetcher;
use crate::error;
use crate::ffi;

/// Asks for offsets, for all threads.
pub(super) struct Offsets {
    config: ClientConfig,
    /// Answers too what is the same at either level.
    committed: Arc<Fetcher>,
    uncommitted: OnceLock<Arc<Fetcher>>,
}

/// One offset that is asked for.
struct Question<'a> {
    partition: &'a TopicPartition,
    /// As the protocol says it: a timestamp, -1 for the end, -2 for the beginning.
    ask: i64,
    isolation: Isolation,
    index: usize,
}

impl Offsets {
    /// Makes the first client, so that settings which do not fit are told at once.
    pub(super) fn new(config: ClientConfig) -> Result<Self> {
        let committed = reader(&config, "read_committed")?;
        Ok(Self { config, committed, uncommitted: OnceLock::new() })
    }

    /// All topics that this user may see.
    pub(super) fn topics(&self, timeout: Duration) -> Result<Metadata> {
        let client = &self.committed;
        client
            .metadata(None, timeout)
            .map_err(|failed| error::asked(failed, trouble(client), timeout, "list topics"))
    }

    /// See [`Admin::offsets`](kstreams_runtime::transport::Admin::offsets).
    pub(super) fn list(
        &self,
        partitions: &[(TopicPartition, OffsetSpec)],
        timeout: Duration,
    ) -> Result<Vec<Offset>> {
        let deadline = Deadline::after(timeout);
        let mut answers = vec![NONE; partitions.len()];
        let mut open: Vec<Question<'_>> = Vec::new();
        for (index, (partition, spec)) in partitions.iter().enumerate() {
            let (ask, isolation) = match spec {
                OffsetSpec::Earliest => (BEGINNING, Isolation::ReadCommitted),
                OffsetSpec::Latest(isolation) => (END, *isolation),
                OffsetSpec::At(time) => (time.as_millis().max(0), Isolation::ReadUncommitted),
            };
            open.push(Question { partition, ask, isolation, index });
        }
        while let Some(&Question { isolation, partition, .. }) = open.first() {
            let mut round: Vec<&Question<'_>> = Vec::new();
            for question in open.iter().filter(|question| question.isolation == isolation) {
                if !round.iter().any(|other| other.partition == question.partition) {
                    round.push(question);
                }
            }
            let client = self.client(isolation, partition, deadline)?;
            for (question, offset) in round.iter().zip(ask(client, &round, deadline, timeout)?) {
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

    /// See [`Admin::delete_records`](kstreams_runtime::transport::Admin::delete_records).
    pub(super) fn delete(&self, before: &[(TopicPartition, Offset)], timeout: Duration) -> Result {
        if before.is_empty() {
            return Ok(());
        }
        let deadline = Deadline::after(timeout);
        // Its client knows all leaders then.
        let beginnings: Vec<_> =
            before.iter().map(|(at, _)| (at.clone(), OffsetSpec::Earliest)).collect();
        self.list(&beginnings, timeout)?;
        let client = &self.committed;
        let list = list(before.iter().map(|(partition, offset)| (partition, *offset)), DELETE)?;
        let entries = match ffi::delete_records(client.handle(), &list, deadline.remaining()) {
            Some(Ok(entries)) => entries,
            Some(Err((code, reason))) => {
                return Err(Error::new(error::kind(code), format!("{DELETE}: {reason}")));
            }
            None => return Err(unanswered(client, timeout, DELETE)),
        };
        match entries.into_iter().find_map(|entry| Some((entry.error?, entry))) {
            Some((code, entry)) => {
                Err(error::coded(code, DELETE).at_partition(&entry.topic, entry.partition))
            }
            None => Ok(()),
        }
    }

    /// The client that asks at this level, first of this partition.
    fn client(
        &self,
        isolation: Isolation,
        partition: &TopicPartition,
        deadline: Deadline,
    ) -> Result<&Arc<Fetcher>> {
        if isolation == Isolation::ReadCommitted {
            return Ok(&self.committed);
        }
        if let Some(client) = self.uncommitted.get() {
            return Ok(client);
        }
        let made = reader(&self.config, "read_uncommitted")?;
        // Before it is connected librdkafka looks for leaders in vain, and again after 100 ms; this
        // waits for the connection. What it fails of, the question tells.
        let _ = made.metadata(Some(&partition.topic), deadline.remaining());
        Ok(self.uncommitted.get_or_init(|| made))
    }
}

fn reader(config: &ClientConfig, level: &str) -> Result<Arc<Fetcher>> {
    let mut config = config.clone();
    config.set("isolation.level", level);
    Fetcher::new(&config)
}

/// Asks, and once more if leaders may have changed; one partition is asked one question.
fn ask(
    client: &Fetcher,
    round: &[&Question<'_>],
    deadline: Deadline,
    timeout: Duration,
) -> Result<Vec<Offset>> {
    // What it has to say piles up otherwise.
    let _ = client.serve();
    match ask_once(client, round, deadline, timeout) {
        // Leaders may have changed since this client was told of them, and nothing else makes it
        // ask again within minutes: after a broker was killed, the epochs it knows are fenced.
        Err(error)
            if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Topic)
                && !deadline.is_over() =>
        {
            let _ = client.metadata(None, deadline.remaining());
            ask_once(client, round, deadline, timeout)
        }
        asked => asked,
    }
}

fn ask_once(
    client: &Fetcher,
    round: &[&Question<'_>],
    deadline: Deadline,
    timeout: Duration,
) -> Result<Vec<Offset>> {
    let asked = round.iter().map(|question| (question.partition, question.ask));
    let mut list = list(asked, LIST)?;
    let outcome = ffi::offsets_for_times(client.handle(), &mut list, deadline.remaining());
    let entries = ffi::list_entries(&list);
    let failed = entries.iter().find_map(|entry| Some((entry.error?, entry)));
    match (outcome, failed) {
        (Err(code), _) if is_unanswered(code, deadline) => Err(unanswered(client, timeout, LIST)),
        (_, Some((code, entry))) => {
            Err(error::coded(code, LIST).at_partition(&entry.topic, entry.partition))
        }
        // It does not say of which partition.
        (Err(code), None) if round.len() == 1 => {
            let TopicPartition { topic, partition } = round[0].partition;
            Err(error::coded(code, LIST).at_partition(topic, *partition))
        }
        (Err(code), None) if error::kind(code) == ErrorKind::Unavailable => {
            Err(error::coded(code, LIST))
        }
        (Err(_), None) => {
            let alone = |question: &&Question<'_>| {
                Ok(ask_once(client, &[*question], deadline, timeout)?[0])
            };
            round.iter().map(alone).collect()
        }
        (Ok(()), None) => Ok(entries.iter().map(|entry| entry.offset).collect()),
    }
}

/// True if nobody has answered in time, whatever librdkafka calls it.
fn is_unanswered(code: RDKafkaErrorCode, deadline: Deadline) -> bool {
    match error::kind(code) {
        ErrorKind::Timeout => true,
        ErrorKind::Unavailable => deadline.is_over(),
        _ => false,
    }
}

fn unanswered(client: &Fetcher, timeout: Duration, doing: &str) -> Error {
    error::unanswered(trouble(client), timeout, doing)
}

/// What a client that has failed says of it.
fn trouble(client: &Fetcher) -> &Trouble {
    // An error that it tells of is noted too.
    let _ = client.serve();
    client.context().trouble()
}

fn list<'a>(
    entries: impl Iterator<Item = (&'a TopicPartition, i64)>,
    doing: &str,
) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in entries {
        let offset = rdkafka::Offset::from_raw(offset);
        list.add_partition_offset(&partition.topic, partition.partition, offset)
            .map_err(|failed| error::wrapped(failed, doing))?;
    }
    Ok(list)
}

const LIST: &str = "list offsets";
const DELETE: &str = "delete records";
const BEGINNING: i64 = -2;
const END: i64 = -1;
const NONE: Offset = -1;
