//! Producing and fetching, outside of transactions.

use kstreams_core::error::ErrorKind;
use kstreams_core::partition::partition_for;
use kstreams_core::record::Headers;
use kstreams_core::time::{Clock, SystemClock, Timestamp};
use kstreams_runtime::transport::{Isolation, OutgoingRecord, Producer};

use super::Fixture;
use super::support::{
    LONG, N_STEPS, Reader, SHORT, fill, flush, partition, producer, send, send_record,
};

pub(crate) fn records_come_in_order_per_partition(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("order"));
    fixture.create_topic(&topic, 2);
    let mut producer = producer(&log);
    for n in 0..2_000 {
        send(&mut *producer, &topic, n % 2, "k", &n.to_string()).expect("sent");
    }
    flush(&mut *producer);
    let positions = [(partition(&topic, 0), 0), (partition(&topic, 1), 0)];
    let mut reader = Reader::at(&log, &positions, Isolation::ReadCommitted);
    for lane in 0..2 {
        for (index, record) in reader.read(lane, 1_000).iter().enumerate() {
            assert_eq!(record.offset, index as i64);
            assert_eq!(record.text(), (index * 2 + lane).to_string());
        }
    }
}

pub(crate) fn nulls_headers_and_timestamps_survive(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("nulls"));
    fixture.create_topic(&topic, 1);
    let mut headers = Headers::default();
    headers.push("a", Some(b"1"));
    headers.push("null", None);
    headers.push("a", Some(b""));
    let none = Headers::default();
    let mut producer = producer(&log);
    let handle = producer.topic(&topic).expect("a handle");
    let cases = [
        (None, Some(&b"value"[..]), 1, &headers),
        (Some(&b"key"[..]), None, 1_234_567, &none),
        (Some(&b""[..]), Some(&b""[..]), 1, &headers),
        (None, None, 2, &none),
    ];
    for (tag, (key, value, millis, headers)) in cases.into_iter().enumerate() {
        let record = OutgoingRecord {
            topic: handle,
            partition: Some(0),
            key,
            value,
            timestamp: Timestamp::from_millis(millis),
            headers,
            tag: tag as u64,
        };
        send_record(&mut *producer, &record).expect("sent");
    }
    flush(&mut *producer);
    let seen = Reader::new(&log, &topic, Isolation::ReadCommitted).read(0, cases.len());
    for ((key, value, millis, headers), seen) in cases.into_iter().zip(&seen) {
        assert_eq!((seen.key.as_deref(), seen.value.as_deref()), (key, value));
        assert_eq!(seen.timestamp, Timestamp::from_millis(millis));
        assert_eq!(&seen.headers, headers);
    }
}

pub(crate) fn keys_choose_partitions_as_in_java(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("murmur"));
    fixture.create_topic(&topic, 3);
    let keys = ["a", "b", "c", "some-longer-key", ""];
    let mut producer = producer(&log);
    for key in keys {
        send(&mut *producer, &topic, None, key, key).expect("sent");
    }
    flush(&mut *producer);
    for index in 0..3 {
        let expected: Vec<&str> =
            keys.into_iter().filter(|key| partition_for(key.as_bytes(), 3) == index).collect();
        let positions = [(partition(&topic, index), 0)];
        let mut reader = Reader::at(&log, &positions, Isolation::ReadCommitted);
        assert_eq!(reader.texts(), expected, "partition {index}");
    }
}

pub(crate) fn records_without_key_go_somewhere(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("keyless"));
    fixture.create_topic(&topic, 3);
    let mut producer = producer(&log);
    let headers = Headers::default();
    let record = OutgoingRecord {
        topic: producer.topic(&topic).expect("a handle"),
        partition: None,
        key: None,
        value: Some(b"v"),
        timestamp: Timestamp::from_millis(5),
        headers: &headers,
        tag: 0,
    };
    for _ in 0..30 {
        send_record(&mut *producer, &record).expect("sent");
    }
    flush(&mut *producer);
    let n: usize = (0..3)
        .map(|index| {
            let positions = [(partition(&topic, index), 0)];
            let mut reader = Reader::at(&log, &positions, Isolation::ReadCommitted);
            reader.texts().len()
        })
        .sum();
    assert_eq!(n, 30);
}

