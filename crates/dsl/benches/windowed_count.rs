//! What does a windowed count on the DSL do on one thread? Run with `cargo bench -p kstreams-dsl`.
//!
//! Records lie on the embedded log; the test driver, which is a production worker, counts them by
//! key and window in a store in memory, with its changelog, and writes every update to a topic. No
//! record cache.

#![expect(clippy::print_stdout, reason = "a bench")]

use std::time::Duration;

use kstreams_core::Result;
use kstreams_core::record::Headers;
use kstreams_core::serde::{I64, Utf8};
use kstreams_core::time::{Clock, SystemClock, Timestamp};
use kstreams_dsl::{Materialized, Produced, StreamsBuilder, TimeWindowedSerde, TimeWindows};
use kstreams_runtime::Config;
use kstreams_runtime::testing::TestDriver;
use kstreams_runtime::transport::memory::NewRecord;

const N_ROUNDS: usize = 5;
const N_RECORDS: i64 = 1_000_000;
const N_KEYS: i64 = 1_000;
/// So long is a window; a record comes each millisecond.
const WINDOW: Duration = Duration::from_secs(60);

fn main() -> Result {
    let clock = SystemClock::new();
    for _ in 0..N_ROUNDS {
        let mut driver = TestDriver::new(topology()?, Config::new("app"))?;
        feed(&driver)?;
        let began = clock.monotonic();
        driver.settle()?;
        let took = clock.monotonic() - began;
        let n_counts = driver.log().records("counts").len();
        assert_eq!(n_counts as i64, N_RECORDS);
        println!("{:.0} records/s", N_RECORDS as f64 / took.as_secs_f64());
    }
    Ok(())
}

fn topology() -> Result<kstreams_topology::Topology> {
    let builder = StreamsBuilder::new();
    let windows = TimeWindows::of(WINDOW).grace(Duration::ZERO);
    let kept = Materialized::named("counts").in_memory();
    builder
        .stream::<String, String>("in")
        .group_by_key()
        .windowed_by(windows)
        .count(kept)
        .to_stream()
        .map_values(|count| count.unwrap_or_default())
        .to_with("counts", Produced::with(TimeWindowedSerde::new(Utf8, WINDOW), I64));
    Ok(builder.build()?)
}

fn feed(driver: &TestDriver) -> Result {
    let keys: Vec<String> = (0..N_KEYS).map(|key| format!("key-{key}")).collect();
    for number in 0..N_RECORDS {
        driver.log().produce_record(
            "in",
            &NewRecord {
                partition: Some(0),
                key: Some(keys[(number % N_KEYS) as usize].as_bytes()),
                value: Some(b"a value of a record, of some length"),
                timestamp: Timestamp::from_millis(number),
                headers: Headers::default(),
            },
        )?;
    }
    Ok(())
}
