//! Where streams and tables come from.

use std::any::TypeId;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::processor::{Data, Processor};
use kstreams_core::serde::Serde;
use kstreams_core::store::{StoreBuilder, StoreId};
use kstreams_topology::{Source, Topics, Topology};

use crate::options::Consumed;
use crate::plan::{BuildErrors, DslFault, Kind, Naming, NodeId, Plan, SharedPlan, StreamSource};
use crate::serdes::{Choice, SerdeOf};
use crate::{DefaultSerde, KStream};

/// Collects streams and tables, and makes a topology of them (`StreamsBuilder`).
///
/// ```
/// use kstreams_core::serde::{I64, Utf8};
/// use kstreams_dsl::StreamsBuilder;
/// use kstreams_runtime::Config;
/// use kstreams_runtime::testing::TestDriver;
///
/// let builder = StreamsBuilder::new();
/// builder
///     .stream::<String, String>("lines")
///     .flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
///     .group_by(|_, word| word.clone())
///     .count("counts")
///     .to_stream()
///     .to("word-counts");
///
/// let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
/// driver.input("lines", Utf8, Utf8).pipe("k".into(), "to be or not to be".into())?;
/// let counts = driver.output("word-counts", Utf8, I64).read_pairs()?;
/// assert_eq!(counts.last(), Some(&("be".to_owned(), 2)));
/// # Ok::<(), kstreams_core::Error>(())
/// ```
///
/// # Differs from Kafka Streams
/// Nothing throws while streams are built; [`build`](Self::build) reports every mistake at once.
/// Stores without a name are warned of, unless [`naming`](Self::naming) says otherwise.
pub struct StreamsBuilder {
    pub(crate) plan: SharedPlan,
}

impl StreamsBuilder {
    /// An empty one.
    pub fn new() -> Self {
        Self { plan: Rc::new(RefCell::new(Plan::new())) }
    }

    /// What to do about stores and internal topics without a name.
    pub fn naming(&self, naming: Naming) -> &Self {
        self.plan.borrow_mut().naming = naming;
        self
    }

    /// Lets tables be restored from their source topics, so that they need no changelog
    /// (`topology.optimization=reuse.ktable.source.topics`).
    ///
    /// Turning it on or off for an application that runs leaves its tables' old changelogs behind.
    pub fn reuse_table_source_topics(&self) -> &Self {
        self.plan.borrow_mut().reuse_source_topics = true;
        self
    }

    /// Sends a stream whose key was changed through one repartition topic, right behind the change,
    /// for all that need it by key (`topology.optimization=merge.repartition.topics`).
    ///
    /// Turning it on or off for an application that runs changes its repartition topics: let them
    /// run empty before.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.merge_repartition_topics();
    /// let by_word = builder.stream::<String, String>("words").select_key(|_, word| word.clone());
    /// by_word.group_by_key().count("counts");
    /// by_word.filter(|_, word| word.len() > 9).group_by_key().count("long");
    /// let text = builder.build()?.describe();
    /// assert_eq!(text.matches("Sink:").count(), 1);
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    ///
    /// # Differs from Kafka Streams
    /// Nothing is moved over `process`, `process_values` or a join with a global table: Java
    /// repartitions in front of them, by the keys from before and with the serdes from behind. Where
    /// it would repartition only some of the streams that are merged, nothing is changed here. It
    /// fails if two operators that need the key share one between them and the change, a filter say;
    /// here they share the topic.
    pub fn merge_repartition_topics(&self) -> &Self {
        self.plan.borrow_mut().merge_repartition_topics = true;
        self
    }

    /// Keeps the records of a stream that is joined with itself once
    /// (`topology.optimization=single.store.self.join`, KIP-862). As there, a left or outer join of a
    /// stream with itself then is an inner one: every record with a key joins itself at least. Records
    /// without a key, which the others let out alone, are dropped then.
    ///
    /// Turning it on or off for an application that runs leaves a store behind, or begins with an
    /// empty one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kstreams_dsl::{JoinWindows, StreamsBuilder};
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.single_store_self_joins();
    /// let events = builder.stream::<String, String>("events");
    /// let windows = JoinWindows::of(Duration::from_secs(60));
    /// events.join(&events, |_, one, two| format!("{one} {two}"), windows).to("pairs");
    /// let text = builder.build()?.describe();
    /// assert!(text.contains("KSTREAM-JOINTHIS-0000000003-store"));
    /// assert!(!text.contains("KSTREAM-JOINOTHER-0000000004-store"));
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn single_store_self_joins(&self) -> &Self {
        self.plan.borrow_mut().single_store_self_joins = true;
        self
    }

    /// Caches tables and aggregates, each in up to `bytes` per task: of several changes of a key
    /// between two commits, the last alone is written to the changelog and told
    /// (`statestore.cache.max.bytes`). [`Materialized`](crate::Materialized) decides for one store.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.cache(10 << 20);
    /// builder.stream::<String, String>("clicks").group_by_key().count("clicks-per-user");
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    ///
    /// As in Java, tables that are joined see what the other holds back: where both sides of a key
    /// are deleted between two commits, neither finds the other, and the joined table keeps what it had.
    /// Do without a cache in front of joins whose sides are deleted.
    ///
    /// # Differs from Kafka Streams
    /// Java caches unless told otherwise, and its threads share what they may hold. Sessions and
    /// sliding windows are not cached.
    pub fn cache(&self, bytes: usize) -> &Self {
        self.plan.borrow_mut().cache_bytes = Some(bytes);
        self
    }

