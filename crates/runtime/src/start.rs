//! What is checked and made before the first thread starts.

use std::collections::BTreeSet;
use std::sync::Arc;

use kstreams_core::error::Result;
use kstreams_topology::{SourceTopics, StoreSpec, Topology};

use crate::blueprint::Blueprints;
use crate::config::Config;
use crate::directory::StateDirectory;
use crate::shared::Shared;
use crate::topics::TopicCounts;
use crate::transport::{Admin, Log, NewTopic};

/// Reads the topics, lays the topology over them, creates internal topics, locks the directory.
///
/// # Errors
/// As [`Streams::start`](crate::Streams::start).
pub(crate) fn prepare(
    config: Config,
    topology: Arc<Topology>,
    log: Arc<dyn Log>,
) -> Result<Shared> {
    prepare_in(config, topology, log, None)
}

/// As [`prepare`], with a state directory that is there already.
///
/// # Errors
/// As [`prepare`].
pub(crate) fn prepare_in(
    config: Config,
    topology: Arc<Topology>,
    log: Arc<dyn Log>,
    directory: Option<StateDirectory>,
) -> Result<Shared> {
    let admin = log.admin()?;
    let counts = TopicCounts::read(Arc::clone(&admin), config.request_timeout)?;
    let known = counts.all();
    let layout = topology.layout(&config.application_id, &known)?;
    create_internal_topics(&config, &topology, &layout, &*admin, &counts)?;
    let persistent =
        topology.subtopologies().iter().flat_map(|sub| sub.stores()).any(StoreSpec::is_persistent);
    let (base, id) = (&config.state_dir, &config.application_id);
    let directory = match directory {
        Some(directory) => directory,
        None if persistent => StateDirectory::open(base, id, &config.random)?,
        None => StateDirectory::none(base, id, &config.random),
    };
    let prints = Blueprints::new(&topology, layout);
    Ok(Shared::new(config, topology, log, admin, Arc::new(directory), Arc::new(counts), prints))
}

/// Creates internal topics that are missing; those that exist must have the right partitions.
fn create_internal_topics(
    config: &Config,
    topology: &Topology,
    layout: &kstreams_topology::Layout,
    admin: &dyn Admin,
    counts: &TopicCounts,
) -> Result {
    let settings = config.internal_topics();
    let mut missing = Vec::new();
    for topic in topology.internal_topics(layout, &settings) {
        match counts.get(&topic.name) {
            Some(partitions) => topic.check_existing(partitions)?,
            None => missing.push(NewTopic {
                name: topic.name.to_string(),
                n_partitions: topic.partitions,
                replication: config.replication,
                configs: topic.configs,
            }),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    for topic in &missing {
        log::info!("creating topic {} with {} partitions", topic.name, topic.n_partitions);
    }
    admin.create_topics(&missing, config.request_timeout)?;
    counts.refresh()?;
    // Another member may have made them first, from another configuration.
    for topic in topology.internal_topics(layout, &settings) {
        if let Some(partitions) = counts.get(&topic.name) {
            topic.check_existing(partitions)?;
        }
    }
    Ok(())
}

/// The topics that users make: sources by name, and fixed sinks.
pub(crate) fn user_topics(topology: &Topology) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for sub in topology.subtopologies() {
        for source in sub.sources() {
            if let SourceTopics::Named(topics) = source.topics() {
                let user = topics.iter().filter(|topic| !topic.is_internal());
                names.extend(user.map(|topic| topic.name().to_string()));
            }
        }
        let sinks = sub.sink_topics().iter().filter(|topic| !topic.is_internal());
        names.extend(sinks.map(|topic| topic.name().to_string()));
    }
    names
}

/// Binds the calling thread to a core, if that is asked for.
pub(crate) fn pin(config: &Config, index: usize) {
    #[cfg(feature = "core-pinning")]
    if config.pin_cores {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let core = cores.get(index % cores.len().max(1));
        if !core.is_some_and(|core| core_affinity::set_for_current(*core)) {
            log::warn!("thread {}: cannot be bound to a core", index + 1);
        }
    }
    #[cfg(not(feature = "core-pinning"))]
    let _ = (config, index);
}
