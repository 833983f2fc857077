//! Look at records (`KStream.peek`, `foreach`).

use std::sync::Arc;

use kstreams_core::flow::Next;
use kstreams_core::processor::Data;
use kstreams_core::record::Record;

use crate::KStream;
use crate::plan::Kind;

impl<K: Data, V: Data> KStream<K, V> {
    /// Calls `action` for each record and passes it on unchanged.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<String, i64>("in").peek(|key, n| log::debug!("{key}: {n}")).to("out");
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    #[must_use]
    pub fn peek(&self, action: impl Fn(&K, &V) + Send + Sync + 'static) -> Self {
        let action = Arc::new(action);
        let node = self.stage("KSTREAM-PEEK-", move || {
            let action = Arc::clone(&action);
            move |record: Record<K, V>, next: &mut Next<'_, '_, K, V>| {
                action(&record.key, &record.value);
                next.pass(record)
            }
        });
        self.behind(node, Kind::Same, self.key.clone(), self.value.clone())
    }

    /// Calls `action` for each record; nothing comes behind it.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicI64, Ordering};
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let sum = Arc::new(AtomicI64::new(0));
    /// let total = Arc::clone(&sum);
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<String, i64>("in").for_each(move |_, n| {
    ///     total.fetch_add(*n, Ordering::Relaxed);
    /// });
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("in", Utf8, I64).pipe("k".into(), 5)?;
    /// # assert_eq!(sum.load(Ordering::Relaxed), 5);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn for_each(&self, action: impl Fn(&K, &V) + Send + Sync + 'static) {
        let action = Arc::new(action);
        self.stage("KSTREAM-FOREACH-", move || {
            let action = Arc::clone(&action);
            move |record: Record<K, V>, _: &mut Next<'_, '_, (), ()>| {
                action(&record.key, &record.value);
                Ok(())
            }
        });
    }
}
