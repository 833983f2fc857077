//! What do a get and a put of a key-value store cost? Run with `cargo bench -p kstreams-state`.

#![expect(clippy::print_stdout, reason = "a bench")]

use kstreams_core::Result;
use kstreams_core::random::Random;
use kstreams_core::serde::{U64, Utf8};
use kstreams_core::store::{StateStore, StoreBuilder, StoreContext};
use kstreams_state::testing::{TempDir, context};
use kstreams_state::{KeyValue, KeyValueStore};

const KEYS: [u64; 2] = [1_000, 1_000_000];
const RECORDS: u64 = 2_000_000;
/// 100 ms at 700 000 records/s.
const COMMIT_EVERY: u64 = 70_000;

type Counts = KeyValueStore<String, u64>;

fn main() -> Result {
    println!("count by key, ns of CPU per record (one get, one put), commit every {COMMIT_EVERY}");
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let wanted = |what: &str| wanted.as_ref().is_none_or(|wanted| what.starts_with(&**wanted));
    for n_keys in KEYS {
        let dir = TempDir::new();
        if wanted("memory") {
            run("memory", n_keys, &KeyValue::in_memory("memory", Utf8, U64), &dir)?;
        }
        if wanted("rocksdb") {
            run("rocksdb", n_keys, &KeyValue::persistent("rocksdb", Utf8, U64), &dir)?;
        }
    }
    Ok(())
}

fn run(
    what: &str,
    n_keys: u64,
    builder: &impl StoreBuilder<Store = Counts>,
    dir: &TempDir,
) -> Result {
    for transactional in [false, true] {
        let context = StoreContext { transactional, ..context(builder, Some(dir.path())) };
        let store = builder.build(context.clone())?;
        let keys: Vec<String> = (0..n_keys).map(|n| format!("key-{n:07}")).collect();
        let fill = time(n_keys, || keys.iter().try_for_each(|key| store.put(key, &0)))?;
        commit(&store, &context, 0)?;
        let random = Random::seeded(1);
        let pick = || &keys[random.below(n_keys) as usize];
        let get =
            time(RECORDS / 2, || (0..RECORDS / 2).try_for_each(|_| store.get(pick()).map(drop)))?;
        let count = time(RECORDS, || {
            for n in 0..RECORDS {
                let key = pick();
                let count = store.get(key)?.unwrap_or_default();
                store.put(key, &(count + 1))?;
                if n % COMMIT_EVERY == 0 {
                    commit(&store, &context, n)?;
                }
            }
            Ok(())
        })?;
        let scan = time(n_keys, || store.all().try_for_each(|entry| entry.map(drop)))?;
        println!(
            "{what:8} {n_keys:8} keys, transactional {transactional:5}: \
             count {count:5.0}, get {get:5.0}, first put {fill:5.0}, scan {scan:5.0}"
        );
        store.wipe()?;
        store.close()?;
    }
    Ok(())
}

fn commit(store: &Counts, context: &StoreContext, offset: u64) -> Result {
    store.commit(Some(offset as i64))?;
    if let Some(changes) = &context.changes {
        changes.with(|outbox| outbox.clear());
    }
    Ok(())
}

fn time(n: u64, work: impl FnOnce() -> Result) -> Result<f64> {
    let start = cpu_time();
    work()?;
    Ok((cpu_time() - start) / n as f64)
}

/// Nanoseconds that this thread has had a CPU (Linux), so that a busy machine does not matter.
fn cpu_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(f64::NAN)
}
