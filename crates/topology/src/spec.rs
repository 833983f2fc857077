//! How a source reads and a sink writes, as users say it to the builder.
//!
//! A pair of serdes is enough; these types hold the rest.

use std::fmt;
use std::sync::Arc;

use kstreams_core::flow::NodeFactory;
use kstreams_core::processor::Data;
use kstreams_core::serde::Serde;
use kstreams_core::sink::{Partitioner, SinkSpec, SinkTopic, TopicChooser};
use kstreams_core::source::{EventTime, OffsetReset, SourceSpec};

use crate::topics::RepartitionTopic;

/// The rule by which sources get event time that do not say it themselves
/// (`default.timestamp.extractor`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeRule {
    /// As [`EventTime::FailOnInvalid`].
    #[default]
    FailOnInvalid,
    /// As [`EventTime::SkipInvalid`].
    SkipInvalid,
    /// As [`EventTime::PartitionTimeOnInvalid`].
    PartitionTimeOnInvalid,
    /// As [`EventTime::WallClock`].
    WallClock,
}

impl TimeRule {
    /// The same rule for records of one type.
    pub fn event_time<K, V>(self) -> EventTime<K, V> {
        match self {
            Self::FailOnInvalid => EventTime::FailOnInvalid,
            Self::SkipInvalid => EventTime::SkipInvalid,
            Self::PartitionTimeOnInvalid => EventTime::PartitionTimeOnInvalid,
            Self::WallClock => EventTime::WallClock,
        }
    }
}

/// How a source reads: serdes, and what differs from the defaults.
///
/// ```
/// use kstreams_core::serde::Utf8;
/// use kstreams_core::source::{EventTime, OffsetReset};
/// use kstreams_topology::{Source, Topology};
///
/// let mut topology = Topology::builder();
/// let clicks = topology.source(
///     "clicks",
///     ["clicks-eu", "clicks-us"],
///     Source::new(Utf8, Utf8).offset_reset(OffsetReset::Latest).event_time(EventTime::WallClock),
/// );
/// # let _ = clicks;
/// ```
#[derive(Debug)]
pub struct Source<KS: Serde, VS: Serde> {
    pub(crate) key: Arc<KS>,
    pub(crate) value: Arc<VS>,
    pub(crate) event_time: Option<EventTime<KS::Item, VS::Item>>,
    pub(crate) offset_reset: Option<OffsetReset>,
}

impl<KS: Serde, VS: Serde> Source<KS, VS> {
    /// Reads keys and values by these serdes.
    pub fn new(key: KS, value: VS) -> Self {
        Self { key: Arc::new(key), value: Arc::new(value), event_time: None, offset_reset: None }
    }

    /// Where to start without a committed offset; else the builder's default, else the
    /// application's configuration.
    #[must_use]
    pub fn offset_reset(mut self, reset: OffsetReset) -> Self {
        self.offset_reset = Some(reset);
        self
    }

    /// The rule for event time; else the builder's default.
    #[must_use]
    pub fn event_time(mut self, event_time: EventTime<KS::Item, VS::Item>) -> Self {
        self.event_time = Some(event_time);
        self
    }

    pub(crate) fn factory(self) -> impl Fn(TimeRule) -> NodeFactory + Send + Sync + 'static
    where
        KS::Item: Data,
        VS::Item: Data,
    {
        let Self { key, value, event_time, .. } = self;
        move |default| {
            NodeFactory::source(SourceSpec {
                key: Arc::clone(&key),
                value: Arc::clone(&value),
                event_time: event_time.clone().unwrap_or_else(|| default.event_time()),
            })
        }
    }
}

impl<KS: Serde, VS: Serde> From<(KS, VS)> for Source<KS, VS> {
    fn from((key, value): (KS, VS)) -> Self {
        Self::new(key, value)
    }
}

/// Where a sink writes: one topic, or one chosen for each record.
pub enum Destination<K, V> {
    /// This topic; the name of a repartition topic stands for it.
    Topic(Arc<str>),
    /// Asked for each record.
    PerRecord {
        /// Chooses.
        chooser: Arc<dyn TopicChooser<K, V>>,
        /// What `describe` prints in place of the topic.
        label: Arc<str>,
    },
}

