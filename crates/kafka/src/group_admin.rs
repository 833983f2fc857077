//! Groups from outside: which there are, who does what in them, and where they are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, TopicPartition};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::client::{Context, Deadline, bounded};
use crate::error;
use crate::wire::{
    Connection, Coordinator, DescribeClassic, DescribeStreams, Heartbeat, LeaveGroup, ListGroups,
    Security, StreamsGroup, TaskIds, WireTopic,
};

/// Looks at the groups of a cluster, and resets those that nobody is in.
///
/// Made by [`KafkaLog::group_admin`](crate::KafkaLog::group_admin). Lists and descriptions go over
/// connections of its own (TLS, PLAIN, SCRAM), positions through librdkafka. Needs Kafka 2.6.
pub struct GroupAdmin {
    bootstrap: String,
    config: ClientConfig,
    security: Arc<Security>,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct GroupListing {
    /// The group's id: that of the application.
    pub id: String,
    /// `streams`, `consumer` (both its protocols), `share`, `connect`, ..; empty for a group that
    /// only holds positions.
    pub kind: String,
    /// As the broker calls it: `Stable`, `Empty`, `PreparingRebalance`, ..
    pub state: String,
}

/// A group and who is in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupDescription {
    /// The group's id.
    pub id: String,
    /// `streams` (KIP-1071) or `consumer`.
    pub kind: String,
    /// As the broker calls it.
    pub state: String,
    /// Rises with each change of members or topology; streams groups only.
    pub epoch: Option<i32>,
    /// What it runs; streams groups only, once the broker has found their source topics.
    pub subtopologies: Vec<SubtopologyDescription>,
    /// Its members, by id.
    pub members: Vec<MemberDescription>,
}

/// A sub-topology as the broker knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubtopologyDescription {
    /// Its number, as text.
    pub id: String,
    /// Topics it reads that are not the application's own.
    pub sources: Vec<String>,
    /// Repartition topics it reads.
    pub repartition_sources: Vec<String>,
    /// Repartition topics it writes.
    pub repartition_sinks: Vec<String>,
    /// The changelogs of its stores.
    pub changelogs: Vec<String>,
}

/// A member of a group: one thread of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberDescription {
    /// Its id.
    pub id: String,
    /// The id of a static member.
    pub instance: Option<String>,
    /// What it calls itself.
    pub client_id: String,
    /// Its address as the broker sees it.
    pub host: String,
    /// The process it is in; streams groups only.
    pub process: Option<String>,
    /// Where its state can be asked for (`application.server`).
    pub endpoint: Option<String>,
    /// The epoch it has come to; streams groups only.
    pub epoch: Option<i32>,
    /// Tasks it works on, as `0_3`; streams groups only.
    pub active: Vec<String>,
    /// Tasks it keeps warm, warm-up tasks among them; streams groups only.
    pub standby: Vec<String>,
    /// True if it has not come to what it is to have yet.
    pub is_moving: bool,
    /// Partitions it reads; classic groups only.
    pub partitions: Vec<TopicPartition>,
}

impl GroupAdmin {
    pub(crate) fn new(bootstrap: String, config: ClientConfig) -> Result<Self> {
        let security = Arc::new(Security::new(&config)?);
        Ok(Self { bootstrap, config, security })
    }

    fn coordinator(&self, group: &str) -> Coordinator {
        let security = Arc::clone(&self.security);
        Coordinator::new(&self.bootstrap, CLIENT.to_owned(), group.into(), security)
    }

    /// A client that never joins the group, for its positions.
    fn consumer(&self, group: &str) -> Result<BaseConsumer<Context>> {
        let mut config = self.config.clone();
        config.set("group.id", group);
        config
            .create_with_context(Context::default())
            .map_err(|refused| error::refused(refused, "group client"))
    }

