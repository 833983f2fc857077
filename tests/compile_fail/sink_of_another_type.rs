//! E0271: a sink whose serdes write numbers behind a source of text.

use kstreams::prelude::*;

pub fn topology() {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    topology.sink("sink", &[lines], "out", (Utf8, U64));
}
