//! Windows: which records they take, with which time, and what they write.

use std::time::Duration;

use kstreams_core::Result;
use kstreams_core::serde::{I64, Nullable, Utf8};
use kstreams_dsl::{
    Materialized, SessionWindowedSerde, SessionWindows, StreamsBuilder, TimeWindowedSerde,
    TimeWindows,
};
use kstreams_runtime::Config;
use kstreams_runtime::testing::TestDriver;

use crate::{drive, pipe};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Counts in windows: (start, count, time) of what comes out.
fn counts(windows: TimeWindows, times: &[i64]) -> Result<Vec<(i64, i64, i64)>> {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, String>("in").group_by_key();
    stream.windowed_by(windows).count("n").to_stream().to("out");
    let mut driver = drive(builder)?;
    for time in times {
        pipe(&mut driver, &[("in", "k", "v", *time)])?;
    }
    let out =
        driver.output("out", TimeWindowedSerde::new(Utf8, windows_size(windows)), I64).read()?;
    let out =
        out.iter().map(|r| (r.key.window.start.as_millis(), r.value, r.timestamp.as_millis()));
    Ok(out.collect())
}

fn windows_size(_: TimeWindows) -> Duration {
    ms(10)
}

#[test]
fn late_records_are_taken_until_the_grace_period_is_over() -> Result {
    let out = counts(TimeWindows::of(ms(10)).grace(ms(5)), &[1, 14, 9, 15, 8])?;
    // At 15, window [0, 10) is closed: the record of 8 is dropped. The time is the largest seen.
    assert_eq!(out, [(0, 1, 1), (10, 1, 14), (0, 2, 9), (10, 2, 15)]);
    Ok(())
}

#[test]
fn hopping_windows_overlap() -> Result {
    let out = counts(TimeWindows::of(ms(10)).advance_by(ms(5)), &[7, 12])?;
    assert_eq!(out, [(0, 1, 7), (5, 1, 7), (5, 2, 12), (10, 1, 12)]);
    Ok(())
}

#[test]
fn sessions_that_a_record_joins_become_one() -> Result {
    let builder = StreamsBuilder::new();
    builder
        .stream::<String, String>("in")
        .group_by_key()
        .sessions(SessionWindows::of(ms(5)).grace(ms(20)))
        .aggregate(
            String::new,
            |_, v, all| format!("{all}{v}"),
            |_, one, two| format!("{one}{two}"),
            "all",
        )
        .to_stream()
        .to("out");
    let mut driver = drive(builder)?;
    let steps =
        [("in", "k", "a", 1), ("in", "k", "c", 11), ("in", "k", "b", 6), ("in", "k", "z", 50)];
    pipe(&mut driver, &steps)?;
    // Stream time is 50, gap and grace 25: 20 is too late.
    pipe(&mut driver, &[("in", "k", "late", 20)])?;
    let out = driver.output("out", SessionWindowedSerde(Utf8), Nullable(Utf8)).read()?;
    let out: Vec<_> = out
        .iter()
        .map(|r| {
            let window = r.key.window;
            let value = r.value.as_deref().unwrap_or("-");
            (window.start.as_millis(), window.end.as_millis(), value, r.timestamp.as_millis())
        })
        .collect();
    assert_eq!(
        out,
        [
            (1, 1, "a", 1),
            (11, 11, "c", 11),
            (1, 1, "-", 1),
            (11, 11, "-", 11),
            (1, 11, "acb", 11),
            (50, 50, "z", 50),
        ]
    );
    Ok(())
}

#[test]
fn a_windowed_key_lies_where_its_key_lies() -> Result {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, String>("in");
    let windows = TimeWindows::of(ms(10)).grace(ms(30));
    stream.group_by_key().windowed_by(windows).count("n").to_stream().to("out");
    let mut driver = TestDriver::builder(builder.build()?, Config::new("app"))
        .partitions("in", 4)
        .partitions("out", 4)
        .build()?;
    for key in ["a", "b", "c", "d", "e"] {
        for time in [1, 11, 21] {
            pipe(&mut driver, &[("in", key, "v", time)])?;
        }
    }
    let out = driver.output("out", TimeWindowedSerde::new(Utf8, ms(10)), I64).read()?;
    assert_eq!(out.len(), 15);
    for record in out {
        let partition = kstreams_core::partition::partition_for(record.key.key.as_bytes(), 4);
        assert_eq!(record.partition, partition);
    }
    Ok(())
}

#[test]
fn a_window_that_a_store_cannot_keep_is_refused() {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, String>("in").group_by_key();
    let short = Materialized::named("short").retention(ms(5));
    stream.windowed_by(TimeWindows::of(ms(10))).count(short);
    stream.windowed_by(TimeWindows::of(ms(0))).count("none");
    stream.windowed_by(TimeWindows::of(ms(1)).advance_by(ms(2))).count("gaps");
    let errors = builder.build().unwrap_err();
    assert_eq!(errors.faults().len(), 3, "{errors}");
}
