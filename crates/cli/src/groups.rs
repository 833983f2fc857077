//! Groups: the list, and one with its members.

use std::io::Write;

use kstreams_core::record::TopicPartition;
use kstreams_kafka::GroupDescription;

use crate::args::Cluster;
use crate::table::{Table, or_dash, words};
use crate::{Failure, positions};

pub(crate) fn list(
    cluster: &Cluster,
    kind: Option<&str>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut table = Table::new(&["group", "kind", "state"]);
    for group in cluster.groups.list(cluster.timeout)? {
        if kind.is_none_or(|kind| group.kind == kind) {
            let kind = if group.kind.is_empty() { "-".to_owned() } else { group.kind };
            table.row([group.id, kind, group.state]);
        }
    }
    Ok(table.write(out)?)
}

/// The group, if there is one.
pub(crate) fn find(cluster: &Cluster, group: &str) -> Result<GroupDescription, Failure> {
    let found = cluster.groups.describe(group, cluster.timeout)?;
    if found.state == "Dead" {
        return Err(Failure::new(format!("there is no group {group}")));
    }
    Ok(found)
}

pub(crate) fn describe(
    cluster: &Cluster,
    group: &str,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let group = find(cluster, group)?;
    head(&group, out)?;
    writeln!(out)?;
    members(&group, out)?;
    writeln!(out)?;
    positions::write(cluster, &group, out)
}

/// One line on the group.
pub(crate) fn head(group: &GroupDescription, out: &mut impl Write) -> Result<(), Failure> {
    let epoch = group.epoch.map_or(String::new(), |epoch| format!(", epoch {epoch}"));
    let (kind, n) =
        (if group.kind.is_empty() { "classic" } else { &group.kind }, group.members.len());
    writeln!(out, "group {}: {kind}, {}{epoch}, {n} members", group.id, group.state)?;
    Ok(())
}

fn members(group: &GroupDescription, out: &mut impl Write) -> Result<(), Failure> {
    let is_streams = group.epoch.is_some();
    let mut table = if is_streams {
        Table::new(&[
            "member", "client", "host", "process", "endpoint", "epoch", "active", "standby",
        ])
    } else {
        Table::new(&["member", "client", "host", "partitions"])
    };
    for member in &group.members {
        // Members that are on their way to other tasks have a star.
        let id = format!("{}{}", member.id, if member.is_moving { "*" } else { "" });
        let mut row = vec![id, member.client_id.clone(), member.host.clone()];
        if is_streams {
            row.extend([
                or_dash(member.process.as_ref()),
                or_dash(member.endpoint.as_ref()),
                or_dash(member.epoch),
                words(&member.active),
                words(&member.standby),
            ]);
        } else {
            let name = |at: &TopicPartition| format!("{}-{}", at.topic, at.partition);
            row.push(words(&member.partitions.iter().map(name).collect::<Vec<_>>()));
        }
        table.row(row);
    }
    Ok(table.write(out)?)
}
