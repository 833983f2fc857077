//! Transactions: what becomes visible when, and who is fenced.

use std::sync::Arc;

use kstreams_core::error::ErrorKind;
use kstreams_runtime::transport::{Isolation, OffsetSpec};

use super::Fixture;
use super::support::{
    Client, LONG, N_STEPS, Reader, SHORT, fill, flush, next, partition, send, transactional, until,
};

pub(crate) fn a_commit_makes_records_visible(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("commit"));
    fixture.create_topic(&topic, 1);
    let mut producer = transactional(&log, &fixture.unique("commit-id"));
    let mut committed = Reader::new(&log, &topic, Isolation::ReadCommitted);
    producer.begin_transaction().expect("begun");
    send(&mut *producer, &topic, 0, "k", "a").expect("sent");
    send(&mut *producer, &topic, 0, "k", "b").expect("sent");
    flush(&mut *producer);
    assert!(producer.draw_line());
    assert_eq!(producer.last_offset(&partition(&topic, 0)), Some(1));
    assert!(committed.texts().is_empty());
    let mut all = Reader::new(&log, &topic, Isolation::ReadUncommitted);
    assert_eq!(all.read(0, 2)[1].text(), "b");
    producer.commit_transaction(LONG).expect("committed");
    assert_eq!(committed.read(0, 2)[0].text(), "a");
}

pub(crate) fn an_abort_hides_records(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("abort"));
    fixture.create_topic(&topic, 1);
    let mut producer = transactional(&log, &fixture.unique("abort-id"));
    for (value, is_commit) in [("a", true), ("b", false), ("c", true)] {
        producer.begin_transaction().expect("begun");
        send(&mut *producer, &topic, 0, "k", value).expect("sent");
        flush(&mut *producer);
        if is_commit {
            producer.commit_transaction(LONG).expect("committed");
        } else {
            producer.abort_transaction(LONG).expect("aborted");
        }
    }
    let mut committed = Reader::new(&log, &topic, Isolation::ReadCommitted);
    let seen = committed.read(0, 2);
    assert_eq!((seen[0].text(), seen[1].text()), ("a", "c"));
    let mut all = Reader::new(&log, &topic, Isolation::ReadUncommitted);
    assert_eq!(all.read(0, 3)[1].text(), "b");
    // What was not even flushed is gone, and the producer goes on.
    producer.begin_transaction().expect("begun");
    send(&mut *producer, &topic, 0, "k", "d").expect("sent");
    producer.abort_transaction(LONG).expect("aborted");
    producer.begin_transaction().expect("begun");
    send(&mut *producer, &topic, 0, "k", "e").expect("sent");
    producer.commit_transaction(LONG).expect("committed");
    assert_eq!(committed.read(0, 1)[0].text(), "e");
}

pub(crate) fn an_open_transaction_blocks_what_lies_behind(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("blocked"));
    fixture.create_topic(&topic, 1);
    let admin = log.admin().expect("an admin client");
    let end = |isolation| {
        let asked = [(partition(&topic, 0), OffsetSpec::Latest(isolation))];
        admin.offsets(&asked, LONG).expect("offsets")[0]
    };
    let mut producer = transactional(&log, &fixture.unique("blocked-id"));
    producer.begin_transaction().expect("begun");
    send(&mut *producer, &topic, 0, "k", "inside").expect("sent");
    flush(&mut *producer);
    fill(&log, &topic, &["outside"]);
    assert_eq!((end(Isolation::ReadCommitted), end(Isolation::ReadUncommitted)), (0, 2));
    let mut committed = Reader::new(&log, &topic, Isolation::ReadCommitted);
    assert!(committed.texts().is_empty());
    producer.abort_transaction(LONG).expect("aborted");
    assert_eq!(committed.read(0, 1)[0].text(), "outside");
    assert_eq!((end(Isolation::ReadCommitted), end(Isolation::ReadUncommitted)), (3, 3));
}

pub(crate) fn markers_take_offsets(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("markers"));
    fixture.create_topic(&topic, 1);
    let mut producer = transactional(&log, &fixture.unique("markers-id"));
    for value in ["a", "b"] {
        producer.begin_transaction().expect("begun");
        send(&mut *producer, &topic, 0, "k", value).expect("sent");
        producer.commit_transaction(LONG).expect("committed");
    }
    let mut reader = Reader::new(&log, &topic, Isolation::ReadCommitted);
    let seen = reader.read(0, 2);
    assert_eq!((seen[0].offset, seen[1].offset), (0, 2));
    let (rest, position) = reader.read_to_end(0);
    assert_eq!((rest.len(), position), (0, 4), "behind the last marker");
}

