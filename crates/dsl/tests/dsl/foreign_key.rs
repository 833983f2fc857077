//! Foreign-key joins: results, what travels between the sides, races, restarts.

use kstreams_core::Result;
use kstreams_core::partition::partition_for;
use kstreams_core::serde::{Nullable, Utf8};
use kstreams_dsl::{KTable, Materialized, StreamsBuilder, TableJoined};
use kstreams_runtime::Config;
use kstreams_runtime::testing::TestDriver;

use crate::drive;

type Table = KTable<String, String>;

/// The row `a>x` refers to `a`; one without `>` refers to nothing.
#[expect(clippy::ptr_arg, reason = "the type of an extractor's argument")]
fn refers(_: &String, value: &String) -> Option<String> {
    value.split_once('>').map(|(key, _)| key.to_owned())
}

fn inner(left: &Table, right: &Table) -> Table {
    left.join_on(right, refers, |_, l, r| format!("{l}+{r}"))
}

fn left(left: &Table, right: &Table) -> Table {
    left.left_join_on(right, refers, |_, l, r| format!("{l}+{}", r.map_or("?", |r| r)))
}

fn joined(join: fn(&Table, &Table) -> Table) -> Result<TestDriver> {
    let builder = StreamsBuilder::new();
    let (one, two) = (builder.table("l", ()), builder.table("r", ()));
    join(&one, &two).to_stream().to("out");
    drive(builder)
}

/// Topic, key, value (`-` deletes), time; what each step gives.
type Step<'a> = (&'a str, &'a str, &'a str, i64, &'a [&'a str]);

