//! Compares stores with what the classes of Kafka Streams 4.3.1 printed: results, changelogs,
//! contents, and what a changelog of Java restores.
//!
//! Shared by the tests that run Java now, with thousands of random operations, and by those that
//! compare with the fixtures here, which the same programs printed with fewer.

mod key_values;
mod sessions;
mod versions;
mod windows;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kstreams::record::{Headers, RawRecord};
use kstreams::state::{keys, testing, values};
use kstreams::store::{StateStore, StoreBuilder, StoreContext};
use kstreams::time::Timestamp;
use kstreams_broker::golden;

/// What the Java programs use.
const RETENTION: Duration = Duration::from_secs(240);
const SIZE: Duration = Duration::from_secs(10);

/// One column of a line.
type Words<'a> = [&'a str];

/// A change as it goes to the changelog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    time: Timestamp,
    headers: Headers,
}

/// One of our stores beside one of Java's.
trait Subject {
    /// Does what the line says; the result is the line that Java printed for it.
    fn apply(&self, words: &Words<'_>) -> String;

    /// What Java prints of the contents at the end.
    fn rows(&self) -> Vec<String>;

    fn store(&self) -> &dyn StateStore;

    fn n_dropped(&self) -> u64;
}

/// A subject with its changelog, ours and Java's.
struct Pair {
    subject: Box<dyn Subject>,
    context: StoreContext,
    ours: Vec<Change>,
    theirs: Vec<Change>,
}

/// What was compared.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    pub(crate) n_operations: usize,
    pub(crate) n_changes: usize,
    pub(crate) n_rows: usize,
}

/// Does every operation of the text on stores of ours; results and changelogs must be the same, at
/// the end the contents, and those of stores that are restored from the changelogs of Java.
pub(crate) fn compare(text: &str) -> Compared {
    let dir = testing::TempDir::new();
    let mut pairs: BTreeMap<&str, Pair> = BTreeMap::new();
    let mut rows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut compared = Compared::default();
    let mut last = "";
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if words.len() > 1 && words[0] != "changelog" && words[0] != "partition" {
            last = words[1];
        }
        if is_left_out(last) {
            continue;
        }
        match words[0] {
            "put" | "putIfAbsent" | "delete" | "wput" | "sput" | "sremove" | "vput" | "vdelete"
            | "vget" => {
                let pair = pairs.entry(last).or_insert_with(|| pair(last, dir.path()));
                assert_eq!(pair.apply(&words), line);
                compared.n_operations += 1;
            }
            "changelog" => {
                let pair = pairs.get_mut(last).expect("an operation comes before its changes");
                pair.theirs.push(change(&words));
                compared.n_changes += 1;
            }
            "content" | "wrow" | "srow" | "vrow" => {
                rows.entry(words[1]).or_default().push(line.to_owned());
                compared.n_rows += 1;
            }
            // In memory records are too old sooner than on disk.
            "dropped" if cfg!(feature = "rocksdb") => {
                let dropped: u64 = pairs.values().map(|pair| pair.subject.n_dropped()).sum();
                assert_eq!(dropped.to_string(), words[1]);
            }
            _ => {}
        }
    }
    for (name, pair) in pairs {
        let differ = pair.ours.iter().zip(&pair.theirs).position(|(ours, theirs)| ours != theirs);
        if let Some(at) = differ {
            assert_eq!(pair.ours[at], pair.theirs[at], "changelog of {name}, change {at}");
        }
        assert_eq!(pair.ours.len(), pair.theirs.len(), "changes of {name}");
        let rows = rows.remove(name).unwrap_or_default();
        check_rows(&*pair.subject, &rows, name);
        check_restored(name, &pair.theirs, &rows);
    }
    compared
}

/// Compares how values lie in stores and how windowed keys are written; how many there were.
pub(crate) fn compare_bytes(text: &str) -> usize {
    let mut n_compared = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (mut ours, theirs) = (
            Vec::new(),
            match words[0] {
                "valuets" => words[3],
                "valuetsheaders" | "timewindowed" | "sessionwindowed" => words[4],
                _ => continue,
            },
        );
        match words[0] {
            "valuets" => {
                values::time(millis(words[1]), &mut ours);
                ours.extend(bytes(words[2]).unwrap());
                check_split(values::split_time(&ours), (millis(words[1]), words[2]));
            }
            "valuetsheaders" => {
                values::headers(&headers(words[2]), &mut ours);
                values::time(millis(words[1]), &mut ours);
                ours.extend(bytes(words[3]).unwrap());
                let (own, rest) = values::split_headers(&ours).unwrap();
                assert_eq!(own, headers(words[2]), "{line}");
                check_split(values::split_time(rest), (millis(words[1]), words[3]));
            }
            kind => {
                let (key, start) = (bytes(words[1]).unwrap(), words[2].parse().unwrap());
                if kind == "timewindowed" {
                    keys::time_windowed(&key, start, &mut ours);
                    assert_eq!(keys::split_time_windowed(&ours), Some((&key[..], start)));
                } else {
                    let end = words[3].parse().unwrap();
                    keys::session(&key, start, end, &mut ours);
                    assert_eq!(keys::split_session(&ours), Some((&key[..], start, end)));
                }
            }
        }
        assert_eq!(hex(&ours), theirs, "{line}");
        n_compared += 1;
    }
    n_compared
}

