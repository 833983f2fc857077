//! Suppression: what is held back, until when, with which bytes, and after a restart.

use std::time::Duration;

use kstreams_core::Result;
use kstreams_core::record::{Headers, Record};
use kstreams_core::serde::{Nullable, Utf8};
use kstreams_core::time::Timestamp;
use kstreams_dsl::{
    BufferConfig, KTable, SessionWindowedSerde, SessionWindows, StreamsBuilder, Suppressed,
    TimeWindowedSerde, TimeWindows,
};
use kstreams_runtime::testing::TestDriver;
use kstreams_runtime::transport::memory::NewRecord;

use crate::{drive, pipe};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What came out of `out`: key, value or `-`, time.
fn out(driver: &mut TestDriver) -> Result<Vec<String>> {
    let out = driver.output("out", Utf8, Nullable(Utf8)).read()?;
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    Ok(out.into_iter().map(|r| format!("{}={}@{}", r.key, text(r.value), r.timestamp)).collect())
}

/// A table `t` behind a suppression; `-` deletes.
fn held(how: Suppressed<String, String>) -> Result<TestDriver> {
    let builder = StreamsBuilder::new();
    builder.table::<String, String>("t", ()).suppress(how).to_stream().to("out");
    drive(builder)
}

fn update(driver: &mut TestDriver, records: &[(&str, &str, i64)]) -> Result {
    for (key, value, time) in records {
        let value = (*value != "-").then(|| (*value).to_owned());
        driver.input("t", Utf8, Nullable(Utf8)).pipe_at((*key).to_owned(), value, *time)?;
    }
    Ok(())
}

#[test]
fn the_last_change_comes_out_at_the_time_of_the_first() -> Result {
    let mut driver = held(Suppressed::until_time_limit(ms(10), BufferConfig::unbounded()))?;
    update(&mut driver, &[("a", "1", 5), ("b", "1", 7), ("a", "2", 9), ("c", "1", 14)])?;
    assert!(out(&mut driver)?.is_empty());
    // At 15, what came at 5 is due; it has the time of its last change.
    update(&mut driver, &[("c", "2", 15)])?;
    assert_eq!(out(&mut driver)?, ["a=2@9"]);
    // Tombstones come out as well; late records do not move time.
    update(&mut driver, &[("b", "-", 1), ("d", "1", 30)])?;
    assert_eq!(out(&mut driver)?, ["b=-@1", "c=2@15"]);
    Ok(())
}

#[test]
fn equal_times_come_out_by_key() -> Result {
    let mut driver = held(Suppressed::until_time_limit(ms(10), BufferConfig::unbounded()))?;
    update(&mut driver, &[("b", "1", 5), ("a", "1", 5), ("c", "1", 15)])?;
    assert_eq!(out(&mut driver)?, ["a=1@5", "b=1@5"]);
    Ok(())
}

#[test]
fn a_wait_without_time_holds_nothing_back_but_late_records_of_other_keys() -> Result {
    let mut driver = held(Suppressed::until_time_limit(ms(0), BufferConfig::unbounded()))?;
    update(&mut driver, &[("a", "1", 5), ("a", "2", 5), ("b", "1", 3)])?;
    assert_eq!(out(&mut driver)?, ["a=1@5", "a=2@5", "b=1@3"]);
    Ok(())
}

#[test]
fn the_limits_of_time_do_not_overflow() -> Result {
    let forever = Duration::from_millis(i64::MAX as u64);
    let mut driver = held(Suppressed::until_time_limit(forever, BufferConfig::unbounded()))?;
    update(&mut driver, &[("a", "1", 0), ("b", "1", i64::MAX - 1)])?;
    assert!(out(&mut driver)?.is_empty());
    update(&mut driver, &[("b", "2", i64::MAX)])?;
    assert_eq!(out(&mut driver)?, ["a=1@0"]);
    Ok(())
}

#[test]
fn a_full_buffer_emits_the_oldest_early() -> Result {
    let mut driver = held(Suppressed::until_time_limit(ms(100), BufferConfig::max_records(2)))?;
    update(&mut driver, &[("a", "1", 5), ("b", "1", 6), ("a", "2", 7), ("c", "1", 8)])?;
    assert_eq!(out(&mut driver)?, ["a=2@7"]);

    // Two entries of 8 + 1 + 1 + 8 + 8 + 1 + 4 bytes fit, three do not.
    let bytes = BufferConfig::max_bytes(62);
    let mut driver = held(Suppressed::until_time_limit(ms(100), bytes))?;
    update(&mut driver, &[("a", "1", 5), ("b", "1", 6)])?;
    assert!(out(&mut driver)?.is_empty());
    update(&mut driver, &[("c", "1", 7)])?;
    assert_eq!(out(&mut driver)?, ["a=1@5"]);
    Ok(())
}

