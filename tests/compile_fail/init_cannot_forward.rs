//! E0599: a processor that forwards before there is a record.

use kstreams::prelude::*;

pub struct Early;

impl Processor<String, String, String, String> for Early {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
        ctx.forward(Record::new("k".to_owned(), "v".to_owned(), Timestamp::from_millis(0)))
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, String, String>,
        record: Record<String, String>,
    ) -> Result {
        ctx.forward(record)
    }
}
