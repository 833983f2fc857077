//! Streams and tables on the test driver: results, names and bytes.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod bad_input;
mod bytes;
mod cache;
mod cogroup;
mod foreign_key;
mod java;
mod java_steps;
mod names;
mod simulated;
mod stages;
mod stream_joins;
mod suppress;
mod tables;
mod versions;
mod window_kinds;
mod windows;

use kstreams_core::Result;
use kstreams_core::serde::Utf8;
use kstreams_dsl::StreamsBuilder;
use kstreams_runtime::Config;
use kstreams_runtime::testing::TestDriver;

/// Runs what was built.
pub(crate) fn drive(builder: StreamsBuilder) -> Result<TestDriver> {
    TestDriver::new(builder.build()?, Config::new("app"))
}

/// Pipes texts: topic, key, value, time.
pub(crate) fn pipe(driver: &mut TestDriver, records: &[(&str, &str, &str, i64)]) -> Result {
    for (topic, key, value, time) in records {
        let mut input = driver.input(topic, Utf8, Utf8);
        input.pipe_at((*key).to_owned(), (*value).to_owned(), *time)?;
    }
    Ok(())
}
