//! The topology as a picture: Graphviz DOT and Mermaid.
//!
//! For documentation and pull requests; `describe` is the text that tools compare.

use std::fmt::Write;
use std::sync::Arc;

use crate::draft::SinkTo;
use crate::topics::Topics;
use crate::topology::{DescribedKind, Topology};

impl Topology {
    /// A Graphviz graph: a cluster for each sub-topology, topics between them.
    ///
    /// ```
    /// # use kstreams_core::serde::Utf8;
    /// # use kstreams_topology::Topology;
    /// # let mut topology = Topology::builder();
    /// # let lines = topology.source("lines", "input", (Utf8, Utf8));
    /// # let topology = topology.build()?;
    /// assert!(topology.to_dot().starts_with("digraph topology {"));
    /// # Ok::<(), kstreams_topology::TopologyErrors>(())
    /// ```
    pub fn to_dot(&self) -> String {
        let picture = Picture::of(self);
        let mut dot = String::from("digraph topology {\n  rankdir=LR;\n  node [shape=box];\n");
        for (title, items) in &picture.clusters {
            _ = writeln!(dot, "  subgraph \"cluster_{title}\" {{\n    label=\"{title}\";");
            for Item { id, label, shape } in items {
                let style = match shape {
                    Shape::Store => " shape=cylinder",
                    Shape::Source | Shape::Sink => " style=rounded",
                    _ => "",
                };
                _ = writeln!(dot, "    {id} [label=\"{}\"{style}];", escaped(label));
            }
            dot.push_str("  }\n");
        }
        for Item { id, label, .. } in &picture.topics {
            _ = writeln!(dot, "  {id} [label=\"{}\" shape=cds];", escaped(label));
        }
        for (from, to, kind) in &picture.edges {
            let style = if *kind == Edge::Store { " [style=dashed dir=none]" } else { "" };
            _ = writeln!(dot, "  {from} -> {to}{style};");
        }
        dot.push_str("}\n");
        dot
    }

    /// A Mermaid flowchart, as GitHub shows it.
    ///
    /// ```
    /// # use kstreams_core::serde::Utf8;
    /// # use kstreams_topology::Topology;
    /// # let mut topology = Topology::builder();
    /// # let lines = topology.source("lines", "input", (Utf8, Utf8));
    /// # let topology = topology.build()?;
    /// assert!(topology.to_mermaid().starts_with("flowchart LR\n"));
    /// # Ok::<(), kstreams_topology::TopologyErrors>(())
    /// ```
    pub fn to_mermaid(&self) -> String {
        let picture = Picture::of(self);
        let mut chart = String::from("flowchart LR\n");
        for (title, items) in &picture.clusters {
            _ = writeln!(chart, "  subgraph \"{title}\"");
            for Item { id, label, shape } in items {
                let label = for_mermaid(label);
                _ = match shape {
                    Shape::Store => writeln!(chart, "    {id}[(\"{label}\")]"),
                    Shape::Source | Shape::Sink => writeln!(chart, "    {id}(\"{label}\")"),
                    _ => writeln!(chart, "    {id}[\"{label}\"]"),
                };
            }
            chart.push_str("  end\n");
        }
        for Item { id, label, .. } in &picture.topics {
            _ = writeln!(chart, "  {id}[/\"{}\"/]", for_mermaid(label));
        }
        for (from, to, kind) in &picture.edges {
            let arrow = if *kind == Edge::Store { "-.-" } else { "-->" };
            _ = writeln!(chart, "  {from} {arrow} {to}");
        }
        chart
    }
}

/// What both formats draw.
struct Picture {
    clusters: Vec<(String, Vec<Item>)>,
    topics: Vec<Item>,
    edges: Vec<(String, String, Edge)>,
}

struct Item {
    id: String,
    label: String,
    shape: Shape,
}

enum Shape {
    Source,
    Processor,
    Sink,
    Store,
    Topic,
}

#[derive(PartialEq, Eq)]
enum Edge {
    Records,
    Store,
}

impl Picture {
    fn of(topology: &Topology) -> Self {
        let mut picture = Self { clusters: Vec::new(), topics: Vec::new(), edges: Vec::new() };
        for subtopology in topology.subtopologies() {
            let global = if subtopology.is_global() { " (global)" } else { "" };
            picture
                .clusters
                .push((format!("sub-topology {}{global}", subtopology.id()), Vec::new()));
        }
        for (index, node) in topology.nodes.iter().enumerate() {
            let id = format!("n{index}");
            let cluster = node.subtopology as usize;
            let label = node.name.to_string();
            for parent in &node.parents {
                picture.edges.push((format!("n{parent}"), id.clone(), Edge::Records));
            }
            let shape = match &node.kind {
                DescribedKind::Source(topics) => {
                    let names: Vec<Arc<str>> = match topics {
                        Topics::Named(names) => names.clone(),
                        Topics::Matching(pattern) => vec![pattern.as_str().into()],
                    };
                    for topic in names {
                        let topic = picture.topic(&topic);
                        picture.edges.push((topic, id.clone(), Edge::Records));
                    }
                    Shape::Source
                }
                DescribedKind::Processor(stores) => {
                    for store in stores {
                        let store = picture.store(cluster, store);
                        picture.edges.push((id.clone(), store, Edge::Store));
                    }
                    Shape::Processor
                }
                DescribedKind::Sink(to) => {
                    let topic = match to {
                        SinkTo::Topic(topic) => picture.topic(topic),
                        SinkTo::PerRecord(_) => picture.topic("chosen for each record"),
                    };
                    picture.edges.push((id.clone(), topic, Edge::Records));
                    Shape::Sink
                }
            };
            picture.clusters[cluster].1.push(Item { id, label, shape });
        }
        picture
    }

    fn topic(&mut self, name: &str) -> String {
        Self::once(&mut self.topics, "t", name, Shape::Topic)
    }

    fn store(&mut self, cluster: usize, name: &str) -> String {
        Self::once(&mut self.clusters[cluster].1, &format!("s{cluster}_"), name, Shape::Store)
    }

    /// The id of the item of this name, drawn once however often it is named.
    fn once(items: &mut Vec<Item>, prefix: &str, name: &str, shape: Shape) -> String {
        let same = |item: &&Item| item.label == name && item.id.starts_with(prefix);
        if let Some(known) = items.iter().find(same) {
            return known.id.clone();
        }
        let id = format!("{prefix}{}", items.len());
        items.push(Item { id: id.clone(), label: name.to_owned(), shape });
        id
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"")
}

fn for_mermaid(label: &str) -> String {
    label.replace('&', "#amp;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
}
