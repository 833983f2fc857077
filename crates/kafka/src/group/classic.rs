//! A member of a classic group: librdkafka's own, with the range assignor.
//!
//! Its client reads no data. It subscribes to all source topics, so that the group shares their
//! partitions out, and acknowledges each assignment without assigning anything to itself; records
//! come through the consumer. Standbys and stickiness have no place in this protocol.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::TopicPartition;
use kstreams_runtime::transport::{
    Assignment, CommittedOffset, GroupMetadata, MemberOptions, Membership, MembershipEvent, Waker,
};
use kstreams_topology::{Layout, TopicCounts};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, TopicPartitionList};

use super::context::{GroupContext, Step};
use super::offset_list;
use super::tasks::{owned_tasks, task_topics};
use crate::client::{Deadline, bounded};
use crate::error;
use crate::ffi::{self, Handle, MemberMetadata, Queue};
use crate::lent::Lent;

/// A member; each thread has one.
pub(crate) struct ClassicMember {
    options: MemberOptions,
    /// What it is subscribed to; empty before the first poll.
    topics: BTreeSet<Arc<str>>,
    /// When a topology with patterns looks for new topics again.
    look: Option<Deadline>,
    /// What was told and not yet acknowledged.
    told: Option<Told>,
    /// A step that could not be told yet.
    held: Option<Step>,
    queue: Queue,
    client: Arc<BaseConsumer<GroupContext>>,
    handle: Arc<dyn Handle>,
    /// The client, for commits that are not waited for.
    commits: Lent<Arc<BaseConsumer<GroupContext>>>,
}

/// What the group waits for.
#[derive(Clone, Copy, Debug)]
enum Told {
    Assign,
    Revoke,
}

impl ClassicMember {
    /// A member that has not joined yet; connects in the background.
    pub(crate) fn new(mut config: ClientConfig, options: MemberOptions) -> Result<Self> {
        let session = options.session_timeout.as_millis();
        config.set("group.id", &*options.application_id);
        if let Some(id) = &options.group_instance_id {
            config.set("group.instance.id", id);
        }
        config.set("session.timeout.ms", session.to_string());
        // All tasks stand still from the first heartbeat that tells of a new member to the last one.
        config.set("heartbeat.interval.ms", (session / 3).clamp(1, 500).to_string());
        // A topic that has grown or is gone must be seen; by default that takes five minutes.
        let refresh = "topic.metadata.refresh.interval.ms";
        if config.get(refresh).is_none() {
            config.set(refresh, REFRESH.as_millis().to_string());
        }
        // Sent as the rebalance time-out, and the time after which a member that is not polled
        // leaves. librdkafka wants it to be no less than the session time-out.
        let rebalance = options.rebalance_timeout.as_millis().max(session);
        config.set("max.poll.interval.ms", rebalance.to_string());
        let client: BaseConsumer<GroupContext> = config
            .create_with_context(GroupContext::default())
            .map_err(|refused| error::refused(refused, "group member"))?;
        let client = Arc::new(client);
        let handle: Arc<dyn Handle> = Arc::clone(&client) as Arc<dyn Handle>;
        Ok(Self {
            options,
            topics: BTreeSet::new(),
            look: None,
            told: None,
            held: None,
            queue: Queue::of_member(&handle),
            commits: Lent::new(Arc::clone(&client), "kstreams-offsets"),
            client,
            handle,
        })
    }

    /// The topology over the topics there are.
    fn layout(&self) -> Result<Layout> {
        let metadata = self
            .client
            .fetch_metadata(None, LOOK_TIMEOUT)
            .map_err(|failed| self.failed(failed, LOOK_TIMEOUT, "look for the source topics"))?;
        let there = metadata.topics().iter().filter(|topic| topic.error().is_none());
        let counts: TopicCounts = there
            .map(|topic| {
                let count = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
                (topic.name().into(), count)
            })
            .collect();
        let layout = self.options.topology.layout(&self.options.application_id, &counts)?;
        let missing = task_topics(&layout).into_iter().find(|topic| !counts.contains_key(topic));
        match missing {
            None => Ok(layout),
            Some(topic) => {
                Err(Error::new(ErrorKind::Topic, format!("topic {topic} does not exist")))
            }
        }
    }

