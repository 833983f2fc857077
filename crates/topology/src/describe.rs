//! `describe`: the topology as Kafka Streams prints it, byte for byte.
//!
//! People read it, and tools that were written for Kafka Streams parse it.

use std::cmp::Ordering;
use std::fmt::Write;
use std::sync::Arc;

use crate::draft::SinkTo;
use crate::java_order::{TreeSet, compare_names, hash_order};
use crate::subtopology::SubTopology;
use crate::topics::Topics;
use crate::topology::{DescribedKind, DescribedNode, Topology};

impl Topology {
    /// The text of Java's `Topology.describe()`, in the same order.
    ///
    /// Internal topics are printed without the application id, as in Java.
    ///
    /// ```
    /// use kstreams_core::serde::Utf8;
    /// use kstreams_topology::Topology;
    ///
    /// let mut topology = Topology::builder();
    /// let lines = topology.source("lines", "input", (Utf8, Utf8));
    /// topology.sink("out", &[lines], "output", (Utf8, Utf8));
    /// assert_eq!(topology.build()?.describe(), "\
    /// Topologies:
    ///    Sub-topology: 0
    ///     Source: lines (topics: [input])
    ///       --> out
    ///     Sink: out (topic: output)
    ///       <-- lines
    ///
    /// ");
    /// # Ok::<(), kstreams_topology::TopologyErrors>(())
    /// ```
    ///
    /// # Differs from Kafka Streams
    /// A sink that chooses the topic of each record prints the Rust type of its chooser, where
    /// Java prints an object with its address.
    pub fn describe(&self) -> String {
        let mut text = String::from("Topologies:\n ");
        for subtopology in self.subtopologies() {
            let group = Group::new(self, subtopology);
            let global = if subtopology.is_global() {
                " for global store (will not generate tasks)"
            } else {
                ""
            };
            _ = writeln!(text, "  Sub-topology: {}{global}", subtopology.id());
            for index in group.in_order() {
                _ = writeln!(text, "    {}", group.node(index));
            }
            if !subtopology.is_global() {
                text.push('\n');
            }
        }
        text
    }
}

/// The nodes of one sub-topology with their neighbours, as `InternalTopologyBuilder` connects them.
struct Group<'a> {
    nodes: &'a [DescribedNode],
    members: Vec<usize>,
    /// The number of nodes below each, counted once for each way, and itself.
    sizes: Vec<i32>,
    parents: Vec<TreeSet>,
    children: Vec<TreeSet>,
}

impl<'a> Group<'a> {
    fn new(topology: &'a Topology, subtopology: &SubTopology) -> Self {
        let nodes = topology.nodes.as_slice();
        let of_group = |node: &usize| nodes[*node].subtopology == subtopology.id();
        let members: Vec<usize> = (0..nodes.len()).filter(of_group).collect();
        let order: Vec<usize> = topology.order.iter().copied().filter(of_group).collect();
        let sets = || nodes.iter().map(|_| TreeSet::default()).collect();
        let sizes = vec![1; nodes.len()];
        let mut group = Self { nodes, members, sizes, parents: sets(), children: sets() };
        let names: Vec<&str> = group.members.iter().map(|node| &*nodes[*node].name).collect();
        for index in hash_order(&names) {
            let node = group.members[index];
            for parent in &nodes[node].parents {
                let sizes = &group.sizes;
                group.parents[node].insert(*parent, |a, b| compare(nodes, sizes, a, b));
                group.children[*parent].insert(node, |a, b| compare(nodes, sizes, a, b));
                group.grow(*parent, sizes[node], &order);
            }
        }
        group
    }

    /// Adds to the size of a node, and of each node above once for each way up. Java walks every
    /// way, which takes for ever on many diamonds; from bottom to top one step a node is enough.
    fn grow(&mut self, node: usize, by: i32, order: &[usize]) {
        let mut growth = vec![0_i32; self.nodes.len()];
        growth[node] = by;
        for node in order.iter().rev() {
            let by = growth[*node];
            if by != 0 {
                self.sizes[*node] = self.sizes[*node].wrapping_add(by);
                for parent in self.parents[*node].values() {
                    growth[parent] = growth[parent].wrapping_add(by);
                }
            }
        }
    }

    fn in_order(&self) -> Vec<usize> {
        let mut order = self.members.clone();
        order.sort_by(|a, b| compare(self.nodes, &self.sizes, *a, *b));
        order
    }

    fn node(&self, index: usize) -> String {
        let node = &self.nodes[index];
        let name = &node.name;
        let (children, parents) = (&self.children[index], &self.parents[index]);
        let children = || self.names(children);
        let parents = || self.names(parents);
        match &node.kind {
            DescribedKind::Source(topics) => {
                let topics = match topics {
                    Topics::Named(topics) => format!("[{}]", java_set(topics)),
                    Topics::Matching(pattern) => pattern.to_string(),
                };
                format!("Source: {name} (topics: {topics})\n      --> {}", children())
            }
            DescribedKind::Processor(stores) => format!(
                "Processor: {name} (stores: [{}])\n      --> {}\n      <-- {}",
                java_set(stores),
                children(),
                parents()
            ),
            DescribedKind::Sink(SinkTo::Topic(topic)) => {
                format!("Sink: {name} (topic: {topic})\n      <-- {}", parents())
            }
            DescribedKind::Sink(SinkTo::PerRecord(label)) => {
                format!("Sink: {name} (extractor class: {label})\n      <-- {}", parents())
            }
        }
    }

    fn names(&self, set: &TreeSet) -> String {
        let names: Vec<&str> =
            set.values().into_iter().map(|node| &*self.nodes[node].name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

/// Larger sub-trees first, then by name.
fn compare(nodes: &[DescribedNode], sizes: &[i32], a: usize, b: usize) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    sizes[b].cmp(&sizes[a]).then_with(|| compare_names(&nodes[a].name, &nodes[b].name))
}

/// The elements of a `HashSet`, as it prints them.
fn java_set(names: &[Arc<str>]) -> String {
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    let order = hash_order(&names);
    order.into_iter().map(|index| names[index]).collect::<Vec<_>>().join(", ")
}
