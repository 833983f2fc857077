//! E0308: a processor that declares numbers and forwards text.

use kstreams::prelude::*;

pub struct Length;

impl Processor<String, String, String, u64> for Length {
    fn process(
        &mut self,
        ctx: &mut Context<'_, String, u64>,
        record: Record<String, String>,
    ) -> Result {
        ctx.forward(record)
    }
}