    /// A stream of the records of one topic, several, or all that match a pattern.
    ///
    /// Types name what the topics hold: `Option<K>` where keys may be null, `Option<V>` where
    /// values may.
    ///
    /// # Differs from Kafka Streams
    /// A null that the type does not allow goes to the deserialization handler.
    pub fn stream<K, V>(&self, topics: impl Into<Topics>) -> KStream<K, V>
    where
        K: Data + DefaultSerde,
        V: Data + DefaultSerde,
    {
        self.stream_with(topics, Consumed::default())
    }

    /// As [`stream`](Self::stream), with serdes, a name, a rule for event time or an offset reset.
    pub fn stream_with<K: Data, V: Data>(
        &self,
        topics: impl Into<Topics>,
        how: Consumed<K, V>,
    ) -> KStream<K, V> {
        let topics = topics.into();
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(how.name.as_deref(), "KSTREAM-SOURCE-");
        let key = required(&mut plan, &name, "key", &how.key, None);
        let value = required(&mut plan, &name, "value", &how.value, None);
        let Consumed { reset, event_time, .. } = how;
        let kind = Kind::Source(StreamSource {
            topics: topics.clone(),
            reset,
            types: TypeId::of::<(K, V)>(),
        });
        let (key_serde, value_serde) = (key.clone(), value.clone());
        let node = plan.add(name, &[], move |to, at| {
            let (Some(key), Some(value)) = (key_serde, value_serde) else { return };
            let mut source = Source::new(key, value);
            if let Some(reset) = reset {
                source = source.offset_reset(reset);
            }
            if let Some(rule) = event_time {
                source = source.event_time(rule);
            }
            to.topology.source(&at.name, topics, source);
        });
        plan.node(node).kind = kind;
        drop(plan);
        KStream::new(&self.plan, node, Rc::new([node]), false, key, value)
    }

    /// Adds a store for processors of [`KStream::process`] and its kin.
    pub fn add_store<B: StoreBuilder>(&self, builder: B) -> StoreId<B::Store> {
        let id = StoreId::new(builder.name());
        let name = Arc::clone(id.name());
        self.plan.borrow_mut().add(name, &[], move |to, _| {
            to.topology.store(builder);
        });
        id
    }

    /// Adds a store that every instance holds whole, kept by a processor of yours that reads all
    /// of `topic`; every processor can read it (`addGlobalStore`).
    pub fn add_global_store<B, K, V, P>(
        &self,
        builder: B,
        topic: &str,
        how: Consumed<K, V>,
        supplier: impl Fn(&StoreId<B::Store>) -> P + Send + Sync + 'static,
    ) -> StoreId<B::Store>
    where
        B: StoreBuilder,
        K: Data,
        V: Data,
        P: Processor<K, V, (), ()>,
    {
        let id = StoreId::new(builder.name());
        let topic: Arc<str> = topic.into();
        let mut plan = self.plan.borrow_mut();
        let source = plan.suffixed_or(how.name.as_deref(), "-source", "KSTREAM-SOURCE-");
        let name = plan.name_or(how.name.as_deref(), "KTABLE-SOURCE-");
        let key = required(&mut plan, &name, "key", &how.key, None);
        let value = required(&mut plan, &name, "value", &how.value, None);
        plan.add(name, &[], move |to, at| {
            let (Some(key), Some(value)) = (key, value) else { return };
            let mut reads = Source::new(key, value);
            if let Some(rule) = how.event_time {
                reads = reads.event_time(rule);
            }
            to.topology.global_store(builder, &source, topic, reads, &at.name, supplier);
        });
        id
    }

    /// Makes the topology.
    ///
    /// # Errors
    /// All mistakes at once: those of operators, and those of the topology they became.
    ///
    /// ```
    /// use kstreams_dsl::{Naming, StreamsBuilder};
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.naming(Naming::Require);
    /// builder.stream::<String, String>("words").named("*").group_by_key().count(());
    /// let errors = builder.build().unwrap_err();
    /// assert_eq!(
    ///     errors.to_string(),
    ///     "the topology has 2 faults:\n  \
    ///      name `*` is illegal: it has a character other than ASCII letters, digits, `.`, `_` and \
    ///      `-`\n  \
    ///      names are required, but generated for: store KSTREAM-AGGREGATE-STATE-STORE-0000000001"
    /// );
    /// ```
    pub fn build(self) -> Result<Topology, BuildErrors> {
        self.plan.borrow_mut().lower()
    }
}

impl Default for StreamsBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for StreamsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_operators = self.plan.borrow().nodes.len();
        f.debug_struct("StreamsBuilder").field("n_operators", &n_operators).finish()
    }
}

/// The serde an operator must have; notes a fault if there is none.
pub(crate) fn required<T: 'static>(
    plan: &mut Plan,
    node: &str,
    part: &'static str,
    choice: &Choice<T>,
    inherited: Option<&SerdeOf<T>>,
) -> Option<SerdeOf<T>> {
    let serde = choice.resolve(inherited);
    if serde.is_none() {
        let of = std::any::type_name::<T>();
        plan.fault(DslFault::MissingSerde { node: node.to_owned(), part, of });
    }
    serde
}

/// Notes a fault if an operator is given something of another builder.
pub(crate) fn check_same(one: &SharedPlan, two: &SharedPlan, node: NodeId) {
    if !Rc::ptr_eq(one, two) {
        let node = one.borrow().name(node).to_string();
        one.borrow_mut().fault(DslFault::OtherBuilder { node });
    }
}

const _: () = {
    const fn serde<S: Serde>() {}
    serde::<SerdeOf<u8>>();
};