impl<K, V> Destination<K, V> {
    /// Asks `chooser` for each record (`TopicNameExtractor`); the topics must exist.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use kstreams_core::record::{Record, RecordMetadata};
    /// use kstreams_core::serde::Utf8;
    /// use kstreams_topology::{Destination, Topology};
    ///
    /// let by_length = |record: &Record<String, String>, _: Option<RecordMetadata<'_>>| {
    ///     Arc::from(if record.value.len() > 80 { "long" } else { "short" })
    /// };
    /// let mut topology = Topology::builder();
    /// let lines = topology.source("lines", "input", (Utf8, Utf8));
    /// topology.sink("out", &[lines], Destination::per_record(by_length), (Utf8, Utf8));
    /// assert!(topology.build()?.describe().contains("Sink: out (extractor class: "));
    /// # Ok::<(), kstreams_topology::TopologyErrors>(())
    /// ```
    pub fn per_record<C: TopicChooser<K, V>>(chooser: C) -> Self {
        Self::PerRecord { chooser: Arc::new(chooser), label: std::any::type_name::<C>().into() }
    }
}

impl<K, V> fmt::Debug for Destination<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(topic) => write!(f, "Topic({topic})"),
            Self::PerRecord { label, .. } => write!(f, "PerRecord({label})"),
        }
    }
}

impl<K, V> From<&str> for Destination<K, V> {
    fn from(topic: &str) -> Self {
        Self::Topic(topic.into())
    }
}

impl<K, V> From<String> for Destination<K, V> {
    fn from(topic: String) -> Self {
        Self::Topic(topic.into())
    }
}

impl<K, V> From<&RepartitionTopic> for Destination<K, V> {
    fn from(topic: &RepartitionTopic) -> Self {
        Self::Topic(Arc::clone(&topic.name))
    }
}

/// How a sink writes: serdes, and a partition rule if not Java's default one.
///
/// ```
/// use kstreams_core::record::Record;
/// use kstreams_core::serde::Utf8;
/// use kstreams_core::sink::Partitions;
/// use kstreams_topology::{Sink, Topology};
///
/// let first = |_: &str, _: &Record<String, String>, _: i32| Partitions::One(0);
/// let mut topology = Topology::builder();
/// let lines = topology.source("lines", "input", (Utf8, Utf8));
/// topology.sink("out", &[lines], "output", Sink::new(Utf8, Utf8).partitioner(first));
/// # topology.build()?;
/// # Ok::<(), kstreams_topology::TopologyErrors>(())
/// ```
pub struct Sink<KS: Serde, VS: Serde> {
    key: Arc<KS>,
    value: Arc<VS>,
    partitioner: Option<Arc<dyn Partitioner<KS::Item, VS::Item>>>,
}

impl<KS: Serde, VS: Serde> Sink<KS, VS> {
    /// Writes keys and values by these serdes.
    pub fn new(key: KS, value: VS) -> Self {
        Self { key: Arc::new(key), value: Arc::new(value), partitioner: None }
    }

    /// Chooses partitions by this rule (`StreamPartitioner`).
    #[must_use]
    pub fn partitioner(mut self, partitioner: impl Partitioner<KS::Item, VS::Item>) -> Self {
        self.partitioner = Some(Arc::new(partitioner));
        self
    }

    /// Makes the sink once the topic's full name is known; a chooser needs none.
    pub(crate) fn factory(
        self,
        chooser: Option<Arc<dyn TopicChooser<KS::Item, VS::Item>>>,
    ) -> impl Fn(&Arc<str>) -> NodeFactory + Send + Sync + 'static
    where
        KS::Item: Data,
        VS::Item: Data,
    {
        let Self { key, value, partitioner } = self;
        move |topic| {
            NodeFactory::sink(SinkSpec {
                topic: match &chooser {
                    Some(chooser) => SinkTopic::PerRecord(Arc::clone(chooser)),
                    None => SinkTopic::Fixed(Arc::clone(topic)),
                },
                key: Arc::clone(&key),
                value: Arc::clone(&value),
                partitioner: partitioner.clone(),
            })
        }
    }
}

impl<KS: Serde, VS: Serde> From<(KS, VS)> for Sink<KS, VS> {
    fn from((key, value): (KS, VS)) -> Self {
        Self::new(key, value)
    }
}

impl<KS: Serde, VS: Serde> fmt::Debug for Sink<KS, VS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("has_partitioner", &self.partitioner.is_some()).finish()
    }
}
