//! The operators of tables, and of what is grouped, in a topology's text.

use std::cell::Cell;
use std::rc::Rc;

use kstreams_core::error::Result;
use kstreams_core::time::Timestamp;
use kstreams_dsl::{
    BufferConfig, CogroupedKStream, KGroupedStream, KGroupedTable, KTable, Materialized,
    SessionWindowedKStream, SessionWindows, SlidingWindows, Suppressed, TableJoined,
    TimeWindowedKStream, TimeWindows, UnlimitedWindows, Windowed,
};

use super::flow::{Flow, Groups, Keyed, Of, Sessions, Tables, Windows, each};
use super::functions::{self, Datum, Key, Reduce};
use super::text::Stage;

pub(super) fn next(on: &Tables<Key>, at: &Stage) -> Flow {
    if at.op == "group_by" {
        return match on {
            Of::Text(on) => Flow::TextTableGroup(Rc::new(group_by(on, at))),
            Of::Num(on) => Flow::NumTableGroup(Rc::new(group_by(on, at))),
            _ => at.unknown(),
        };
    }
    any_key(on, at)
}

pub(super) fn next_windowed(on: &Tables<Windowed<Key>>, at: &Stage) -> Flow {
    match on {
        Of::Text(on) if at.op == "suppress_closed" => Flow::WindowedTable(closed(on, at).into()),
        Of::Num(on) if at.op == "suppress_closed" => Flow::WindowedTable(closed(on, at).into()),
        _ => any_key(on, at),
    }
}

fn closed<V: Datum>(on: &KTable<Windowed<Key>, V>, at: &Stage) -> KTable<Windowed<Key>, V> {
    suppressed(on, Suppressed::until_window_closes(BufferConfig::unbounded()), at)
}

fn suppressed<K: Keyed, V: Datum>(
    on: &KTable<K, V>,
    how: Suppressed<K, V>,
    at: &Stage,
) -> KTable<K, V> {
    on.suppress(match at.option("as") {
        Some(name) => how.name(name),
        None => how,
    })
}

/// The operators that tables with any key have.
fn any_key<K: Keyed>(on: &Tables<K>, at: &Stage) -> Flow {
    match (&*at.op, on) {
        ("to_stream", Of::Text(on)) => K::streams(to_stream(on, at).into()),
        ("to_stream", Of::Num(on)) => K::streams(to_stream(on, at).into()),
        ("to_stream", Of::SomeText(on)) => Flow::Doubled(Rc::new(to_stream(on, at))),
        ("to_stream", Of::SomeNum(on)) => Flow::Doubled(Rc::new(to_stream(on, at))),
        ("map_values" | "transform", Of::Text(on)) => K::tables(map_values(on, at)),
        ("map_values" | "transform", Of::Num(on)) => K::tables(map_values(on, at)),
        (_, Of::Text(on)) => K::tables(same(on, at).into()),
        (_, Of::Num(on)) => K::tables(same(on, at).into()),
        _ => at.unknown(),
    }
}

fn to_stream<K: Keyed, V: Datum>(
    on: &KTable<K, V>,
    at: &Stage,
) -> kstreams_dsl::KStream<K, Option<V>> {
    let stream = on.to_stream();
    match at.option("as") {
        Some(name) => stream.named(name),
        None => stream,
    }
}

fn named<K, V>(on: KTable<K, V>, at: &Stage) -> KTable<K, V> {
    match at.option("as") {
        Some(name) => on.named(name),
        None => on,
    }
}