pub(crate) fn batches_are_bounded(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("bounded"));
    fixture.create_topic(&topic, 1);
    fill(&log, &topic, &["a", "b", "c", "d", "e"]);
    let mut reader = Reader::new(&log, &topic, Isolation::ReadCommitted);
    let mut texts = Vec::new();
    while texts.len() < 5 {
        reader.wait();
        let seen = reader.take(0, 2).expect("fetched");
        assert!(seen.len() <= 2);
        texts.extend(seen.iter().map(|seen| seen.text().to_owned()));
    }
    assert_eq!(texts, ["a", "b", "c", "d", "e"]);
}

pub(crate) fn position_and_lag_at_the_end(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("lag"));
    fixture.create_topic(&topic, 1);
    fill(&log, &topic, &["a", "b", "c"]);
    let mut reader = Reader::new(&log, &topic, Isolation::ReadCommitted);
    let mut seen = Vec::new();
    while seen.is_empty() {
        reader.wait();
        let lane = reader.lanes[0];
        let fetched = reader.consumer.fetch(lane, 1).expect("fetched");
        if fetched.records.is_some() {
            assert_eq!((fetched.position, fetched.lag), (1, Some(2)));
            seen.push(fetched.position);
        }
    }
    assert_eq!(reader.read(0, 2).len(), 2);
    let (rest, position) = reader.read_to_end(0);
    assert_eq!((rest.len(), position), (0, 3));
    // Later records are seen too.
    fill(&log, &topic, &["d"]);
    assert_eq!(reader.read(0, 1)[0].text(), "d");
}

pub(crate) fn seek_reads_again(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("seek"));
    fixture.create_topic(&topic, 1);
    fill(&log, &topic, &["a", "b", "c"]);
    let mut reader = Reader::new(&log, &topic, Isolation::ReadCommitted);
    assert_eq!(reader.read(0, 3).len(), 3);
    reader.consumer.seek(reader.lanes[0], 1).expect("sought");
    let seen = reader.read(0, 2);
    assert_eq!((seen[0].offset, seen[0].text(), seen[1].text()), (1, "b", "c"));
}

pub(crate) fn a_position_out_of_range_is_told(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("range"));
    fixture.create_topic(&topic, 1);
    fill(&log, &topic, &["a", "b"]);
    let positions = [(partition(&topic, 0), 100)];
    let mut reader = Reader::at(&log, &positions, Isolation::ReadCommitted);
    assert_eq!(reader.error(0).kind(), ErrorKind::OffsetReset);
    reader.consumer.seek(reader.lanes[0], 1).expect("sought");
    assert_eq!(reader.read(0, 1)[0].text(), "b");
}

pub(crate) fn an_unknown_topic_is_told_to_readers(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("unknown"));
    let mut reader = Reader::new(&log, &topic, Isolation::ReadCommitted);
    assert_eq!(reader.error(0).kind(), ErrorKind::Topic);
}

/// A record that cannot be delivered is refused at once, or reported after a flush.
fn refused(producer: &mut dyn Producer, sent: Option<ErrorKind>) -> ErrorKind {
    sent.unwrap_or_else(|| {
        producer.flush(LONG).expect("flushed");
        let failures = producer.failures();
        assert_eq!(failures.len(), 1, "{failures:?}");
        failures[0].error.kind()
    })
}

pub(crate) fn an_unknown_topic_is_told_to_writers(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("unknown"));
    let mut producer = producer(&log);
    let sent = send(&mut *producer, &topic, 0, "k", "v").err().map(|error| error.kind());
    assert_eq!(refused(&mut *producer, sent), ErrorKind::Topic);
}

