//! The heartbeat of a streams group's member (KIP-1071): it joins, reports and leaves with it, and
//! hears from the answer what to own.

use std::collections::{BTreeMap, BTreeSet};

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::TopicPartition;
use kstreams_core::task::TaskId;
use kstreams_runtime::transport::Assignment;

use super::Request;
use super::bytes::{Reader, Writer};

/// The topology as the broker is to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WireTopology {
    pub(crate) epoch: i32,
    pub(crate) subtopologies: Vec<WireSubtopology>,
}

/// One sub-topology of it; all lists are sorted, and indices are those of the sorted lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WireSubtopology {
    pub(crate) id: String,
    pub(crate) sources: Vec<String>,
    pub(crate) changelogs: Vec<WireTopic>,
    pub(crate) repartition_sinks: Vec<String>,
    pub(crate) repartition_sources: Vec<WireTopic>,
    /// Source topics and repartition topics that belong together, by index.
    pub(crate) copartitions: Vec<(Vec<i16>, Vec<i16>)>,
}

/// A topic that the broker is to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WireTopic {
    pub(crate) name: String,
    /// 0 leaves it to the broker.
    pub(crate) partitions: i32,
    /// -1 leaves it to the broker.
    pub(crate) replication: i16,
    pub(crate) configs: Vec<(String, String)>,
}

/// Where a process can be asked for its state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// What is told once, when a member joins.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) topology: WireTopology,
    pub(crate) process: String,
}

/// The message. Epoch 0 joins, -1 leaves.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeat {
    pub(crate) group: String,
    pub(crate) member: String,
    pub(crate) epoch: i32,
    pub(crate) endpoint_epoch: i32,
    pub(crate) join: Option<Join>,
    /// `None` means as told before, here and below.
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) owned: Option<Assignment>,
    pub(crate) shutdown: bool,
}

/// What the group says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) code: i16,
    pub(crate) message: Option<String>,
    pub(crate) epoch: i32,
    pub(crate) interval_ms: i32,
    /// `None` means as told before, here and below.
    pub(crate) statuses: Option<Vec<Status>>,
    pub(crate) assignment: Option<Assignment>,
    pub(crate) endpoint_epoch: i32,
    pub(crate) endpoints: Option<Vec<EndpointPartitions>>,
}

/// The state of the group, beside an answer that is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) code: i8,
    pub(crate) detail: String,
}

impl Status {
    pub(crate) const STALE_TOPOLOGY: i8 = 0;
    pub(crate) const MISSING_SOURCE_TOPICS: i8 = 1;
    pub(crate) const INCORRECTLY_PARTITIONED_TOPICS: i8 = 2;
    pub(crate) const MISSING_INTERNAL_TOPICS: i8 = 3;
    pub(crate) const SHUTDOWN_APPLICATION: i8 = 4;
}

/// The partitions whose state an endpoint has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndpointPartitions {
    pub(crate) endpoint: Endpoint,
    pub(crate) active: Vec<TopicPartition>,
    pub(crate) standby: Vec<TopicPartition>,
}

impl Request for Heartbeat {
    const KEY: i16 = 88;
    const VERSION: i16 = 0;
    const NAME: &'static str = "StreamsGroupHeartbeat";

    type Answer = Answer;

    fn write(&self, to: &mut Writer) {
        to.string(&self.group);
        to.string(&self.member);
        to.int32(self.epoch);
        to.int32(self.endpoint_epoch);
        to.optional_string(None); // Static membership: from Kafka 4.4.
        to.optional_string(None); // Rack.
        let join = self.join.as_ref();
        to.int32(join.map_or(-1, |join| join.rebalance_timeout_ms));
        match join {
            Some(join) => {
                to.int8(1);
                write_topology(to, &join.topology);
            }
            None => to.int8(-1),
        }
        write_tasks(to, self.owned.as_ref().map(|owned| &owned.active));
        write_tasks(to, self.owned.as_ref().map(|owned| &owned.standby));
        // Warm-up tasks: all three lists are told, or none.
        let none = BTreeSet::new();
        write_tasks(to, self.owned.as_ref().map(|_| &none));
        to.optional_string(join.map(|join| join.process.as_str()));
        match &self.endpoint {
            Some(Endpoint { host, port }) => {
                to.int8(1);
                to.string(host);
                to.uint16(*port);
                to.end();
            }
            None => to.int8(-1),
        }
        match join {
            Some(_) => to.array([], |_, _: ()| {}), // Client tags.
            None => to.no_array(),
        }
        to.no_array(); // Task offsets: refused by Kafka 4.3.
        to.no_array();
        to.bool(self.shutdown);
        to.end();
    }

