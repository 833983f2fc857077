//! Make one stream of two (`KStream.merge`).

use kstreams_core::flow::Next;
use kstreams_core::processor::Data;
use kstreams_core::record::Record;

use crate::KStream;
use crate::builder::check_same;
use crate::plan::{Kind, union};

impl<K: Data, V: Data> KStream<K, V> {
    /// The records of both streams; nothing is said about the order between the two.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// let east = builder.stream::<String, i64>("east");
    /// let west = builder.stream::<String, i64>("west");
    /// east.merge(&west).to("all");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("east", Utf8, I64).pipe("k".into(), 1)?;
    /// # driver.input("west", Utf8, I64).pipe("k".into(), 2)?;
    /// # assert_eq!(driver.output("all", Utf8, I64).read_values()?, [1, 2]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn merge(&self, other: &Self) -> Self {
        check_same(&self.plan, &other.plan, self.node);
        let mut plan = self.plan.borrow_mut();
        let name = plan.new_name("KSTREAM-MERGE-");
        // Merged with itself a stream is itself, as in Java: its node is one parent.
        let mut parents = vec![self.node, other.node];
        parents.dedup();
        let node = plan.add(name, &parents, move |to, at| {
            to.stage(at, || {
                |record: Record<K, V>, next: &mut Next<'_, '_, K, V>| next.pass(record)
            });
        });
        plan.node(node).kind = Kind::Merge;
        drop(plan);
        let sources = union(&self.sources, &other.sources);
        let rekeyed = self.rekeyed || other.rekeyed;
        Self::new(&self.plan, node, sources, rekeyed, None, None)
    }
}
