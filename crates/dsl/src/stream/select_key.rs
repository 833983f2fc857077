//! Give each record another key (`KStream.selectKey`).

use std::sync::Arc;

use kstreams_core::flow::Next;
use kstreams_core::processor::Data;
use kstreams_core::record::Record;

use crate::KStream;
use crate::plan::{Kind, NodeId};

impl<K: Data, V: Data> KStream<K, V> {
    /// Gives each record another key; the stream is repartitioned before the next operator that
    /// needs its records by key.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<String, i64>("in").select_key(|_, n| n % 10).to("by-last-digit");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("in", Utf8, I64).pipe("k".into(), 42)?;
    /// # assert_eq!(driver.output("by-last-digit", I64, I64).read_pairs()?, [(2, 42)]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn select_key<K2: Data>(
        &self,
        selector: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
    ) -> KStream<K2, V> {
        let node = self.select_key_node(None, selector);
        self.behind(node, Kind::ChangesKey, None, self.value.clone())
    }

    pub(super) fn select_key_node<K2: Data>(
        &self,
        name: Option<&str>,
        selector: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
    ) -> NodeId {
        let selector = Arc::new(selector);
        let node = self.stage("KSTREAM-KEY-SELECT-", move || {
            let selector = Arc::clone(&selector);
            move |record: Record<K, V>, next: &mut Next<'_, '_, K2, V>| {
                let key = selector(&record.key, &record.value);
                next.pass(record.with_key(key))
            }
        });
        if let Some(name) = name {
            self.plan.borrow_mut().rename(node, name);
        }
        node
    }
}