    fn read(from: &mut Reader<'_>) -> Result<Answer> {
        from.int32()?;
        let (code, message) = (from.int16()?, from.optional_string()?);
        from.string()?; // The member's id, which it has chosen itself.
        let (epoch, interval_ms) = (from.int32()?, from.int32()?);
        from.int32()?; // Acceptable recovery lag.
        from.int32()?; // Task offset interval.
        let statuses = from.optional_array(|from| {
            let status = Status { code: from.int8()?, detail: from.string()? };
            from.end()?;
            Ok(status)
        })?;
        let (active, standby, warmup) = (read_tasks(from)?, read_tasks(from)?, read_tasks(from)?);
        let assignment = active.map(|active| {
            // A warm-up task is a standby to its member.
            let standby = standby.into_iter().chain(warmup).flatten().collect();
            Assignment { active, standby }
        });
        let endpoint_epoch = from.int32()?;
        let endpoints = from.optional_array(|from| {
            let endpoint = Endpoint { host: from.string()?, port: from.uint16()? };
            from.end()?;
            let (active, standby) = (read_partitions(from)?, read_partitions(from)?);
            from.end()?;
            Ok(EndpointPartitions { endpoint, active, standby })
        })?;
        from.end()?;
        Ok(Answer {
            code,
            message,
            epoch,
            interval_ms,
            statuses,
            assignment,
            endpoint_epoch,
            endpoints,
        })
    }
}

fn write_topology(to: &mut Writer, topology: &WireTopology) {
    to.int32(topology.epoch);
    to.array(&topology.subtopologies, |to, part| {
        to.string(&part.id);
        to.array(&part.sources, |to, name| to.string(name));
        to.array([], |_, _: ()| {}); // Patterns: not served by Kafka 4.3.
        to.array(&part.changelogs, write_topic);
        to.array(&part.repartition_sinks, |to, name| to.string(name));
        to.array(&part.repartition_sources, write_topic);
        to.array(&part.copartitions, |to, (sources, repartition)| {
            to.array(sources, |to, index| to.int16(*index));
            to.array([], |_, _: ()| {});
            to.array(repartition, |to, index| to.int16(*index));
            to.end();
        });
        to.end();
    });
    to.end();
}

fn write_topic(to: &mut Writer, topic: &WireTopic) {
    to.string(&topic.name);
    to.int32(topic.partitions);
    to.int16(topic.replication);
    to.array(&topic.configs, |to, (key, value)| {
        to.string(key);
        to.string(value);
        to.end();
    });
    to.end();
}

fn write_tasks(to: &mut Writer, tasks: Option<&BTreeSet<TaskId>>) {
    let Some(tasks) = tasks else { return to.no_array() };
    let mut by_part: BTreeMap<u32, Vec<i32>> = BTreeMap::new();
    for task in tasks {
        by_part.entry(task.subtopology).or_default().push(task.partition);
    }
    to.array(&by_part, |to, (subtopology, partitions)| {
        to.string(&subtopology.to_string());
        to.array(partitions, |to, partition| to.int32(*partition));
        to.end();
    });
}

fn read_tasks(from: &mut Reader<'_>) -> Result<Option<BTreeSet<TaskId>>> {
    let parts = from.optional_array(|from| {
        let id = from.string()?;
        let subtopology: u32 = id.parse().map_err(|_| {
            let text = format!("the group has a sub-topology `{id}`, which is not ours");
            Error::new(ErrorKind::Topology, text)
        })?;
        let tasks =
            from.array(|from| from.int32().map(|partition| TaskId { subtopology, partition }))?;
        from.end()?;
        Ok(tasks)
    })?;
    Ok(parts.map(|parts| parts.into_iter().flatten().collect()))
}

fn read_partitions(from: &mut Reader<'_>) -> Result<Vec<TopicPartition>> {
    let topics = from.array(|from| {
        let topic = from.string()?;
        let partitions = from.array(|from| {
            from.int32().map(|partition| TopicPartition::new(topic.as_str(), partition))
        })?;
        from.end()?;
        Ok(partitions)
    })?;
    Ok(topics.into_iter().flatten().collect())
}