#[test]
fn a_full_strict_buffer_fails() -> Result {
    let strict = BufferConfig::max_records(1).shut_down_when_full();
    let mut driver = held(Suppressed::until_time_limit(ms(100), strict).name("hold"))?;
    update(&mut driver, &[("a", "1", 5)])?;
    let error = update(&mut driver, &[("b", "1", 6)]).unwrap_err().to_string();
    assert!(error.contains("hold-store"), "{error}");
    assert!(error.contains("2 of at most 1 records"), "{error}");
    Ok(())
}

/// Texts per window of ten, taken until five after its end, then suppressed.
fn windows() -> Result<TestDriver> {
    let builder = StreamsBuilder::new();
    let windows = TimeWindows::of(ms(10)).grace(ms(5));
    builder
        .stream::<String, String>("in")
        .group_by_key()
        .windowed_by(windows)
        .aggregate(String::new, |_, v, all| (v != "none").then(|| all + &v), "all")
        .suppress(Suppressed::until_window_closes(BufferConfig::unbounded()))
        .to_stream()
        .map(|key, value| (format!("{}{}", key.key, key.window.start), value))
        .to("out");
    drive(builder)
}

#[test]
fn a_window_comes_out_once_when_it_takes_no_more_records() -> Result {
    let mut driver = windows()?;
    pipe(&mut driver, &[("in", "k", "a", 1), ("in", "k", "b", 14), ("in", "k", "c", 9)])?;
    assert!(out(&mut driver)?.is_empty());
    // Of another key, on the closing time of the first window.
    pipe(&mut driver, &[("in", "z", "d", 15)])?;
    assert_eq!(out(&mut driver)?, ["k0=ac@9"]);
    pipe(&mut driver, &[("in", "k", "late", 3), ("in", "z", "e", 40)])?;
    assert_eq!(out(&mut driver)?, ["k10=b@14", "z10=d@15"]);
    Ok(())
}

#[test]
fn a_window_that_was_deleted_is_not_told() -> Result {
    let mut driver = windows()?;
    pipe(&mut driver, &[("in", "k", "a", 1), ("in", "k", "none", 2), ("in", "z", "b", 40)])?;
    assert!(out(&mut driver)?.is_empty());
    Ok(())
}

#[test]
fn what_is_held_back_survives_a_restart_but_the_time_seen_does_not() -> Result {
    let mut driver = windows()?;
    pipe(&mut driver, &[("in", "k", "a", 1), ("in", "k", "b", 12)])?;
    driver = driver.restart()?;
    // Time begins anew with the next record, as in Kafka Streams.
    pipe(&mut driver, &[("in", "k", "c", 2)])?;
    assert!(out(&mut driver)?.is_empty());
    pipe(&mut driver, &[("in", "k", "d", 40)])?;
    assert_eq!(out(&mut driver)?, ["k0=ac@2", "k10=b@12"]);
    driver = driver.restart()?;
    pipe(&mut driver, &[("in", "k", "e", 70)])?;
    assert_eq!(out(&mut driver)?, ["k40=d@40"]);
    Ok(())
}

#[test]
fn a_session_waits_for_its_gap_and_grace() -> Result {
    let builder = StreamsBuilder::new();
    builder
        .stream::<String, String>("in")
        .group_by_key()
        .sessions(SessionWindows::of(ms(5)).grace(ms(10)))
        .reduce(|a, b| a + &b, "all")
        .suppress(Suppressed::until_window_closes(BufferConfig::unbounded()))
        .to_stream()
        .to("out");
    let mut driver = drive(builder)?;
    let steps = [("in", "k", "a", 1), ("in", "k", "b", 4), ("in", "z", "c", 18)];
    pipe(&mut driver, &steps)?;
    let serde = || (SessionWindowedSerde(Utf8), Nullable(Utf8));
    let (key, value) = serde();
    assert!(driver.output("out", key, value).read()?.is_empty());
    pipe(&mut driver, &[("in", "z", "d", 19)])?;
    let (key, value) = serde();
    // The session that was merged away is deleted before anybody saw it.
    assert_eq!(driver.output("out", key, value).read_values()?, [Some("ab".to_owned())]);
    Ok(())
}

