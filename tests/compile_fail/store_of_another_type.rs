//! E0308: a store of numbers taken as a store of text.

use kstreams::prelude::*;

pub struct Keep {
    pub id: StoreId<KeyValueStore<String, u64>>,
    pub store: Option<Store<KeyValueStore<String, String>>>,
}

impl Processor<String, String, String, String> for Keep {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
        self.store = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, String, String>,
        record: Record<String, String>,
    ) -> Result {
        ctx.forward(record)
    }
}
