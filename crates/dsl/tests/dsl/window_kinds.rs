//! Kinds of windows and when they are told, record by record as Kafka Streams 4.3.1 does it.

use std::time::Duration;

use kstreams_core::Result;
use kstreams_core::serde::{I64, Nullable, Utf8};
use kstreams_core::time::Timestamp;
use kstreams_dsl::{
    EmitStrategy, KTable, SessionWindows, SlidingWindows, StreamsBuilder, TimeWindowedSerde,
    TimeWindows, UnlimitedWindows, Windowed,
};
use kstreams_runtime::testing::TestDriver;

use crate::{drive, pipe};
use EmitStrategy::{OnWindowClose, OnWindowUpdate};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn append(_: &String, value: String, all: String) -> Option<String> {
    (value != "none").then(|| all + &value)
}

fn told(builder: StreamsBuilder, table: &KTable<Windowed<String>, String>) -> Result<TestDriver> {
    let name =
        |key: &Windowed<String>| format!("{}{}-{}", key.key, key.window.start, key.window.end);
    table.to_stream().select_key(move |key, _| name(key)).to("out");
    drive(builder)
}

fn sliding(emit: EmitStrategy) -> Result<TestDriver> {
    let builder = StreamsBuilder::new();
    let windows = SlidingWindows::of(ms(10)).grace(ms(20));
    let stream = builder.stream::<String, String>("in").group_by_key().windowed_by(windows);
    let table = stream.emit(emit).aggregate(String::new, append, "all");
    told(builder, &table)
}

fn sessions(emit: EmitStrategy) -> Result<TestDriver> {
    let builder = StreamsBuilder::new();
    let windows = SessionWindows::of(ms(5)).grace(ms(10));
    let stream = builder.stream::<String, String>("in").group_by_key().sessions(windows);
    let table = stream.emit(emit).aggregate(String::new, append, |_, a, b| a + &b, "all");
    told(builder, &table)
}

fn hopping(emit: EmitStrategy) -> Result<TestDriver> {
    let builder = StreamsBuilder::new();
    let windows = TimeWindows::of(ms(10)).advance_by(ms(5)).grace(ms(5));
    let stream = builder.stream::<String, String>("in").group_by_key().windowed_by(windows);
    let table = stream.emit(emit).aggregate(String::new, append, "all");
    told(builder, &table)
}

/// What a record of a key gives: window, value or `-`, time.
fn give(driver: &mut TestDriver, key: &str, value: &str, time: i64) -> Result<String> {
    pipe(driver, &[("in", key, value, time)])?;
    let out = driver.output("out", Utf8, Nullable(Utf8)).read()?;
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let out: Vec<String> =
        out.into_iter().map(|r| format!("{}={}@{}", r.key, text(r.value), r.timestamp)).collect();
    Ok(out.join(" "))
}

#[track_caller]
fn check(mut driver: TestDriver, steps: &[(&str, i64, &str)]) -> Result {
    for (value, time, expected) in steps {
        assert_eq!(give(&mut driver, "k", value, *time)?, *expected, "{value}");
    }
    Ok(())
}

#[test]
fn sliding_windows() -> Result {
    check(
        sliding(OnWindowUpdate)?,
        &[
            ("a", 5, "k0-10=a@5"),
            ("b", 12, "k6-16=b@12 k2-12=ab@12"),
            ("c", 14, "k6-16=bc@14 k13-23=c@14 k4-14=abc@14"),
            ("d", 13, "k13-23=cd@14 k6-16=bcd@14 k4-14=abcd@14 k3-13=abd@13 k14-24=c@14"),
            ("e", 30, "k20-30=e@30"),
            // Its own window is that behind the record of 14, too.
            ("f", 25, "k20-30=ef@30 k15-25=f@25 k15-25=f@25 k26-36=e@30"),
            ("g", 24, "k20-30=efg@30 k15-25=fg@25 k14-24=cg@24 k25-35=ef@30"),
            ("h", 24, "k20-30=efgh@30 k15-25=fgh@25 k14-24=cgh@24"),
            ("i", 1, "k0-10=ai@5"),
            ("j", 45, "k35-45=j@45"),
            ("k", 20, "k20-30=efghk@30 k15-25=fghk@25 k21-31=efgh@30"),
            ("l", 46, "k46-56=l@46 k36-46=jl@46"),
        ],
    )
}

