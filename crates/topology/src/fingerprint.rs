//! What of a topology decides which tasks there are and what their state is, as text.
//!
//! The runtime keeps it beside the state and names the difference when a changed program starts.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use kstreams_core::error::{Error, ErrorKind};
use kstreams_core::store::{ChangelogConfig, Cleanup};

use crate::store::Changelog;
use crate::topology::Topology;

/// The sub-topologies with their topics and stores, one fact a line.
///
/// `Display` writes it and `FromStr` reads it. Names of nodes are not part of it: renaming one
/// moves no state.
///
/// ```
/// use kstreams_core::serde::Utf8;
/// use kstreams_topology::{Fingerprint, Topology};
///
/// let fingerprint = |topic: &str| {
///     let mut topology = Topology::builder();
///     topology.source("lines", topic, (Utf8, Utf8));
///     topology.build().map(|topology| topology.fingerprint())
/// };
/// let (old, new) = (fingerprint("a")?, fingerprint("b")?);
/// assert_eq!(old.to_string(), "kstreams topology 1\ntopic a: read by sub-topology 0\n");
/// assert_eq!(old, old.to_string().parse::<Fingerprint>()?);
/// assert_eq!(
///     new.diff(&old),
///     ["topic a: was read by sub-topology 0, is gone", "topic b: new, read by sub-topology 0"]
/// );
/// # Ok::<(), kstreams_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// What it is about, and what is said of it.
    facts: BTreeMap<String, String>,
}

impl Topology {
    /// The fingerprint of this topology.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut facts = BTreeMap::new();
        for subtopology in self.subtopologies() {
            let global = if subtopology.is_global() { "global " } else { "" };
            let place = format!("{global}sub-topology {}", subtopology.id());
            for topic in subtopology.source_topics().filter(|topic| !topic.is_internal()) {
                facts.insert(format!("topic {}", topic.name()), format!("read by {place}"));
            }
            for pattern in subtopology.source_patterns() {
                facts.insert(
                    format!("pattern {}", escaped(pattern.as_str())),
                    format!("read by {place}"),
                );
            }
            for (topic, count) in subtopology.repartition_sources() {
                let count = count.map_or_else(|| "derived".to_owned(), |count| count.to_string());
                facts.insert(
                    format!("internal topic {}", topic.name()),
                    format!("read by {place}, partitions {count}"),
                );
            }
            for store in subtopology.stores() {
                let fact = format!("in {place}, {}", changelog(store.changelog()));
                facts.insert(format!("store {}", store.name()), fact);
            }
        }
        Fingerprint { facts }
    }
}

fn changelog(changelog: &Changelog) -> String {
    match changelog {
        Changelog::None => "not logged".to_owned(),
        Changelog::Own(ChangelogConfig { cleanup, .. }) => match cleanup {
            Cleanup::Compact => "logged".to_owned(),
            Cleanup::CompactAndDelete { retention_ms } => {
                format!("logged for {retention_ms} ms, compacted")
            }
            Cleanup::CompactAfter { min_lag_ms } => {
                format!("logged, compacted after {min_lag_ms} ms")
            }
            Cleanup::Delete { retention_ms } => format!("logged for {retention_ms} ms"),
        },
        Changelog::Source(topic) => format!("restored from topic {}", topic.name()),
    }
}

impl Fingerprint {
    /// What is different from `older`, a sentence each; empty if nothing is.
    pub fn diff(&self, older: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (what, was) in &older.facts {
            match self.facts.get(what) {
                Some(is) if is == was => {}
                Some(is) => differences.push(format!("{what}: was {was}, is {is}")),
                None => differences.push(format!("{what}: was {was}, is gone")),
            }
        }
        for (what, is) in self.facts.iter().filter(|(what, _)| !older.facts.contains_key(*what)) {
            differences.push(format!("{what}: new, {is}"));
        }
        differences
    }

    /// A number for quick comparison and for logs: FNV-1a of the text, the same everywhere.
    pub fn digest(&self) -> u64 {
        let fnv = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        self.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, fnv)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        self.facts.iter().try_for_each(|(what, fact)| writeln!(f, "{what}: {fact}"))
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let broken = |what: &str| {
            Error::new(ErrorKind::StateDir, format!("no fingerprint of a topology: {what}"))
        };
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default();
        if head != HEAD {
            return Err(broken(&format!("it starts with `{head}`, not with `{HEAD}`")));
        }
        // A pattern may hold a colon, a fact never does.
        let facts = lines.map(|line| {
            let (what, fact) = line.rsplit_once(": ").ok_or_else(|| broken(line))?;
            Ok((what.to_owned(), fact.to_owned()))
        });
        Ok(Self { facts: facts.collect::<Result<_, Error>>()? })
    }
}

/// A pattern may hold line breaks; a line may not.
fn escaped(pattern: &str) -> String {
    pattern.escape_debug().to_string()
}

const HEAD: &str = "kstreams topology 1";
