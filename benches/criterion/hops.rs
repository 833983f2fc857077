//! What does a hop cost, by chain length, fan-out and merge? Answer: docs/performance.md.
//!
//! `src/bin/hops.rs` asks the same on a machine that is busy with other things.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kstreams_benches::graphs::{Graph, feed_one};

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("hops");
    for graph in Graph::all() {
        let mut flow = graph.flow();
        // Elements are hops, so the report reads in time per hop.
        group.throughput(Throughput::Elements(graph.n_hops));
        group.bench_function(graph.name, |b| b.iter(|| feed_one(&mut flow)));
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
