//! What a reset will do.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use kstreams_core::record::{Offset, TopicPartition};
use kstreams_runtime::transport::{Isolation, OffsetSpec, TopicInfo};

use super::target::Target;
use crate::Failure;
use crate::args::{Cluster, ResetArgs};
use crate::positions::{offsets, partitions};
use crate::table::{Table, or_dash};

/// What will be set and deleted.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// From where, and to where.
    pub(crate) positions: BTreeMap<TopicPartition, (Option<Offset>, Offset)>,
    pub(crate) delete: Vec<String>,
}

impl Plan {
    /// Finds out what is there, and checks what was asked for against it.
    pub(crate) fn new(cluster: &Cluster, args: &ResetArgs) -> Result<Self, Failure> {
        let there = cluster.admin()?.topics(cluster.timeout)?;
        let topics = args.input_topics.iter().chain(&args.intermediate_topics);
        let missing: Vec<&str> = topics
            .filter(|name| !there.iter().any(|topic| topic.name == **name))
            .map(String::as_str)
            .collect();
        if !missing.is_empty() {
            return Err(Failure::new(format!("there are no topics {}", missing.join(", "))));
        }
        let mut plan = Self::default();
        plan.seek(cluster, args, &there)?;
        let names: Vec<String> = there.into_iter().map(|topic| topic.name).collect();
        plan.delete = chosen(args, internal_topics(&args.application_id, &names))?;
        Ok(plan)
    }

    fn seek(
        &mut self,
        cluster: &Cluster,
        args: &ResetArgs,
        there: &[TopicInfo],
    ) -> Result<(), Failure> {
        let input = partitions(there, args.input_topics.iter());
        let skipped = partitions(there, args.intermediate_topics.iter());
        let all = [input.clone(), skipped.clone()].concat();
        let from = cluster.groups.committed(&args.application_id, &all, cluster.timeout)?;
        let ends = offsets(cluster, &all, OffsetSpec::Latest(Isolation::ReadUncommitted))?;
        let starts = offsets(cluster, &input, OffsetSpec::Earliest)?;
        let target = Target::new(&args.to)?;
        let at_time = match target.time() {
            Some(time) => offsets(cluster, &input, OffsetSpec::At(time))?,
            None => BTreeMap::new(),
        };
        for at in input {
            let range = starts[&at]..=ends[&at];
            let from = from.get(&at).copied();
            let to = target.offset(&at, from, range, at_time.get(&at).copied())?;
            self.positions.insert(at, (from, to));
        }
        target.check_all_used(self.positions.keys())?;
        for at in skipped {
            let (from, to) = (from.get(&at).copied(), ends[&at]);
            self.positions.insert(at, (from, to));
        }
        Ok(())
    }

    pub(crate) fn targets(&self) -> BTreeMap<TopicPartition, Offset> {
        self.positions.iter().map(|(at, (_, to))| (at.clone(), *to)).collect()
    }

    pub(crate) fn write(&self, args: &ResetArgs, out: &mut impl Write) -> Result<(), Failure> {
        if !self.positions.is_empty() {
            writeln!(out, "set positions of group {}", args.application_id)?;
            let mut table = Table::new(&["topic", "partition", "from", "to"]);
            for (at, (from, to)) in &self.positions {
                let partition = at.partition.to_string();
                table.row([at.topic.to_string(), partition, or_dash(*from), to.to_string()]);
            }
            table.write(out)?;
        }
        for topic in &self.delete {
            writeln!(out, "delete topic {topic}")?;
        }
        if let Some(dir) = &args.state_dir {
            let dir = dir.join(&args.application_id);
            writeln!(out, "delete local state {}", dir.display())?;
        }
        Ok(())
    }
}

/// Those of the application's internal topics that are to be deleted.
fn chosen(args: &ResetArgs, internal: Vec<String>) -> Result<Vec<String>, Failure> {
    if args.internal_topics.is_empty() {
        return Ok(internal);
    }
    let known: BTreeSet<&String> = internal.iter().collect();
    let wrong: Vec<&str> = args
        .internal_topics
        .iter()
        .filter(|topic| !known.contains(topic))
        .map(String::as_str)
        .collect();
    if wrong.is_empty() {
        return Ok(args.internal_topics.clone());
    }
    Err(Failure::new(format!(
        "{} are no internal topics of {}; it has {}",
        wrong.join(", "),
        args.application_id,
        internal.join(", ")
    )))
}

/// The internal topics of an application, by their names (`StreamsResetter.isInternalTopic`).
pub(crate) fn internal_topics(application: &str, topics: &[String]) -> Vec<String> {
    let prefix = format!("{application}-");
    let is_internal = |topic: &&String| {
        topic.strip_prefix(&prefix).is_some_and(|rest| {
            SUFFIXES.iter().any(|suffix| topic.ends_with(suffix)) || is_numbered_join(rest)
        })
    };
    let mut found: Vec<String> = topics.iter().filter(is_internal).cloned().collect();
    found.sort_unstable();
    found
}

/// `..KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000007-topic`.
fn is_numbered_join(rest: &str) -> bool {
    let Some(rest) = rest.strip_suffix("-topic") else { return false };
    ["REGISTRATION", "RESPONSE"].iter().any(|side| {
        let marker = format!("KTABLE-FK-JOIN-SUBSCRIPTION-{side}-");
        rest.rsplit_once(marker.as_str()).is_some_and(|(_, number)| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

const SUFFIXES: [&str; 4] = [
    "-changelog",
    "-repartition",
    "-subscription-registration-topic",
    "-subscription-response-topic",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_topics_are_known_by_their_names() {
        let internal = [
            "app-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000007-topic",
            "app-KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-0000000012-topic",
            "app-by-user-repartition",
            "app-join-subscription-registration-topic",
            "app-join-subscription-response-topic",
            "app-sums-changelog",
        ];
        let others = [
            "app-out",
            "app",
            "apple-sums-changelog",
            "other-sums-changelog",
            "app-KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-x-topic",
            "sums-changelog",
        ];
        let all: Vec<String> = internal.iter().chain(&others).map(ToString::to_string).collect();
        assert_eq!(internal_topics("app", &all), internal);
    }
}
