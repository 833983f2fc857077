//! The record cache: what is told and logged once between two commits, and what others see of it.

use std::time::Duration;

use kstreams_core::Result;
use kstreams_core::serde::{I64, Nullable, Utf8};
use kstreams_core::time::Timestamp;
use kstreams_dsl::{
    KStream, Materialized, StreamsBuilder, TimeWindowedSerde, TimeWindows, ValueTransformer,
};
use kstreams_runtime::Config;
use kstreams_runtime::testing::TestDriver;

use crate::{drive, pipe};

/// Each record is taken apart in words, all of which come before the next commit.
fn words(builder: &StreamsBuilder) -> KStream<String, String> {
    let lines = builder.stream::<String, String>("in");
    lines.flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
}

fn out(driver: &mut TestDriver) -> Result<Vec<String>> {
    let out = driver.output("out", Utf8, Nullable(Utf8)).read()?;
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    Ok(out.into_iter().map(|r| format!("{}={}@{}", r.key, text(r.value), r.timestamp)).collect())
}

fn n_logged(driver: &TestDriver, store: &str) -> usize {
    driver.log().records(&format!("app-{store}-changelog")).len()
}

fn joined(builder: StreamsBuilder, store: Materialized<String, String>) -> Result<TestDriver> {
    let append = |_: &String, v: String, all: String| (v != "none").then(|| all + &v);
    let table = words(&builder).group_by_key().aggregate(String::new, append, store);
    table.to_stream().to("out");
    drive(builder)
}

#[test]
fn the_last_of_several_changes_is_told_and_logged() -> Result {
    let cached = Materialized::named("all").cached();
    let mut driver = joined(StreamsBuilder::new(), cached)?;
    pipe(&mut driver, &[("in", "k", "a b c", 5), ("in", "k", "d e", 3)])?;
    assert_eq!(out(&mut driver)?, ["k=abc@5", "k=abcde@5"]);
    assert_eq!(n_logged(&driver, "all"), 2);
    // What was never told needs no deletion.
    pipe(&mut driver, &[("in", "j", "x none", 6), ("in", "k", "none", 7)])?;
    assert_eq!(out(&mut driver)?, ["k=-@7"]);
    driver = driver.restart()?;
    pipe(&mut driver, &[("in", "k", "f g", 8)])?;
    assert_eq!(out(&mut driver)?, ["k=fg@8"]);
    Ok(())
}

#[test]
fn what_comes_in_several_records_is_told_at_the_commit() -> Result {
    let builder = StreamsBuilder::new();
    let cached = Materialized::named("all").cached();
    let append = |_: &String, v: String, all: String| Some(all + &v);
    let table = words(&builder).group_by_key().aggregate(String::new, append, cached);
    table.to_stream().to("out");
    let driver = TestDriver::builder(builder.build()?, Config::new("app"));
    let mut driver = driver.commit_by_hand().build()?;
    pipe(&mut driver, &[("in", "k", "a b", 5), ("in", "k", "c", 3)])?;
    // Not even a long time is a reason to commit.
    driver.advance_time(Duration::from_secs(3600))?;
    assert!(out(&mut driver)?.is_empty());
    driver.commit()?;
    assert_eq!(out(&mut driver)?, ["k=abc@5"]);
    assert_eq!(n_logged(&driver, "all"), 1);
    Ok(())
}

#[test]
fn a_builder_caches_all_stores_that_do_not_refuse() -> Result {
    for (store, n) in [
        (Materialized::named("all"), 1),
        (Materialized::named("all").without_caching(), 3),
        (Materialized::named("all").lru(10), 3),
    ] {
        let builder = StreamsBuilder::new();
        builder.cache(1 << 20);
        let mut driver = joined(builder, store)?;
        pipe(&mut driver, &[("in", "k", "a b c", 5)])?;
        assert_eq!(out(&mut driver)?.len(), n);
    }
    Ok(())
}

#[test]
fn a_full_cache_is_flushed() -> Result {
    let builder = StreamsBuilder::new();
    builder.cache(250);
    let keyed = words(&builder).select_key(|_, word| word.clone()).repartition();
    keyed.group_by_key().count("n").to_stream().to("out");
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("in", "k", "a b a c a", 5)])?;
    let out = driver.output("out", Utf8, I64).read_pairs()?;
    // Two keys fit; the third pushes out all, in the order they changed last.
    let expected = [("b", 1), ("a", 2), ("c", 1), ("a", 3)].map(|(k, n)| (k.to_owned(), n));
    assert_eq!(out, expected);
    Ok(())
}

