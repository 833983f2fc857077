//! The typed builder: what users write their topology with.
//!
//! Nothing here fails or panics; [`TopologyBuilder::build`] reports every mistake at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kstreams_core::flow::NodeFactory;
use kstreams_core::processor::{Data, FixedKeyProcessor, Processor};
use kstreams_core::serde::Serde;
use kstreams_core::source::OffsetReset;
use kstreams_core::store::{StoreBuilder, StoreId};

use crate::by_name::ByName;
use crate::draft::{Draft, InternalDraft, NodeKind, SinkTo};
use crate::fault::TopologyErrors;
use crate::handle::{Handle, NodeRef, StoreNames};
use crate::spec::{Destination, Sink, Source, TimeRule};
use crate::topics::{RepartitionTopic, Topics};
use crate::topology::Topology;
use crate::validate;

/// Collects the nodes, stores and edges of a topology.
///
/// Start with [`Topology::builder`]. Names of nodes are unique; parents come before children, as
/// their handles do.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/topology/support.rs")); }
/// # use support::*;
/// # use std::sync::Arc;
/// use kstreams_core::context::{Context, Init};
/// use kstreams_core::error::Result;
/// use kstreams_core::processor::Processor;
/// use kstreams_core::record::Record;
/// use kstreams_core::serde::{U64, Utf8};
/// use kstreams_core::store::StoreId;
/// use kstreams_topology::Topology;
///
/// struct Count(StoreId<Cells>, Option<Arc<Cells>>);
/// impl Processor<String, String, String, u64> for Count {
///     fn init(&mut self, ctx: &mut Init<'_, Self, String, u64>) -> Result {
///         self.1 = Some(ctx.store(&self.0)?);
///         Ok(())
///     }
///     fn process(
///         &mut self,
///         ctx: &mut Context<'_, String, u64>,
///         word: Record<String, String>,
///     ) -> Result {
///         ctx.forward(word.with_value(1))
///     }
/// }
///
/// let mut topology = Topology::builder();
/// let counts = topology.store(cells("counts"));
/// let words = topology.source("words", "words", (Utf8, Utf8));
/// let store = counts.clone();
/// let totals = topology.processor("count", &[words], move || Count(store.clone(), None));
/// topology.connect(totals, &counts);
/// topology.sink("out", &[totals], "counts", (Utf8, U64));
/// let topology = topology.build()?;
/// assert_eq!(topology.subtopologies()[0].stores()[0].name(), "counts");
/// # Ok::<(), kstreams_topology::TopologyErrors>(())
/// ```
#[derive(Debug)]
pub struct TopologyBuilder {
    pub(crate) draft: Draft,
}

