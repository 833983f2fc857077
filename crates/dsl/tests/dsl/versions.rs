//! Versioned tables, step by step as Kafka Streams 4.3.1 treats them.

use std::time::Duration;

use kstreams_core::Result;
use kstreams_core::serde::{I64, Nullable, Utf8};
use kstreams_dsl::{
    BufferConfig, Consumed, Joined, KTable, Materialized, StreamsBuilder, Suppressed,
};
use kstreams_runtime::testing::TestDriver;

use crate::drive;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn versioned(builder: &StreamsBuilder, topic: &str) -> KTable<String, String> {
    let store = Materialized::named(&format!("{topic}-s")).versioned(ms(100));
    builder.table(topic, store)
}

fn part(part: Option<&String>) -> &str {
    part.map_or("null", |part| part)
}

fn step(driver: &mut TestDriver, topic: &str, value: &str, time: i64) -> Result<String> {
    let given = (value != "-").then(|| value.to_owned());
    driver.input(topic, Utf8, Nullable(Utf8)).pipe_at("k".into(), given, time)?;
    let out = driver.output("out", Utf8, Nullable(Utf8)).read()?;
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let out: Vec<String> =
        out.into_iter().map(|r| format!("{}@{}", text(r.value), r.timestamp)).collect();
    Ok(out.join(" "))
}

#[track_caller]
fn check(builder: StreamsBuilder, steps: &[(&str, &str, i64, &str)]) -> Result {
    let mut driver = drive(builder)?;
    for (topic, value, time, expected) in steps {
        assert_eq!(step(&mut driver, topic, value, *time)?, *expected, "{topic} {value} {time}");
        driver = driver.restart()?;
    }
    Ok(())
}

/// A stream `in` that tells what a versioned table `t` was at its time.
fn looked_up() -> StreamsBuilder {
    let builder = StreamsBuilder::new();
    let table = versioned(&builder, "t");
    let stream = builder.stream::<String, String>("in");
    stream.left_join_table(&table, |_, v, t| format!("{v}{}", part(t))).to("out");
    builder
}

/// Java's store keeps nothing of a tombstone at the very time of the value that it deletes, and would
/// answer `ay`.
#[test]
fn a_tombstone_at_the_time_of_its_value_is_remembered() -> Result {
    let steps =
        [("t", "x", 1, ""), ("t", "-", 1, ""), ("t", "y", 0, ""), ("in", "a", 1, "anull@1")];
    check(looked_up(), &steps)
}

#[test]
fn a_stream_meets_what_the_table_was_at_its_time() -> Result {
    check(
        looked_up(),
        &[
            ("in", "a", 5, "anull@5"),
            ("t", "x", 10, ""),
            ("t", "y", 20, ""),
            ("in", "b", 12, "bx@12"),
            ("in", "c", 25, "cy@25"),
            ("t", "-", 15, ""),
            ("in", "d", 17, "dnull@17"),
            ("t", "z", 300, ""),
            // More than the history ago: nothing is known.
            ("in", "e", 12, "enull@12"),
            ("t", "late", 150, ""),
            ("in", "f", 160, "fnull@160"),
        ],
    )
}

fn waiting(builder: &StreamsBuilder) {
    let table = versioned(builder, "t");
    let how = Joined::named("j").grace(ms(10));
    let stream = builder.stream::<String, String>("in");
    stream.left_join_table_with(&table, |_, v, t| format!("{v}{}", part(t)), how).to("out");
}

const WAITING: [(&str, &str, i64, &str); 9] = [
    ("t", "x", 10, ""),
    ("in", "a", 12, ""),
    ("in", "b", 30, "ax@12"),
    ("t", "y", 18, ""),
    ("in", "c", 25, ""),
    // Later than the grace period, or just in time: joined at once.
    ("in", "d", 19, "dy@19"),
    ("in", "e", 20, "ey@20"),
    ("in", "f", 41, "cy@25 by@30"),
    ("in", "g", 60, "fy@41"),
];

#[test]
fn records_wait_for_late_updates() -> Result {
    let builder = StreamsBuilder::new();
    waiting(&builder);
    let mut driver = drive(builder)?;
    for (topic, value, time, expected) in WAITING {
        assert_eq!(step(&mut driver, topic, value, time)?, expected, "{topic} {value} {time}");
    }
    Ok(())
}