pub(crate) fn a_record_that_is_too_large_is_refused(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("large"));
    fixture.create_topic(&topic, 1);
    let mut producer = producer(&log);
    let large = "x".repeat(8 << 20);
    let sent = send(&mut *producer, &topic, 0, "k", &large).err().map(|error| error.kind());
    assert_eq!(refused(&mut *producer, sent), ErrorKind::Production);
    // The producer goes on.
    send(&mut *producer, &topic, 0, "k", "small").expect("sent");
    flush(&mut *producer);
    assert_eq!(Reader::new(&log, &topic, Isolation::ReadCommitted).texts(), ["small"]);
}

pub(crate) fn the_last_offset_is_the_one_above_the_line(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("last"));
    fixture.create_topic(&topic, 2);
    let mut producer = producer(&log);
    let last = |producer: &dyn Producer| {
        [0, 1].map(|index| producer.last_offset(&partition(&topic, index)))
    };
    assert_eq!(last(&*producer), [None, None]);
    for value in ["a", "b", "c"] {
        send(&mut *producer, &topic, 1, "k", value).expect("sent");
    }
    assert!(producer.draw_line());
    for (index, value) in [(1, "d"), (0, "e")] {
        send(&mut *producer, &topic, index, "k", value).expect("sent");
    }
    flush(&mut *producer);
    assert!(producer.has_reached_line());
    assert_eq!(last(&*producer), [None, Some(2)]);
    for expected in [[Some(0), Some(3)]; 2] {
        assert!(producer.draw_line());
        assert_eq!(last(&*producer), expected);
    }
}

pub(crate) fn a_line_is_reached_while_more_is_sent(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("line"));
    fixture.create_topic(&topic, 1);
    let mut producer = producer(&log);
    let mut n_sent = 0;
    let mut write = |producer: &mut dyn Producer| {
        send(producer, &topic, 0, "k", "v").expect("sent");
        n_sent += 1;
        n_sent
    };
    for _ in 0..3 {
        let n_above = write(&mut *producer);
        assert!(producer.draw_line());
        assert!(!producer.has_reached_line(), "nothing has been told yet");
        assert!(!producer.draw_line(), "one line at a time");
        let is_reached = (0..N_STEPS).any(|_| {
            write(&mut *producer);
            producer.poll(SHORT);
            producer.has_reached_line()
        });
        assert!(is_reached, "it is never reached");
        assert_eq!(producer.last_offset(&partition(&topic, 0)), Some(n_above - 1));
    }
}

pub(crate) fn lanes_are_independent(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("lanes"));
    fixture.create_topic(&topic, 2);
    let mut producer = producer(&log);
    for (index, value) in [(0, "a"), (1, "b"), (0, "c"), (1, "d")] {
        send(&mut *producer, &topic, index, "k", value).expect("sent");
    }
    flush(&mut *producer);
    let first = [(partition(&topic, 0), 0)];
    let mut reader = Reader::at(&log, &first, Isolation::ReadCommitted);
    assert!(reader.consumer.assign(&first).is_err(), "assigned twice");
    let second = reader.consumer.assign(&[(partition(&topic, 1), 1)]).expect("a lane");
    reader.lanes.extend(second);
    assert_eq!(reader.read(1, 1)[0].text(), "d");
    reader.consumer.unassign(&[reader.lanes[1]]).expect("unassigned");
    assert_eq!(reader.texts(), ["a", "c"]);
    let again = reader.consumer.assign(&[(partition(&topic, 1), 0)]).expect("a lane");
    reader.lanes[1] = again[0];
    assert_eq!(reader.read(1, 2)[0].text(), "b");
}

pub(crate) fn a_waker_ends_a_wait(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("waker"));
    fixture.create_topic(&topic, 1);
    let mut reader = Reader::new(&log, &topic, Isolation::ReadCommitted);
    reader.read_to_end(0);
    let waker = reader.consumer.waker();
    let other = std::thread::spawn(move || waker());
    let clock = SystemClock::new();
    reader.consumer.wait(LONG).expect("woken");
    assert!(clock.monotonic() < LONG, "only the waker can have ended it");
    other.join().expect("joined");
}