/// A mapper, or a transformer that does the same.
fn map_values<K: Keyed, V: Datum>(on: &KTable<K, V>, at: &Stage) -> Tables<K> {
    fn with<K: Keyed, V: Datum, V2: Datum>(
        on: &KTable<K, V>,
        at: &Stage,
        mapper: impl Fn(&K, V) -> V2 + Copy + Send + Sync + 'static,
    ) -> KTable<K, V2> {
        let no_stores = [] as [&str; 0];
        let transformer = move || {
            move |k: &K, v: Option<V>| -> Result<Option<V2>> { Ok(v.map(|v| mapper(k, v))) }
        };
        match (&*at.op, at.is_kept()) {
            ("transform", true) => on.transform_values_in(transformer, no_stores, at.kept()),
            ("transform", false) => named(on.transform_values(transformer, no_stores), at),
            (_, true) => on.map_values_in(mapper, at.kept()),
            (_, false) => named(on.map_values_with_key(mapper), at),
        }
    }
    match at.arg(0) {
        "mark" => with(on, at, |_, v| functions::mark(&v)).into(),
        "keyed" => with(on, at, |k, v| functions::keyed(k, &v)).into(),
        "length" => with(on, at, |_, v| v.sum()).into(),
        _ => at.unknown(),
    }
}

fn same<K: Keyed, V: Datum>(on: &KTable<K, V>, at: &Stage) -> KTable<K, V> {
    let predicate = || functions::predicate(at.arg(0));
    match &*at.op {
        "filter" if at.is_kept() => on.filter_with(predicate(), at.kept()),
        "filter" => named(on.filter(predicate()), at),
        "filter_not" => named(on.filter_not(predicate()), at),
        "suppress_wait" => {
            let how = Suppressed::until_time_limit(at.millis(0), BufferConfig::unbounded());
            suppressed(on, how, at)
        }
        "suppress_some" => {
            let buffer = BufferConfig::max_records(at.arg(1).parse().unwrap());
            suppressed(on, Suppressed::until_time_limit(at.millis(0), buffer), at)
        }
        _ => at.unknown(),
    }
}

fn group_by<V: Datum>(on: &KTable<Key, V>, at: &Stage) -> KGroupedTable<Key, V> {
    let select = functions::key::<Key, V>(at.arg(0));
    on.group_by_with(move |k, v| (select(k, v), v.clone()), at.grouped())
}

pub(super) fn join(on: &Tables<Key>, other: &Flow, at: &Stage) -> Flow {
    let Flow::Table(other) = other else { at.unknown() };
    Flow::Table(
        match (on, other) {
            (Of::Text(on), Of::Text(other)) => joined(on, other, at),
            (Of::Text(on), Of::Num(other)) => joined(on, other, at),
            (Of::Num(on), Of::Text(other)) => joined(on, other, at),
            (Of::Num(on), Of::Num(other)) => joined(on, other, at),
            _ => at.unknown(),
        }
        .into(),
    )
}

fn joined<V: Datum, V2: Datum>(
    on: &KTable<Key, V>,
    other: &KTable<Key, V2>,
    at: &Stage,
) -> KTable<Key, String> {
    // Java's joiners of tables do not see the key.
    let key = "t".to_owned();
    match &*at.op {
        "join_on" | "left_join_on" => joined_on(on, other, at),
        "join" => {
            let joiner = move |_: &Key, l: &V, r: &V2| functions::join(&key, l, r);
            match at.is_kept() {
                true => on.join_in(other, joiner, at.kept()),
                false => named(on.join(other, joiner), at),
            }
        }
        "left_join" => {
            let joiner =
                move |_: &Key, l: &V, r: Option<&V2>| functions::join(&key, l, &r.cloned());
            match at.is_kept() {
                true => on.left_join_in(other, joiner, at.kept()),
                false => named(on.left_join(other, joiner), at),
            }
        }
        "outer_join" => {
            let joiner = move |_: &Key, l: Option<&V>, r: Option<&V2>| {
                functions::join(&key, &l.cloned(), &r.cloned())
            };
            match at.is_kept() {
                true => on.outer_join_in(other, joiner, at.kept()),
                false => named(on.outer_join(other, joiner), at),
            }
        }
        _ => at.unknown(),
    }
}