    /// All groups of the cluster, by id; each broker is asked for those it coordinates.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable` if a broker does not answer, `Authorization` if it refuses.
    pub fn list(&self, timeout: Duration) -> Result<Vec<GroupListing>> {
        let deadline = Deadline::after(timeout);
        let consumer = self.consumer(CLIENT)?;
        let metadata = consumer.fetch_metadata(None, bounded(timeout)).map_err(|failed| {
            error::asked(failed, consumer.client().context().trouble(), timeout, "list brokers")
        })?;
        let mut groups = Vec::new();
        for broker in metadata.brokers() {
            let address = format!("{}:{}", broker.host(), broker.port());
            let mut connection = Connection::open(&address, CLIENT, &self.security, deadline)?;
            connection.authenticate(&self.security, deadline)?;
            let (code, listed) = connection.call(&ListGroups, deadline)?;
            refused(code, None, "list groups")?;
            groups.extend(listed.into_iter().map(|group| GroupListing {
                id: group.id,
                kind: group.protocol_type,
                state: group.state,
            }));
        }
        groups.sort_unstable();
        groups.dedup();
        Ok(groups)
    }

    /// A group of the streams protocol or the classic one. A group that does not exist is `Dead`.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn describe(&self, group: &str, timeout: Duration) -> Result<GroupDescription> {
        let deadline = Deadline::after(timeout);
        let mut coordinator = self.coordinator(group);
        if coordinator.apis(deadline.remaining())?.has_streams_groups() {
            let request = DescribeStreams { group };
            let found = coordinator.call(&request, deadline.remaining())?.pop();
            match found {
                Some(found) if found.code == 0 => return Ok(streams(group, found)),
                Some(found) if !matches!(found.code, GROUP_ID_NOT_FOUND | INVALID_GROUP_ID) => {
                    refused(found.code, found.message.as_deref(), &describing(group))?;
                }
                _ => {}
            }
        }
        let found = coordinator.call(&DescribeClassic { group }, deadline.remaining())?.pop();
        let found = found.ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, format!("{}: no answer", describing(group)))
        })?;
        refused(found.code, None, &describing(group))?;
        let members = found.members.into_iter().map(|member| MemberDescription {
            id: member.id,
            instance: member.instance,
            client_id: member.client_id,
            host: member.host,
            process: None,
            endpoint: None,
            epoch: None,
            active: Vec::new(),
            standby: Vec::new(),
            is_moving: found.state != "Stable",
            partitions: member.partitions,
        });
        Ok(GroupDescription {
            id: group.to_owned(),
            kind: found.protocol_type,
            state: found.state.clone(),
            epoch: None,
            subtopologies: Vec::new(),
            members: members.collect(),
        })
    }

    /// Which of these positions the group has committed.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`, `Authorization`.
    pub fn committed(
        &self,
        group: &str,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<BTreeMap<TopicPartition, Offset>> {
        let consumer = self.consumer(group)?;
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for at in partitions {
            list.add_partition(&at.topic, at.partition);
        }
        let doing = format!("read the positions of group {group}");
        let found = consumer.committed_offsets(list, bounded(timeout)).map_err(|failed| {
            error::asked(failed, consumer.client().context().trouble(), timeout, &doing)
        })?;
        let positions = found.elements().into_iter().filter_map(|element| {
            let rdkafka::Offset::Offset(offset) = element.offset() else { return None };
            Some((TopicPartition::new(element.topic(), element.partition()), offset))
        });
        Ok(positions.collect())
    }

    /// Sets the positions of a group that nobody is in, without what was stored with them.
    ///
    /// # Errors
    /// `Fenced` if it has members; `Unavailable`, `Authorization`.
    pub fn set_positions(
        &self,
        group: &str,
        positions: &BTreeMap<TopicPartition, Offset>,
    ) -> Result {
        let consumer = self.consumer(group)?;
        let doing = format!("set the positions of group {group}");
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (at, offset) in positions {
            list.add_partition_offset(&at.topic, at.partition, rdkafka::Offset::from_raw(*offset))
                .map_err(|failed| error::wrapped(failed, &doing))?;
        }
        consumer
            .commit(&list, CommitMode::Sync)
            .map_err(|failed| error::coded(error::code_of(&failed), &doing))
    }

    /// Takes all members out of a group, so that those that died do not hold it; living ones join
    /// again.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn remove_members(&self, group: &GroupDescription, timeout: Duration) -> Result {
        let deadline = Deadline::after(timeout);
        let mut coordinator = self.coordinator(&group.id);
        let doing = format!("remove the members of group {}", group.id);
        if group.kind == STREAMS {
            for member in &group.members {
                let leave = Heartbeat {
                    group: group.id.clone(),
                    member: member.id.clone(),
                    epoch: LEAVES,
                    endpoint_epoch: 0,
                    join: None,
                    endpoint: None,
                    owned: None,
                    shutdown: false,
                };
                let answer = coordinator.call(&leave, deadline.remaining())?;
                if answer.code != UNKNOWN_MEMBER_ID {
                    refused(answer.code, answer.message.as_deref(), &doing)?;
                }
            }
            return Ok(());
        }
        let members: Vec<_> = group
            .members
            .iter()
            .map(|member| (member.id.clone(), member.instance.clone()))
            .collect();
        let request = LeaveGroup { group: &group.id, members: &members };
        let (code, each) = coordinator.call(&request, deadline.remaining())?;
        for code in std::iter::once(code).chain(each) {
            if code != UNKNOWN_MEMBER_ID {
                refused(code, None, &doing)?;
            }
        }
        Ok(())
    }
}

