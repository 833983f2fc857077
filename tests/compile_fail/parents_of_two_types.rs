//! E0308: one processor behind parents of two types.

use kstreams::prelude::*;

pub fn topology() {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let numbers = topology.source("numbers", "more", (Utf8, U64));
    topology.processor("work", &[lines, numbers], || {
        |_: &mut Context<'_, (), ()>, _: Record<String, String>| -> Result { Ok(()) }
    });
}
