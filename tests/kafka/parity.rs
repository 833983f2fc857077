//! Bytes that others read: equal to what the classes of Kafka Streams 4.3.1 write.

use kstreams::partition::{murmur2, partition_for};
use kstreams::serde::{
    At, Bool, ByteArray, F32, F64, FixedList, I16, I32, I64, List, Nullable, Serde, Unit, Utf8,
    UuidText, write,
};
use kstreams::state::{KeyValue, Stamped, testing};
use kstreams::time::Timestamp;
use kstreams_broker::{Java, golden};

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

/// The operations of the Java run on plain and timestamped stores, on ours: equal changelogs.
#[test]
fn key_value_changelogs_are_java_s() {
    let text = java(golden::CHANGELOG, 10_000);
    let dir = testing::TempDir::new();
    let plain = KeyValue::in_memory("kv", ByteArray, ByteArray);
    let stamped = KeyValue::in_memory("tkv", ByteArray, ByteArray).timestamped();
    let plain_disk = KeyValue::persistent("kvd", ByteArray, ByteArray);
    let stamped_disk = KeyValue::persistent("tkvd", ByteArray, ByteArray).timestamped();
    let context = testing::context(&plain, None);
    let stamped_context = testing::context(&stamped, None);
    let disk_context = testing::context(&plain_disk, Some(dir.path()));
    let stamped_disk_context = testing::context(&stamped_disk, Some(dir.path()));
    let plain = open(&plain, &context);
    let stamped = open(&stamped, &stamped_context);
    let plain_disk = open(&plain_disk, &disk_context);
    let stamped_disk = open(&stamped_disk, &stamped_disk_context);

    let mut n_compared = 0;
    let mut ours: Vec<testing::Change> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            operation @ ("put" | "putIfAbsent" | "delete") => {
                let (key, value) = (bytes(words[2]).unwrap(), bytes(words[3]));
                let record = Timestamp::from_millis(words[4].parse().unwrap());
                let time = words[5].parse().map_or(record, Timestamp::from_millis);
                let (changes, store) = match words[1] {
                    "kv-memory" => (&context, Some(&plain)),
                    "kv-disk" => (&disk_context, Some(&plain_disk)),
                    "tkv-memory" => (&stamped_context, None),
                    "tkv-disk" => (&stamped_disk_context, None),
                    _ => {
                        // Stores with headers (KIP-1271) are not built yet.
                        ours.clear();
                        continue;
                    }
                };
                changes.times.set_record(record);
                if let Some(store) = store {
                    match (operation, value) {
                        ("put", Some(value)) => store.put(&key, &value).unwrap(),
                        ("putIfAbsent", Some(value)) => {
                            drop(store.put_if_absent(&key, &value).unwrap());
                        }
                        _ => drop(store.delete(&key).unwrap()),
                    }
                } else {
                    let store = if words[1] == "tkv-disk" { &stamped_disk } else { &stamped };
                    match (operation, value) {
                        ("put", Some(value)) => {
                            store.put(&key, &Stamped { value, timestamp: time }).unwrap();
                        }
                        ("putIfAbsent", Some(value)) => drop(
                            store.put_if_absent(&key, &Stamped { value, timestamp: time }).unwrap(),
                        ),
                        _ => drop(store.delete(&key).unwrap()),
                    }
                }
                ours = testing::take_changes(changes);
            }
            "changelog" if words[1].contains("-kv-") || words[1].contains("-tkv-") => {
                let theirs =
                    (bytes(words[2]).unwrap(), bytes(words[3]), words[4].parse::<i64>().unwrap());
                assert_eq!(ours.first(), Some(&theirs), "{line}");
                ours.remove(0);
                n_compared += 1;
            }
            _ => {}
        }
    }
    assert!(n_compared > 5000, "{n_compared}");
}

fn open<B: kstreams::store::StoreBuilder>(
    builder: &B,
    context: &kstreams::store::StoreContext,
) -> B::Store {
    builder.build(context.clone()).unwrap()
}
