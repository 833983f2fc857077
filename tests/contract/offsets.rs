//! Topics and offsets, through the admin client.

use kstreams_core::error::ErrorKind;
use kstreams_core::record::{Headers, Offset};
use kstreams_core::time::Timestamp;
use kstreams_runtime::transport::{Isolation, NewTopic, OffsetSpec, OutgoingRecord};

use super::Fixture;
use super::support::{LONG, Reader, fill, flush, partition, producer, send_record};

fn offset(fixture: &dyn Fixture, topic: &str, spec: OffsetSpec) -> Offset {
    let admin = fixture.log().admin().expect("an admin client");
    admin.offsets(&[(partition(topic, 0), spec)], LONG).expect("offsets")[0]
}

fn new_topic(name: &str, n_partitions: i32) -> NewTopic {
    NewTopic { name: name.to_owned(), n_partitions, replication: None, configs: Vec::new() }
}

pub(crate) fn earliest_and_latest(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("ends"));
    fixture.create_topic(&topic, 2);
    fill(&log, &topic, &["a", "b", "c"]);
    let admin = log.admin().expect("an admin client");
    let asked = [
        (partition(&topic, 0), OffsetSpec::Latest(Isolation::ReadCommitted)),
        (partition(&topic, 1), OffsetSpec::Latest(Isolation::ReadUncommitted)),
        (partition(&topic, 0), OffsetSpec::Earliest),
    ];
    assert_eq!(admin.offsets(&asked, LONG).expect("offsets"), [3, 0, 0]);
    let missing = [(partition(&fixture.unique("missing"), 0), OffsetSpec::Earliest)];
    assert_eq!(admin.offsets(&missing, LONG).expect_err("no such topic").kind(), ErrorKind::Topic);
}

pub(crate) fn offsets_by_timestamp(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("times"));
    fixture.create_topic(&topic, 1);
    let mut producer = producer(&log);
    let headers = Headers::default();
    let handle = producer.topic(&topic).expect("a handle");
    for millis in [100, 200, 150, 300] {
        let record = OutgoingRecord {
            topic: handle,
            partition: Some(0),
            key: None,
            value: Some(b"v"),
            timestamp: Timestamp::from_millis(millis),
            headers: &headers,
            tag: 0,
        };
        send_record(&mut *producer, &record).expect("sent");
    }
    flush(&mut *producer);
    for (millis, expected) in [(0, 0), (100, 0), (101, 1), (201, 3), (300, 3), (301, 4)] {
        let spec = OffsetSpec::At(Timestamp::from_millis(millis));
        assert_eq!(offset(fixture, &topic, spec), expected, "at {millis}");
    }
}

pub(crate) fn topics_are_listed(fixture: &dyn Fixture) {
    let topic = fixture.unique("listed");
    let admin = fixture.log().admin().expect("an admin client");
    let find = || {
        let topics = admin.topics(LONG).expect("topics");
        topics.into_iter().find(|info| info.name == topic).map(|info| info.n_partitions)
    };
    assert_eq!(find(), None);
    fixture.create_topic(&topic, 3);
    assert_eq!(find(), Some(3));
}

pub(crate) fn creating_a_topic_again_is_fine(fixture: &dyn Fixture) {
    let topic = fixture.unique("again");
    let admin = fixture.log().admin().expect("an admin client");
    admin.create_topics(&[new_topic(&topic, 2)], LONG).expect("created");
    admin.create_topics(&[new_topic(&topic, 2)], LONG).expect("left as it is");
    let refused = admin.create_topics(&[new_topic("no/name", 1)], LONG);
    let error = refused.expect_err("a name that cannot be");
    assert_eq!(error.kind(), ErrorKind::Topic);
    assert!(error.to_string().contains("no/name"), "{error}");
}

pub(crate) fn deleting_a_topic_that_is_not_there_is_fine(fixture: &dyn Fixture) {
    let admin = fixture.log().admin().expect("an admin client");
    admin.delete_topics(&[fixture.unique("nothing")], LONG).expect("ignored");
}

pub(crate) fn deleted_records_move_the_earliest_offset(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("purge"));
    fixture.create_topic(&topic, 1);
    fill(&log, &topic, &["a", "b", "c", "d"]);
    let admin = log.admin().expect("an admin client");
    admin.delete_records(&[(partition(&topic, 0), 2)], LONG).expect("deleted");
    assert_eq!(offset(fixture, &topic, OffsetSpec::Earliest), 2);
    let positions = [(partition(&topic, 0), 2)];
    let mut reader = Reader::at(&log, &positions, Isolation::ReadCommitted);
    assert_eq!(reader.texts(), ["c", "d"]);
    let mut late = Reader::new(&log, &topic, Isolation::ReadCommitted);
    assert_eq!(late.error(0).kind(), ErrorKind::OffsetReset);
}