/// Arguments: the other table, the selector of the foreign key.
fn joined_on<V: Datum, V2: Datum>(
    on: &KTable<Key, V>,
    other: &KTable<Key, V2>,
    at: &Stage,
) -> KTable<Key, String> {
    let (select, key) = (functions::key::<Key, V>(at.arg(1)), "t".to_owned());
    let foreign = move |k: &Key, v: &V| select(k, v).map(Some);
    let mut how = TableJoined::default().in_memory();
    if let Some(name) = at.option("as") {
        how = how.name(name);
    }
    let store = || {
        let store = Materialized::default().in_memory();
        at.option("store").map(|name| store.name(name))
    };
    if at.op == "join_on" {
        let joiner = move |_: &Key, l: &V, r: &V2| functions::join(&key, l, r);
        return match store() {
            Some(store) => on.join_on_in(other, foreign, joiner, how, store),
            None => on.join_on_with(other, foreign, joiner, how),
        };
    }
    let joiner = move |_: &Key, l: &V, r: Option<&V2>| functions::join(&key, l, &r.cloned());
    match store() {
        Some(store) => on.left_join_on_in(other, foreign, joiner, how, store),
        None => on.left_join_on_with(other, foreign, joiner, how),
    }
}

pub(super) fn of_group(on: &Groups, at: &Stage) -> Flow {
    match &*at.op {
        "windowed" => {
            let windows = TimeWindows::of(at.millis(0)).advance_by(at.millis(1));
            let windows = windows.grace(at.millis(2));
            Flow::Windows(each!(on, on => on.windowed_by(windows).emit(at.emit()).into()))
        }
        "sliding" => {
            let windows = SlidingWindows::of(at.millis(0)).grace(at.millis(1));
            Flow::Windows(each!(on, on => on.windowed_by(windows).emit(at.emit()).into()))
        }
        "unlimited" => {
            let start = Timestamp::from_millis(at.arg(0).parse().unwrap());
            let windows = UnlimitedWindows::of().start_on(start);
            Flow::Windows(each!(on, on => on.windowed_by(windows).into()))
        }
        "cogroup" => {
            let add = adding(at.arg(0), "+");
            cogroup(each!(on, on => on.cogroup(move |_: &Key, v, all: String| add.call(&v, &all))))
        }
        "sessions" => {
            let windows = SessionWindows::of(at.millis(0)).grace(at.millis(1));
            Flow::Sessions(each!(on, on => on.sessions(windows).emit(at.emit()).into()))
        }
        _ => Flow::Table(each!(on, on => aggregated(&**on, at))),
    }
}

/// An aggregator by its name, for values of any type.
struct Adding {
    name: String,
    sign: &'static str,
}

fn adding(name: &str, sign: &'static str) -> Adding {
    Adding { name: name.to_owned(), sign }
}

impl Adding {
    fn call(&self, value: &impl Datum, all: &str) -> Option<String> {
        functions::aggregate(&self.name, self.sign, value, all)
    }
}

fn cogroup(of: CogroupedKStream<Key, String>) -> Flow {
    Flow::Cogroup(Rc::new(Cell::new(Some(of))))
}

/// One more group among the cogrouped, or what all of them become.
pub(super) fn of_cogroup(
    on: CogroupedKStream<Key, String>,
    other: Option<&Flow>,
    at: &Stage,
) -> Flow {
    match (&*at.op, other) {
        ("and", Some(Flow::Groups(other))) => {
            let add = adding(at.arg(1), "*");
            cogroup(each!(other, other => {
                on.cogroup(other, move |_: &Key, v, all: String| add.call(&v, &all))
            }))
        }
        ("aggregate", _) => Flow::Table(on.aggregate(String::new, at.kept()).into()),
        ("windows", _) => {
            let windows = TimeWindows::of(at.millis(0)).advance_by(at.millis(1));
            let windows = on.windowed_by(windows.grace(at.millis(2)));
            Flow::WindowedTable(windows.aggregate(String::new, at.kept()).into())
        }
        ("sliding", _) => {
            let windows = on.windowed_by(SlidingWindows::of(at.millis(0)).grace(at.millis(1)));
            Flow::WindowedTable(windows.aggregate(String::new, at.kept()).into())
        }
        ("sessions", _) => {
            let sessions = on.sessions(SessionWindows::of(at.millis(0)).grace(at.millis(1)));
            let merge = |_: &Key, one, two| String::reduce("append", one, two);
            Flow::WindowedTable(sessions.aggregate(String::new, merge, at.kept()).into())
        }
        _ => at.unknown(),
    }
}