#[test]
fn sliding_windows_on_close() -> Result {
    let closed = "k0-10=ai@5 k2-12=ab@12 k3-13=abd@13 k4-14=abcd@14 k6-16=bcd@14 k13-23=cd@14 \
                  k14-24=cgh@24";
    let mut steps = vec![("a", 5, ""), ("b", 12, ""), ("c", 14, ""), ("d", 13, ""), ("e", 30, "")];
    steps.extend([("f", 25, ""), ("g", 24, ""), ("h", 24, ""), ("i", 1, ""), ("j", 45, closed)]);
    steps.extend([("k", 20, ""), ("l", 46, "k15-25=fghk@25")]);
    check(sliding(OnWindowClose)?, &steps)
}

#[test]
fn sessions_on_update() -> Result {
    check(
        sessions(OnWindowUpdate)?,
        &[
            ("a", 5, "k5-5=a@5"),
            ("b", 12, "k12-12=b@12"),
            ("c", 14, "k12-12=-@12 k12-14=bc@14"),
            ("d", 13, "k12-14=-@14 k12-14=bcd@14"),
            ("e", 30, "k30-30=e@30"),
            ("f", 25, "k30-30=-@30 k25-30=ef@30"),
            ("g", 24, "k25-30=-@30 k24-30=efg@30"),
            ("h", 24, "k24-30=-@30 k24-30=efgh@30"),
            ("i", 1, ""),
            ("j", 45, "k45-45=j@45"),
            // The store does not show the session that ended at 30 any more.
            ("k", 20, ""),
            ("l", 46, "k45-45=-@45 k45-46=jl@46"),
        ],
    )
}

#[test]
fn sessions_on_close() -> Result {
    check(
        sessions(OnWindowClose)?,
        &[
            ("a", 5, ""),
            ("b", 12, ""),
            ("c", 14, ""),
            ("d", 13, ""),
            ("e", 30, "k5-5=a@5 k12-14=bcd@14"),
            ("f", 25, ""),
            ("g", 24, ""),
            ("h", 24, ""),
            ("i", 1, ""),
            ("j", 45, ""),
            ("k", 20, ""),
            ("l", 46, "k24-30=efgh@30"),
        ],
    )
}

#[test]
fn hopping_windows() -> Result {
    check(
        hopping(OnWindowUpdate)?,
        &[
            ("a", 5, "k0-10=a@5 k5-15=a@5"),
            ("b", 12, "k5-15=ab@12 k10-20=b@12"),
            ("e", 30, "k25-35=e@30 k30-40=e@30"),
            ("f", 25, "k20-30=f@25 k25-35=ef@30"),
            ("i", 1, ""),
        ],
    )
}

/// Time is counted anew behind a restart, so that a late record may be taken again: its window was
/// told, and is not told again.
#[test]
fn a_window_is_told_once_over_a_restart() -> Result {
    for (make, first, last) in [
        (hopping as fn(EmitStrategy) -> Result<TestDriver>, "b370-380=x@375", "a400-410=z@405"),
        (sliding, "b365-375=x@375", "a395-405=z@405"),
        (sessions, "b375-375=x@375", "a405-405=z@405"),
    ] {
        let mut driver = make(OnWindowClose)?;
        assert_eq!(give(&mut driver, "b", "x", 375)?, "");
        let told = give(&mut driver, "a", "z", 405)?;
        assert!(told.contains(first), "{told}");
        driver = driver.restart()?;
        assert_eq!(give(&mut driver, "b", "y", 375)?, "");
        let told = give(&mut driver, "a", "z", 505)?;
        assert!(told.contains(last) && !told.contains('b'), "{told}");
    }
    Ok(())
}

#[test]
fn hopping_windows_on_close() -> Result {
    check(
        hopping(OnWindowClose)?,
        &[
            ("a", 5, ""),
            ("b", 12, ""),
            ("c", 14, ""),
            ("d", 13, ""),
            ("e", 30, "k0-10=a@5 k5-15=abcd@14 k10-20=bcd@14"),
            ("f", 25, ""),
            ("g", 24, ""),
            ("h", 24, ""),
            ("i", 1, ""),
            ("j", 45, "k20-30=fgh@25 k25-35=ef@30 k30-40=e@30"),
            ("k", 20, ""),
        ],
    )
}

