//! Null keys and values, wrong use: what Kafka Streams does, or a documented better.

use kstreams_core::Result;
use kstreams_core::serde::{I64, Nullable, Utf8};
use kstreams_dsl::{Naming, StreamsBuilder};

use crate::drive;

#[test]
fn aggregates_skip_null_keys_and_values() -> Result {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<Option<String>, Option<i64>>("in");
    stream.group_by_key().count("n").to_stream().to("out");
    let mut driver = drive(builder)?;
    for (key, value) in [(None, Some(1)), (Some("k"), None), (Some("k"), Some(1))] {
        let key = key.map(str::to_owned);
        driver.input("in", Nullable(Utf8), Nullable(I64)).pipe(key, value)?;
    }
    assert_eq!(driver.output("out", Utf8, I64).read_pairs()?, [("k".to_owned(), 1)]);
    Ok(())
}

#[test]
fn tables_skip_null_keys() -> Result {
    let builder = StreamsBuilder::new();
    builder.table::<String, String>("t", ()).to_stream().to("out");
    let mut driver = drive(builder)?;
    driver.input("t", Nullable(Utf8), Utf8).pipe(None, "lost".into())?;
    driver.input("t", Nullable(Utf8), Utf8).pipe(Some("k".into()), "kept".into())?;
    assert_eq!(driver.output("out", Utf8, Utf8).read_values()?, ["kept"]);
    Ok(())
}

#[test]
fn left_joins_keep_null_keys_through_a_repartitioning() -> Result {
    let builder = StreamsBuilder::new();
    let table = builder.table::<Option<String>, String>("t", ());
    let stream = builder.stream::<String, String>("in");
    let rekeyed = stream.select_key(|_, value| (value != "no").then(|| value.clone()));
    rekeyed.left_join_table(&table, |_, v, t| format!("{v}{}", t.is_some())).to("left");
    let inner = builder.stream::<String, String>("in2");
    let rekeyed = inner.select_key(|_, value| (value != "no").then(|| value.clone()));
    rekeyed.join_table(&table, |_, v, _| v.clone()).to("inner");
    let mut driver = drive(builder)?;
    driver.input("t", Utf8, Utf8).pipe("yes".into(), "t".into())?;
    for topic in ["in", "in2"] {
        driver.input(topic, Utf8, Utf8).pipe("k".into(), "no".into())?;
        driver.input(topic, Utf8, Utf8).pipe("k".into(), "yes".into())?;
    }
    let left = driver.output("left", Nullable(Utf8), Utf8).read_values()?;
    assert_eq!(left, ["nofalse", "yestrue"]);
    assert_eq!(driver.output("inner", Nullable(Utf8), Utf8).read_values()?, ["yes"]);
    Ok(())
}

#[test]
fn all_mistakes_are_told_at_once() {
    let builder = StreamsBuilder::new();
    builder.naming(Naming::Require);
    let other = StreamsBuilder::new();
    let stream = builder.stream::<String, String>("in").named("same");
    stream.filter(|_, _| true).named("same").to("out");
    stream.group_by(|_, v| v.clone()).count(());
    stream.merge(&other.stream::<String, String>("elsewhere"));
    let errors = builder.build().unwrap_err();
    assert_eq!(errors.faults().len(), 2, "{errors}");
    assert_eq!(errors.topology_faults().len(), 1, "{errors}");
}

#[test]
fn unequal_partition_counts_of_a_join_are_refused() {
    let builder = StreamsBuilder::new();
    let table = builder.table::<String, String>("t", ());
    builder.stream::<String, String>("in").join_table(&table, |_, v, _| v.clone()).to("out");
    let topology = builder.build().unwrap();
    let counts = [("t".into(), 2), ("in".into(), 3)].into();
    let error = topology.layout("app", &counts).unwrap_err();
    assert!(error.to_string().contains("not co-partitioned: in=3, t=2"), "{error}");
}
