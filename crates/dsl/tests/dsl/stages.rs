//! Operators without state run as one node where they follow each other; nobody else notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use kstreams_core::Result;
use kstreams_core::serde::{I64, Utf8};
use kstreams_dsl::StreamsBuilder;

use crate::{drive, pipe};

#[test]
fn a_run_is_described_operator_by_operator() -> Result {
    let builder = StreamsBuilder::new();
    let words = builder.stream::<String, String>("in").filter(|_, v| v != "no").named("some");
    words.map_values(|v| v.len() as i64).named("lengths").to("out");
    let topology = builder.build()?;
    let text = topology.describe();
    assert!(text.contains("Processor: some (stores: [])\n      --> lengths"), "{text}");
    Ok(())
}

#[test]
fn all_of_a_run_see_what_its_first_is_given() -> Result {
    let builder = StreamsBuilder::new();
    let seen = Arc::new(AtomicI64::new(0));
    let total = Arc::clone(&seen);
    builder
        .stream::<String, String>("in")
        .flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .filter_not(|_, word| word.is_empty())
        .map(|key, word| (word, key.len() as i64))
        .peek(move |_, n| {
            total.fetch_add(*n, Ordering::Relaxed);
        })
        .select_key(|word, _| word.to_uppercase())
        .map_values(|n| n * 2)
        .to("out");
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("in", "key", "a  b", 1), ("in", "k", "c", 2)])?;
    let expected = [("A", 6), ("B", 6), ("C", 2)].map(|(word, n)| (word.to_owned(), n));
    assert_eq!(driver.output("out", Utf8, I64).read_pairs()?, expected);
    assert_eq!(seen.load(Ordering::Relaxed), 7);
    Ok(())
}

#[test]
fn runs_end_where_streams_part_and_meet() -> Result {
    let builder = StreamsBuilder::new();
    let all = builder.stream::<String, String>("in").map_values(|v| v + "0");
    let one = all.map_values(|v| v + "1").filter(|_, v| v.len() > 1);
    let two = all.map_values(|v| v + "2");
    let branches = two.split("by-").branch("a", |_, v| v.starts_with('a')).default_branch("rest");
    let a = branches["a"].map_values(|v| v + "a").map_values(|v| v + "!");
    one.merge(&a).map_values(|v| v + ".").merge(&branches["rest"]).to("out");
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("in", "k", "a", 1), ("in", "k", "b", 2)])?;
    let out = driver.output("out", Utf8, Utf8).read_values()?;
    assert_eq!(out, ["a01.", "a02a!.", "b01.", "b02"]);
    Ok(())
}

#[test]
fn a_panic_names_the_operator_and_the_record() -> Result {
    let builder = StreamsBuilder::new();
    let words = builder.stream::<String, String>("in").map_values(|v| v + "!").named("first");
    let lengths = words.map_values(|v| v.len()).named("second");
    let rest = lengths.map_values(|n| 10_i64 / (4 - n as i64)).named("third");
    rest.map_values(|n| n + 1).named("fourth").to("out");
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("in", "k", "a", 1)])?;
    let error = pipe(&mut driver, &[("in", "k", "abc", 2)]).unwrap_err();
    assert_eq!(error.node(), Some("third"), "{error}");
    assert!(error.to_string().contains("divide by zero"), "{error}");
    assert_eq!(driver.output("out", Utf8, I64).read_values()?, [6]);
    Ok(())
}