    /// Subscribes to the topics that there are to read.
    fn subscribe(&mut self) -> Result {
        let topics = task_topics(&self.layout()?);
        self.look = self.has_patterns().then(|| Deadline::after(LOOK_AGAIN));
        if topics == self.topics {
            return Ok(());
        }
        if topics.is_empty() {
            return Err(Error::new(ErrorKind::Topic, "no topic matches the sources' patterns"));
        }
        let names: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
        ::log::info!("group {}: join for {}", self.options.application_id, names.join(", "));
        self.client.subscribe(&names).map_err(|failed| error::wrapped(failed, "subscribe"))?;
        self.topics = topics;
        Ok(())
    }

    fn has_patterns(&self) -> bool {
        let subtopologies = self.options.topology.subtopologies().iter();
        subtopologies
            .filter(|part| !part.is_global())
            .any(|part| part.source_patterns().count() > 0)
    }

    /// Works off what the client has, without waiting.
    fn serve(&self) -> Result {
        // rdkafka works off one event at a time and says nothing of those it has no result for.
        while self.queue.len() > 0 {
            // There are no messages: nothing is assigned to this client.
            let Some(Err(failed)) = self.client.poll(Duration::ZERO) else { continue };
            let (code, reason) = self
                .client
                .context()
                .trouble()
                .last()
                .unwrap_or_else(|| (error::code_of(&failed), failed.to_string()));
            if matches!(failed, KafkaError::MessageConsumptionFatal(_)) {
                return Err(Error::new(fatal_kind(code), format!("group: {reason}")));
            }
            // For the rest it goes on trying; the context has logged it.
            let kind = error::kind(error::code_of(&failed));
            if matches!(kind, ErrorKind::Topic | ErrorKind::Authorization) {
                return Err(Error::new(kind, format!("group: {reason}")));
            }
        }
        Ok(())
    }

    /// What a step means for the engine.
    fn news(&self, step: &Step) -> Result<(MembershipEvent, Told)> {
        match step {
            Step::Assign(partitions) => {
                let (active, split) = owned_tasks(&self.layout()?, partitions);
                match split {
                    // Not all members have seen a new topic yet: the next assignment is whole.
                    Some(error) if self.has_patterns() => {
                        ::log::warn!("group {}: {error}", self.options.application_id);
                    }
                    Some(error) => return Err(error),
                    None => {}
                }
                let assignment = Assignment { active, standby: BTreeSet::new() };
                Ok((MembershipEvent::Assigned(assignment), Told::Assign))
            }
            Step::Revoke { lost: true } => Ok((MembershipEvent::Lost, Told::Revoke)),
            Step::Revoke { lost: false } => Ok((MembershipEvent::Suspend, Told::Revoke)),
        }
    }

    fn failed(&self, failed: KafkaError, timeout: Duration, doing: &str) -> Error {
        // What the client has to say about it; an error of its own comes again.
        while self.queue.len() > 0 {
            self.client.poll(Duration::ZERO);
        }
        error::asked(failed, self.client.context().trouble(), timeout, doing)
    }

    /// Gives everything up and leaves; true if that was done in time.
    fn close(&mut self, deadline: Deadline) -> bool {
        self.client.context().close();
        // What the group waits for is not answered by the engine any more.
        if self.told.take().is_some() || self.held.take().is_some() {
            let _ = self.client.unassign();
        }
        while self.client.context().next().is_some() {
            let _ = self.client.unassign();
        }
        if self.client.closed() {
            return true;
        }
        if let Err(error) = self.client.close_queue() {
            ::log::warn!("group {}: leave: {error}", self.options.application_id);
        }
        while !self.client.closed() {
            if deadline.is_over() {
                return false;
            }
            self.client.poll(STEP.min(deadline.remaining()));
        }
        true
    }
}

impl Membership for ClassicMember {
    fn poll(&mut self) -> Result<Option<MembershipEvent>> {
        if self.topics.is_empty() || self.look.is_some_and(|look| look.is_over()) {
            self.subscribe()?;
        }
        self.serve()?;
        if self.told.is_some() {
            return Ok(None);
        }
        let step = self.held.take().or_else(|| self.client.context().next());
        let Some(step) = step else { return Ok(None) };
        match self.news(&step) {
            Ok((event, told)) => {
                self.told = Some(told);
                Ok(Some(event))
            }
            Err(error) => {
                self.held = Some(step);
                Err(error)
            }
        }
    }