#[track_caller]
fn check_split(ours: Option<(Timestamp, &[u8])>, (time, value): (Timestamp, &str)) {
    assert_eq!(ours, Some((time, &bytes(value).unwrap()[..])));
}

/// Without RocksDB there are only stores in memory; what is too old differs there.
fn is_left_out(name: &str) -> bool {
    cfg!(not(feature = "rocksdb")) && name.ends_with("-disk") && !name.starts_with("versioned")
}

impl Pair {
    fn apply(&mut self, words: &Words<'_>) -> String {
        let record_headers = match (words[0], words.len()) {
            ("put" | "putIfAbsent" | "delete", _) => words[7],
            ("wput" | "sput" | "sremove", 9) => words[8],
            _ => "-",
        };
        // The column with the time of the record.
        let time = match words[0] {
            "sput" | "sremove" => words[6],
            "wput" | "vput" | "vdelete" => words[5],
            _ => words[4],
        };
        self.context.times.set_record(millis(time));
        self.context.times.set_headers(&headers(record_headers));
        let result = self.subject.apply(words);
        self.ours.extend(take_changes(&self.context));
        result
    }
}

/// A store restored from Java's changelog holds what Java's store holds.
fn check_restored(name: &str, changes: &[Change], rows: &[String]) {
    let dir = testing::TempDir::new();
    let restored = pair(name, dir.path());
    let mut offset = 0;
    for part in changes.chunks(100) {
        let mut records = part.iter().zip(offset..).map(|(change, offset)| RawRecord {
            offset,
            timestamp: change.time,
            key: Some(&change.key),
            value: change.value.as_deref(),
            headers: change.headers.clone(),
            leader_epoch: None,
        });
        offset += part.len() as i64;
        restored.subject.store().restore(&mut records, offset - 1).unwrap();
    }
    check_rows(&*restored.subject, rows, &format!("{name}, restored"));
    assert_eq!(take_changes(&restored.context), [], "{name}: restoring logs nothing");
}

/// The order of entries is the store's own: Java's depends on whether it is in memory.
fn check_rows(subject: &dyn Subject, rows: &[String], name: &str) {
    let (mut ours, mut theirs) = (subject.rows(), rows.to_vec());
    ours.sort();
    theirs.sort();
    assert_eq!(ours.join("\n"), theirs.join("\n"), "contents of {name}");
}

fn pair(name: &str, dir: &Path) -> Pair {
    let (kind, place) = name.split_once('-').expect("a kind and a place");
    let on_disk = place == "disk" && cfg!(feature = "rocksdb");
    let (subject, context) = match kind {
        "kv" | "tkv" | "hkv" => key_values::open(name, kind, on_disk, dir),
        "win" | "dup" | "twin" | "hwin" => windows::open(name, kind, on_disk, dir),
        "session" | "hsession" => sessions::open(name, kind, on_disk, dir),
        "versioned" => versions::open(name, on_disk, dir),
        other => panic!("no stores of the kind {other}"),
    };
    Pair { subject, context, ours: Vec::new(), theirs: Vec::new() }
}

/// Opens a store whose name is Java's.
fn open<B: StoreBuilder>(builder: &B, dir: &Path) -> (B::Store, StoreContext) {
    let context = testing::context(builder, Some(dir));
    (builder.build(context.clone()).unwrap(), context)
}

fn take_changes(context: &StoreContext) -> Vec<Change> {
    let Some(changes) = &context.changes else { return Vec::new() };
    changes.with(|outbox| {
        let taken = outbox.iter().map(|record| Change {
            key: record.key.unwrap_or_default().to_vec(),
            value: record.value.map(<[u8]>::to_vec),
            time: record.timestamp,
            headers: record.headers.clone(),
        });
        let taken = taken.collect();
        outbox.clear();
        taken
    })
}

fn change(words: &Words<'_>) -> Change {
    Change {
        key: bytes(words[2]).unwrap(),
        value: bytes(words[3]),
        time: millis(words[4]),
        headers: headers(words[5]),
    }
}

fn bytes(word: &str) -> Option<Vec<u8>> {
    golden::bytes(word).unwrap()
}

fn headers(word: &str) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in golden::headers(word).unwrap() {
        headers.push(&name, value.as_deref());
    }
    headers
}

fn millis(word: &str) -> Timestamp {
    Timestamp::from_millis(word.parse().unwrap())
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "_".into();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex_or_null(bytes: Option<&[u8]>) -> String {
    bytes.map_or("-".into(), hex)
}

fn show_headers(headers: &Headers) -> String {
    if headers.is_empty() {
        return "-".into();
    }
    let show = |header: &kstreams::record::Header| {
        format!("{}={}", hex(header.name.as_bytes()), hex_or_null(header.value.as_deref()))
    };
    headers.iter().map(show).collect::<Vec<_>>().join(";")
}
