//! The operators of streams in a topology's text.

use std::rc::Rc;

use kstreams_core::context::{Context, FixedKeyContext};
use kstreams_core::error::Result;
use kstreams_core::processor::FixedKeyProcessor;
use kstreams_core::record::{FixedKeyRecord, Record};
use kstreams_core::time::Timestamp;
use kstreams_dsl::{
    GlobalKTable, JoinWindows, Joined, KGroupedStream, KStream, KTable, Produced, Repartitioned,
    StreamJoined, Windowed,
};

use super::flow::{Doubled, Flow, Groups, Keyed, Of, Streams, each};
use super::functions::{self, Datum, Key};
use super::text::Stage;

pub(super) fn next(on: &Streams<Key>, at: &Stage) -> Flow {
    match &*at.op {
        "group_by_key" => Flow::Groups(group_by_key(on, at)),
        "to_table" => each!(on, on => Flow::Table(on.to_table(at.kept()).into())),
        "repartition" => {
            each!(on, on => Flow::Stream(on.repartition_with(repartitioned(at)).into()))
        }
        _ => each!(on, on => any_key(on, at)),
    }
}

pub(super) fn next_windowed(on: &Streams<Windowed<Key>>, at: &Stage) -> Flow {
    each!(on, on => any_key(on, at))
}

/// The operators that streams with any key have.
fn any_key<K: Keyed, V: Datum>(on: &KStream<K, V>, at: &Stage) -> Flow
where
    Streams<K>: From<KStream<K, V>>,
    Streams<Key>: From<KStream<Key, V>>,
    Groups: From<KGroupedStream<Key, V>>,
{
    let function = at.arg(0);
    match &*at.op {
        "map" => Flow::Stream(match function {
            "swap" => named(on.map(|k, v| (v.text(), k.text())), at).into(),
            "shift" => {
                let key = functions::key::<K, V>("mod");
                named(on.map(move |k, v| (key(&k, &v), functions::mark(&v))), at).into()
            }
            _ => at.unknown(),
        }),
        "map_values" => K::streams(match function {
            "mark" => named(on.map_values(|v| functions::mark(&v)), at).into(),
            "keyed" => named(on.map_values_with_key(|k, v| functions::keyed(k, &v)), at).into(),
            "length" => named(on.map_values(|v| v.sum()), at).into(),
            "gap" => named(on.map_values(|v| functions::gap(&v)), at).into(),
            "gap_length" => named(on.map_values(|v| functions::gap_length(&v)), at).into(),
            _ => at.unknown(),
        }),
        "flat_map" => Flow::Stream(named(on.flat_map(|_, v| functions::pairs(&v)), at).into()),
        "flat_map_values" => {
            K::streams(named(on.flat_map_values(|v| functions::values(&v)), at).into())
        }
        "select_key" => {
            Flow::Stream(named(on.select_key(functions::key::<K, V>(function)), at).into())
        }
        "process" => K::streams(named(on.process(|| marking::<K, V>), at).into()),
        "process_values" => K::streams(named(on.process_values(|| MarkingValues), at).into()),
        "group_by" => {
            let select = functions::key::<K, V>(function);
            Flow::Groups(on.group_by_with(select, at.grouped()).into())
        }
        _ => K::streams(same(on, at).into()),
    }
}

/// The operators that pass the same types on.
fn same<K: Datum, V: Datum>(on: &KStream<K, V>, at: &Stage) -> KStream<K, V> {
    let function = at.arg(0);
    match &*at.op {
        "filter" => named(on.filter(functions::predicate(function)), at),
        "filter_not" => named(on.filter_not(functions::predicate(function)), at),
        "peek" => named(on.peek(|_, _| {}), at),
        "foreach" => {
            on.for_each(|_, _| {});
            on.clone()
        }
        "to" => {
            let how = Produced::default();
            on.to_with(
                function,
                match at.option("as") {
                    Some(name) => how.name(name),
                    None => how,
                },
            );
            on.clone()
        }
        "to_dynamic" => {
            let prefix = function.to_owned();
            on.to_topic_of(move |r: &Record<K, V>, _| {
                format!("{prefix}{}", r.value.sum() % 2).into()
            });
            on.clone()
        }
        _ => at.unknown(),
    }
}

impl<K: Datum, V: Datum> Doubled for KStream<K, V> {
    fn next(&self, at: &Stage) -> Flow {
        Flow::Doubled(Rc::new(same(self, at)))
    }
}

fn named<K, V>(on: KStream<K, V>, at: &Stage) -> KStream<K, V> {
    match at.option("as") {
        Some(name) => on.named(name),
        None => on,
    }
}

fn group_by_key(on: &Streams<Key>, at: &Stage) -> Groups {
    each!(on, on => on.group_by_key_with(at.grouped()).into())
}

fn repartitioned<V: Datum>(at: &Stage) -> Repartitioned<Key, V> {
    match at.option("topic") {
        Some(name) => Repartitioned::named(name),
        None => Repartitioned::default(),
    }
}

pub(super) fn split(on: &Streams<Key>, at: &Stage) -> Vec<(String, Flow)> {
    each!(on, on => split_of(on, at))
}

fn split_of<V: Datum>(on: &KStream<Key, V>, at: &Stage) -> Vec<(String, Flow)>
where
    Streams<Key>: From<KStream<Key, V>>,
{
    let mut split = on.split(at.option("as").unwrap_or_default());
    for predicate in at.args.iter().filter(|arg| *arg != "else") {
        split = split.branch(predicate, functions::predicate(predicate));
    }
    let branches = match at.args.iter().any(|arg| arg == "else") {
        true => split.default_branch("else"),
        false => split.no_default_branch(),
    };
    branches.into_iter().map(|(name, branch)| (name, Flow::Stream(branch.into()))).collect()
}

