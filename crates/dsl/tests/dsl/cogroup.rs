//! Streams aggregated together: one aggregate, one window, one set of names.

use std::time::Duration;

use kstreams_core::Result;
use kstreams_core::serde::{Nullable, Utf8};
use kstreams_dsl::{
    CogroupedKStream, Grouped, KTable, SessionWindows, SlidingWindows, StreamsBuilder, TimeWindows,
    Windowed,
};
use kstreams_runtime::testing::TestDriver;

use crate::{drive, pipe};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// `l` appends, `r` prepends; `none` deletes.
fn together(builder: &StreamsBuilder) -> CogroupedKStream<String, String> {
    let left = builder.stream::<String, String>("l").group_by_key();
    let right = builder.stream::<String, String>("r").group_by_key();
    left.cogroup(|_, v, all: String| (v != "none").then(|| all + &v))
        .cogroup(&right, |_, v, all: String| Some(v + &all))
}

fn windows(
    make: impl Fn(CogroupedKStream<String, String>) -> KTable<Windowed<String>, String>,
) -> Result<TestDriver> {
    let builder = StreamsBuilder::new();
    let table = make(together(&builder));
    let name =
        |key: &Windowed<String>| format!("{}{}-{}", key.key, key.window.start, key.window.end);
    table.to_stream().select_key(move |key, _| name(key)).to("out");
    drive(builder)
}

fn out(driver: &mut TestDriver) -> Result<Vec<String>> {
    let out = driver.output("out", Utf8, Nullable(Utf8)).read()?;
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    Ok(out.into_iter().map(|r| format!("{}={}@{}", r.key, text(r.value), r.timestamp)).collect())
}

#[test]
fn all_streams_have_one_aggregate() -> Result {
    let builder = StreamsBuilder::new();
    together(&builder).aggregate(|| "*".to_owned(), "all").to_stream().to("out");
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("l", "k", "a", 5), ("r", "k", "x", 3), ("l", "j", "b", 4)])?;
    assert_eq!(out(&mut driver)?, ["k=*a@5", "k=x*a@5", "j=*b@4"]);
    driver = driver.restart()?;
    pipe(&mut driver, &[("l", "k", "none", 6), ("r", "k", "y", 1)])?;
    assert_eq!(out(&mut driver)?, ["k=-@6", "k=y*@1"]);
    Ok(())
}

#[test]
fn all_streams_have_the_same_windows() -> Result {
    let mut driver =
        windows(|all| all.windowed_by(TimeWindows::of(ms(10))).aggregate(String::new, "all"))?;
    pipe(&mut driver, &[("l", "k", "a", 1), ("r", "k", "x", 2), ("r", "k", "y", 11)])?;
    assert_eq!(out(&mut driver)?, ["k0-10=a@1", "k0-10=xa@2", "k10-20=y@11"]);

    let mut driver = windows(|all| {
        all.windowed_by(SlidingWindows::of(ms(5)).grace(ms(9))).aggregate(String::new, "all")
    })?;
    pipe(&mut driver, &[("l", "k", "a", 10), ("r", "k", "x", 12)])?;
    assert_eq!(out(&mut driver)?, ["k5-10=a@10", "k11-16=x@12", "k7-12=xa@12"]);

    let mut driver = windows(|all| {
        let windows = SessionWindows::of(ms(5)).grace(ms(9));
        all.sessions(windows).aggregate(String::new, |_, a, b| a + &b, "all")
    })?;
    pipe(&mut driver, &[("l", "k", "a", 10), ("r", "k", "x", 12)])?;
    assert_eq!(out(&mut driver)?, ["k10-10=a@10", "k10-10=-@10", "k10-12=xa@12"]);
    Ok(())
}

#[test]
fn names_are_those_of_java() -> Result {
    let builder = StreamsBuilder::new();
    let left = builder.stream::<String, String>("l").group_by_key();
    let right = builder.stream::<String, String>("r");
    let right = right.group_by_with(|_, v| v.clone(), Grouped::default());
    left.cogroup(|_, v, all: String| all + &v)
        .cogroup(&right, |_, v, all| v + &all)
        .aggregate(String::new, ());
    let expected = "\
Topologies:
   Sub-topology: 0
    Source: COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition-source (topics: [COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition])
      --> COGROUPKSTREAM-AGGREGATE-0000000008
    Source: KSTREAM-SOURCE-0000000000 (topics: [l])
      --> COGROUPKSTREAM-AGGREGATE-0000000007
    Processor: COGROUPKSTREAM-AGGREGATE-0000000007 (stores: [COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000003])
      --> COGROUPKSTREAM-MERGE-0000000009
      <-- KSTREAM-SOURCE-0000000000
    Processor: COGROUPKSTREAM-AGGREGATE-0000000008 (stores: [COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000003])
      --> COGROUPKSTREAM-MERGE-0000000009
      <-- COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition-source
    Processor: COGROUPKSTREAM-MERGE-0000000009 (stores: [])
      --> none
      <-- COGROUPKSTREAM-AGGREGATE-0000000007, COGROUPKSTREAM-AGGREGATE-0000000008

  Sub-topology: 1
    Source: KSTREAM-SOURCE-0000000001 (topics: [r])
      --> KSTREAM-KEY-SELECT-0000000002
    Processor: KSTREAM-KEY-SELECT-0000000002 (stores: [])
      --> COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition-filter
      <-- KSTREAM-SOURCE-0000000001
    Processor: COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition-filter (stores: [])
      --> COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition-sink
      <-- KSTREAM-KEY-SELECT-0000000002
    Sink: COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition-sink (topic: COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition)
      <-- COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition-filter

";
    assert_eq!(builder.build()?.describe(), expected);
    Ok(())
}
