//! A table of a topic (`StreamsBuilder.table`).

use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::processor::Data;
use kstreams_core::serde::Nullable;
use kstreams_topology::Source;

use super::{KTable, SourceOrigin, TableSource};
use crate::options::{Consumed, Materialized};
use crate::plan::Kind;
use crate::{DefaultSerde, StreamsBuilder};

impl StreamsBuilder {
    /// A table of the latest value of each key in a topic; null values delete, null keys are
    /// skipped.
    ///
    /// Without a name (`()`) the table is kept only if something needs to look into it.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{Nullable, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// let users = builder.table::<String, String>("users", "users");
    /// users.to_stream().to("changes");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # let value = Nullable(Utf8);
    /// # driver.input("users", Utf8, value).pipe("u1".into(), Some("Ann".into()))?;
    /// # driver.input("users", Utf8, value).pipe("u1".into(), None)?;
    /// # let changes = driver.output("changes", Utf8, value).read_values()?;
    /// # assert_eq!(changes, [Some("Ann".to_owned()), None]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    ///
    /// # Differs from Kafka Streams
    /// An update older than the table's value is taken as there; it is logged for debugging, not
    /// warned of.
    pub fn table<K, V>(&self, topic: &str, store: impl Into<Materialized<K, V>>) -> KTable<K, V>
    where
        K: Data + DefaultSerde,
        V: Data + DefaultSerde,
    {
        self.table_with(topic, Consumed::default(), store)
    }

    /// As [`table`](Self::table), with serdes, a name or an offset reset. A rule for event time
    /// other than the default cannot be given, since it would see values without nulls.
    pub fn table_with<K: Data, V: Data>(
        &self,
        topic: &str,
        how: Consumed<K, V>,
        store: impl Into<Materialized<K, V>>,
    ) -> KTable<K, V> {
        let store = store.into();
        let topic: Arc<str> = topic.into();
        let mut plan = self.plan.borrow_mut();
        // The number of the store comes first, as in Kafka Streams.
        let named = store.name.is_some();
        let store_name = match &store.name {
            Some(name) => {
                plan.check_name(name);
                Arc::clone(name)
            }
            None => plan.new_store_name(&format!("{topic}-")),
        };
        let source = plan.suffixed_or(how.name.as_deref(), "-source", "KSTREAM-SOURCE-");
        let name = plan.name_or(how.name.as_deref(), "KTABLE-SOURCE-");
        let key = how.key.resolve(store.key.resolve(None).as_ref());
        let value = how.value.resolve(store.value.resolve(None).as_ref());
        let origin = SourceOrigin::new(Arc::clone(&store_name), named, store.history.is_some());
        if !named {
            plan.note_unnamed_if(&origin.materialized, "store", &store_name);
        }
        let (key_serde, value_serde, made) = (key.clone(), value.clone(), Rc::clone(&origin));
        let (reads, queryable) = (Arc::clone(&source), named.then(|| Arc::clone(&store_name)));
        let node = plan.add(name, &[], move |to, at| {
            let (Some(key), Some(value)) = (key_serde, value_serde) else { return };
            let mut from = Source::new(Nullable(key.clone()), Nullable(value.clone()));
            if let Some(reset) = how.reset {
                from = from.offset_reset(reset);
            }
            to.topology.source(&reads, topic.to_string(), from);
            let store_def = store.key_value_store(&store_name, key.clone(), value);
            let stores = if made.materialized.get() {
                to.store(&store_def);
                vec![store_name]
            } else {
                Vec::new()
            };
            let (kept, send_old) = (stores.first().cloned(), made.send_old.clone());
            to.processor(&at.name, &[reads], &stores, move || {
                TableSource::<K, V>::new(kept.clone(), &send_old, key.clone())
            });
            if to.reuse_source_topics && !stores.is_empty() {
                to.topology.restore_from_source(&stores[0], topic);
            }
        });
        plan.node(node).kind = Kind::Reader { source };
        drop(plan);
        KTable {
            plan: Rc::clone(&self.plan),
            node,
            sources: Rc::new([node]),
            key,
            value,
            store: queryable,
            origin,
        }
    }
}
