//! Time-outs and epochs of transactions.

use kstreams_core::error::ErrorKind;

use super::*;

#[test]
fn a_transaction_that_is_open_for_too_long_is_aborted_and_fenced() {
    let (log, clock) = log(|builder| builder);
    let mut slow = producer(&log, Some("id"));
    slow.begin_transaction().expect("begun");
    send(&mut *slow, "t", "slow");
    slow.flush(SECOND).expect("flushed");
    send(&mut *producer(&log, None), "t", "never handed over");
    let mut other = producer(&log, None);
    send(&mut *other, "t", "other");
    other.flush(SECOND).expect("flushed");
    let (mut consumer, lane) = reader(&log, "t", Isolation::ReadCommitted);
    clock.advance(TIMEOUT - SECOND);
    assert!(consumer.fetch(lane, 9).expect("fetched").records.is_none());
    clock.advance(SECOND);
    let fetched = consumer.fetch(lane, 9).expect("fetched");
    assert_eq!((fetched.records.map(|batch| batch.len()), fetched.position), (Some(1), 3));
    assert_eq!(slow.commit_transaction(SECOND).expect_err("late").kind(), ErrorKind::Fenced);
    assert_eq!(texts(&log, "t"), ["other"]);
}

#[test]
fn a_producer_whose_epochs_are_used_up_gets_a_new_id() {
    let (log, _clock) = log(|builder| builder);
    for round in 0..40_000 {
        let mut next = producer(&log, Some("id"));
        if round % 5_000 == 0 {
            next.begin_transaction().expect("begun");
            send(&mut *next, "t", "x");
            next.commit_transaction(SECOND).expect("committed");
        }
    }
    assert_eq!(texts(&log, "t").len(), 8);
}

#[test]
fn what_is_flushed_is_seen_in_one_batch_or_several() {
    let (log, _clock) = log(|builder| builder);
    let mut producer = producer(&log, Some("id"));
    for value in ["a", "b", "c"] {
        producer.begin_transaction().expect("begun");
        send(&mut *producer, "t", value);
        producer.commit_transaction(SECOND).expect("committed");
    }
    let (mut consumer, lane) = reader(&log, "t", Isolation::ReadCommitted);
    let batch = consumer.fetch(lane, 2).expect("fetched").records.expect("records");
    assert_eq!((batch.get(0).offset, batch.get(1).offset), (0, 2));
    let last = consumer.fetch(lane, 2).expect("fetched");
    assert_eq!((last.position, last.lag), (6, Some(0)));
    assert_eq!(last.records.expect("records").get(0).value, Some(&b"c"[..]));
}
