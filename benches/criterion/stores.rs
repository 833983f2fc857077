//! What do reads and writes of a key-value store cost, in memory and in RocksDB? Answer:
//! docs/performance.md.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use kstreams::prelude::*;
use kstreams::random::Random;
use kstreams::state::testing::{TempDir, context};
use kstreams::store::{StateStore, StoreBuilder};

const N_KEYS: u64 = 100_000;
/// A commit comes after so many writes, as it does at 100 ms.
const N_PER_COMMIT: u64 = 10_000;

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("key-value store");
    let builders = [
        ("memory", KeyValue::in_memory("counts", U64, ByteArray)),
        #[cfg(feature = "rocksdb")]
        ("rocksdb", KeyValue::persistent("counts", U64, ByteArray)),
    ];
    for (name, builder) in builders {
        let dir = TempDir::new();
        let context = context(&builder, Some(dir.path()));
        let changes = context.changes.clone();
        let store = builder.build(context).expect("the folder is writable");
        let commit = |offset: u64| {
            if let Some(changes) = &changes {
                changes.with(|outbox| outbox.clear());
            }
            store.commit(Some(offset as i64)).expect("the disk has room");
        };
        let value = vec![b'v'; 92];
        for key in 0..N_KEYS {
            store.put(&key, &value).expect("it is open");
        }
        commit(0);
        let random = Random::seeded(1);
        group.bench_function(BenchmarkId::new("get", name), |b| {
            b.iter(|| black_box(store.get(&random.below(N_KEYS))));
        });
        let mut n = 0;
        group.bench_function(BenchmarkId::new("put, commits included", name), |b| {
            b.iter(|| {
                n += 1;
                if n % N_PER_COMMIT == 0 {
                    commit(n);
                }
                store.put(&random.below(N_KEYS), &value)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
