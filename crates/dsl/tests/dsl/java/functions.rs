//! The functions given to operators: the twins of `DslFunctions.java`, by the same names.

use kstreams_core::processor::Data;
use kstreams_dsl::{DefaultSerde, Windowed};

/// A key that may be null.
pub(super) type Key = Option<String>;

const LONGEST: usize = 24;

/// What functions see of keys and values: a text, or none for null.
pub(super) trait Datum: Data + DefaultSerde + PartialEq {
    fn text(&self) -> Option<String>;

    fn show(&self) -> String {
        self.text().unwrap_or_else(|| "~".into())
    }

    /// The sum of the bytes of what is shown.
    fn sum(&self) -> i64 {
        self.show().bytes().map(i64::from).sum()
    }
}

impl Datum for String {
    fn text(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Datum for i64 {
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl<T: Datum> Datum for Option<T> {
    fn text(&self) -> Option<String> {
        self.as_ref()?.text()
    }
}

impl<K: Datum> Datum for Windowed<K> {
    fn text(&self) -> Option<String> {
        let (start, end) = (self.window.start.as_millis(), self.window.end.as_millis());
        Some(format!("{}@{start}-{end}", self.key.show()))
    }
}

pub(super) fn predicate<K: Datum, V: Datum>(name: &str) -> fn(&K, &V) -> bool {
    match name {
        "even" => |_, value| value.sum() % 2 == 0,
        "third" => |_, value| value.sum() % 3 == 0,
        "low" => |key, _| key.sum() % 2 == 0,
        "all" => |_, _| true,
        "none" => |_, _| false,
        _ => panic!("no predicate {name}"),
    }
}

pub(super) fn mark(value: &impl Datum) -> String {
    value.show() + "."
}

pub(super) fn keyed(key: &impl Datum, value: &impl Datum) -> String {
    format!("{}:{}", key.show(), value.show())
}

pub(super) fn gap(value: &impl Datum) -> Option<String> {
    (value.sum() % 3 != 0).then(|| value.show())
}

pub(super) fn gap_length(value: &impl Datum) -> Option<i64> {
    (value.sum() % 3 != 0).then(|| value.sum())
}

pub(super) fn key<K: Datum, V: Datum>(name: &str) -> fn(&K, &V) -> Key {
    match name {
        "mod" => |_, value| Some(format!("m{}", value.sum() % 3)),
        "gap" => |_, value| (value.sum() % 2 != 0).then(|| format!("g{}", value.sum() % 3)),
        "one" => |_, _| Some("one".into()),
        "value" => |_, value| value.text(),
        "same" => |key, _| key.text(),
        _ => panic!("no key selector {name}"),
    }
}

/// As many values as the sum says: 0 to 2.
pub(super) fn values(value: &impl Datum) -> Vec<String> {
    (0..value.sum() % 3).map(|i| format!("{}{i}", value.show())).collect()
}

pub(super) fn pairs(value: &impl Datum) -> Vec<(Key, String)> {
    let named = |(i, value)| (Some(format!("f{i}")), value);
    values(value).into_iter().enumerate().map(named).collect()
}

pub(super) fn join(key: &impl Datum, left: &impl Datum, right: &impl Datum) -> String {
    format!("{}({},{})", key.show(), left.show(), right.show())
}

/// A value that can be reduced.
pub(super) trait Reduce: Datum {
    fn reduce(name: &str, one: Self, two: Self) -> Self;
}

impl Reduce for String {
    fn reduce(name: &str, one: Self, two: Self) -> Self {
        match name {
            "append" => tail(format!("{one}+{two}")),
            "larger" => one.max(two),
            "remove" => tail(format!("{one}-{two}")),
            _ => panic!("no reducer {name}"),
        }
    }
}

impl Reduce for i64 {
    fn reduce(name: &str, one: Self, two: Self) -> Self {
        match name {
            "append" => one.wrapping_add(two),
            "larger" => one.max(two),
            "remove" => one.wrapping_sub(two),
            _ => panic!("no reducer {name}"),
        }
    }
}

impl Reduce for Option<String> {
    fn reduce(name: &str, one: Self, two: Self) -> Self {
        Some(String::reduce(name, one.show(), two.show()))
    }
}

impl Reduce for Option<i64> {
    fn reduce(name: &str, one: Self, two: Self) -> Self {
        Some(i64::reduce(name, one.unwrap_or_default(), two.unwrap_or_default()))
    }
}

/// The aggregate of a key so far is `all`; "forget" deletes it now and then.
pub(super) fn aggregate(name: &str, sign: &str, value: &impl Datum, all: &str) -> Option<String> {
    let forgets = match name {
        "list" => false,
        "forget" => value.sum() % 4 == 0,
        _ => panic!("no aggregator {name}"),
    };
    (!forgets).then(|| tail(format!("{all}{sign}{}", value.show())))
}

fn tail(text: String) -> String {
    let too_many = text.chars().count().saturating_sub(LONGEST);
    text.chars().skip(too_many).collect()
}
