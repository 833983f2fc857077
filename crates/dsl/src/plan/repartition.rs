//! Repartitioning a stream: through a topic of the application's own to the task of the new key.
//!
//! Planned by stateful operators behind one that changed the key, and by `repartition` itself.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::context::Context;
use kstreams_core::processor::Data;
use kstreams_core::record::Record;
use kstreams_core::serde::Serde;
use kstreams_core::sink::Partitioner;
use kstreams_core::source::EventTime;
use kstreams_topology::{Sink, Source};

use super::{Kind, NodeId, Plan};
use crate::serdes::SerdeOf;

/// How a stream is repartitioned.
pub(crate) struct Repartition<K, V> {
    /// The topic's name without `-repartition`.
    pub(crate) prefix: Arc<str>,
    /// True if the user chose the prefix.
    pub(crate) is_named: bool,
    pub(crate) key: SerdeOf<K>,
    pub(crate) value: SerdeOf<V>,
    pub(crate) partitions: Option<i32>,
    pub(crate) partitioner: Option<Arc<dyn Partitioner<K, V>>>,
    /// True if an operator needs it, so that one for several operators will do.
    pub(crate) can_be_shared: bool,
}

impl Plan {
    /// The names of sink, filter and source by position. As in Kafka Streams their numbers are taken
    /// each time, even where an earlier repartitioning serves.
    pub(crate) fn take_numbers_of_repartition(&mut self) -> [Arc<str>; 3] {
        ["KSTREAM-SINK-", "KSTREAM-FILTER-", "KSTREAM-SOURCE-"].map(|prefix| self.new_name(prefix))
    }

    /// Plans filter, sink and source; the operator's name is the source's.
    pub(crate) fn repartition<K: Data, V: Data>(
        &mut self,
        parent: NodeId,
        how: Repartition<K, V>,
    ) -> NodeId {
        let prefix = &how.prefix;
        let topic =
            if prefix.ends_with(SUFFIX) { prefix.to_string() } else { format!("{prefix}{SUFFIX}") };
        if !how.is_named {
            self.note_unnamed("repartition topic", &topic);
        }
        let [sink, filter, source] = self.take_numbers_of_repartition();
        let by_topic = Cell::new(!is_positional(prefix));
        let names = Rc::new(RepartitionNames { topic, sink, filter, source, by_topic });
        let (source, can_be_shared) = (names.source(), how.can_be_shared);
        let written = Rc::clone(&names);
        let Repartition { key, value, partitions, partitioner, .. } = how;
        let node = self.add(source, &[parent], move |to, at| {
            let (topic, sink, filter) = (&written.topic, written.sink(), written.filter());
            let internal = to.topology.internal_topic(topic, partitions);
            let keep_all = at.keeps_null_keys;
            let (serde, keeps) = (key.clone(), Arc::clone(&filter));
            to.processor(&keeps, &at.parents, &[], move || {
                let serde = serde.clone();
                move |ctx: &mut Context<'_, K, V>, record: Record<K, V>| {
                    // Only joins that keep them want records without a key.
                    if keep_all || !serde.is_null(&record.key) {
                        ctx.forward(record)
                    } else {
                        Ok(())
                    }
                }
            });
            let mut how = Sink::new(key.clone(), value.clone());
            if let Some(partitioner) = partitioner {
                how = how.partitioner(move |topic: &str, record: &Record<K, V>, n: i32| {
                    partitioner.partitions(topic, record, n)
                });
            }
            write_sink(to.topology, &sink, &filter, internal.name(), how);
            let how = Source::new(key, value).event_time(EventTime::FailOnInvalid);
            to.topology.source(&at.name, &internal, how);
        });
        if can_be_shared {
            self.node(node).kind = Kind::Repartition(names);
        }
        node
    }
}

/// What the topic and the nodes of a repartitioning are called.
pub(crate) struct RepartitionNames {
    topic: String,
    sink: Arc<str>,
    filter: Arc<str>,
    source: Arc<str>,
    by_topic: Cell<bool>,
}

impl RepartitionNames {
    /// Names the nodes by the topic, even if its name was generated; gives the source's.
    pub(super) fn name_by_topic(&self) -> Arc<str> {
        self.by_topic.set(true);
        self.source()
    }

    fn name(&self, what: &str, positional: &Arc<str>) -> Arc<str> {
        match self.by_topic.get() {
            true => format!("{}-{what}", self.topic).into(),
            false => Arc::clone(positional),
        }
    }

    fn sink(&self) -> Arc<str> {
        self.name("sink", &self.sink)
    }

    fn filter(&self) -> Arc<str> {
        self.name("filter", &self.filter)
    }

    fn source(&self) -> Arc<str> {
        self.name("source", &self.source)
    }
}

/// A sink behind a node that is known by name.
pub(crate) fn write_sink<K: Data, V: Data>(
    topology: &mut kstreams_topology::TopologyBuilder,
    name: &str,
    parent: &str,
    topic: &str,
    sink: Sink<SerdeOf<K>, SerdeOf<V>>,
) {
    topology.sink(name, &[], topic, sink);
    topology.by_name().edge(parent, name);
}

/// `KSTREAM.*-[0-9]{10}`: Kafka Streams then numbers the nodes instead of naming them.
fn is_positional(prefix: &str) -> bool {
    let digits = prefix.len().checked_sub(10).and_then(|at| prefix.split_at_checked(at));
    prefix.starts_with("KSTREAM")
        && digits.is_some_and(|(head, digits)| {
            head.ends_with('-') && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
}

const SUFFIX: &str = "-repartition";