fn aggregated<V: Reduce>(on: &KGroupedStream<Key, V>, at: &Stage) -> Tables<Key>
where
    Tables<Key>: From<KTable<Key, V>>,
{
    let function = at.arg(0).to_owned();
    match &*at.op {
        "count" => on.count(at.kept()).into(),
        "reduce" => on.reduce(move |a, b| V::reduce(&function, a, b), at.kept()).into(),
        "aggregate" => {
            let add =
                move |_: &Key, v: V, all: String| functions::aggregate(&function, "+", &v, &all);
            on.aggregate(String::new, add, at.kept()).into()
        }
        _ => at.unknown(),
    }
}

pub(super) fn of_windows(on: &Windows, at: &Stage) -> Flow {
    Flow::WindowedTable(each!(on, on => windowed(&**on, at)))
}

fn windowed<V: Reduce>(on: &TimeWindowedKStream<Key, V>, at: &Stage) -> Tables<Windowed<Key>>
where
    Tables<Windowed<Key>>: From<KTable<Windowed<Key>, V>>,
{
    let function = at.arg(0).to_owned();
    match &*at.op {
        "count" => on.count(at.kept()).into(),
        "reduce" => on.reduce(move |a, b| V::reduce(&function, a, b), at.kept()).into(),
        "aggregate" => {
            let add =
                move |_: &Key, v: V, all: String| functions::aggregate(&function, "+", &v, &all);
            on.aggregate(String::new, add, at.kept()).into()
        }
        _ => at.unknown(),
    }
}

pub(super) fn of_sessions(on: &Sessions, at: &Stage) -> Flow {
    Flow::WindowedTable(each!(on, on => in_sessions(&**on, at)))
}

fn in_sessions<V: Reduce>(on: &SessionWindowedKStream<Key, V>, at: &Stage) -> Tables<Windowed<Key>>
where
    Tables<Windowed<Key>>: From<KTable<Windowed<Key>, V>>,
{
    let function = at.arg(0).to_owned();
    match &*at.op {
        "count" => on.count(at.kept()).into(),
        "reduce" => on.reduce(move |a, b| V::reduce(&function, a, b), at.kept()).into(),
        "aggregate" => {
            let add =
                move |_: &Key, v: V, all: String| functions::aggregate(&function, "+", &v, &all);
            let merge = |_: &Key, one, two| String::reduce("append", one, two);
            on.aggregate(String::new, add, merge, at.kept()).into()
        }
        _ => at.unknown(),
    }
}

pub(super) fn of_table<V: Reduce>(on: &KGroupedTable<Key, V>, at: &Stage) -> Flow
where
    Tables<Key>: From<KTable<Key, V>>,
{
    let function = at.arg(0).to_owned();
    Flow::Table(match &*at.op {
        "count" => on.count(at.kept()).into(),
        "reduce" => {
            let add = move |a, b| V::reduce(&function, a, b);
            on.reduce(add, |a, b| V::reduce("remove", a, b), at.kept()).into()
        }
        "aggregate" => {
            let other = function.clone();
            let add =
                move |_: &Key, v: V, all: String| functions::aggregate(&function, "+", &v, &all);
            let subtract =
                move |_: &Key, v: V, all: String| functions::aggregate(&other, "-", &v, &all);
            on.aggregate(String::new, add, subtract, at.kept()).into()
        }
        _ => at.unknown(),
    })
}
