//! Repartitioning a stream: through a topic of the application's own to the task of the new key.
//!
//! Planned by stateful operators behind one that changed the key, and by `repartition` itself.

use std::sync::Arc;

use kstreams_core::context::Context;
use kstreams_core::processor::Data;
use kstreams_core::record::Record;
use kstreams_core::serde::Serde;
use kstreams_core::sink::Partitioner;
use kstreams_core::source::EventTime;
use kstreams_topology::{Sink, Source};

use super::{NodeId, Plan};
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
}

impl Plan {
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
        let sink = self.new_name("KSTREAM-SINK-");
        let filter = self.new_name("KSTREAM-FILTER-");
        let source = self.new_name("KSTREAM-SOURCE-");
        let (sink, filter, source) = if is_positional(prefix) {
            (sink, filter, source)
        } else {
            let named = |what: &str| -> Arc<str> { format!("{topic}-{what}").into() };
            (named("sink"), named("filter"), named("source"))
        };
        let Repartition { key, value, partitions, partitioner, .. } = how;
        self.add(source, &[parent], move |to, at| {
            let internal = to.topology.internal_topic(&topic, partitions);
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
        })
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