pub(crate) fn an_empty_transaction_can_be_committed(fixture: &dyn Fixture) {
    let log = fixture.log();
    let mut producer = transactional(&log, &fixture.unique("empty-id"));
    producer.begin_transaction().expect("begun");
    assert!(producer.begin_transaction().is_err(), "begun twice");
    producer.commit_transaction(LONG).expect("committed");
    producer.begin_transaction().expect("begun");
    producer.abort_transaction(LONG).expect("aborted");
}

pub(crate) fn a_second_producer_fences_the_first(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("fence"));
    fixture.create_topic(&topic, 1);
    let id = fixture.unique("fence-id");
    // One has a transaction open, the other begins one after it was fenced.
    for is_open in [true, false] {
        let mut first = transactional(&log, &id);
        if is_open {
            first.begin_transaction().expect("begun");
            send(&mut *first, &topic, 0, "k", "first").expect("sent");
            flush(&mut *first);
        }
        let mut second = transactional(&log, &id);
        second.begin_transaction().expect("begun");
        send(&mut *second, &topic, 0, "k", "second").expect("sent");
        flush(&mut *second);
        if !is_open {
            first.begin_transaction().expect("begun, it does not know yet");
        }
        // The refusal may show in the send, in the report or in the commit.
        _ = send(&mut *first, &topic, 0, "k", "first");
        let error = first.commit_transaction(LONG).expect_err("fenced");
        assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
        assert!(first.begin_transaction().is_err(), "it is of no use any more");
        second.commit_transaction(LONG).expect("committed");
    }
    let mut reader = Reader::new(&log, &topic, Isolation::ReadCommitted);
    assert_eq!(reader.texts(), ["second", "second"]);
}

pub(crate) fn a_second_producer_aborts_what_the_first_left_open(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("left-open"));
    fixture.create_topic(&topic, 1);
    let id = fixture.unique("left-open-id");
    let mut first = transactional(&log, &id);
    first.begin_transaction().expect("begun");
    send(&mut *first, &topic, 0, "k", "a").expect("sent");
    flush(&mut *first);
    drop(first);
    let _second = transactional(&log, &id);
    fill(&log, &topic, &["b"]);
    let mut reader = Reader::new(&log, &topic, Isolation::ReadCommitted);
    assert_eq!(reader.read(0, 1)[0].text(), "b");
}

pub(crate) fn offsets_become_visible_with_the_commit(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("txn-offsets"));
    fixture.create_topic(&topic, 1);
    let group = fixture.unique("txn-offsets-app");
    let mut client = Client::joined(&log, &group, "one", &topic, 1);
    let name = partition(&topic, 0);
    client.member.commit(&[(name.clone(), next(3, "before"))], LONG).expect("committed");
    let mut producer = transactional(&log, &fixture.unique("txn-offsets-id"));
    producer.begin_transaction().expect("begun");
    let metadata = client.member.group_metadata().expect("metadata");
    let offsets = [(name.clone(), next(7, "after"))];
    producer.send_offsets(&offsets, &metadata, LONG).expect("added");
    // Until the end of the transaction there is either the old answer or none.
    match client.member.committed(std::slice::from_ref(&name), SHORT) {
        Ok(committed) => assert_eq!(committed[0], Some(next(3, "before"))),
        Err(error) => assert!(error.is_retriable(), "{error}"),
    }
    producer.commit_transaction(LONG).expect("committed");
    assert_eq!(client.committed(&name), Some(next(7, "after")));
}

pub(crate) fn a_commit_goes_on_beside_the_caller(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("beside"));
    fixture.create_topic(&topic, 1);
    let group = fixture.unique("beside-app");
    let mut client = Client::joined(&log, &group, "one", &topic, 1);
    let name = partition(&topic, 0);
    let mut producer = transactional(&log, &fixture.unique("beside-id"));
    for (round, text) in ["a", "b", "c"].into_iter().enumerate() {
        producer.begin_transaction().expect("begun");
        send(&mut *producer, &topic, 0, "k", text).expect("sent");
        let metadata = client.member.group_metadata().expect("metadata");
        let offsets = [(name.clone(), next(round as i64, text))];
        producer.start_commit(&offsets, &metadata, LONG, Arc::new(|| {})).expect("started");
        let polls = (0..N_STEPS).map(|_| producer.poll_commit(SHORT).expect("polled"));
        assert!(polls.take(N_STEPS).any(|is_done| is_done), "it does not end");
        assert_eq!(client.committed(&name), Some(next(round as i64, text)));
    }
    let mut reader = Reader::new(&log, &topic, Isolation::ReadCommitted);
    assert_eq!(reader.texts(), ["a", "b", "c"]);
}

