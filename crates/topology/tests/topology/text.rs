//! Topologies from a few lines of text, in the language of `kstreams.TopologyText`, the Java
//! program that prints what Kafka Streams makes of them. Types do not matter to what is tested here.
//!
//! ```text
//! source NAME topic1,topic2          pattern NAME regex
//! processor NAME parent1,parent2     sink NAME topic parent1,parent2
//! dynamic NAME label parent1         store NAME processor1,processor2
//! connect PROCESSOR store1,store2    global STORE SOURCE TOPIC PROCESSOR
//! internal TOPIC [partitions]        readonly STORE SOURCE TOPIC PROCESSOR
//! copartition source1,source2        partitions TOPIC N (for `layout`)
//!
//! behind a store's processors: window retention=MS | session retention=MS | versioned history=MS,
//! nolog, log:SETTING=VALUE
//! ```
//!
//! And what Java cannot say: `edge PARENT CHILD`.

use std::sync::Arc;

use kstreams_core::context::Context;
use kstreams_core::error::Result;
use kstreams_core::flow::NodeFactory;
use kstreams_core::record::Record;
use kstreams_core::serde::Unit;
use kstreams_core::sink::{SinkSpec, SinkTopic};
use kstreams_core::source::{EventTime, SourceSpec};
use kstreams_core::store::{ChangelogConfig, Cleanup};
use kstreams_topology::{NodeRef, TopicCounts, Topics, Topology, TopologyBuilder};

use crate::support::cells;

/// Reads a topology that may have faults.
pub(crate) fn read(text: &str) -> TopologyBuilder {
    let mut builder = Topology::builder();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let list = |index: usize| -> Vec<&str> {
            let words = words.get(index).copied().unwrap_or_default();
            words.split(',').filter(|word| !word.is_empty()).collect()
        };
        match words.as_slice() {
            ["source", name, ..] => {
                builder.by_name().source(name, list(2), None, source());
            }
            ["pattern", name, pattern] => {
                let topics = Topics::pattern(pattern).unwrap();
                builder.by_name().source(name, topics, None, source());
            }
            ["processor", name, ..] => {
                builder.by_name().processor(name, &list(2), NodeFactory::processor(pass));
            }
            ["sink", name, topic, ..] => {
                builder.by_name().sink(name, &list(3), topic, sink);
            }
            ["dynamic", name, label, ..] => {
                builder.by_name().sink_per_record(name, &list(3), label, sink(&"".into()));
            }
            ["store", name, ..] => {
                builder.store(cells(name).changelog(changelog(&words[3.min(words.len())..])));
                for processor in list(2).into_iter().filter(|name| *name != "-") {
                    builder.connect(processor, *name);
                }
            }
            ["global", store, source, topic, processor] => {
                builder.global_store(cells(store), source, *topic, (Unit, Unit), processor, |_| {
                    swallow
                });
            }
            ["readonly", store, source, topic, processor] => {
                let serdes = (Unit, Unit);
                builder
                    .read_only_store(cells(store), source, *topic, serdes, processor, |_| swallow);
            }
            ["connect", processor, ..] => _ = builder.connect(*processor, list(2).as_slice()),
            ["partitions", ..] => {}
            ["internal", name] => _ = builder.internal_topic(name, None),
            ["internal", name, count] => {
                builder.internal_topic(name, Some(count.parse().unwrap()));
            }
            ["copartition", ..] => {
                builder.copartition(list(1).into_iter().map(NodeRef::from));
            }
            ["edge", parent, child] => _ = builder.by_name().edge(parent, child),
            _ => panic!("no line of a topology: {line}"),
        }
    }
    builder
}

/// What the words behind a store's processors say about its changelog.
fn changelog(words: &[&str]) -> Option<ChangelogConfig> {
    let number = |name: &str| -> i64 {
        let mut pairs = words.iter().filter_map(|word| word.split_once('='));
        pairs.find(|(key, _)| *key == name).map_or(3_600_000, |(_, number)| number.parse().unwrap())
    };
    let cleanup = if words.contains(&"window") || words.contains(&"session") {
        Cleanup::CompactAndDelete { retention_ms: number("retention") }
    } else if words.contains(&"versioned") {
        Cleanup::CompactAfter { min_lag_ms: number("history") }
    } else {
        Cleanup::Compact
    };
    let overrides = words.iter().filter_map(|word| word.strip_prefix("log:")?.split_once('='));
    let overrides = overrides.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    (!words.contains(&"nolog")).then_some(ChangelogConfig { cleanup, overrides })
}

/// The `partitions` lines.
pub(crate) fn counts(text: &str) -> TopicCounts {
    let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let counts = words.filter_map(|words| match words.as_slice() {
        ["partitions", topic, count] => Some(((*topic).into(), count.parse().unwrap())),
        _ => None,
    });
    counts.collect()
}

/// Reads a topology without faults.
pub(crate) fn topology(text: &str) -> Topology {
    read(text).build().unwrap()
}

pub(crate) fn source() -> NodeFactory {
    let (key, value) = (Arc::new(Unit), Arc::new(Unit));
    NodeFactory::source(SourceSpec { key, value, event_time: EventTime::FailOnInvalid })
}

pub(crate) fn sink(topic: &Arc<str>) -> NodeFactory {
    NodeFactory::sink(SinkSpec {
        topic: SinkTopic::Fixed(Arc::clone(topic)),
        key: Arc::new(Unit),
        value: Arc::new(Unit),
        partitioner: None,
    })
}

pub(crate) fn pass() -> impl FnMut(&mut Context<'_, (), ()>, Record<(), ()>) -> Result {
    |ctx: &mut Context<'_, (), ()>, record: Record<(), ()>| ctx.forward(record)
}

fn swallow(_: &mut Context<'_, (), ()>, _: Record<(), ()>) -> Result {
    Ok(())
}
