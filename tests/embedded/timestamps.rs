//! Event time: the rules for records whose timestamp is no time, and rules of the user's own.

use crate::support::*;
use kstreams::ErrorKind;
use kstreams::record::RecordMetadata;
use kstreams::topology::TimeRule;

fn timed(rule: EventTime<String, String>) -> Topology {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", Source::new(Utf8, Utf8).event_time(rule));
    topology.sink("sink", &[lines], "out", (Utf8, Utf8));
    topology.build().unwrap()
}

fn out_times(driver: &mut TestDriver) -> Vec<i64> {
    let records = driver.output("out", Utf8, Utf8).read().unwrap();
    records.iter().map(|record| record.timestamp.as_millis()).collect()
}

#[test]
fn a_negative_time_fails_by_default_and_names_the_record() {
    let mut driver = driver(timed(EventTime::FailOnInvalid));
    pipe(&mut driver, "in", "good", 5).unwrap();
    let error = pipe(&mut driver, "in", "bad", -1).unwrap_err();
    assert_eq!((error.kind(), error.task()), (ErrorKind::Timestamp, Some(task(0, 0))));
    assert!(error.to_string().contains("in-0@1"), "{error}");
}

#[test]
fn a_negative_time_is_skipped_if_asked() {
    let mut driver = driver(timed(EventTime::SkipInvalid));
    for time in [5, -1, 7] {
        pipe(&mut driver, "in", "v", time).unwrap();
    }
    assert_eq!(out_times(&mut driver), [5, 7]);
}

#[test]
fn a_negative_time_becomes_the_partition_time_if_asked() {
    let mut first = driver(timed(EventTime::PartitionTimeOnInvalid));
    for time in [9, 4, -1] {
        pipe(&mut first, "in", "v", time).unwrap();
    }
    assert_eq!(out_times(&mut first), [9, 4, 9]);

    let mut second = driver(timed(EventTime::PartitionTimeOnInvalid));
    let error = pipe(&mut second, "in", "v", -1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timestamp, "there is no partition time yet");
}

#[test]
fn the_wall_clock_rule_does_not_look_at_the_record() {
    let topology = timed(EventTime::WallClock);
    let mut driver =
        TestDriver::builder(topology, Config::new("app")).start_at(at(1000)).build().unwrap();
    pipe(&mut driver, "in", "v", -1).unwrap();
    driver.advance_time(ms(10)).unwrap();
    pipe(&mut driver, "in", "v", 5).unwrap();
    assert_eq!(out_times(&mut driver), [1000, 1010]);
}

/// The value is the time; `x` fails, as does what is no number.
fn from_value(record: &Line, place: RecordMetadata<'_>, partition: Timestamp) -> Result<Timestamp> {
    assert_eq!((place.topic, place.partition), ("in", 0));
    match record.value.as_str() {
        "last" => Ok(partition),
        value => Ok(at(value.parse::<i64>()?)),
    }
}

#[test]
fn an_own_rule_gets_the_record_its_place_and_the_partition_time() {
    let mut driver = driver(timed(EventTime::custom(from_value)));
    for value in ["70", "40", "last"] {
        pipe(&mut driver, "in", value, 0).unwrap();
    }
    assert_eq!(out_times(&mut driver), [70, 40, 70]);
    let error = pipe(&mut driver, "in", "x", 0).unwrap_err();
    assert!(error.to_string().contains("in-0@3"), "{error}");
}

#[test]
fn records_without_a_usable_time_are_skipped_and_counted() {
    for rule in [EventTime::SkipInvalid, EventTime::custom(from_value)] {
        let log = log_with(1);
        for value in [3, -1, 5, -9] {
            log.produce("in", "k", value.to_string(), at(value)).unwrap();
        }
        let app = run(timed(rule), config(), &log);
        eventually("committed past the skipped ones", || committed(&log, "in", 0) == Some(4));
        assert_eq!(texts(&log, "out"), ["3", "5"]);
        eventually("counted", || app.tasks()[0].counters.dropped == 2);
        assert!(app.close(SOON));
    }
}

#[test]
fn a_topology_has_a_default_rule_that_a_source_overrides() {
    let mut topology = Topology::builder();
    topology.default_event_time(TimeRule::SkipInvalid);
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let strict = Source::new(Utf8, Utf8).event_time(EventTime::FailOnInvalid);
    let more = topology.source("strict", "more", strict);
    topology.sink("sink", &[lines, more], "out", (Utf8, Utf8));
    let mut driver = driver(topology.build().unwrap());
    pipe(&mut driver, "in", "v", -1).unwrap();
    assert_eq!(out_times(&mut driver), [0; 0]);
    assert_eq!(pipe(&mut driver, "more", "v", -1).unwrap_err().kind(), ErrorKind::Timestamp);
}
