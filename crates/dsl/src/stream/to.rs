//! Write a stream to a topic (`KStream.to`).

use std::any::type_name;
use std::sync::Arc;

use kstreams_core::partition::partition_for;
use kstreams_core::processor::Data;
use kstreams_core::record::{Record, RecordMetadata};
use kstreams_core::serde::At;
use kstreams_core::sink::{Partitioner, Partitions, TopicChooser};
use kstreams_topology::{Destination, Sink};

use crate::builder::required;
use crate::options::Produced;
use crate::serdes::SerdeOf;
use crate::{DefaultSerde, KStream};

impl<K: Data, V: Data> KStream<K, V> {
    /// Writes the stream to a topic, which must exist.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<String, i64>("in").to("copy");
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn to(&self, topic: &str)
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.to_with(topic, Produced::default());
    }

    /// As [`to`](Self::to), with serdes, a name or a partition rule.
    pub fn to_with(&self, topic: &str, how: Produced<K, V>) {
        self.sink(Destination::Topic(topic.into()), how);
    }

    /// Writes each record to the topic that `chooser` names; the topics must exist
    /// (`TopicNameExtractor`).
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<String, i64>("in").to_topic_of(|record, _| match record.value {
    ///     0.. => "credit".into(),
    ///     _ => "debit".into(),
    /// });
    /// # let mut driver = TestDriver::builder(builder.build()?, Config::new("test"))
    /// #     .partitions("credit", 1)
    /// #     .partitions("debit", 1)
    /// #     .build()?;
    /// # driver.input("in", Utf8, I64).pipe("k".into(), -3)?;
    /// # assert_eq!(driver.output("debit", Utf8, I64).read_values()?, [-3]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn to_topic_of(
        &self,
        chooser: impl Fn(&Record<K, V>, Option<RecordMetadata<'_>>) -> Arc<str> + Send + Sync + 'static,
    ) where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.to_topic_of_with(chooser, Produced::default());
    }

    /// As [`to_topic_of`](Self::to_topic_of), with serdes, a name or a partition rule.
    pub fn to_topic_of_with<C: TopicChooser<K, V>>(&self, chooser: C, how: Produced<K, V>) {
        let label = type_name::<C>().into();
        self.sink(Destination::PerRecord { chooser: Arc::new(chooser), label }, how);
    }

    fn sink(&self, to_topic: Destination<K, V>, how: Produced<K, V>) {
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(how.name.as_deref(), "KSTREAM-SINK-");
        let key = required(&mut plan, &name, "key", &how.key, self.key.as_ref());
        let value = required(&mut plan, &name, "value", &how.value, self.value.as_ref());
        let (Some(key), Some(value)) = (key, value) else { return };
        let partitioner = how.partitioner.or_else(|| by_part(&key));
        plan.add(name, &[self.node], move |to, at| {
            let mut sink = Sink::new(key, value);
            if let Some(rule) = partitioner {
                sink = sink.partitioner(move |topic: &str, record: &Record<K, V>, n: i32| {
                    rule.partitions(topic, record, n)
                });
            }
            to.topology.sink(&at.name, &[], to_topic, sink);
            for parent in &at.parents {
                to.topology.by_name().edge(parent, &at.name);
            }
        });
    }
}

/// The partition rule of keys of which only a part counts: windowed ones.
fn by_part<K: Data, V: Data>(key: &SerdeOf<K>) -> Option<Arc<dyn Partitioner<K, V>>> {
    let part = key.part()?;
    Some(Arc::new(move |topic: &str, record: &Record<K, V>, n_partitions: i32| {
        let mut bytes = Vec::new();
        let at = At::key(topic).with_headers(&record.headers);
        // What cannot be written fails in the sink, which says so.
        match part.serialize(&record.key, &at, &mut bytes) {
            Ok(()) => Partitions::One(partition_for(&bytes, n_partitions)),
            Err(_) => Partitions::Default,
        }
    }))
}
