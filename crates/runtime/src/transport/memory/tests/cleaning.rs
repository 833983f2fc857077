//! What the log forgets.

use kstreams_core::error::ErrorKind;
use kstreams_core::record::Offset;

use super::super::NewRecord;
use super::*;

fn put(log: &MemoryLog, key: &str, value: Option<&str>, millis: i64) {
    let (key, value) = (Some(key.as_bytes()), value.map(str::as_bytes));
    let timestamp = Timestamp::from_millis(millis);
    let record = NewRecord { key, value, timestamp, ..NewRecord::default() };
    log.produce_record("c", &record).expect("written");
}

fn offsets(log: &MemoryLog) -> Vec<Offset> {
    log.records("c").iter().map(|record| record.offset).collect()
}

#[test]
fn compaction_keeps_the_last_of_each_key_and_all_offsets() {
    let (log, clock) = log(|builder| builder);
    let configs = [("cleanup.policy", "compact"), ("delete.retention.ms", "1000")];
    log.create_topic_with("c", 1, &configs).expect("created");
    for (key, value) in [("a", Some("1")), ("b", Some("1")), ("a", Some("2")), ("b", None)] {
        put(&log, key, value, 0);
    }
    let mut aborted = producer(&log, Some("id"));
    aborted.begin_transaction().expect("begun");
    send(&mut *aborted, "c", "aborted");
    aborted.flush(SECOND).expect("flushed");
    aborted.abort_transaction(SECOND).expect("aborted");
    log.clean("c");
    assert_eq!(offsets(&log), [2, 3]);
    clock.advance(2 * SECOND);
    log.clean("c");
    assert_eq!(offsets(&log), [2], "the tombstone has had its time");
    let (mut consumer, lane) = reader(&log, "c", Isolation::ReadCommitted);
    let fetched = consumer.fetch(lane, 9).expect("fetched");
    assert_eq!((fetched.position, fetched.lag), (6, Some(0)), "behind all that is gone");
    put(&log, "a", Some("3"), 0);
    assert_eq!(offsets(&log), [2, 6]);
    let error = log.produce_record("c", &NewRecord::default()).expect_err("no key");
    assert_eq!(error.kind(), ErrorKind::Production);
}

#[test]
fn compaction_starts_by_itself() {
    let (log, _clock) = log(|builder| builder.compact_bytes(10_000));
    log.create_topic_with("c", 1, &[("cleanup.policy", "compact")]).expect("created");
    for n in 0..10_000 {
        put(&log, &(n % 10).to_string(), Some("value"), 0);
    }
    let kept = offsets(&log);
    assert!(kept.len() < 1_000, "{} records are kept", kept.len());
    assert_eq!(kept.last(), Some(&9_999));
}

#[test]
fn retention_bounds_a_partition() {
    let (log, _clock) = log(|builder| builder.retention_records(2_000));
    let mut producer = producer(&log, None);
    for n in 0..20_000 {
        send(&mut *producer, "t", &n.to_string());
    }
    producer.flush(SECOND).expect("flushed");
    let kept = texts(&log, "t");
    assert!((2_000..=4_096).contains(&kept.len()), "{} records are kept", kept.len());
    assert_eq!(kept.last().map(String::as_str), Some("19999"));
    let (mut consumer, lane) = reader(&log, "t", Isolation::ReadCommitted);
    let error = consumer.fetch(lane, 1).expect_err("gone");
    assert_eq!(error.kind(), ErrorKind::OffsetReset);
}

#[test]
fn age_counts_only_when_asked_for() {
    let (log, clock) = log(|builder| builder);
    log.create_topic_with("c", 1, &[("retention.ms", "1000")]).expect("created");
    put(&log, "a", Some("1"), 0);
    clock.advance(5 * SECOND);
    put(&log, "b", Some("2"), 0);
    assert_eq!(offsets(&log), [0, 1]);
    log.clean("c");
    assert!(offsets(&log).is_empty());
}

#[test]
fn a_deleted_topic_is_told_and_may_come_back() {
    let (log, _clock) = log(|builder| builder);
    let mut producer = producer(&log, None);
    let (mut consumer, lane) = reader(&log, "t", Isolation::ReadCommitted);
    send(&mut *producer, "t", "a");
    producer.flush(SECOND).expect("flushed");
    assert!(consumer.fetch(lane, 1).expect("fetched").records.is_some());
    send(&mut *producer, "t", "lost");
    log.delete_topic("t");
    producer.flush(SECOND).expect("flushed");
    assert_eq!(producer.failures()[0].error.kind(), ErrorKind::Topic);
    assert_eq!(consumer.fetch(lane, 1).expect_err("gone").kind(), ErrorKind::Topic);
    log.create_topic("t", 1).expect("created");
    send(&mut *producer, "t", "new");
    producer.flush(SECOND).expect("flushed");
    assert_eq!(texts(&log, "t"), ["new"]);
    consumer.seek(lane, 0).expect("sought");
    assert!(consumer.fetch(lane, 1).expect("fetched").records.is_some());
}

#[test]
fn topics_are_made_on_first_use_if_wanted() {
    let (log, _clock) = log(|builder| builder.auto_create_topics(3));
    log.produce("new", "k", "v", Timestamp::default()).expect("written");
    let topics = log.admin().expect("an admin client").topics(SECOND).expect("topics");
    assert_eq!((topics[0].name.as_str(), topics[0].n_partitions), ("new", 3));
}

#[test]
fn a_leader_epoch_is_told_with_each_record() {
    let (log, _clock) = log(|builder| builder);
    log.produce("t", "k", "v", Timestamp::default()).expect("written");
    log.elect_leader(&TopicPartition::new("t", 0)).expect("elected");
    log.produce("t", "k", "v", Timestamp::default()).expect("written");
    let (mut consumer, lane) = reader(&log, "t", Isolation::ReadCommitted);
    let batch = consumer.fetch(lane, 9).expect("fetched").records.expect("records");
    let epochs: Vec<_> = (0..2).map(|index| batch.get(index).leader_epoch).collect();
    assert_eq!(epochs, [Some(0), Some(1)]);
}
