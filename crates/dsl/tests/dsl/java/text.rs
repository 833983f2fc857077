//! Topologies from text, as `DslText.java` builds them: lines of stages, stages of words.

use std::collections::BTreeMap;
use std::time::Duration;

use kstreams_dsl::{
    Consumed, DefaultSerde, EmitStrategy, Grouped, Materialized, Naming, StreamsBuilder,
};
use kstreams_topology::Topics;

use super::flow::Flow;
use super::functions::Key;
use super::{streams, tables};

/// An operator, its arguments, its options.
pub(super) struct Stage {
    pub(super) op: String,
    pub(super) args: Vec<String>,
    pub(super) options: BTreeMap<String, String>,
}

impl Stage {
    fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let op = words.next().unwrap_or_default().to_owned();
        let (mut args, mut options) = (Vec::new(), BTreeMap::new());
        for word in words {
            match word.split_once('=') {
                Some((name, value)) => drop(options.insert(name.to_owned(), value.to_owned())),
                None => args.push(word.to_owned()),
            }
        }
        Self { op, args, options }
    }

    pub(super) fn arg(&self, index: usize) -> &str {
        self.args.get(index).map_or("", |arg| arg)
    }

    pub(super) fn millis(&self, index: usize) -> Duration {
        Duration::from_millis(self.arg(index).parse().unwrap())
    }

    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(|value| &**value)
    }

    /// How a table or an aggregate is kept, in memory as in the Java program.
    pub(super) fn kept<K, V>(&self) -> Materialized<K, V>
    where
        K: DefaultSerde + 'static,
        V: DefaultSerde + 'static,
    {
        let mut kept = Materialized::default().in_memory();
        if let Some(name) = self.option("store") {
            kept = kept.name(name);
        }
        if let Some(millis) = self.option("versioned") {
            kept = kept.versioned(Duration::from_millis(millis.parse().unwrap()));
        }
        if let Some(millis) = self.option("retention") {
            kept = kept.retention(Duration::from_millis(millis.parse().unwrap()));
        }
        match self.option("as") {
            Some(name) => kept.node(name),
            None => kept,
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.options.contains_key("store")
    }

    pub(super) fn grouped<K, V>(&self) -> Grouped<K, V>
    where
        K: DefaultSerde + 'static,
        V: DefaultSerde + 'static,
    {
        match self.option("topic") {
            Some(name) => Grouped::named(name),
            None => Grouped::default(),
        }
    }

    /// "emit=close" behind windows.
    pub(super) fn emit(&self) -> EmitStrategy {
        match self.option("emit") {
            Some(_) => EmitStrategy::OnWindowClose,
            None => EmitStrategy::OnWindowUpdate,
        }
    }

    pub(super) fn unknown(&self) -> ! {
        panic!("no operator {} there", self.op)
    }
}

/// A topology's text, read.
pub(crate) struct Text {
    builder: StreamsBuilder,
    flows: BTreeMap<String, Flow>,
}

impl Text {
    /// Builds the streams and tables; generated names are taken as they are, as Java does.
    pub(crate) fn build(lines: &[&str]) -> StreamsBuilder {
        let mut text = Self { builder: StreamsBuilder::new(), flows: BTreeMap::new() };
        text.builder.naming(Naming::Positional);
        for line in lines {
            match line.split_once(' ') {
                Some(("optimize", what)) => text.optimize(what),
                Some(("cache", bytes)) => drop(text.builder.cache(bytes.parse().unwrap())),
                _ => text.line(line),
            }
        }
        text.builder
    }

    /// A value of `topology.optimization`.
    fn optimize(&self, what: &str) {
        let wants = |rule: &str| what == "all" || what.split(',').any(|name| name == rule);
        if wants("reuse.ktable.source.topics") {
            self.builder.reuse_table_source_topics();
        }
        if wants("merge.repartition.topics") {
            self.builder.merge_repartition_topics();
        }
        if wants("single.store.self.join") {
            self.builder.single_store_self_joins();
        }
    }

    fn line(&mut self, line: &str) {
        let (name, stages) = line.split_once(" = ").unwrap_or(("_", line));
        let mut stages = stages.split(" | ").map(Stage::parse);
        let first = stages.next().unwrap();
        let mut flow = self.begin(&first);
        for stage in stages {
            flow = self.next(name, &flow, &stage);
        }
        self.flows.insert(name.to_owned(), flow);
    }

    fn begin(&self, at: &Stage) -> Flow {
        if let Some(flow) = self.flows.get(&at.op) {
            return flow.clone();
        }
        match &*at.op {
            "stream" | "pattern" => {
                let topics = match &*at.op {
                    "stream" => Topics::from(at.args.clone()),
                    _ => Topics::pattern(at.arg(0)).unwrap(),
                };
                // Topics that begin with f are full: their values are never null.
                match at.arg(0).starts_with('f') {
                    true => Flow::Stream(
                        self.builder.stream_with(topics, consumed::<String>(at)).into(),
                    ),
                    false => Flow::Stream(
                        self.builder.stream_with(topics, consumed::<Option<String>>(at)).into(),
                    ),
                }
            }
            "table" => Flow::Table(
                self.builder.table_with::<Key, String>(at.arg(0), consumed(at), at.kept()).into(),
            ),
            "global" => {
                Flow::Global(self.builder.global_table_with(at.arg(0), consumed(at), at.kept()))
            }
            _ => at.unknown(),
        }
    }

    fn next(&mut self, name: &str, flow: &Flow, at: &Stage) -> Flow {
        if let ("split", Flow::Stream(stream)) = (&*at.op, flow) {
            for (end, branch) in streams::split(stream, at) {
                self.flows.insert(format!("{name}.{end}"), branch);
            }
            return flow.clone();
        }
        match (flow, self.flows.get(at.arg(0))) {
            (Flow::Stream(stream), Some(other)) => streams::join(stream, other, at),
            (Flow::Stream(stream), None) => streams::next(stream, at),
            (Flow::WindowedStream(stream), _) => streams::next_windowed(stream, at),
            (Flow::Doubled(stream), _) => stream.next(at),
            (Flow::Table(table), Some(other)) => tables::join(table, other, at),
            (Flow::Table(table), None) => tables::next(table, at),
            (Flow::WindowedTable(table), _) => tables::next_windowed(table, at),
            (Flow::Groups(group), _) => tables::of_group(group, at),
            (Flow::Cogroup(group), other) => tables::of_cogroup(group.take().unwrap(), other, at),
            (Flow::Windows(windows), _) => tables::of_windows(windows, at),
            (Flow::Sessions(sessions), _) => tables::of_sessions(sessions, at),
            (Flow::TextTableGroup(group), _) => tables::of_table(&**group, at),
            (Flow::NumTableGroup(group), _) => tables::of_table(&**group, at),
            (Flow::Global(_), _) => at.unknown(),
        }
    }
}

fn consumed<V: DefaultSerde + 'static>(at: &Stage) -> Consumed<Key, V> {
    match at.option("as") {
        Some(name) => Consumed::named(name),
        None => Consumed::default(),
    }
}