#[test]
fn closed_windows_come_out_by_start_then_key_and_not_if_deleted() -> Result {
    let mut driver = hopping(OnWindowClose)?;
    for (key, value, time) in [("b", "x", 1), ("a", "y", 2), ("c", "z", 2), ("c", "none", 3)] {
        assert_eq!(give(&mut driver, key, value, time)?, "");
    }
    assert_eq!(give(&mut driver, "k", "e", 15)?, "a0-10=y@2 b0-10=x@1");
    // A leap past everything that the store keeps loses nothing.
    assert_eq!(give(&mut driver, "k", "f", 1_000)?, "k10-20=e@15 k15-25=e@15");
    Ok(())
}

#[test]
fn a_restart_tells_no_window_twice_and_forgets_none() -> Result {
    for make in [hopping, sliding, sessions] {
        let mut driver = make(OnWindowClose)?;
        let mut told = Vec::new();
        for (value, time) in [("a", 5), ("b", 12), ("c", 14), ("d", 13), ("e", 30), ("j", 60)] {
            let out = give(&mut driver, "k", value, time)?;
            told.extend(out.split_whitespace().map(str::to_owned));
            driver = driver.restart()?;
        }
        // Time is forgotten with a restart: late records are taken, but tell nothing old again.
        assert_eq!(give(&mut driver, "k", "late", 6)?, "");
        let mut undisturbed = make(OnWindowClose)?;
        let mut expected = Vec::new();
        for (value, time) in [("a", 5), ("b", 12), ("c", 14), ("d", 13), ("e", 30), ("j", 60)] {
            let out = give(&mut undisturbed, "k", value, time)?;
            expected.extend(out.split_whitespace().map(str::to_owned));
        }
        assert_eq!(told, expected);
    }
    Ok(())
}

#[test]
fn sliding_windows_skip_null_values_and_the_end_of_time() -> Result {
    let builder = StreamsBuilder::new();
    let windows = SlidingWindows::of(ms(10));
    let stream = builder.stream::<String, Option<String>>("in").group_by_key();
    stream.windowed_by(windows).count("n").to_stream().to("out");
    let mut driver = drive(builder)?;
    let mut input = driver.input("in", Utf8, Nullable(Utf8));
    input.pipe_at("k".into(), None, 20)?;
    input.pipe_at("k".into(), Some("a".into()), i64::MAX - 10)?;
    input.pipe_at("k".into(), Some("a".into()), i64::MAX)?;
    let serde = TimeWindowedSerde::new(Utf8, ms(10));
    let out = driver.output("out", serde, I64).read()?;
    let starts: Vec<i64> = out.iter().map(|r| r.key.window.start.as_millis()).collect();
    // Java's sum of time and difference wraps for the last record: it is skipped.
    assert_eq!(starts, [i64::MAX - 20]);
    Ok(())
}

#[test]
fn the_unlimited_window_takes_all_from_its_start() -> Result {
    let builder = StreamsBuilder::new();
    let windows = UnlimitedWindows::of().start_on(Timestamp::from_millis(10));
    let stream = builder.stream::<String, String>("in").group_by_key();
    let table = stream.windowed_by(windows).aggregate(String::new, append, "all");
    let mut driver = told(builder, &table)?;
    let forever = i64::MAX;
    for (value, time, expected) in [
        ("a", 9, String::new()),
        ("b", 10, format!("k10-{forever}=b@10")),
        ("c", 5_000_000, format!("k10-{forever}=bc@5000000")),
        ("d", 11, format!("k10-{forever}=bcd@5000000")),
    ] {
        assert_eq!(give(&mut driver, "k", value, time)?, expected);
    }
    driver = driver.restart()?;
    assert_eq!(give(&mut driver, "k", "e", 12)?, format!("k10-{forever}=bcde@5000000"));
    Ok(())
}

#[test]
fn a_window_without_an_end_never_closes() {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, String>("in").group_by_key();
    stream.windowed_by(UnlimitedWindows::of()).emit(OnWindowClose).count("n");
    let errors = builder.build().unwrap_err().to_string();
    assert!(errors.contains("a window without an end never closes"), "{errors}");
}