#[test]
fn old_values_are_those_that_were_told() -> Result {
    let builder = StreamsBuilder::new();
    let store = Materialized::named("latest").cached();
    let latest = words(&builder).to_table(store);
    let grouped = latest.group_by(|_, v| ("all".to_owned(), v.clone()));
    grouped
        .aggregate(String::new, |_, v, a| a + "+" + &v, |_, v, a| a + "-" + &v, "all")
        .to_stream()
        .to("out");
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("in", "k", "a b c", 1), ("in", "k", "d e", 2)])?;
    assert_eq!(out(&mut driver)?, ["all=+c@1", "all=+c-c+e@2"]);
    Ok(())
}

#[test]
fn joins_see_what_is_held_back() -> Result {
    let builder = StreamsBuilder::new();
    let latest = words(&builder).to_table(Materialized::named("latest").cached());
    let lines = builder.stream::<String, String>("in");
    lines.join_table(&latest, |_, line, word| format!("{line}:{word}")).to("out");
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("in", "k", "a b c", 1), ("in", "k", "d", 2)])?;
    assert_eq!(out(&mut driver)?, ["k=a b c:c@1", "k=d:d@2"]);
    Ok(())
}

#[test]
fn windows_are_cached_each_for_itself() -> Result {
    let builder = StreamsBuilder::new();
    builder.cache(1 << 20);
    let ten = Duration::from_millis(10);
    let windows = TimeWindows::of(ten).advance_by(Duration::from_millis(5));
    words(&builder).group_by_key().windowed_by(windows).count("n").to_stream().to("out");
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("in", "k", "a b c", 7), ("in", "k", "d e", 8)])?;
    let out = driver.output("out", TimeWindowedSerde::new(Utf8, ten), I64).read()?;
    let out: Vec<_> = out.iter().map(|r| (r.key.window.start.as_millis(), r.value)).collect();
    assert_eq!(out, [(0, 3), (5, 3), (0, 5), (5, 5)]);
    assert_eq!(n_logged(&driver, "n"), 4);
    Ok(())
}

#[test]
fn transformed_values_may_be_kept_and_told_of_deletions() -> Result {
    struct Number(i64);
    impl ValueTransformer<String, String, String> for Number {
        fn transform(&mut self, key: &String, value: Option<String>) -> Result<Option<String>> {
            self.0 += 1;
            Ok(value.map(|value| format!("{key}{value}{}", self.0)))
        }
    }
    let builder = StreamsBuilder::new();
    let table = builder.table::<String, String>("t", "t");
    let numbered = table.transform_values_in(|| Number(0), [] as [&str; 0], "numbered");
    numbered.filter(|_, _| true).to_stream().to("out");
    let mut driver = drive(builder)?;
    let text = |value: &str| Some(value.to_owned());
    for (value, time) in [(text("a"), 1), (None, 2), (text("b"), 3)] {
        driver.input("t", Utf8, Nullable(Utf8)).pipe_at("k".into(), value, time)?;
    }
    assert_eq!(out(&mut driver)?, ["k=ka1@1", "k=-@2", "k=kb3@3"]);
    Ok(())
}

#[test]
fn a_deletion_is_told_at_the_time_of_its_record() -> Result {
    let builder = StreamsBuilder::new();
    let store = Materialized::named("t").cached();
    builder.table::<String, String>("t", store).to_stream().to("out");
    let mut driver = drive(builder)?;
    driver.input("t", Utf8, Utf8).pipe_at("k".into(), "a".into(), 9)?;
    driver.input("t", Utf8, Nullable(Utf8)).pipe_at("k".into(), None, 4)?;
    driver.input("t", Utf8, Nullable(Utf8)).pipe_at("j".into(), None, 5)?;
    let out = driver.output("out", Utf8, Nullable(Utf8)).read()?;
    let times: Vec<Timestamp> = out.iter().map(|r| r.timestamp).collect();
    assert_eq!(times, [9, 4].map(Timestamp::from_millis));
    Ok(())
}
