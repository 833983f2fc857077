//! E0599: a fixed-key record that is given another key.

use kstreams::prelude::*;

pub fn changed(record: FixedKeyRecord<String, String>) -> FixedKeyRecord<String, String> {
    record.with_key("another".to_owned())
}
