//! Bytes that others read: equal to what the classes of Kafka Streams 4.3.1 write.

use kstreams::partition::{murmur2, partition_for};
use kstreams::serde::{
    At, Bool, ByteArray, F32, F64, FixedList, I16, I32, I64, List, Nullable, Serde, Unit, Utf8,
    UuidText, write,
};
use kstreams_broker::{Java, golden};

#[path = "../golden/mod.rs"]
mod stores;

const SEED: &str = "20261122";

fn java(main: &str, n: usize) -> String {
    let java = Java::prepare().unwrap();
    java.run(main, [SEED, &n.to_string()]).unwrap()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    golden::bytes(text).unwrap()
}

#[test]
fn ten_thousand_keys_go_where_java_puts_them() {
    let text = java(golden::PARTITIONS, 10_000);
    let mut n_lines = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [key, hash, of_seven, of_twelve] = words[..] else { panic!("{line}") };
        let key = bytes(key).unwrap();
        assert_eq!(murmur2(&key) as i32, hash.parse::<i32>().unwrap(), "{line}");
        assert_eq!(partition_for(&key, 7), of_seven.parse::<i32>().unwrap(), "{line}");
        assert_eq!(partition_for(&key, 12), of_twelve.parse::<i32>().unwrap(), "{line}");
        n_lines += 1;
    }
    assert_eq!(n_lines, 10_000);
}

/// What we read from Java's bytes is Java's value, and we write the same bytes.
#[track_caller]
fn check<S: Serde>(serde: &S, line: &str, wanted: &str, show: impl Fn(S::Item) -> String)
where
    S::Item: Clone,
{
    let hex = line.rsplit(' ').next().unwrap();
    let at = At::value("t");
    let java = bytes(hex);
    let item = kstreams::serde::read(serde, java.as_deref(), &at).unwrap();
    let mut out = Vec::new();
    let some = write(serde, &item, &at, &mut out).unwrap();
    assert_eq!(some.then_some(out), java, "{line}");
    assert_eq!(show(item), wanted, "{line}");
}

fn items<T>(list: Vec<Option<T>>, show: impl Fn(T) -> String) -> String {
    let items: Vec<String> = list.into_iter().map(|item| item.map_or("-".into(), &show)).collect();
    format!("[{}]", items.join(","))
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "_".into();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn serdes_write_what_java_writes() {
    let text = java(golden::SERDES, 300);
    let mut n_lines = 0;
    for line in text.lines() {
        let (kind, rest) = line.split_once(' ').unwrap();
        let (value, _) = rest.rsplit_once(' ').unwrap();
        n_lines += 1;
        match kind {
            "String" => check(&Utf8, line, value, |s| hex(s.as_bytes())),
            "Integer" => check(&I32, line, value, |n| n.to_string()),
            "Long" => check(&I64, line, value, |n| n.to_string()),
            "Short" => check(&I16, line, value, |n| n.to_string()),
            // Java and Rust print floats differently: bits decide.
            "Double" => check(&F64, line, value, |n| same_float(n, value)),
            "Float" => check(&F32, line, value, |n| same_float(f64::from(n), value)),
            "UUID" => check(&UuidText, line, value, uuid),
            "Boolean" => check(&Bool, line, value, |b| b.to_string()),
            "Bytes" | "ByteArray" => check(&ByteArray, line, value, |b| hex(&b)),
            "Void" => check(&Unit, line, value, |()| "-".into()),
            "ListInteger" => check(&FixedList { inner: I32, width: 4 }, line, value, |list| {
                items(list, |n| n.to_string())
            }),
            "ListLong" => check(&FixedList { inner: I64, width: 8 }, line, value, |list| {
                items(list, |n| n.to_string())
            }),
            "ListString" => {
                check(&Nullable(List(Utf8)), line, value, |list| {
                    list.map_or("-".into(), |list| items(list, |s| hex(s.as_bytes())))
                });
            }
            // A kind that is not known here is a gap, not a difference.
            other => {
                assert!(other.starts_with("List"), "unknown kind {other}");
                n_lines -= 1;
            }
        }
    }
    assert!(n_lines > 3000, "{n_lines}");
}

fn same_float(ours: f64, java: &str) -> String {
    let theirs: f64 = java.parse().unwrap_or(f64::NAN);
    let close = (ours - theirs).abs() <= theirs.abs() * 1e-6;
    if close || (ours.is_nan() && theirs.is_nan()) || ours == theirs {
        java.into()
    } else {
        ours.to_string()
    }
}

fn uuid(value: u128) -> String {
    let hex = format!("{value:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Operations on stores of every format: equal results, changelogs and contents, and a store that
/// is restored from the changelog of Java holds what Java's store does.
#[test]
fn key_value_stores_do_what_java_s_do() {
    let compared = stores::compare(&java(golden::CHANGELOG, 6_000));
    assert!(compared.n_operations == 6_000 && compared.n_changes > 5_000, "{compared:?}");
}

#[test]
fn stores_with_retention_do_what_java_s_do() {
    let compared = stores::compare(&java(golden::STORES, 4_000));
    assert!(compared.n_operations == 4_000 && compared.n_changes > 3_500, "{compared:?}");
}

#[test]
fn values_and_windowed_keys_have_java_s_bytes() {
    let text = java(golden::CHANGELOG, 2_000) + &java(golden::STORES, 2_000);
    assert_eq!(stores::compare_bytes(&text), 2 * 2_000 + 2 * 2_000);
}
