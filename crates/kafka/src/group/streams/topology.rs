//! The topology as the broker is to know it, byte for byte as Kafka Streams would send it, so that
//! an application can move from one to the other; and how two of them differ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_runtime::transport::MemberOptions;
use kstreams_topology::{Changelog, SubTopology};

use crate::wire::{WireSubtopology, WireTopic, WireTopology};

/// What the member sends when it joins.
///
/// # Errors
/// `Config` if a source reads by pattern, which brokers do not serve yet (Kafka 4.3).
pub(super) fn wire_topology(options: &MemberOptions) -> Result<WireTopology> {
    let parts = options.topology.subtopologies();
    let repartition: BTreeSet<Arc<str>> = parts
        .iter()
        .flat_map(|part| part.repartition_sources())
        .map(|(topic, _)| topic.full_name(&options.application_id))
        .collect();
    let groups = options.topology.copartitioned_names(&options.application_id);
    let parts = parts.iter().filter(|part| !part.is_global());
    let parts = parts.map(|part| subtopology(part, options, &repartition, &groups));
    let mut subtopologies = parts.collect::<Result<Vec<_>>>()?;
    // As Java: by the text of the id.
    subtopologies.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(WireTopology { epoch: 0, subtopologies })
}

fn subtopology(
    part: &SubTopology,
    options: &MemberOptions,
    repartition: &BTreeSet<Arc<str>>,
    copartitions: &[Vec<Arc<str>>],
) -> Result<WireSubtopology> {
    if let Some(pattern) = part.source_patterns().next() {
        let text = format!(
            "sub-topology {} reads topics by the pattern `{}`, which streams groups do not serve \
             yet; name the topics, or choose the classic group",
            part.id(),
            pattern.as_str()
        );
        return Err(Error::new(ErrorKind::Config, text));
    }
    let (id, settings) = (&options.application_id, &options.internal_topics);
    let replication = options.replication.unwrap_or(-1);
    let topic = |name: Arc<str>, partitions: i32, configs| WireTopic {
        name: name.to_string(),
        partitions,
        replication,
        configs,
    };
    let external = part.source_topics().filter(|topic| !topic.is_internal());
    let sources = sorted(external.map(|topic| topic.name().to_string()));
    let sinks = part.sink_topics().iter().map(|topic| topic.full_name(id));
    let sinks = sinks.filter(|name| repartition.contains(name)).map(|name| name.to_string());
    let mut repartition_sources: Vec<WireTopic> = part
        .repartition_sources()
        .iter()
        .map(|(name, partitions)| {
            let configs = settings.repartition_configs();
            topic(name.full_name(id), partitions.unwrap_or(0), configs)
        })
        .collect();
    let mut changelogs: Vec<WireTopic> = part
        .stores()
        .iter()
        .filter_map(|store| match store.changelog() {
            Changelog::Own(config) => {
                Some(topic(store.serde_topic(id), 0, settings.changelog_configs(config)))
            }
            Changelog::Source(_) | Changelog::None => None,
        })
        .collect();
    for topics in [&mut repartition_sources, &mut changelogs] {
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        topics.dedup_by(|a, b| a.name == b.name);
    }
    let copartitions = copartitions.iter().filter_map(|group| {
        let mut indices: (Vec<i16>, Vec<i16>) = (Vec::new(), Vec::new());
        for name in group {
            let external = sources.iter().position(|source| **source == **name);
            let internal = repartition_sources.iter().position(|topic| *topic.name == **name);
            match (external, internal) {
                (Some(at), _) => indices.0.push(i16::try_from(at).ok()?),
                (None, Some(at)) => indices.1.push(i16::try_from(at).ok()?),
                // It belongs to another sub-topology.
                (None, None) => return None,
            }
        }
        Some(indices)
    });
    let copartitions = copartitions.collect();
    Ok(WireSubtopology {
        id: part.id().to_string(),
        changelogs,
        repartition_sinks: sorted(sinks),
        copartitions,
        repartition_sources,
        sources,
    })
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// How ours differs from what the group runs, one difference after the other.
pub(super) fn difference(ours: &[WireSubtopology], theirs: &[WireSubtopology]) -> String {
    let (ours, theirs) = (facts(ours), facts(theirs));
    let gone = theirs.iter().filter(|(about, _)| !ours.contains_key(*about));
    let gone = gone.map(|(about, fact)| format!("{about}: the group has it ({fact}), we do not"));
    let new = ours.iter().filter_map(|(about, fact)| match theirs.get(about) {
        None => Some(format!("{about}: we have it ({fact}), the group does not")),
        Some(theirs) if theirs != fact => {
            Some(format!("{about}: the group has {theirs}, we have {fact}"))
        }
        Some(_) => None,
    });
    let all: Vec<String> = gone.chain(new).collect();
    if all.is_empty() {
        return "in which topics are co-partitioned".to_owned();
    }
    all.join("; ")
}

fn facts(parts: &[WireSubtopology]) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for part in parts {
        let place = format!("sub-topology {}", part.id);
        for name in &part.sources {
            facts.insert(format!("source topic {name}"), format!("in {place}"));
        }
        for name in &part.repartition_sinks {
            facts.insert(format!("repartition topic {name}"), format!("written by {place}"));
        }
        for (kind, topics) in
            [("changelog", &part.changelogs), ("repartition source", &part.repartition_sources)]
        {
            for topic in topics {
                let configs = topic.configs.iter().map(|(key, value)| format!("{key}={value}"));
                let configs: Vec<String> = configs.collect();
                let fact = format!(
                    "in {place}, partitions {}, replication {}, {}",
                    topic.partitions,
                    topic.replication,
                    configs.join(",")
                );
                facts.insert(format!("{kind} {}", topic.name), fact);
            }
        }
    }
    facts
}