#[test]
fn the_changelog_is_that_of_java() -> Result {
    let mut driver = held(Suppressed::until_time_limit(ms(10), BufferConfig::unbounded()))?;
    let mut headers = Headers::default();
    headers.push("h", Some(b"x"));
    let record = |value: &str, time| {
        Record::new("k".to_owned(), value.to_owned(), Timestamp::from_millis(time))
    };
    driver.input("t", Utf8, Utf8).pipe_record(record("v", 5).with_headers(headers))?;
    driver.input("t", Utf8, Utf8).pipe_record(record("w", 16))?;
    let topic = "app-KTABLE-SUPPRESS-STATE-STORE-0000000004-changelog";
    let records = driver.log().records(topic);
    let values: Vec<Option<&[u8]>> = records.iter().map(|r| r.value.as_deref()).collect();
    let first = b"\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\x01t\0\0\0\0\
        \0\0\0\x01\0\0\0\x01h\0\0\0\x01x\
        \xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x01v\0\0\0\0\0\0\0\x05";
    // What is put and emitted between two commits is a tombstone.
    assert_eq!(values, [Some(&first[..]), None]);
    assert_eq!(records[0].headers.last("v"), Some(Some(&[3][..])));
    assert!(records[1].headers.is_empty());
    assert_eq!(driver.output("out", Utf8, Utf8).read_values()?, ["w"]);
    Ok(())
}

#[test]
fn whoever_looks_in_sees_what_was_told_last() -> Result {
    let builder = StreamsBuilder::new();
    let how = Suppressed::until_time_limit(ms(10), BufferConfig::unbounded());
    let held: KTable<String, String> = builder.table("t", ()).suppress(how);
    builder
        .stream::<String, String>("in")
        .left_join_table(&held, |_, v, t: Option<&String>| format!("{v}{t:?}"))
        .to("joined");
    let mut driver = drive(builder)?;
    let look = |driver: &mut TestDriver| -> Result<Vec<String>> {
        driver.input("in", Utf8, Utf8).pipe_at("a".into(), "?".into(), 0)?;
        driver.output("joined", Utf8, Utf8).read_values()
    };
    update(&mut driver, &[("a", "1", 5)])?;
    assert_eq!(look(&mut driver)?, ["?None"]);
    update(&mut driver, &[("b", "1", 15), ("a", "2", 16)])?;
    assert_eq!(look(&mut driver)?, ["?Some(\"1\")"]);
    update(&mut driver, &[("b", "2", 26)])?;
    assert_eq!(look(&mut driver)?, ["?Some(\"2\")"]);
    Ok(())
}

#[test]
fn names_are_those_of_java() -> Result {
    let builder = StreamsBuilder::new();
    let table = builder.table::<String, String>("t", ());
    table.suppress(Suppressed::until_time_limit(ms(1), BufferConfig::unbounded()));
    let named = Suppressed::until_time_limit(ms(1), BufferConfig::unbounded()).name("hold");
    table.suppress(named).to_stream();
    let text = builder.build()?.describe();
    for line in [
        "Processor: KTABLE-SUPPRESS-0000000003 (stores: [KTABLE-SUPPRESS-STATE-STORE-0000000004])",
        "Processor: hold (stores: [hold-store])",
        "Processor: KTABLE-TOSTREAM-0000000005 (stores: [])",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    Ok(())
}

#[test]
fn only_windows_close() {
    let builder = StreamsBuilder::new();
    let windowed = builder
        .stream_with::<kstreams_dsl::Windowed<String>, String>(
            "in",
            kstreams_dsl::Consumed::with(TimeWindowedSerde::new(Utf8, ms(10)), Utf8),
        )
        .to_table("latest");
    windowed.suppress(Suppressed::until_window_closes(BufferConfig::unbounded()).name("hold"));
    let errors = builder.build().unwrap_err();
    assert_eq!(errors.faults().len(), 1, "{errors}");
    assert!(errors.to_string().contains("hold: only windows close"), "{errors}");
}

/// Two changes between two commits leave one record in the changelog, and no tombstone. Java's
/// buffer restores such a key with the time that it waited for before (`cleanPut`).
#[test]
fn a_key_that_left_and_came_again_in_one_commit_waits_anew_after_a_restart() -> Result {
    let mut driver = held(Suppressed::until_time_limit(ms(10), BufferConfig::unbounded()))?;
    update(&mut driver, &[("a", "1", 0)])?;
    for (key, time) in [("b", 20), ("a", 21)] {
        driver.log().produce_record(
            "t",
            &NewRecord {
                partition: Some(0),
                key: Some(key.as_bytes()),
                value: Some(b"2"),
                timestamp: Timestamp::from_millis(time),
                headers: Headers::default(),
            },
        )?;
    }
    driver.settle()?;
    assert_eq!(out(&mut driver)?, ["a=1@0"]);
    let mut driver = driver.restart()?;
    update(&mut driver, &[("c", "1", 25)])?;
    assert!(out(&mut driver)?.is_empty());
    update(&mut driver, &[("c", "2", 31)])?;
    assert_eq!(out(&mut driver)?, ["b=2@20", "a=2@21"]);
    Ok(())
}
