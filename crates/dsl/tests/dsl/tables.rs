//! Changes of tables: what goes on, with which time, and what it replaces.

use kstreams_core::Result;
use kstreams_core::serde::{I64, Nullable, Utf8};
use kstreams_dsl::{KTable, StreamsBuilder};

use crate::{drive, pipe};

type Out = Vec<(String, Option<String>, i64)>;

/// Two tables `l` and `r`, joined by `join` into `out`; `-` stands for a tombstone.
fn joined(
    join: impl Fn(&KTable<String, String>, &KTable<String, String>) -> KTable<String, String>,
    steps: &[(&str, &str, i64)],
) -> Result<Out> {
    let builder = StreamsBuilder::new();
    let left = builder.table::<String, String>("l", ());
    let right = builder.table::<String, String>("r", ());
    join(&left, &right).to_stream().to("out");
    let mut driver = drive(builder)?;
    for (topic, value, time) in steps {
        let value = (*value != "-").then(|| (*value).to_owned());
        driver.input(topic, Utf8, Nullable(Utf8)).pipe_at("k".into(), value, *time)?;
    }
    let out = driver.output("out", Utf8, Nullable(Utf8)).read()?;
    Ok(out.into_iter().map(|r| (r.key, r.value, r.timestamp.as_millis())).collect())
}

fn texts(out: &[(String, Option<String>, i64)]) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    out.iter().map(|(_, value, time)| format!("{}@{time}", text(value))).collect()
}

const STEPS: [(&str, &str, i64); 8] = [
    ("l", "-", 1),
    ("l", "a", 2),
    ("r", "x", 9),
    ("l", "b", 4),
    ("r", "-", 5),
    ("r", "y", 6),
    ("l", "-", 7),
    ("r", "-", 8),
];

#[test]
fn inner_joins_of_tables() -> Result {
    let out = joined(|l, r| l.join(r, |_, l, r| format!("{l}{r}")), &STEPS)?;
    // The tombstone of `r` finds `l`, that of `l` finds `r`; the last one finds nothing.
    assert_eq!(texts(&out), ["ax@9", "bx@9", "-@5", "by@6", "-@7"]);
    Ok(())
}

#[test]
fn left_joins_of_tables() -> Result {
    let out =
        joined(|l, r| l.left_join(r, |_, l, r| format!("{l}{}", r.map_or("?", |r| r))), &STEPS)?;
    assert_eq!(texts(&out), ["a?@2", "ax@9", "bx@9", "b?@5", "by@6", "-@7"]);
    Ok(())
}

#[test]
fn outer_joins_of_tables() -> Result {
    let part = |part: Option<&String>| part.map_or("?".to_owned(), Clone::clone);
    let out = joined(|l, r| l.outer_join(r, move |_, l, r| part(l) + &part(r)), &STEPS)?;
    assert_eq!(texts(&out), ["a?@2", "ax@9", "bx@9", "b?@5", "by@6", "?y@7", "-@8"]);
    Ok(())
}

#[test]
fn a_grouped_table_takes_back_what_a_change_replaces() -> Result {
    let builder = StreamsBuilder::new();
    let table = builder.table::<String, String>("t", ());
    table
        .group_by(|key, value| (value[..1].to_owned(), format!("{key}{value}")))
        .aggregate(
            String::new,
            |_, v, all| format!("{all}+{v}"),
            |_, v, all| format!("{all}-{v}"),
            "all",
        )
        .to_stream()
        .to("out");
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("t", "k", "a1", 5), ("t", "k", "a2", 3), ("t", "k", "b1", 4)])?;
    let out = driver.output("out", Utf8, Utf8).read()?;
    let out: Vec<_> = out.iter().map(|r| (&*r.key, &*r.value, r.timestamp.as_millis())).collect();
    assert_eq!(
        out,
        [
            ("a", "+ka1", 5),
            // One record with both values, since the group is the same.
            ("a", "+ka1-ka1+ka2", 5),
            ("a", "+ka1-ka1+ka2-ka2", 5),
            ("b", "+kb1", 4),
        ]
    );
    Ok(())
}

#[test]
fn a_filtered_table_forgets_only_what_it_had() -> Result {
    let builder = StreamsBuilder::new();
    let table = builder.table::<String, String>("t", "t");
    let long = table.filter(|_, value| value.len() > 1);
    long.map_values(|value| value.len() as i64).to_stream().to("out");
    let mut driver = drive(builder)?;
    pipe(&mut driver, &[("t", "k", "a", 1), ("t", "k", "ab", 2), ("t", "k", "b", 3)])?;
    let out = driver.output("out", Utf8, Nullable(I64)).read_values()?;
    // The table is materialized, so the filter knows that `a` replaced nothing.
    assert_eq!(out, [Some(2), None]);
    Ok(())
}
