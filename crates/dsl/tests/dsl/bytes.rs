//! What is written to internal topics, byte for byte as Kafka Streams 4.3.1 writes it.

use std::time::Duration;

use kstreams_core::Result;
use kstreams_core::serde::{Nullable, Utf8};
use kstreams_dsl::{JoinWindows, StreamJoined, StreamsBuilder, TimeWindows};
use kstreams_runtime::testing::TestDriver;

use crate::{drive, pipe};

/// Key, value and time of every record of a topic.
fn raw(driver: &TestDriver, topic: &str) -> Vec<(Vec<u8>, Option<Vec<u8>>, i64)> {
    let records = driver.log().records(topic);
    let bytes = |bytes: &Option<_>| -> Option<Vec<u8>> {
        bytes.as_deref().map(|bytes: &[u8]| bytes.to_vec())
    };
    let of = records
        .iter()
        .map(|r| (bytes(&r.key).unwrap_or_default(), bytes(&r.value), r.timestamp.as_millis()));
    of.collect()
}

#[test]
fn an_aggregate_logs_the_plain_value_at_its_own_time() -> Result {
    let builder = StreamsBuilder::new();
    builder.stream::<String, String>("in").group_by_key().count("n");
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("in", "k", "a", 7), ("in", "k", "b", 3)])?;
    let count = |n: i64| Some(n.to_be_bytes().to_vec());
    let expected = [(b"k".to_vec(), count(1), 7), (b"k".to_vec(), count(2), 7)];
    assert_eq!(raw(&driver, "app-n-changelog"), expected);
    Ok(())
}

#[test]
fn a_grouped_table_sends_old_and_new_together() -> Result {
    let builder = StreamsBuilder::new();
    let table = builder.table::<String, String>("t", ());
    table.group_by(|_, v| (v[..1].to_owned(), v.clone())).count("n");
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("t", "k", "a1", 1), ("t", "k", "a2", 2), ("t", "k", "b", 3)])?;
    let expected: Vec<(Vec<u8>, Option<Vec<u8>>, i64)> = [
        (&b"a"[..], &b"a1\x01"[..], 1),
        (b"a", b"\x04a2a1\x02", 2),
        (b"a", b"a2\x00", 3),
        (b"b", b"b\x01", 3),
    ]
    .map(|(key, value, time)| (key.to_vec(), Some(value.to_vec()), time))
    .into();
    assert_eq!(raw(&driver, "app-n-repartition"), expected);
    Ok(())
}

#[test]
fn a_window_is_logged_by_key_start_and_sequence() -> Result {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, String>("in").group_by_key();
    stream.windowed_by(TimeWindows::of(Duration::from_millis(10))).count("n");
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("in", "k", "v", 25)])?;
    let key = b"k\0\0\0\0\0\0\0\x14\0\0\0\0".to_vec();
    let expected = [(key, Some(1_i64.to_be_bytes().to_vec()), 25)];
    assert_eq!(raw(&driver, "app-n-changelog"), expected);
    Ok(())
}

#[test]
fn what_waits_in_an_outer_join_is_a_list_by_time_and_side() -> Result {
    let builder = StreamsBuilder::new();
    let left = builder.stream::<String, String>("l");
    let right = builder.stream::<String, String>("r");
    let windows = JoinWindows::of(Duration::from_millis(10));
    let how = StreamJoined::named("j").store_name("j");
    left.outer_join_with(&right, |_, _, _| String::new(), windows, how);
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("l", "k", "a", 5), ("r", "k", "x", 6)])?;
    let key = b"\0\0\0\0\0\0\0\x05\x01k".to_vec();
    let value = b"\x01\0\0\0\x01\0\0\0\x02\x01a".to_vec();
    let shared = raw(&driver, "app-j-outer-shared-join-store-changelog");
    assert_eq!(shared, [(key.clone(), Some(value), 5), (key, None, 6)]);
    // The windows themselves keep duplicates: the sequence starts with 1.
    let windows = raw(&driver, "app-j-outer-this-join-store-changelog");
    let key = b"k\0\0\0\0\0\0\0\x05\0\0\0\x01".to_vec();
    assert_eq!(windows, [(key, Some(b"a".to_vec()), 5)]);
    Ok(())
}

#[test]
fn a_join_logs_no_tombstone_for_what_does_not_wait() -> Result {
    let builder = StreamsBuilder::new();
    let left = builder.stream::<String, String>("l");
    let right = builder.stream::<String, String>("r");
    let windows = JoinWindows::of(Duration::from_millis(10));
    let how = StreamJoined::named("j").store_name("j");
    left.left_join_with(&right, |_, _, _| String::new(), windows, how);
    let mut driver = drive(builder)?;
    // Each finds the others at once: nothing ever waited, as the right side is not kept alone.
    pipe(&mut driver, &[("r", "k", "x", 5), ("l", "k", "a", 5), ("r", "k", "y", 5)])?;
    assert_eq!(raw(&driver, "app-j-left-shared-join-store-changelog"), []);
    Ok(())
}

#[test]
fn a_join_of_streams_logs_null_values_that_it_cannot_join() -> Result {
    let builder = StreamsBuilder::new();
    let left = builder.stream::<String, Option<String>>("l");
    let right = builder.stream::<String, Option<String>>("r");
    let windows = JoinWindows::of(Duration::from_millis(10));
    let how = StreamJoined::named("j").store_name("j");
    left.join_with(&right, |_, _, _| String::new(), windows, how);
    let mut driver = drive(builder)?;
    driver.input("l", Utf8, Nullable(Utf8)).pipe_at("k".into(), None, 5)?;
    pipe(&mut driver, &[("l", "k", "a", 5)])?;
    let key = |number: u8| [&b"k\0\0\0\0\0\0\0\x05\0\0\0"[..], &[number]].concat();
    let expected = [(key(1), None, 5), (key(2), Some(b"a".to_vec()), 5)];
    assert_eq!(raw(&driver, "app-j-this-join-store-changelog"), expected);
    Ok(())
}

#[test]
fn a_tombstone_has_the_time_of_what_was_forwarded() -> Result {
    let builder = StreamsBuilder::new();
    let left = builder.table::<String, String>("l", "l");
    let right = builder.table::<String, String>("r", "r");
    left.join_in(&right, |_, l, r| format!("{l}{r}"), "j");
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("l", "k", "a", 9), ("r", "k", "x", 3)])?;
    driver.input("r", Utf8, Nullable(Utf8)).pipe_at("k".into(), None, 4)?;
    // The join of 4 and 9 happens at 9, though its right side went away at 4.
    let of = |value: Option<&[u8]>, time| (b"k".to_vec(), value.map(<[u8]>::to_vec), time);
    assert_eq!(raw(&driver, "app-j-changelog"), [of(Some(b"ax"), 9), of(None, 9)]);
    assert_eq!(raw(&driver, "app-r-changelog"), [of(Some(b"x"), 3), of(None, 4)]);
    Ok(())
}
