//! What does a record cost from source to sink on the embedded log? Answer: docs/performance.md.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kstreams::prelude::*;
use kstreams::time::{Clock, SystemClock};

/// Records of each run; the log is made anew for each, and that is not measured.
const N: u64 = 20_000;

fn driver(n_processors: usize) -> Result<TestDriver> {
    let mut topology = Topology::builder();
    let mut last = topology.source("source", "in", (ByteArray, ByteArray));
    for index in 0..n_processors {
        last = topology.processor(&format!("p{index}"), &[last], || {
            |ctx: &mut Context<'_, Vec<u8>, Vec<u8>>, r: Record<Vec<u8>, Vec<u8>>| ctx.forward(r)
        });
    }
    topology.sink("sink", &[last], "out", (ByteArray, ByteArray));
    let driver = TestDriver::new(topology.build()?, Config::new("pipeline"))?;
    for index in 0..N {
        let time = Timestamp::from_millis(index as i64);
        driver.log().produce("in", index.to_be_bytes(), [b'v'; 92], time)?;
    }
    Ok(driver)
}

fn bench(c: &mut Criterion) {
    let clock = SystemClock::new();
    let mut group = c.benchmark_group("source to sink on the embedded log");
    group.sample_size(10).throughput(Throughput::Elements(N));
    for n_processors in [0, 1, 10] {
        group.bench_function(format!("{n_processors} processors"), |b| {
            b.iter_custom(|n_iterations| {
                (0..n_iterations)
                    .map(|_| {
                        let mut driver = driver(n_processors).expect("the topology is in order");
                        let began = clock.monotonic();
                        driver.settle().expect("nothing fails");
                        let took = clock.monotonic() - began;
                        black_box(driver);
                        took
                    })
                    .sum()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