/// Joins and merges.
pub(super) fn join(on: &Streams<Key>, other: &Flow, at: &Stage) -> Flow {
    match other {
        Flow::Stream(other) if at.op == "merge" => Flow::Stream(merge(on, other, at)),
        Flow::Stream(other) => Flow::Stream(streams(on, other, at).into()),
        Flow::Table(table) => Flow::Stream(
            each!(on, on => match table {
                Of::Text(table) => with_table(on, table, at),
                Of::Num(table) => with_table(on, table, at),
                _ => at.unknown(),
            })
            .into(),
        ),
        Flow::Global(table) => Flow::Stream(each!(on, on => with_global(on, table, at)).into()),
        _ => at.unknown(),
    }
}

fn merge(on: &Streams<Key>, other: &Streams<Key>, at: &Stage) -> Streams<Key> {
    match (on, other) {
        (Of::Text(on), Of::Text(other)) => named(on.merge(other), at).into(),
        (Of::Num(on), Of::Num(other)) => named(on.merge(other), at).into(),
        (Of::SomeText(on), Of::SomeText(other)) => named(on.merge(other), at).into(),
        (Of::SomeNum(on), Of::SomeNum(other)) => named(on.merge(other), at).into(),
        _ => panic!("streams of different types are merged"),
    }
}

fn streams(on: &Streams<Key>, other: &Streams<Key>, at: &Stage) -> KStream<Key, String> {
    match (on, other) {
        (Of::Text(on), Of::Text(other)) => with_stream(on, other, at),
        (Of::SomeText(on), Of::SomeText(other)) => with_stream(on, other, at),
        (Of::Text(on), Of::SomeText(other)) => with_stream(on, other, at),
        (Of::SomeText(on), Of::Num(other)) => with_stream(on, other, at),
        (Of::Num(on), Of::SomeText(other)) => with_stream(on, other, at),
        (Of::SomeNum(on), Of::SomeText(other)) => with_stream(on, other, at),
        _ => panic!("a join of streams of these types is not instantiated: add it here"),
    }
}

/// Arguments: the other stream, milliseconds before, after, grace.
fn with_stream<V: Datum, V2: Datum>(
    on: &KStream<Key, V>,
    other: &KStream<Key, V2>,
    at: &Stage,
) -> KStream<Key, String> {
    let windows = JoinWindows::of(at.millis(1)).after(at.millis(2)).grace(at.millis(3));
    let mut how = StreamJoined::default().in_memory();
    if let Some(name) = at.option("as") {
        how = how.name(name);
    }
    if let Some(name) = at.option("store") {
        how = how.store_name(name);
    }
    match &*at.op {
        "join" => on.join_with(other, |k, l, r| functions::join(k, l, r), windows, how),
        "left_join" => {
            let joiner = |k: &Key, l: &V, r: Option<&V2>| functions::join(k, l, &r.cloned());
            on.left_join_with(other, joiner, windows, how)
        }
        "outer_join" => {
            let joiner = |k: &Key, l: Option<&V>, r: Option<&V2>| {
                functions::join(k, &l.cloned(), &r.cloned())
            };
            on.outer_join_with(other, joiner, windows, how)
        }
        _ => at.unknown(),
    }
}

fn with_table<V: Datum, T: Datum>(
    on: &KStream<Key, V>,
    table: &KTable<Key, T>,
    at: &Stage,
) -> KStream<Key, String> {
    let mut how = Joined::default();
    if let Some(name) = at.option("as") {
        how = how.name(name);
    }
    match &*at.op {
        "join" => on.join_table_with(table, |k, v, t| functions::join(k, v, t), how),
        "left_join" => {
            on.left_join_table_with(table, |k, v, t| functions::join(k, v, &t.cloned()), how)
        }
        _ => at.unknown(),
    }
}

fn with_global<V: Datum>(
    on: &KStream<Key, V>,
    table: &GlobalKTable<Key, String>,
    at: &Stage,
) -> KStream<Key, String> {
    let key = functions::key::<Key, V>(at.arg(1));
    named(
        match &*at.op {
            "join" => on.join_global(table, key, |k, v, t| functions::join(k, v, t)),
            "left_join" => {
                on.left_join_global(table, key, |k, v, t| functions::join(k, v, &t.cloned()))
            }
            _ => at.unknown(),
        },
        at,
    )
}

/// Marks the value, adds a header, moves the time by one.
fn marking<K: Datum, V: Datum>(ctx: &mut Context<'_, K, String>, record: Record<K, V>) -> Result {
    let time = Timestamp::from_millis(record.timestamp.as_millis() + 1);
    let mut marked = record.map_value(|value| functions::mark(&value)).with_timestamp(time);
    marked.headers.push("marked", Some(&[1]));
    ctx.forward(marked)
}

/// Marks the value.
struct MarkingValues;

impl<K: Datum, V: Datum> FixedKeyProcessor<K, V, String> for MarkingValues {
    fn process(
        &mut self,
        ctx: &mut FixedKeyContext<'_, K, String>,
        record: FixedKeyRecord<K, V>,
    ) -> Result {
        ctx.forward(record.map_value(|value| functions::mark(&value)))
    }
}