impl TopologyBuilder {
    /// An empty one.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { draft: Draft::new(NEXT.fetch_add(1, Ordering::Relaxed)) }
    }

    /// The rule for event time of all sources that do not say their own.
    pub fn default_event_time(&mut self, rule: TimeRule) -> &mut Self {
        self.draft.time_rule = rule;
        self
    }

    /// Where all sources start, without a committed offset, that do not say it themselves.
    pub fn default_offset_reset(&mut self, reset: OffsetReset) -> &mut Self {
        self.draft.offset_reset = Some(reset);
        self
    }

    /// Adds a source: a pair of serdes, or a [`Source`] that says more, reads `topics`.
    pub fn source<KS, VS>(
        &mut self,
        name: &str,
        topics: impl Into<Topics>,
        source: impl Into<Source<KS, VS>>,
    ) -> Handle<KS::Item, VS::Item>
    where
        KS: Serde<Item: Data>,
        VS: Serde<Item: Data>,
    {
        self.add_source(name, topics.into(), source.into(), false)
    }

    fn add_source<KS, VS>(
        &mut self,
        name: &str,
        topics: Topics,
        source: Source<KS, VS>,
        is_global: bool,
    ) -> Handle<KS::Item, VS::Item>
    where
        KS: Serde<Item: Data>,
        VS: Serde<Item: Data>,
    {
        let offset_reset = source.offset_reset;
        let make = Box::new(source.factory());
        self.add(name, Vec::new(), NodeKind::Source { topics, offset_reset, make, is_global })
    }

    /// Adds a processor behind any number of parents of one type; `supplier` makes one for each
    /// task.
    ///
    /// A processor takes what its parents give, or it does not compile:
    ///
    /// ```compile_fail,E0277
    /// use kstreams_core::context::Context;
    /// use kstreams_core::error::Result;
    /// use kstreams_core::processor::Processor;
    /// use kstreams_core::record::Record;
    /// use kstreams_core::serde::Utf8;
    /// use kstreams_topology::Topology;
    ///
    /// struct Double;
    /// impl Processor<String, u64, String, u64> for Double {
    ///     fn process(
    ///         &mut self,
    ///         ctx: &mut Context<'_, String, u64>,
    ///         record: Record<String, u64>,
    ///     ) -> Result {
    ///         ctx.forward(record.map_value(|n| n * 2))
    ///     }
    /// }
    /// let mut topology = Topology::builder();
    /// let lines = topology.source("lines", "input", (Utf8, Utf8));
    /// topology.processor("double", &[lines], || Double); // lines are no numbers
    /// ```
    pub fn processor<P, KIn, VIn, KOut, VOut>(
        &mut self,
        name: &str,
        parents: &[Handle<KIn, VIn>],
        supplier: impl Fn() -> P + Send + Sync + 'static,
    ) -> Handle<KOut, VOut>
    where
        P: Processor<KIn, VIn, KOut, VOut>,
        KIn: 'static,
        VIn: 'static,
        KOut: Data,
        VOut: Data,
    {
        let factory = NodeFactory::processor(supplier);
        self.add(name, refs(parents), NodeKind::Processor { factory, is_global: false })
    }

    /// Adds a processor that cannot change the key (KIP-820).
    ///
    /// ```compile_fail,E0308
    /// use kstreams_core::context::FixedKeyContext;
    /// use kstreams_core::error::Result;
    /// use kstreams_core::processor::FixedKeyProcessor;
    /// use kstreams_core::record::FixedKeyRecord;
    ///
    /// struct Rekey;
    /// impl FixedKeyProcessor<String, String, String> for Rekey {
    ///     fn process(
    ///         &mut self,
    ///         ctx: &mut FixedKeyContext<'_, String, String>,
    ///         record: FixedKeyRecord<String, String>,
    ///     ) -> Result {
    ///         ctx.forward(kstreams_core::record::Record::new(
    ///             String::from("another key"),
    ///             record.value().clone(),
    ///             record.timestamp(),
    ///         ))
    ///     }
    /// }
    /// ```
    pub fn fixed_key_processor<P, K, VIn, VOut>(
        &mut self,
        name: &str,
        parents: &[Handle<K, VIn>],
        supplier: impl Fn() -> P + Send + Sync + 'static,
    ) -> Handle<K, VOut>
    where
        P: FixedKeyProcessor<K, VIn, VOut>,
        K: Data,
        VIn: 'static,
        VOut: Data,
    {
        let factory = NodeFactory::fixed_key(supplier);
        self.add(name, refs(parents), NodeKind::Processor { factory, is_global: false })
    }

    /// Adds a sink: a pair of serdes, or a [`Sink`] that says more, writes to a topic's name, a
    /// [`RepartitionTopic`] or a [`Destination`].
    ///
    /// ```compile_fail,E0271
    /// use kstreams_core::serde::{U64, Utf8};
    /// use kstreams_topology::Topology;
    ///
    /// let mut topology = Topology::builder();
    /// let lines = topology.source("lines", "input", (Utf8, Utf8));
    /// topology.sink("out", &[lines], "output", (Utf8, U64)); // lines are no numbers
    /// ```
    pub fn sink<KS, VS>(
        &mut self,
        name: &str,
        parents: &[Handle<KS::Item, VS::Item>],
        to: impl Into<Destination<KS::Item, VS::Item>>,
        sink: impl Into<Sink<KS, VS>>,
    ) where
        KS: Serde<Item: Data>,
        VS: Serde<Item: Data>,
    {
        let sink = sink.into();
        let kind = match to.into() {
            Destination::Topic(topic) => {
                NodeKind::Sink { to: SinkTo::Topic(topic), make: Arc::new(sink.factory(None)) }
            }
            Destination::PerRecord { chooser, label } => NodeKind::Sink {
                to: SinkTo::PerRecord(label),
                make: Arc::new(sink.factory(Some(chooser))),
            },
        };
        self.draft.node(name, refs(parents), kind);
    }

    /// Adds a store; processors use it once they are [connected](Self::connect) to it.
    ///
    /// The id carries the store's type:
    ///
    /// ```compile_fail,E0308
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/topology/support.rs")); }
    /// # use support::*;
    /// use kstreams_core::store::{StoreBuilder, StoreId};
    /// # struct Other;
    /// let mut topology = kstreams_topology::Topology::builder();
    /// let counts: StoreId<Other> = topology.store(cells("counts")); // cells are Cells
    /// ```
    ///
    /// # Differs from Kafka Streams
    /// A store that no processor is connected to is a fault: Java never opens it and says nothing.
    /// A builder is given away here, so "the same builder twice" cannot be written; to use a store
    /// in several places, clone its id.
    pub fn store<B: StoreBuilder>(&mut self, builder: B) -> StoreId<B::Store> {
        let id = StoreId::new(builder.name());
        self.draft.store(Arc::new(builder), false);
        id
    }

    /// Lets a processor use one store or several; stores that several processors use bind these
    /// into one sub-topology.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/topology/support.rs")); }
    /// # use support::*;
    /// # use kstreams_topology::Topology;
    /// # let mut topology = Topology::builder();
    /// # let (a, b) = (topology.store(cells("a")), topology.store(cells("b")));
    /// topology.connect("count", &a);
    /// topology.connect("count", (&a, &b));
    /// topology.connect("count", ["a", "b"]);
    /// ```
    pub fn connect(&mut self, processor: impl Into<NodeRef>, stores: impl StoreNames) -> &mut Self {
        self.draft.connect(processor.into(), stores.store_names(), false);
        self
    }

    /// Adds a store that every instance holds whole, kept by a processor that reads all
    /// partitions of `topic`; every processor can read it.
    ///
    /// `supplier` makes the processor that writes the store, from the store's id.
    pub fn global_store<B, KS, VS, P>(
        &mut self,
        builder: B,
        source_name: &str,
        topic: impl Into<Arc<str>>,
        source: impl Into<Source<KS, VS>>,
        processor_name: &str,
        supplier: impl Fn(&StoreId<B::Store>) -> P + Send + Sync + 'static,
    ) -> StoreId<B::Store>
    where
        B: StoreBuilder,
        KS: Serde<Item: Data>,
        VS: Serde<Item: Data>,
        P: Processor<KS::Item, VS::Item, (), ()>,
    {
        let id = StoreId::new(builder.name());
        let topic = topic.into();
        self.draft.store(Arc::new(builder), true);
        self.draft.restore_from(id.name(), Arc::clone(&topic));
        let topics = Topics::Named(vec![topic]);
        let parent = self.add_source(source_name, topics, source.into(), true);
        let of_store = id.clone();
        let factory = NodeFactory::processor(move || supplier(&of_store));
        let kind = NodeKind::Processor { factory, is_global: true };
        let processor: Handle<(), ()> = self.add(processor_name, vec![parent.node()], kind);
        self.draft.connect(processor.node(), vec![Arc::clone(id.name())], true);
        id
    }

    /// Adds a store whose source topic doubles as its changelog (KIP-813): other processors may
    /// read it, and none may write it but the one that `supplier` makes from the store's id.
    ///
    /// The builder's own changelog is left out. The source starts at the earliest record unless it
    /// says otherwise.
    pub fn read_only_store<B, KS, VS, P>(
        &mut self,
        builder: B,
        source_name: &str,
        topic: impl Into<Arc<str>>,
        source: impl Into<Source<KS, VS>>,
        processor_name: &str,
        supplier: impl Fn(&StoreId<B::Store>) -> P + Send + Sync + 'static,
    ) -> StoreId<B::Store>
    where
        B: StoreBuilder,
        KS: Serde<Item: Data>,
        VS: Serde<Item: Data>,
        P: Processor<KS::Item, VS::Item, (), ()>,
    {
        let id = self.store(builder);
        let topic = topic.into();
        self.draft.restore_from(id.name(), Arc::clone(&topic));
        let mut source = source.into();
        source.offset_reset.get_or_insert(OffsetReset::Earliest);
        let parent = self.add_source(source_name, Topics::Named(vec![topic]), source, false);
        let of_store = id.clone();
        let processor = self.processor(processor_name, &[parent], move || supplier(&of_store));
        self.connect(processor, &id);
        id
    }

    /// Says that a store is restored from a topic that a source reads, and has no changelog of its
    /// own: for a store that holds exactly what the topic holds (`reuse.ktable.source.topics`).
    pub fn restore_from_source(
        &mut self,
        stores: impl StoreNames,
        topic: impl Into<Arc<str>>,
    ) -> &mut Self {
        let topic = topic.into();
        for store in stores.store_names() {
            self.draft.restore_from(&store, Arc::clone(&topic));
        }
        self
    }

    /// A topic of the application's own, `<application id>-<name>-repartition`, through which
    /// records reach the task of their new key. Without a count it gets as many partitions as the
    /// largest source topic upstream has.
    ///
    /// ```
    /// use kstreams_core::serde::Utf8;
    /// use kstreams_topology::Topology;
    ///
    /// let mut topology = Topology::builder();
    /// let words = topology.repartition_topic("words", Some(8));
    /// let lines = topology.source("lines", "input", (Utf8, Utf8));
    /// topology.sink("to-words", &[lines], &words, (Utf8, Utf8));
    /// topology.source("words", &words, (Utf8, Utf8));
    /// assert_eq!(topology.build()?.subtopologies().len(), 2);
    /// # Ok::<(), kstreams_topology::TopologyErrors>(())
    /// ```
    pub fn repartition_topic(&mut self, name: &str, partitions: Option<i32>) -> RepartitionTopic {
        self.internal_topic(&format!("{name}-repartition"), partitions)
    }

    /// As [`repartition_topic`](Self::repartition_topic), named `<application id>-<name>`.
    pub fn internal_topic(&mut self, name: &str, partitions: Option<i32>) -> RepartitionTopic {
        let name: Arc<str> = name.into();
        self.draft.internal_topics.push(InternalDraft { name: Arc::clone(&name), partitions });
        RepartitionTopic { name }
    }

    /// Says that the topics of these sources belong together partition by partition, as the two
    /// sides of a join do: their counts must agree, and repartition topics follow.
    ///
    /// Groups that share a topic become one.
    ///
    /// ```
    /// use kstreams_core::serde::{U64, Utf8};
    /// use kstreams_topology::Topology;
    ///
    /// let mut topology = Topology::builder();
    /// let clicks = topology.source("clicks", "clicks", (Utf8, U64));
    /// let users = topology.source("users", "users", (Utf8, Utf8));
    /// topology.copartition([clicks.node(), users.node()]);
    /// # topology.build()?;
    /// # Ok::<(), kstreams_topology::TopologyErrors>(())
    /// ```
    pub fn copartition<N: Into<NodeRef>>(
        &mut self,
        sources: impl IntoIterator<Item = N>,
    ) -> &mut Self {
        self.draft.copartitions.push(sources.into_iter().map(Into::into).collect());
        self
    }

    /// The untyped door: nodes from factories, parents by name.
    pub fn by_name(&mut self) -> ByName<'_> {
        ByName::new(&mut self.draft)
    }

    /// Checks everything and makes the topology.
    ///
    /// ```
    /// use kstreams_core::serde::Utf8;
    /// use kstreams_topology::Topology;
    ///
    /// let mut topology = Topology::builder();
    /// topology.source("a", "input", (Utf8, Utf8));
    /// topology.source("a", "input", (Utf8, Utf8));
    /// let errors = topology.build().unwrap_err();
    /// assert_eq!(
    ///     errors.to_string(),
    ///     "the topology has 2 faults:\n  \
    ///      node a is added twice\n  \
    ///      topic input is read by source a and by source a"
    /// );
    /// ```
    ///
    /// # Errors
    /// All faults at once.
    pub fn build(self) -> Result<Topology, TopologyErrors> {
        let faults = validate::check(&self.draft);
        if faults.is_empty() {
            Ok(Topology::new(self.draft))
        } else {
            Err(TopologyErrors::new(faults))
        }
    }

    fn add<K, V>(&mut self, name: &str, parents: Vec<NodeRef>, kind: NodeKind) -> Handle<K, V> {
        let node = self.draft.node(name, parents, kind);
        Handle::new(self.draft.builder, node)
    }
}

impl Default for TopologyBuilder {
    fn default() -> Self {
        Self::new()
    }
}

fn refs<K, V>(parents: &[Handle<K, V>]) -> Vec<NodeRef> {
    parents.iter().map(NodeRef::from).collect()
}