#[test]
fn what_waits_survives_a_restart_in_its_order() -> Result {
    let builder = StreamsBuilder::new();
    waiting(&builder);
    let mut driver = drive(builder)?;
    for (value, time) in [("a", 12), ("b", 12), ("c", 11)] {
        assert_eq!(step(&mut driver, "in", value, time)?, "");
        driver = driver.restart()?;
    }
    assert_eq!(step(&mut driver, "t", "x", 11)?, "");
    assert_eq!(step(&mut driver, "in", "d", 40)?, "cx@11 ax@12 bx@12");
    Ok(())
}

#[test]
fn what_waits_is_logged_by_time() -> Result {
    let builder = StreamsBuilder::new();
    waiting(&builder);
    let mut driver = drive(builder)?;
    step(&mut driver, "in", "a", 12)?;
    step(&mut driver, "in", "b", 30)?;
    let records = driver.log().records("app-j-Buffer-changelog");
    let keys: Vec<&[u8]> = records.iter().filter_map(|r| r.key.as_deref()).collect();
    let (first, second) =
        (&b"\0\0\0\0\0\0\0\0\x0ck\0\0\0\x01"[..], &b"\0\0\0\0\0\0\0\0\x1ek\0\0\0\x02"[..]);
    assert_eq!(keys, [first, second, first]);
    let value = b"\0\0\0\0\0\0\0\x0c\0\0\0\0\0\0\0\0\0\0\0\x02in\0\0\0\0\0\0\0\0\
        \xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x01a\0\0\0\0\0\0\0\0";
    assert_eq!(records[0].value.as_deref(), Some(&value[..]));
    assert!(records[2].value.is_none());
    Ok(())
}

#[test]
fn joins_of_tables_leave_out_what_comes_behind() -> Result {
    let builder = StreamsBuilder::new();
    let (left, right) = (versioned(&builder, "l"), versioned(&builder, "t"));
    left.join(&right, |_, l, r| format!("{l}{r}")).to_stream().to("out");
    check(
        builder,
        &[
            ("l", "a", 10, ""),
            ("t", "x", 12, "ax@12"),
            ("l", "b", 8, ""),
            ("t", "y", 11, ""),
            ("t", "z", 20, "az@20"),
            ("l", "-", 5, ""),
            ("l", "c", 30, "cz@30"),
            ("t", "w", 500, "cw@500"),
            ("t", "v", 300, ""),
        ],
    )
}

#[test]
fn filters_and_maps_let_versions_pass() -> Result {
    let builder = StreamsBuilder::new();
    let table = versioned(&builder, "t").filter(|_, v| v.len() > 1);
    table.map_values(|v| v + "!").to_stream().to("out");
    check(
        builder,
        &[
            ("t", "aa", 10, "aa!@10"),
            ("t", "b", 5, "-@5"),
            ("t", "c", 20, "-@20"),
            ("t", "dd", 15, "dd!@15"),
            ("t", "e", 30, "-@30"),
        ],
    )
}

#[test]
fn aggregates_are_of_the_latest_versions() -> Result {
    let builder = StreamsBuilder::new();
    let table = versioned(&builder, "t").group_by(|_, v| (v.clone(), v.clone()));
    table.count("n").to_stream().to("out");
    let mut driver = drive(builder)?;
    let mut out = Vec::new();
    for (value, time) in [("a", 10), ("b", 5), ("c", 20), ("a", 15)] {
        driver.input("t", Utf8, Utf8).pipe_at("k".into(), value.into(), time)?;
        let counts = driver.output("out", Utf8, I64).read()?;
        out.extend(counts.into_iter().map(|r| format!("{}={}@{}", r.key, r.value, r.timestamp)));
    }
    assert_eq!(out, ["a=1@10", "a=0@20", "c=1@20"]);
    Ok(())
}

#[test]
fn what_versions_do_not_go_with_is_refused() {
    let builder = StreamsBuilder::new();
    let table = versioned(&builder, "t").filter(|_, _| true);
    table.suppress(Suppressed::until_time_limit(ms(1), BufferConfig::unbounded()));
    let store = Materialized::named("g").versioned(ms(1));
    builder.global_table_with("g", Consumed::<String, String>::default(), store);
    let plain = builder.table::<String, String>("p", ());
    let stream = builder.stream::<String, String>("in");
    stream.join_table_with(&plain, |_, v, _| v.clone(), Joined::named("j").grace(ms(1)));
    let errors = builder.build().unwrap_err();
    assert_eq!(errors.faults().len(), 3, "{errors}");
}
