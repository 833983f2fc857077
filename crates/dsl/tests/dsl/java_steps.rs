//! Record by record beside Kafka Streams: the same random steps through eleven topologies.
//!
//! `java_steps.txt` is what `TopologyTestDriver` 4.3.1 gave without a cache: for each topology and
//! step topic, key, value (`-` is null), time, and behind the arrow everything that came out.

use std::time::Duration;

use kstreams_core::Result;
use kstreams_core::processor::Data;
use kstreams_core::serde::{Nullable, Utf8};
use kstreams_dsl::{
    BufferConfig, Joined, KGroupedStream, KTable, Materialized, Produced, SessionWindows,
    SlidingWindows, StreamsBuilder, Suppressed, TimeWindows, Windowed,
};

use kstreams_runtime::transport::Log;

use crate::drive;

type Table = KTable<String, String>;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn table(builder: &StreamsBuilder, topic: &str) -> Table {
    builder.table(topic, ())
}

fn grouped(builder: &StreamsBuilder, topic: &str) -> KGroupedStream<String, Option<String>> {
    builder.stream::<String, Option<String>>(topic).group_by_key()
}

fn versioned(builder: &StreamsBuilder, topic: &str, name: &str, history: u64) -> Table {
    builder.table(topic, Materialized::named(name).versioned(ms(history)))
}

#[expect(clippy::ptr_arg, reason = "the type of an extractor's argument")]
fn refers(_: &String, value: &String) -> Option<String> {
    value.split_once('>').map(|(key, _)| key.to_owned())
}

fn part(value: Option<&String>) -> &str {
    value.map_or("null", |value| value)
}

fn both(left: Option<&String>, right: Option<&String>) -> String {
    format!("{}+{}", part(left), part(right))
}

fn append(_: &String, value: Option<String>, all: String) -> String {
    all + part(value.as_ref())
}

fn told<K: Data>(table: &KTable<K, String>, name: impl Fn(&K) -> String + Send + Sync + 'static) {
    let named = table.to_stream().map(move |key, value| (name(&key), value));
    named.to_with("out", Produced::with(Utf8, Nullable(Utf8)));
}

#[expect(clippy::ptr_arg, reason = "the type of a key")]
fn key(key: &String) -> String {
    key.clone()
}

fn window(key: &Windowed<String>) -> String {
    format!("{}:{}-{}", key.key, key.window.start, key.window.end)
}

fn build(what: &str) -> StreamsBuilder {
    let b = StreamsBuilder::new();
    let final_results = || Suppressed::until_window_closes(BufferConfig::unbounded());
    match what {
        "foreign-key-join" => {
            let joiner = |_: &String, l: &String, r: &String| format!("{l}+{r}");
            told(&table(&b, "l").join_on(&table(&b, "r"), refers, joiner), key);
        }
        "foreign-key-left-join" => {
            let joiner = |_: &String, l: &String, r: Option<&String>| both(Some(l), r);
            told(&table(&b, "l").left_join_on(&table(&b, "r"), refers, joiner), key);
        }
        "foreign-key-left-join-of-derived-tables" => {
            let left = table(&b, "l").filter(|_, v| !v.ends_with('x'));
            let right = table(&b, "r").map_values(|v| v + "!");
            told(&left.left_join_on(&right, refers, |_, l, r| both(Some(l), r)), key);
        }
        "sliding-windows" => {
            let windows = SlidingWindows::of(ms(10)).grace(ms(15));
            let all = grouped(&b, "l").windowed_by(windows).aggregate(String::new, append, ());
            told(&all, window);
        }
        "suppress-until-time-limit" => {
            let four = BufferConfig::max_records(4);
            told(&table(&b, "l").suppress(Suppressed::until_time_limit(ms(12), four)), key);
        }
        "suppress-until-window-closes" => {
            let windows = TimeWindows::of(ms(10)).advance_by(ms(5)).grace(ms(6));
            let all = grouped(&b, "l").windowed_by(windows).aggregate(String::new, append, ());
            told(&all.suppress(final_results()), window);
        }
        "suppress-until-session-closes" => {
            let sessions = grouped(&b, "l").sessions(SessionWindows::of(ms(4)).grace(ms(6)));
            let all = sessions.aggregate(String::new, append, |_, a, b| a + &b, ());
            told(&all.suppress(final_results()), window);
        }
        "cogroup-in-sliding-windows" => {
            let left = grouped(&b, "l").cogroup(append);
            let all = left.cogroup(&grouped(&b, "r"), |_, v: Option<String>, all| {
                part(v.as_ref()).to_owned() + &all
            });
            let windows = SlidingWindows::of(ms(7)).grace(ms(9));
            told(&all.windowed_by(windows).aggregate(String::new, ()), window);
        }
        "outer-join-of-a-suppressed-table" => {
            let wait = Suppressed::until_time_limit(ms(8), BufferConfig::unbounded());
            let left = table(&b, "l").suppress(wait);
            told(&left.outer_join(&table(&b, "r"), |_, l, r| both(l, r)), key);
        }
        "stream-table-join-with-grace" => {
            let right = versioned(&b, "r", "v", 50);
            let joiner = |_: &String, l: &Option<String>, r: Option<&String>| both(l.as_ref(), r);
            let how = Joined::named("j").grace(ms(10));
            let left = b.stream::<String, Option<String>>("l");
            left.left_join_table_with(&right, joiner, how).to("out");
        }
        "left-join-of-versioned-tables" => {
            let (left, right) = (versioned(&b, "l", "v1", 30), versioned(&b, "r", "v2", 30));
            let left = left.filter(|_, v| !v.ends_with('x'));
            told(&left.left_join(&right, |_, l, r| both(Some(l), r)), key);
        }
        other => panic!("no topology {other}"),
    }
    b
}

#[test]
fn each_step_gives_what_java_gave() -> Result {
    let sections = include_str!("java_steps.txt").split("## ").skip(1);
    for section in sections {
        let (what, steps) = section.split_once('\n').unwrap();
        let mut driver = drive(build(what))?;
        let topics = driver.log().admin()?.topics(Duration::ZERO)?;
        for step in steps.lines() {
            let (given, expected) = step.split_once(" ->").unwrap();
            let [topic, key, value, time] = given.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{step}")
            };
            // Not every topology reads both topics.
            if topics.iter().any(|known| known.name == topic) {
                let value = (value != "-").then(|| value.to_owned());
                let mut input = driver.input(topic, Utf8, Nullable(Utf8));
                input.pipe_at(key.to_owned(), value, time.parse()?)?;
            }
            let out = driver.output("out", Utf8, Nullable(Utf8)).read()?;
            let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
            let out: Vec<String> = out
                .into_iter()
                .map(|r| format!("{}={}@{}", r.key, text(r.value), r.timestamp))
                .collect();
            assert_eq!(out.join(" "), expected.trim_start(), "{what}: {given}");
        }
    }
    Ok(())
}
