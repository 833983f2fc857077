//! Group records for an aggregation (`KStream.groupByKey`, `groupBy`).

use std::rc::Rc;

use kstreams_core::processor::Data;

use crate::builder::required;
use crate::options::Grouped;
use crate::plan::Kind;
use crate::{DefaultSerde, KGroupedStream, KStream};

impl<K: Data, V: Data> KStream<K, V> {
    /// Groups the records by their key.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<String, String>("clicks").group_by_key().count("n").to_stream().to("n");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # for page in ["a", "b"] {
    /// #     driver.input("clicks", Utf8, Utf8).pipe("ann".into(), page.into())?;
    /// # }
    /// # assert_eq!(driver.output("n", Utf8, I64).read_values()?, [1, 2]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn group_by_key(&self) -> KGroupedStream<K, V>
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.group_by_key_with(Grouped::default())
    }

    /// As [`group_by_key`](Self::group_by_key), with serdes or a name.
    pub fn group_by_key_with(&self, grouped: Grouped<K, V>) -> KGroupedStream<K, V> {
        let mut plan = self.plan.borrow_mut();
        let name = plan.name(self.node);
        let key = required(&mut plan, &name, "key", &grouped.key, self.key.as_ref());
        KGroupedStream {
            plan: Rc::clone(&self.plan),
            node: self.node,
            sources: Rc::clone(&self.sources),
            rekeyed: self.rekeyed,
            name: grouped.name,
            key,
            value: grouped.value.resolve(self.value.as_ref()),
            repartitioned: Rc::default(),
        }
    }

    /// Groups the records by the key that `selector` gives them, through a repartition topic.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// builder
    ///     .stream::<String, String>("clicks")
    ///     .group_by(|_, page| page.clone())
    ///     .count("per-page");
    /// let topology = builder.build()?;
    /// assert!(topology.describe().contains("Sink: per-page-repartition-sink"));
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn group_by<K2>(
        &self,
        selector: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
    ) -> KGroupedStream<K2, V>
    where
        K2: Data + DefaultSerde,
        V: DefaultSerde,
    {
        self.group_by_with(selector, Grouped::default())
    }

    /// As [`group_by`](Self::group_by), with serdes or a name.
    pub fn group_by_with<K2: Data>(
        &self,
        selector: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
        grouped: Grouped<K2, V>,
    ) -> KGroupedStream<K2, V> {
        let node = self.select_key_node(grouped.name.as_deref(), selector);
        let rekeyed: KStream<K2, V> = self.behind(node, Kind::ChangesKey, None, self.value.clone());
        rekeyed.group_by_key_with(grouped)
    }
}
