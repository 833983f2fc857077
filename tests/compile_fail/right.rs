//! Compiles: what the other files do wrongly, done right.

use kstreams::prelude::*;

struct Length;

impl Processor<String, String, String, u64> for Length {
    fn process(
        &mut self,
        ctx: &mut Context<'_, String, u64>,
        record: Record<String, String>,
    ) -> Result {
        ctx.forward(record.map_value(|text| text.len() as u64))
    }
}

struct Twice;

impl FixedKeyProcessor<String, u64, u64> for Twice {
    fn process(
        &mut self,
        ctx: &mut FixedKeyContext<'_, String, u64>,
        record: FixedKeyRecord<String, u64>,
    ) -> Result {
        ctx.forward(record.map_value(|n| n * 2))
    }
}

struct Keep(StoreId<KeyValueStore<String, u64>>);

impl Processor<String, u64, String, u64> for Keep {
    fn process(
        &mut self,
        ctx: &mut Context<'_, String, u64>,
        record: Record<String, u64>,
    ) -> Result {
        let store: Store<KeyValueStore<String, u64>> = ctx.store(&self.0)?;
        store.put(&record.key, &record.value)?;
        ctx.forward(record)
    }
}

pub fn topology() -> TopologyBuilder {
    let mut topology = Topology::builder();
    let id = topology.store(KeyValue::in_memory("store", Utf8, U64));
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let lengths = topology.processor("length", &[lines], || Length);
    let twice = topology.fixed_key_processor("twice", &[lengths], || Twice);
    let keep = topology.processor("keep", &[twice, lengths], move || Keep(id.clone()));
    topology.sink("sink", &[keep], "out", (Utf8, U64));
    topology
}