pub(crate) fn a_refused_commit_is_told_by_its_poll(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("beside-fenced"));
    fixture.create_topic(&topic, 1);
    let group = fixture.unique("beside-fenced-app");
    let mut client = Client::joined(&log, &group, "one", &topic, 1);
    let id = fixture.unique("beside-fenced-id");
    let mut first = transactional(&log, &id);
    first.begin_transaction().expect("begun");
    send(&mut *first, &topic, 0, "k", "first").expect("sent");
    flush(&mut *first);
    let _second = transactional(&log, &id);
    let metadata = client.member.group_metadata().expect("metadata");
    let offsets = [(partition(&topic, 0), next(1, ""))];
    let started = first.start_commit(&offsets, &metadata, LONG, Arc::new(|| {}));
    let outcome = started.and_then(|()| {
        (0..N_STEPS)
            .map(|_| first.poll_commit(SHORT))
            .find(|polled| !matches!(polled, Ok(false)))
            .expect("an end")
    });
    assert_eq!(outcome.expect_err("fenced").kind(), ErrorKind::Fenced);
    let mut reader = Reader::new(&log, &topic, Isolation::ReadCommitted);
    assert_eq!(reader.texts(), [""; 0]);
}

pub(crate) fn offsets_of_an_aborted_transaction_are_forgotten(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("txn-abort"));
    fixture.create_topic(&topic, 1);
    let group = fixture.unique("txn-abort-app");
    let mut client = Client::joined(&log, &group, "one", &topic, 1);
    let name = partition(&topic, 0);
    let mut producer = transactional(&log, &fixture.unique("txn-abort-id"));
    producer.begin_transaction().expect("begun");
    let metadata = client.member.group_metadata().expect("metadata");
    producer.send_offsets(&[(name.clone(), next(7, ""))], &metadata, LONG).expect("added");
    producer.abort_transaction(LONG).expect("aborted");
    assert_eq!(client.committed(&name), None);
}

pub(crate) fn offsets_of_a_stranger_are_fenced(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("zombie"));
    fixture.create_topic(&topic, 2);
    let group = fixture.unique("zombie-app");
    let mut first = Client::joined(&log, &group, "one", &topic, 2);
    let stale = first.member.group_metadata().expect("metadata");
    let mut second = Client::new(&log, &group, "two", &topic);
    until(&mut [&mut first, &mut second], |clients| {
        clients.iter().all(|client| client.n_tasks() == 1)
    });
    let lost = partition(&topic, second.partitions()[0]);
    let mut producer = transactional(&log, &fixture.unique("zombie-id"));
    // A member at an epoch that is over, and its task went to another.
    producer.begin_transaction().expect("begun");
    let refused = producer.send_offsets(&[(lost.clone(), next(7, ""))], &stale, LONG);
    assert_eq!(refused.expect_err("stale").kind(), ErrorKind::Fenced);
    producer.abort_transaction(LONG).expect("aborted");
    // A member that has left.
    let gone = second.member.group_metadata().expect("metadata");
    second.member.leave(LONG).expect("left");
    producer.begin_transaction().expect("begun");
    let refused = producer.send_offsets(&[(lost.clone(), next(7, ""))], &gone, LONG);
    assert_eq!(refused.expect_err("unknown").kind(), ErrorKind::Fenced);
    producer.abort_transaction(LONG).expect("aborted");
    // The producer is as good as before.
    until(&mut [&mut first], |clients| clients[0].n_tasks() == 2);
    let current = first.member.group_metadata().expect("metadata");
    producer.begin_transaction().expect("begun");
    producer.send_offsets(&[(lost.clone(), next(8, ""))], &current, LONG).expect("added");
    producer.commit_transaction(LONG).expect("committed");
    assert_eq!(first.committed(&lost), Some(next(8, "")));
}
