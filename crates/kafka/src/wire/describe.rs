//! A streams group as its coordinator knows it (KIP-1071): what it runs, and who is in it.

use std::collections::BTreeMap;

use kstreams_core::error::Result;

use super::Request;
use super::bytes::{Reader, Writer};
use super::heartbeat::{Endpoint, WireSubtopology, WireTopic};

/// Asks for a group.
#[derive(Debug)]
pub(crate) struct DescribeStreams<'a> {
    pub(crate) group: &'a str,
}

/// A streams group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamsGroup {
    pub(crate) code: i16,
    pub(crate) message: Option<String>,
    pub(crate) state: String,
    pub(crate) epoch: i32,
    /// `None` before there is one the broker could make sense of. It does not tell which topics
    /// belong together.
    pub(crate) subtopologies: Option<Vec<WireSubtopology>>,
    pub(crate) members: Vec<StreamsGroupMember>,
}

/// A member of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamsGroupMember {
    pub(crate) id: String,
    pub(crate) epoch: i32,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) process: String,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) now: Tasks,
    /// What it is to have.
    pub(crate) target: Tasks,
}

/// Partitions by sub-topology.
pub(crate) type TaskIds = BTreeMap<String, Vec<i32>>;

/// The tasks of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tasks {
    pub(crate) active: TaskIds,
    pub(crate) standby: TaskIds,
    pub(crate) warmup: TaskIds,
}

impl Request for DescribeStreams<'_> {
    const KEY: i16 = 89;
    const VERSION: i16 = 0;
    const NAME: &'static str = "StreamsGroupDescribe";

    /// One for each group: one.
    type Answer = Vec<StreamsGroup>;

    fn write(&self, to: &mut Writer) {
        to.array([self.group], Writer::string);
        to.bool(false);
        to.end();
    }

    fn read(from: &mut Reader<'_>) -> Result<Self::Answer> {
        from.int32()?;
        let groups = from.array(read_group)?;
        from.end()?;
        Ok(groups)
    }
}

fn read_group(from: &mut Reader<'_>) -> Result<StreamsGroup> {
    let (code, message) = (from.int16()?, from.optional_string()?);
    from.string()?;
    let (state, epoch) = (from.string()?, from.int32()?);
    from.int32()?; // The epoch of the assignment.
    let subtopologies = if from.int8()? < 0 {
        None
    } else {
        from.int32()?;
        let subtopologies = from.optional_array(read_subtopology)?;
        from.end()?;
        subtopologies
    };
    let members = from.array(read_member)?;
    from.int32()?;
    from.end()?;
    Ok(StreamsGroup { code, message, state, epoch, subtopologies, members })
}

fn read_subtopology(from: &mut Reader<'_>) -> Result<WireSubtopology> {
    let id = from.string()?;
    let sources = from.array(Reader::string)?;
    let repartition_sinks = from.array(Reader::string)?;
    let changelogs = from.array(read_topic)?;
    let repartition_sources = from.array(read_topic)?;
    from.end()?;
    Ok(WireSubtopology {
        id,
        sources,
        changelogs,
        repartition_sinks,
        repartition_sources,
        copartitions: Vec::new(),
    })
}

fn read_topic(from: &mut Reader<'_>) -> Result<WireTopic> {
    let name = from.string()?;
    let (partitions, replication) = (from.int32()?, from.int16()?);
    let configs = from.array(read_pair)?;
    from.end()?;
    Ok(WireTopic { name, partitions, replication, configs })
}

fn read_pair(from: &mut Reader<'_>) -> Result<(String, String)> {
    let pair = (from.string()?, from.string()?);
    from.end()?;
    Ok(pair)
}

fn read_member(from: &mut Reader<'_>) -> Result<StreamsGroupMember> {
    let (id, epoch, instance) = (from.string()?, from.int32()?, from.optional_string()?);
    from.optional_string()?; // The rack.
    let (client_id, host) = (from.string()?, from.string()?);
    from.int32()?; // The epoch of its topology.
    let process = from.string()?;
    let endpoint = if from.int8()? < 0 {
        None
    } else {
        let endpoint = Endpoint { host: from.string()?, port: from.uint16()? };
        from.end()?;
        Some(endpoint)
    };
    from.array(read_pair)?;
    // Offsets of tasks and their ends: Kafka 4.3 does not take them.
    for _ in 0..2 {
        from.array(|from| {
            from.string()?;
            from.int32()?;
            from.int64()?;
            from.end()
        })?;
    }
    let (now, target) = (read_tasks(from)?, read_tasks(from)?);
    from.int8()?; // Whether it speaks the classic protocol.
    from.end()?;
    Ok(StreamsGroupMember { id, epoch, instance, client_id, host, process, endpoint, now, target })
}

fn read_tasks(from: &mut Reader<'_>) -> Result<Tasks> {
    let tasks = Tasks {
        active: read_task_ids(from)?,
        standby: read_task_ids(from)?,
        warmup: read_task_ids(from)?,
    };
    from.end()?;
    Ok(tasks)
}

fn read_task_ids(from: &mut Reader<'_>) -> Result<TaskIds> {
    let parts = from.array(|from| {
        let part = (from.string()?, from.array(Reader::int32)?);
        from.end()?;
        Ok(part)
    })?;
    Ok(parts.into_iter().collect())
}
