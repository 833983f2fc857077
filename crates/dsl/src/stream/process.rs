//! Processors of your own in a stream (`KStream.process`, `processValues`).

use std::sync::Arc;

use kstreams_core::flow::NodeFactory;
use kstreams_core::processor::{Data, FixedKeyProcessor, Processor};
use kstreams_topology::StoreNames;

use crate::KStream;
use crate::plan::{Kind, NodeId};

impl<K: Data, V: Data> KStream<K, V> {
    /// Puts a processor of yours behind the stream; `supplier` makes one for each task. Since it
    /// may change the key, the stream is repartitioned before the next operator that needs its
    /// records by key.
    ///
    /// ```
    /// use kstreams_core::context::Context;
    /// use kstreams_core::record::Record;
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// builder
    ///     .stream::<String, i64>("in")
    ///     .process(|| {
    ///         |ctx: &mut Context<'_, String, i64>, record: Record<String, i64>| {
    ///             let late = record.timestamp < ctx.stream_time();
    ///             if late { Ok(()) } else { ctx.forward(record) }
    ///         }
    ///     })
    ///     .to("in-order");
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn process<P, K2: Data, V2: Data>(
        &self,
        supplier: impl Fn() -> P + Send + Sync + 'static,
    ) -> KStream<K2, V2>
    where
        P: Processor<K, V, K2, V2>,
    {
        self.process_with(supplier, [] as [&str; 0])
    }

    /// As [`process`](Self::process), with stores that the processor may use: those of
    /// [`add_store`](crate::StreamsBuilder::add_store) and those of tables.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use kstreams_core::context::{Context, Init};
    /// use kstreams_core::error::Result;
    /// use kstreams_core::processor::Processor;
    /// use kstreams_core::record::Record;
    /// use kstreams_core::serde::{I64, Utf8};
    /// use kstreams_core::store::StoreId;
    /// use kstreams_dsl::StreamsBuilder;
    /// use kstreams_state::{KeyValue, KeyValueStore};
    ///
    /// /// Passes on what differs from the last value of its key.
    /// struct Changes(StoreId<KeyValueStore<String, i64>>, Option<Arc<KeyValueStore<String, i64>>>);
    /// impl Processor<String, i64, String, i64> for Changes {
    ///     fn init(&mut self, ctx: &mut Init<'_, Self, String, i64>) -> Result {
    ///         self.1 = Some(ctx.store(&self.0)?);
    ///         Ok(())
    ///     }
    ///     fn process(
    ///         &mut self,
    ///         ctx: &mut Context<'_, String, i64>,
    ///         record: Record<String, i64>,
    ///     ) -> Result {
    ///         let Some(last) = &self.1 else { return Ok(()) };
    ///         if last.get(&record.key)? == Some(record.value) {
    ///             return Ok(());
    ///         }
    ///         last.put(&record.key, &record.value)?;
    ///         ctx.forward(record)
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// let last = builder.add_store(KeyValue::in_memory("last", Utf8, I64));
    /// let id = last.clone();
    /// builder
    ///     .stream::<String, i64>("in")
    ///     .process_with(move || Changes(id.clone(), None), &last)
    ///     .to("changes");
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # for n in [1, 1, 2] {
    /// #     driver.input("in", Utf8, I64).pipe("k".into(), n)?;
    /// # }
    /// # assert_eq!(driver.output("changes", Utf8, I64).read_values()?, [1, 2]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn process_with<P, K2: Data, V2: Data>(
        &self,
        supplier: impl Fn() -> P + Send + Sync + 'static,
        stores: impl StoreNames,
    ) -> KStream<K2, V2>
    where
        P: Processor<K, V, K2, V2>,
    {
        let factory = NodeFactory::processor(supplier);
        let node = self.own_node("KSTREAM-PROCESSOR-", factory, stores.store_names());
        self.behind(node, Kind::Processor, None, None)
    }

    /// Puts a processor of yours behind the stream that cannot change the key (KIP-820).
    ///
    /// ```
    /// use kstreams_core::context::FixedKeyContext;
    /// use kstreams_core::error::Result;
    /// use kstreams_core::processor::FixedKeyProcessor;
    /// use kstreams_core::record::FixedKeyRecord;
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// struct Length;
    /// impl FixedKeyProcessor<String, String, i64> for Length {
    ///     fn process(
    ///         &mut self,
    ///         ctx: &mut FixedKeyContext<'_, String, i64>,
    ///         record: FixedKeyRecord<String, String>,
    ///     ) -> Result {
    ///         ctx.forward(record.map_value(|text| text.len() as i64))
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<String, String>("in").process_values(|| Length).to("lengths");
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn process_values<P, V2: Data>(
        &self,
        supplier: impl Fn() -> P + Send + Sync + 'static,
    ) -> KStream<K, V2>
    where
        P: FixedKeyProcessor<K, V, V2>,
    {
        self.process_values_with(supplier, [] as [&str; 0])
    }

    /// As [`process_values`](Self::process_values), with stores that the processor may use.
    pub fn process_values_with<P, V2: Data>(
        &self,
        supplier: impl Fn() -> P + Send + Sync + 'static,
        stores: impl StoreNames,
    ) -> KStream<K, V2>
    where
        P: FixedKeyProcessor<K, V, V2>,
    {
        let factory = NodeFactory::fixed_key(supplier);
        let node = self.own_node("KSTREAM-PROCESSVALUES-", factory, stores.store_names());
        self.behind(node, Kind::ChangesValue, self.key.clone(), None)
    }

    fn own_node(&self, prefix: &str, factory: NodeFactory, stores: Vec<Arc<str>>) -> NodeId {
        let mut plan = self.plan.borrow_mut();
        let name = plan.new_name(prefix);
        let node = plan.add(name, &[self.node], move |to, at| {
            to.topology.by_name().processor(&at.name, &at.parents, factory);
            to.connect(&at.name, &stores);
        });
        plan.node(node).numbered_if_unnamed = true;
        node
    }
}
