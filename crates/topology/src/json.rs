//! The topology as JSON, for tools that would otherwise parse `describe`.
//!
//! Written by hand: a few lines are cheaper than a dependency in the crate all builds need.

use std::fmt::Write;

use crate::draft::SinkTo;
use crate::topics::Topics;
use crate::topology::{DescribedKind, DescribedNode, Topology};

impl Topology {
    /// The sub-topologies with their nodes, in the order of adding.
    ///
    /// ```
    /// # use kstreams_core::serde::Utf8;
    /// # use kstreams_topology::Topology;
    /// # let mut topology = Topology::builder();
    /// # let lines = topology.source("lines", "input", (Utf8, Utf8));
    /// # let topology = topology.build()?;
    /// assert_eq!(
    ///     topology.to_json(),
    ///     r#"{"subtopologies":[{"id":0,"global":false,"nodes":[{"name":"lines","parents":[],"#
    ///         .to_owned()
    ///         + r#""type":"source","topics":["input"]}]}]}"#
    /// );
    /// # Ok::<(), kstreams_topology::TopologyErrors>(())
    /// ```
    pub fn to_json(&self) -> String {
        let subtopologies = self.subtopologies().iter().map(|subtopology| {
            let id = subtopology.id();
            let nodes = self.nodes.iter().filter(|node| node.subtopology == id);
            format!(
                r#"{{"id":{id},"global":{},"nodes":{}}}"#,
                subtopology.is_global(),
                array(nodes.map(|node| self.node_json(node)))
            )
        });
        format!(r#"{{"subtopologies":{}}}"#, array(subtopologies))
    }

    fn node_json(&self, node: &DescribedNode) -> String {
        let kind = match &node.kind {
            DescribedKind::Source(Topics::Named(topics)) => {
                format!(r#""type":"source","topics":{}"#, array(topics.iter().map(|t| string(t))))
            }
            DescribedKind::Source(Topics::Matching(pattern)) => {
                format!(r#""type":"source","pattern":{}"#, string(pattern.as_str()))
            }
            DescribedKind::Processor(stores) => {
                format!(
                    r#""type":"processor","stores":{}"#,
                    array(stores.iter().map(|s| string(s)))
                )
            }
            DescribedKind::Sink(SinkTo::Topic(topic)) => {
                format!(r#""type":"sink","topic":{}"#, string(topic))
            }
            DescribedKind::Sink(SinkTo::PerRecord(label)) => {
                format!(r#""type":"sink","chooser":{}"#, string(label))
            }
        };
        let parents = node.parents.iter().map(|parent| string(&self.nodes[*parent].name));
        format!(r#"{{"name":{},"parents":{},{kind}}}"#, string(&node.name), array(parents))
    }
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            control if control < ' ' => _ = write!(json, "\\u{:04x}", u32::from(control)),
            other => json.push(other),
        }
    }
    json.push('"');
    json
}
