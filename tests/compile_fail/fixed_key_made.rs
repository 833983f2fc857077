//! E0423: a fixed-key record made by hand, with a key of one's own.

use kstreams::prelude::*;

pub fn made(record: Record<String, String>) -> FixedKeyRecord<String, String> {
    FixedKeyRecord(record)
}
