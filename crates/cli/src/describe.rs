//! An application: what it runs, its topics, where it stands.

use std::io::Write;

use crate::args::Cluster;
use crate::table::words;
use crate::{Failure, groups, positions, reset};

pub(crate) fn run(
    cluster: &Cluster,
    application: &str,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let group = groups::find(cluster, application)?;
    groups::head(&group, out)?;
    for part in &group.subtopologies {
        writeln!(out, "\nsub-topology {}", part.id)?;
        let lines = [
            ("reads", &part.sources),
            ("reads its own", &part.repartition_sources),
            ("writes its own", &part.repartition_sinks),
            ("changelogs", &part.changelogs),
        ];
        for (what, topics) in lines.iter().filter(|(_, topics)| !topics.is_empty()) {
            writeln!(out, "  {what}: {}", words(topics))?;
        }
    }
    if group.subtopologies.is_empty() {
        // Only streams groups tell their topology; the names of internal topics say something.
        let there = cluster.admin()?.topics(cluster.timeout)?;
        let names: Vec<String> = there.into_iter().map(|topic| topic.name).collect();
        let internal = reset::internal_topics(application, &names);
        writeln!(out, "\ninternal topics: {}", words(&internal))?;
    }
    writeln!(out)?;
    positions::write(cluster, &group, out)
}