#[track_caller]
fn check(driver: &mut TestDriver, steps: &[Step<'_>]) -> Result {
    for (topic, key, value, time, expected) in steps {
        let given = (*value != "-").then(|| (*value).to_owned());
        driver.input(topic, Utf8, Nullable(Utf8)).pipe_at((*key).to_owned(), given, *time)?;
        let out = driver.output("out", Utf8, Nullable(Utf8)).read()?;
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        let out: Vec<String> = out
            .into_iter()
            .map(|r| format!("{}={}@{}", r.key, text(r.value), r.timestamp))
            .collect();
        assert_eq!(out, *expected, "{topic} {key} {value}");
    }
    Ok(())
}

#[test]
fn inner_joins() -> Result {
    let mut driver = joined(inner)?;
    check(
        &mut driver,
        &[
            ("l", "1", "a>x", 1, &[]),
            ("r", "a", "A", 2, &["1=a>x+A@2"]),
            ("l", "2", "a>y", 1, &["2=a>y+A@2"]),
            // Every row that refers to it hears of a change, in the order of the rows' keys.
            ("r", "a", "B", 5, &["1=a>x+B@5", "2=a>y+B@5"]),
            ("l", "1", "a>z", 6, &["1=a>z+B@6"]),
            // To where there is nothing: what was is taken back.
            ("l", "1", "b>z", 7, &["1=-@7"]),
            ("r", "b", "C", 8, &["1=b>z+C@8"]),
            ("r", "a", "-", 9, &["2=-@9"]),
            ("l", "2", "-", 10, &["2=-@10"]),
            // A row that refers to nothing.
            ("l", "1", "none", 11, &["1=-@11"]),
            ("l", "1", "-", 12, &[]),
            ("l", "3", "-", 13, &[]),
        ],
    )
}

#[test]
fn left_joins() -> Result {
    let mut driver = joined(left)?;
    check(
        &mut driver,
        &[
            ("l", "1", "a>x", 1, &["1=a>x+?@1"]),
            ("r", "a", "A", 2, &["1=a>x+A@2"]),
            ("l", "2", "none", 3, &["2=none+?@3"]),
            ("l", "2", "a>y", 4, &["2=a>y+A@4"]),
            ("r", "a", "-", 5, &["1=a>x+?@5", "2=a>y+?@5"]),
            ("l", "1", "b>x", 6, &["1=b>x+?@6"]),
            ("l", "1", "-", 7, &["1=-@7"]),
            ("l", "1", "-", 8, &[]),
        ],
    )
}

#[test]
fn keys_that_others_begin_with_are_not_confused() -> Result {
    let mut driver = joined(inner)?;
    check(
        &mut driver,
        &[
            ("l", "1", "a>x", 1, &[]),
            ("l", "2", "ab>x", 1, &[]),
            ("l", "3", ">x", 1, &[]),
            ("r", "a", "A", 2, &["1=a>x+A@2"]),
            ("r", "ab", "B", 2, &["2=ab>x+B@2"]),
            ("r", "", "E", 2, &["3=>x+E@2"]),
        ],
    )
}

type Raw = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Key and value of every record of an internal topic.
fn raw(driver: &TestDriver, topic: &str) -> Vec<Raw> {
    let bytes = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let records = driver.log().records(topic);
    records.iter().map(|r| (bytes(r.key.as_deref()), bytes(r.value.as_deref()))).collect()
}

#[test]
fn what_travels_has_the_bytes_of_java() -> Result {
    let mut driver = joined(left)?;
    let steps: &[Step<'_>] = &[
        ("r", "a", "A", 1, &[]),
        ("l", "k", "a>", 2, &["k=a>+A@2"]),
        ("l", "k", "-", 3, &["k=-@3"]),
    ];
    check(&mut driver, steps)?;
    let (registration, response) = (
        "app-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000006-topic",
        "app-KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-0000000014-topic",
    );
    let sent = raw(&driver, registration);
    let keys: Vec<_> = sent.iter().map(|(key, _)| key.as_deref()).collect();
    assert_eq!(keys, [Some(&b"a"[..]), Some(b"a"), None]);
    let values: Vec<&[u8]> = sent.iter().filter_map(|(_, value)| value.as_deref()).collect();
    assert_eq!(values[0][..2], [1, 2]);
    assert_eq!(values[0][18..], *b"k\0\0\0\0");
    assert_eq!(values[1..], [&b"\x81\x00k\0\0\0\0"[..], b"\x81\x02k\0\0\0\0"]);
    let answers = raw(&driver, response);
    let first = [&[0], &values[0][2..18], b"A"].concat();
    assert_eq!(
        answers,
        [(Some(b"k".to_vec()), Some(first)), (Some(b"k".to_vec()), Some(vec![0x80]))]
    );
    let store = raw(&driver, "app-KTABLE-FK-JOIN-SUBSCRIPTION-STATE-STORE-0000000010-changelog");
    let key = Some(b"\0\0\0\x01ak".to_vec());
    assert_eq!(store, [(key.clone(), Some(values[0].to_vec())), (key, None)]);
    Ok(())
}

#[test]
fn answers_to_what_a_row_was_are_dropped() -> Result {
    let mut driver = joined(inner)?;
    let steps: &[Step<'_>] = &[("l", "1", "a>x", 1, &[]), ("r", "a", "A", 1, &["1=a>x+A@1"])];
    check(&mut driver, steps)?;
    // An answer with the hash of another value.
    let topic = "app-KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-0000000014-topic";
    let stale = [&[0_u8][..], &[7; 16], b"Z"].concat();
    let at = kstreams_core::time::Timestamp::from_millis(2);
    let bytes = kstreams_core::serde::ByteArray;
    driver.input(topic, bytes, bytes).pipe_bytes(
        Some(b"1"),
        Some(&stale),
        at,
        &Default::default(),
    )?;
    assert!(driver.output("out", Utf8, Utf8).read()?.is_empty());
    Ok(())
}

#[test]
fn answers_go_to_the_partition_that_asked() -> Result {
    let builder = StreamsBuilder::new();
    let (one, two): (Table, Table) = (builder.table("l", ()), builder.table("r", ()));
    let kept = Materialized::named("joined");
    let how = TableJoined::named("j");
    let joined = one.join_on_in(&two, refers, |_, l, r| format!("{l}+{r}"), how, kept);
    joined.to_stream().to("out");
    let mut driver = TestDriver::builder(builder.build()?, Config::new("app"))
        .partitions("l", 3)
        .partitions("r", 2)
        .partitions("out", 3)
        .build()?;
    let keys = ["1", "2", "3", "4", "5"];
    for key in keys {
        let value = format!("{}>{key}", if key < "3" { "a" } else { "b" });
        driver.input("l", Utf8, Utf8).pipe_at(key.into(), value, 1)?;
    }
    for key in ["a", "b"] {
        driver.input("r", Utf8, Utf8).pipe_at(key.into(), key.to_uppercase(), 1)?;
    }
    let mut out = driver.output("out", Utf8, Utf8).read()?;
    out.sort_by(|one, two| one.key.cmp(&two.key));
    assert_eq!(out.iter().map(|r| &*r.key).collect::<Vec<_>>(), keys);
    assert!(out.iter().all(|r| r.partition == partition_for(r.key.as_bytes(), 3)));
    Ok(())
}

#[test]
fn subscriptions_survive_a_restart() -> Result {
    let mut driver = joined(inner)?;
    check(&mut driver, &[("l", "1", "a>x", 1, &[])])?;
    driver = driver.restart()?;
    check(&mut driver, &[("r", "a", "A", 2, &["1=a>x+A@2"])])?;
    driver = driver.restart()?;
    check(&mut driver, &[("r", "a", "B", 1, &["1=a>x+B@1"]), ("l", "1", "-", 3, &["1=-@3"])])
}

#[test]
fn a_joined_table_can_be_looked_into() -> Result {
    let builder = StreamsBuilder::new();
    let (one, two): (Table, Table) = (builder.table("l", ()), builder.table("r", ()));
    let how = TableJoined::default();
    let table = one.join_on_in(&two, refers, |_, l, r| format!("{l}+{r}"), how, "joined");
    table.filter(|_, value| value.ends_with('A')).to_stream().to("out");
    let mut driver = drive(builder)?;
    check(
        &mut driver,
        &[
            ("l", "1", "a>x", 1, &[]),
            ("r", "a", "A", 2, &["1=a>x+A@2"]),
            ("r", "a", "B", 3, &["1=-@3"]),
            ("r", "a", "C", 4, &[]),
        ],
    )
}

#[test]
fn names_are_those_of_java() -> Result {
    let builder = StreamsBuilder::new();
    let (one, two): (Table, Table) = (builder.table("l", ()), builder.table("r", ()));
    inner(&one, &two).to_stream();
    let expected = "\
Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000001 (topics: [l])
      --> KTABLE-SOURCE-0000000002
    Source: KTABLE-SOURCE-0000000016 (topics: [KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-0000000014-topic])
      --> KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-RESOLVER-PROCESSOR-0000000017
    Processor: KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-RESOLVER-PROCESSOR-0000000017 (stores: [l-STATE-STORE-0000000000])
      --> KTABLE-FK-JOIN-OUTPUT-0000000018
      <-- KTABLE-SOURCE-0000000016
    Processor: KTABLE-SOURCE-0000000002 (stores: [l-STATE-STORE-0000000000])
      --> KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000007
      <-- KSTREAM-SOURCE-0000000001
    Processor: KTABLE-FK-JOIN-OUTPUT-0000000018 (stores: [])
      --> KTABLE-TOSTREAM-0000000020
      <-- KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-RESOLVER-PROCESSOR-0000000017
    Processor: KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000007 (stores: [])
      --> KTABLE-SINK-0000000008
      <-- KTABLE-SOURCE-0000000002
    Sink: KTABLE-SINK-0000000008 (topic: KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000006-topic)
      <-- KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000007
    Processor: KTABLE-TOSTREAM-0000000020 (stores: [])
      --> none
      <-- KTABLE-FK-JOIN-OUTPUT-0000000018

  Sub-topology: 1
";
    let text = builder.build()?.describe();
    assert!(text.starts_with(expected), "{text}");
    Ok(())
}
