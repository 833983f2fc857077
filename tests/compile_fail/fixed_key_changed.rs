//! E0308: a fixed-key processor that forwards another key.

use kstreams::prelude::*;

struct Rekey;

impl FixedKeyProcessor<String, String, String> for Rekey {
    fn process(
        &mut self,
        ctx: &mut FixedKeyContext<'_, String, String>,
        record: FixedKeyRecord<String, String>,
    ) -> Result {
        ctx.forward(Record::new("another".to_owned(), record.value().clone(), record.timestamp()))
    }
}
