//! Where a group stands in topics.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use kstreams_core::record::{Offset, TopicPartition};
use kstreams_kafka::GroupDescription;
use kstreams_runtime::transport::{Isolation, OffsetSpec, TopicInfo};

use crate::Failure;
use crate::args::Cluster;
use crate::table::{Table, or_dash};

/// The partitions of these topics, in order.
pub(crate) fn partitions<'a>(
    there: &[TopicInfo],
    topics: impl Iterator<Item = &'a String>,
) -> Vec<TopicPartition> {
    let wanted: BTreeSet<&String> = topics.collect();
    let mut found: Vec<TopicPartition> = there
        .iter()
        .filter(|topic| wanted.contains(&topic.name))
        .flat_map(|topic| (0..topic.n_partitions).map(|p| TopicPartition::new(&*topic.name, p)))
        .collect();
    found.sort_unstable();
    found
}

/// Asks for one kind of offset of each.
pub(crate) fn offsets(
    cluster: &Cluster,
    partitions: &[TopicPartition],
    what: OffsetSpec,
) -> Result<BTreeMap<TopicPartition, Offset>, Failure> {
    let asked: Vec<_> = partitions.iter().map(|at| (at.clone(), what)).collect();
    let offsets = cluster.admin()?.offsets(&asked, cluster.timeout)?;
    Ok(partitions.iter().cloned().zip(offsets).collect())
}

/// Writes how far the group has come in all that it reads: the source topics of its topology, what
/// its members have, and every topic in which it has committed.
pub(crate) fn write(
    cluster: &Cluster,
    group: &GroupDescription,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let there = cluster.admin()?.topics(cluster.timeout)?;
    let all = partitions(&there, there.iter().map(|topic| &topic.name));
    let committed = cluster.groups.committed(&group.id, &all, cluster.timeout)?;
    let parts = &group.subtopologies;
    let sources =
        parts.iter().flat_map(|part| part.sources.iter().chain(&part.repartition_sources));
    let owned = group.members.iter().flat_map(|member| &member.partitions);
    let mut read: BTreeSet<TopicPartition> = partitions(&there, sources).into_iter().collect();
    read.extend(owned.cloned());
    read.extend(committed.keys().cloned());
    let read: Vec<TopicPartition> = read.into_iter().collect();
    let ends = offsets(cluster, &read, OffsetSpec::Latest(Isolation::ReadUncommitted))?;
    let mut table = Table::new(&["topic", "partition", "committed", "end", "lag"]);
    for at in &read {
        let (committed, end) = (committed.get(at), ends.get(at));
        let lag = committed.zip(end).map(|(committed, end)| (end - committed).max(0));
        table.row([
            at.topic.to_string(),
            at.partition.to_string(),
            or_dash(committed),
            or_dash(end),
            or_dash(lag),
        ]);
    }
    Ok(table.write(out)?)
}
