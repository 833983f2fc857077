//! Requests and replies that are lost, late or doubled.

use kstreams_core::error::ErrorKind;

use super::*;

#[test]
fn a_batch_whose_reply_is_lost_is_written_once() {
    for fault in [Fault::LoseReply, Fault::DropRequest, Fault::Duplicate, Fault::Delay(SECOND)] {
        let (log, clock, script) = faulty();
        let mut producer = producer(&log, None);
        script.then(RequestKind::Produce, fault);
        send(&mut *producer, "t", "a");
        producer.poll(SECOND);
        send(&mut *producer, "t", "b");
        producer.flush(SECOND).expect("flushed");
        assert!(producer.draw_line());
        assert_eq!(producer.last_offset(&TopicPartition::new("t", 0)), Some(1));
        clock.advance(SECOND);
        send(&mut *producer, "t", "c");
        producer.flush(SECOND).expect("flushed");
        assert_eq!(texts(&log, "t"), ["a", "b", "c"], "{fault:?}");
    }
}

#[test]
fn a_flush_without_answer_times_out_and_a_later_one_ends() {
    let (log, _clock, script) = faulty();
    let mut producer = producer(&log, None);
    for _ in 0..2 {
        script.then(RequestKind::Produce, Fault::DropRequest);
    }
    send(&mut *producer, "t", "a");
    producer.poll(SECOND);
    assert_eq!(producer.flush(SECOND).expect_err("no answer").kind(), ErrorKind::Timeout);
    producer.flush(SECOND).expect("flushed");
    assert_eq!(texts(&log, "t"), ["a"]);
}

#[test]
fn a_refused_batch_is_reported_and_the_producer_goes_on() {
    let (log, _clock, script) = faulty();
    let mut producer = producer(&log, None);
    script.then(RequestKind::Produce, Fault::Refuse(ErrorKind::Production));
    send(&mut *producer, "t", "bad");
    producer.flush(SECOND).expect("flushed");
    let failures = producer.failures();
    assert_eq!((failures.len(), failures[0].tag), (1, 5));
    assert_eq!(failures[0].value.as_deref(), Some(&b"bad"[..]));
    send(&mut *producer, "t", "good");
    producer.flush(SECOND).expect("flushed");
    assert_eq!(texts(&log, "t"), ["good"]);
}

#[test]
fn a_refused_record_spoils_its_transaction() {
    let (log, _clock, script) = faulty();
    let mut producer = producer(&log, Some("id"));
    producer.begin_transaction().expect("begun");
    script.then(RequestKind::Produce, Fault::Refuse(ErrorKind::Production));
    send(&mut *producer, "t", "bad");
    producer.poll(SECOND);
    send(&mut *producer, "t", "with it");
    let error = producer.commit_transaction(SECOND).expect_err("spoiled");
    assert_eq!(error.kind(), ErrorKind::Production);
    producer.abort_transaction(SECOND).expect("aborted");
    producer.begin_transaction().expect("begun");
    send(&mut *producer, "t", "good");
    producer.commit_transaction(SECOND).expect("committed");
    assert_eq!(texts(&log, "t"), ["good"]);
}

/// KIP-890 tells of it: without an epoch per transaction nothing ties an EndTxn to its own.
#[test]
fn a_late_commit_ends_a_later_transaction() {
    let (log, clock, script) = faulty();
    let mut producer = producer(&log, Some("id"));
    producer.begin_transaction().expect("begun");
    send(&mut *producer, "t", "a");
    producer.flush(SECOND).expect("flushed");
    script.then(RequestKind::EndTransaction { is_commit: true }, Fault::Delay(SECOND));
    let error = producer.commit_transaction(SECOND).expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    // What must not be done: to go on with a producer whose commit has an unknown outcome.
    producer.abort_transaction(SECOND).expect("aborted");
    producer.begin_transaction().expect("begun");
    send(&mut *producer, "t", "torn");
    producer.flush(SECOND).expect("flushed");
    clock.advance(SECOND);
    let (mut consumer, lane) = reader(&log, "t", Isolation::ReadCommitted);
    consumer.fetch(lane, 9).expect("fetched");
    assert_eq!(texts(&log, "t"), ["torn"], "committed although nobody asked for it");
}

#[test]
fn a_new_producer_shuts_out_what_is_late() {
    let (log, clock, script) = faulty();
    let mut old = producer(&log, Some("id"));
    old.begin_transaction().expect("begun");
    send(&mut *old, "t", "a");
    old.flush(SECOND).expect("flushed");
    script.then(RequestKind::EndTransaction { is_commit: true }, Fault::Delay(SECOND));
    old.commit_transaction(SECOND).expect_err("no answer");
    drop(old);
    let mut new = producer(&log, Some("id"));
    new.begin_transaction().expect("begun");
    send(&mut *new, "t", "b");
    new.flush(SECOND).expect("flushed");
    clock.advance(SECOND);
    assert!(texts(&log, "t").is_empty());
    new.commit_transaction(SECOND).expect("committed");
    assert_eq!(texts(&log, "t"), ["b"]);
}

#[test]
fn a_batch_that_comes_after_the_abort_stays_out() {
    let (log, clock, script) = faulty();
    let mut producer = producer(&log, Some("id"));
    producer.begin_transaction().expect("begun");
    script.then(RequestKind::Produce, Fault::Delay(SECOND));
    send(&mut *producer, "t", "late");
    producer.poll(SECOND);
    producer.abort_transaction(SECOND).expect("aborted");
    producer.begin_transaction().expect("begun");
    send(&mut *producer, "t", "a");
    producer.flush(SECOND).expect("flushed");
    clock.advance(SECOND);
    send(&mut *producer, "t", "b");
    producer.commit_transaction(SECOND).expect("committed");
    assert_eq!(texts(&log, "t"), ["a", "b"]);
}

#[test]
fn late_markers_keep_the_transaction_prepared() {
    let (log, clock, script) = faulty();
    let mut producer = producer(&log, Some("id"));
    producer.begin_transaction().expect("begun");
    send(&mut *producer, "t", "a");
    script.then(RequestKind::WriteMarkers, Fault::Delay(SECOND));
    producer.commit_transaction(SECOND).expect("decided");
    assert!(texts(&log, "t").is_empty());
    producer.begin_transaction().expect("begun");
    send(&mut *producer, "t", "b");
    let error = producer.commit_transaction(SECOND).expect_err("not yet");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    clock.advance(SECOND);
    producer.commit_transaction(SECOND).expect("committed");
    assert_eq!(texts(&log, "t"), ["a", "b"]);
}
