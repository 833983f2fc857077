//! Keep some records (`KStream.filter`, `filterNot`).

use std::sync::Arc;

use kstreams_core::flow::Next;
use kstreams_core::processor::Data;
use kstreams_core::record::Record;

use crate::KStream;
use crate::plan::Kind;

impl<K: Data, V: Data> KStream<K, V> {
    /// Keeps the records for which `keep` is true.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<String, i64>("amounts").filter(|_, amount| *amount > 0).to("gains");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # for amount in [1, -2, 3] {
    /// #     driver.input("amounts", Utf8, I64).pipe("k".into(), amount)?;
    /// # }
    /// # assert_eq!(driver.output("gains", Utf8, I64).read_values()?, [1, 3]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn filter(&self, keep: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        let keep = Arc::new(keep);
        let node = self.stage("KSTREAM-FILTER-", move || {
            let keep = Arc::clone(&keep);
            move |record: Record<K, V>, next: &mut Next<'_, '_, K, V>| {
                if keep(&record.key, &record.value) { next.pass(record) } else { Ok(()) }
            }
        });
        self.behind(node, Kind::Same, self.key.clone(), self.value.clone())
    }

    /// Keeps the records for which `drop` is false.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<String, String>("lines").filter_not(|_, line| line.is_empty()).to("full");
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    pub fn filter_not(&self, drop: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.filter(move |key, value| !drop(key, value))
    }
}
