//! State that does not fit: changelogs that were cut, compacted or written by others, and stores
//! that stand for offsets which are not there.

use crate::support::*;
use kstreams::ErrorKind;
use kstreams::log::memory::NewRecord;

const CHANGELOG: &str = "app-counts-changelog";

fn counted(log: &MemoryLog, config: Config, keys: &[&str], n_before: usize) {
    let app = run(counting(counts_in_memory()).0, config, log);
    for key in keys {
        log.produce("in", key, "v", at(0)).unwrap();
    }
    eventually("counted", || log.records("out").len() == n_before + keys.len());
    assert!(app.close(SOON));
}

#[test]
fn a_changelog_record_that_cannot_be_read_is_an_error_with_its_store() {
    let log = log_with(1);
    counted(&log, config(), &["a", "b"], 0);
    log.produce(CHANGELOG, "a", "not eight bytes", at(0)).unwrap();
    let app = run(counting(counts_in_memory()).0, config(), &log);
    log.produce("in", "b", "v", at(0)).unwrap();
    eventually("a neighbour is unharmed", || numbers(&log, "out").contains(&("b".into(), 2)));
    log.produce("in", "a", "v", at(0)).unwrap();
    assert!(app.wait_for(State::Error, SOON));
    let error = app.take_error().unwrap();
    assert!(error.to_string().contains("counts"), "{error}");
    assert!(matches!(error.kind(), ErrorKind::Deserialization | ErrorKind::Corrupted), "{error}");
}

#[test]
fn records_of_others_in_a_changelog_are_no_harm() {
    let log = log_with(1);
    counted(&log, config(), &["a"], 0);
    let foreign = |key: &[u8], value: Option<&[u8]>| {
        let (key, headers) = (Some(key), Headers::default());
        let record = NewRecord { partition: Some(0), key, value, timestamp: at(0), headers };
        log.produce_record(CHANGELOG, &record).unwrap();
    };
    foreign(b"", Some(&7_u64.to_be_bytes()));
    foreign(b"never there", None);
    counted(&log, config(), &["a"], 1);
    assert_eq!(numbers(&log, "out"), [("a".into(), 1), ("a".into(), 2)]);
}

#[test]
fn a_changelog_of_tombstones_alone_restores_nothing() {
    let log = log_with(1);
    log.create_topic_with(CHANGELOG, 1, &[("cleanup.policy", "compact")]).unwrap();
    for key in ["a", "b"] {
        let (key, headers) = (Some(key.as_bytes()), Headers::default());
        let record = NewRecord { partition: Some(0), key, value: None, timestamp: at(0), headers };
        log.produce_record(CHANGELOG, &record).unwrap();
    }
    counted(&log, config(), &["a"], 0);
    assert_eq!(numbers(&log, "out"), [("a".into(), 1)]);
}

#[cfg(feature = "rocksdb")]
mod on_disk {
    use kstreams::log::Log;
    use kstreams::state::testing::TempDir;

    use super::*;

    fn counts_on_disk() -> KeyValue<String, u64> {
        KeyValue::persistent("counts", Utf8, U64)
    }

    /// Counts keys with the state in `dir`; tells what was replayed from which offset.
    fn count(log: &MemoryLog, dir: &TempDir, keys: &[&str]) -> Vec<(i64, i64)> {
        let n_before = log.records("out").len();
        let replayed: Arc<Mutex<Vec<(i64, i64)>>> = Arc::default();
        let seen = Arc::clone(&replayed);
        let config = config().guarantee(Guarantee::ExactlyOnce).state_dir(dir.path()).on_restore(
            move |progress| {
                if progress.is_done() {
                    seen.lock().unwrap().push((progress.start, progress.end));
                }
            },
        );
        let app = run(counting(counts_on_disk()).0, config, log);
        for key in keys {
            log.produce("in", key, "v", at(0)).unwrap();
        }
        eventually("counted", || log.records("out").len() == n_before + keys.len());
        assert!(app.close(SOON));
        let replayed = replayed.lock().unwrap();
        replayed.clone()
    }

    /// The last result of each key.
    fn last(log: &MemoryLog, key: &str) -> Option<u64> {
        numbers(log, "out").into_iter().rfind(|(of, _)| of == key).map(|(_, n)| n)
    }

    fn changelog_end(log: &MemoryLog) -> i64 {
        log.records(CHANGELOG).last().map_or(0, |record| record.offset + 1)
    }

    #[test]
    fn a_restart_in_order_replays_nothing_but_markers() {
        let (log, dir) = (log_with(1), TempDir::new());
        count(&log, &dir, &["a", "b", "a"]);
        let end = changelog_end(&log);
        let replayed = count(&log, &dir, &["a"]);
        assert!(replayed.iter().all(|(start, _)| *start >= end), "{replayed:?}");
        assert_eq!(last(&log, "a"), Some(3));
    }

    /// Another instance went on meanwhile, and the changelog was compacted and cut: what the old
    /// directory stands for is gone.
    #[test]
    fn a_changelog_that_was_cut_past_the_stored_offset_is_restored_from_its_beginning() {
        let (log, old, new) = (log_with(1), TempDir::new(), TempDir::new());
        count(&log, &old, &["a", "gone"]);
        count(&log, &new, &["a", "b", "a", "b"]);
        let cut = changelog_end(&log) - 2;
        let partition = TopicPartition::new(CHANGELOG, 0);
        log.admin().unwrap().delete_records(&[(partition, cut)], SOON).unwrap();
        let replayed = count(&log, &old, &["a", "gone"]);
        assert_eq!(replayed[0].0, cut, "{replayed:?}");
        // What the changelog has lost is lost; what the old directory held must not come back.
        assert_eq!(last(&log, "gone"), Some(1));
        assert_eq!(last(&log, "a"), Some(4));
    }

    #[test]
    fn a_changelog_that_was_compacted_past_the_stored_offset_restores() {
        let (log, old, new) = (log_with(1), TempDir::new(), TempDir::new());
        count(&log, &old, &["a", "b"]);
        count(&log, &new, &["a", "a", "b", "a"]);
        log.clean(CHANGELOG);
        count(&log, &old, &["a", "b"]);
        assert_eq!((last(&log, "a"), last(&log, "b")), (Some(5), Some(3)));
    }

    /// The store stands for more than the changelog holds: it is another application's, or the
    /// topic was made anew.
    #[test]
    fn a_store_that_is_ahead_of_its_changelog_is_wiped() {
        let (log, dir) = (log_with(1), TempDir::new());
        count(&log, &dir, &["a", "a", "a", "a", "a"]);
        log.delete_topic(CHANGELOG);
        log.create_topic_with(CHANGELOG, 1, &[("cleanup.policy", "compact")]).unwrap();
        log.produce(CHANGELOG, "a", 1_u64.to_be_bytes(), at(0)).unwrap();
        let replayed = count(&log, &dir, &["a"]);
        assert_eq!(replayed, [(0, 1)]);
        assert_eq!(last(&log, "a"), Some(2));
    }
}