fn streams(id: &str, group: StreamsGroup) -> GroupDescription {
    let subtopologies = group.subtopologies.unwrap_or_default().into_iter().map(|part| {
        let names = |topics: Vec<WireTopic>| topics.into_iter().map(|topic| topic.name).collect();
        SubtopologyDescription {
            id: part.id,
            sources: part.sources,
            repartition_sources: names(part.repartition_sources),
            repartition_sinks: part.repartition_sinks,
            changelogs: names(part.changelogs),
        }
    });
    let members = group.members.into_iter().map(|member| MemberDescription {
        is_moving: member.now != member.target || member.epoch != group.epoch,
        id: member.id,
        instance: member.instance,
        client_id: member.client_id,
        host: member.host,
        process: Some(member.process),
        endpoint: member.endpoint.map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port)),
        epoch: Some(member.epoch),
        active: task_names(&[&member.now.active]),
        standby: task_names(&[&member.now.standby, &member.now.warmup]),
        partitions: Vec::new(),
    });
    GroupDescription {
        id: id.to_owned(),
        kind: STREAMS.to_owned(),
        state: group.state,
        epoch: Some(group.epoch),
        subtopologies: subtopologies.collect(),
        members: members.collect(),
    }
}

fn task_names(tasks: &[&TaskIds]) -> Vec<String> {
    let each = tasks.iter().copied().flatten().flat_map(|(subtopology, partitions)| {
        partitions.iter().map(move |partition| format!("{subtopology}_{partition}"))
    });
    each.collect()
}

fn refused(code: i16, message: Option<&str>, doing: &str) -> Result {
    if code == 0 { Ok(()) } else { Err(error::answered(code, message, doing)) }
}

fn describing(group: &str) -> String {
    format!("describe group {group}")
}

impl fmt::Debug for GroupAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupAdmin").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

const CLIENT: &str = "kstreams-group-admin";
/// The kind of groups of the streams protocol.
const STREAMS: &str = "streams";
/// The epoch that leaves a streams group.
const LEAVES: i32 = -1;
const INVALID_GROUP_ID: i16 = 24;
const UNKNOWN_MEMBER_ID: i16 = 25;
const GROUP_ID_NOT_FOUND: i16 = 69;
