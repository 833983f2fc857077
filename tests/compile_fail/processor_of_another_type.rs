//! E0277: a processor of numbers behind a source of text.

use kstreams::prelude::*;

struct Double;

impl Processor<String, u64, String, u64> for Double {
    fn process(
        &mut self,
        ctx: &mut Context<'_, String, u64>,
        record: Record<String, u64>,
    ) -> Result {
        ctx.forward(record.map_value(|n| n * 2))
    }
}

pub fn topology() {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    topology.processor("double", &[lines], || Double);
}