    fn acknowledge(&mut self, _owned: &Assignment) -> Result {
        let answered = match self.told.take() {
            Some(Told::Assign) => self.client.assign(&TopicPartitionList::new()),
            Some(Told::Revoke) => self.client.unassign(),
            None => Ok(()),
        };
        answered.map_err(|failed| error::wrapped(failed, "acknowledge the assignment"))
    }

    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for TopicPartition { topic, partition } in partitions {
            list.add_partition(topic, *partition);
        }
        let doing = "read committed offsets";
        let timeout = timeout.min(AT_ONCE);
        let answer = self
            .client
            .committed_offsets(list, bounded(timeout))
            .map_err(|failed| self.failed(failed, timeout, doing))?;
        let entries = ffi::list_entries(&answer);
        let committed = partitions.iter().map(|TopicPartition { topic, partition }| {
            let found = entries
                .iter()
                .find(|entry| entry.topic == **topic && entry.partition == *partition);
            let Some(entry) = found else { return Ok(None) };
            if let Some(code) = entry.error {
                return Err(error::coded(code, doing).at_partition(topic, *partition));
            }
            Ok((entry.offset >= 0).then(|| CommittedOffset {
                offset: entry.offset,
                leader_epoch: entry.leader_epoch,
                metadata: String::from_utf8_lossy(&entry.metadata).into_owned(),
            }))
        });
        committed.collect()
    }

    fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
    ) -> Result {
        if offsets.is_empty() {
            return Ok(());
        }
        commit(&self.client, offsets, timeout)
    }

    fn start_commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
        done: Waker,
    ) -> Result {
        let offsets = offsets.to_vec();
        self.commits.lend(move |client| commit(client, &offsets, timeout), done)
    }

    fn poll_commit(&mut self, wait: Duration) -> Result<bool> {
        self.commits.poll(wait)
    }

    fn group_metadata(&mut self) -> Result<GroupMetadata> {
        MemberMetadata::of(&self.handle)
            .filter(|member| !member.member().is_empty())
            .map(GroupMetadata::new)
            .ok_or_else(|| Error::new(ErrorKind::Unavailable, "the member has not joined yet"))
    }

    fn request_shutdown(&mut self) -> Result {
        Err(Error::new(
            ErrorKind::Config,
            "a classic group cannot carry a shutdown of the whole application: stop each instance, \
             or use the streams group protocol",
        ))
    }

    fn leave(&mut self, timeout: Duration) -> Result {
        if self.close(Deadline::after(timeout)) {
            return Ok(());
        }
        Err(error::unanswered(self.client.context().trouble(), timeout, "leave the group"))
    }
}

/// rdkafka closes a consumer when it is dropped, and waits: nobody would answer the group then.
impl Drop for ClassicMember {
    fn drop(&mut self) {
        self.close(Deadline::after(DROP_TIMEOUT));
    }
}

/// Commits, and waits for the answer.
fn commit(
    client: &Arc<BaseConsumer<GroupContext>>,
    offsets: &[(TopicPartition, CommittedOffset)],
    timeout: Duration,
) -> Result {
    let handle = Arc::clone(client) as Arc<dyn Handle>;
    match ffi::commit(&handle, &offset_list(offsets)?, timeout) {
        Some(Ok(())) => Ok(()),
        Some(Err((code, partition))) => {
            let error = error::coded(code, "commit");
            Err(match partition {
                Some(at) => error.at_partition(&at.topic, at.partition),
                None => error,
            })
        }
        None => Err(error::unanswered(client.context().trouble(), timeout, "commit")),
    }
}

fn fatal_kind(code: RDKafkaErrorCode) -> ErrorKind {
    match error::kind(code) {
        ErrorKind::Fenced => ErrorKind::Fenced,
        ErrorKind::Authorization => ErrorKind::Authorization,
        _ => ErrorKind::Fatal,
    }
}

/// How long a look at the topics of the cluster may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a topology with patterns looks for new topics.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How often the topics that are read are looked at.
const REFRESH: Duration = Duration::from_secs(15);
/// How long librdkafka may ask for positions that a transaction holds back.
const AT_ONCE: Duration = Duration::from_millis(100);
/// How long a dropped member tries to leave.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);
/// One step of leaving.
const STEP: Duration = Duration::from_millis(10);
