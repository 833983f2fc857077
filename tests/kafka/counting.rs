//! Counts records per key in a RocksDB store: enough to see a record that is lost or repeated.

use kstreams::prelude::*;

/// From `input` to `output`, as `CountApp.java`.
pub(crate) fn counting(input: &str, output: &str) -> Topology {
    let mut topology = Topology::builder();
    let count = counted(&mut topology, input);
    topology.sink("counted", &[count], output, (Utf8, I64));
    topology.build().unwrap()
}

/// The counts of the keys of `input`, as they grow.
pub(crate) fn counted(topology: &mut TopologyBuilder, input: &str) -> Handle<String, i64> {
    let counts = topology.store(KeyValue::persistent("counts", Utf8, I64));
    let events = topology.source("events", input, (Utf8, Utf8));
    let id = counts.clone();
    let count =
        topology.processor("count", &[events], move || Count { id: id.clone(), counts: None });
    topology.connect(count, &counts);
    count
}

struct Count {
    id: StoreId<KeyValueStore<String, i64>>,
    counts: Option<Store<KeyValueStore<String, i64>>>,
}

impl Processor<String, String, String, i64> for Count {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, i64>) -> Result {
        self.counts = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, String, i64>,
        event: Record<String, String>,
    ) -> Result {
        let Some(counts) = &self.counts else { return Err("no store".into()) };
        let n = counts.get(&event.key)?.unwrap_or(0) + 1;
        counts.put(&event.key, &n)?;
        ctx.forward(event.with_value(n))
    }
}
