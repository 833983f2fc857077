//! Commits at least once: what is committed, when, and where a restart goes on.

use crate::support::*;

#[test]
fn what_is_committed_is_what_was_processed() {
    let log = log_with(2);
    let app = run(observed(|_, _| Ok(())), config(), &log);
    let mut written = [0, 0];
    for n in 0..50 {
        let (partition, offset) = log.produce("in", format!("{n}"), "v", at(n)).unwrap();
        written[partition as usize] = offset + 1;
    }
    for partition in [0, 1] {
        let all = Some(written[partition as usize]);
        eventually("all is committed", || committed(&log, "in", partition) == all);
    }
    assert_eq!(log.records("out").len(), 50);
    assert!(app.close(SOON));
}

#[test]
fn nothing_is_committed_before_the_interval_but_at_the_end() {
    let log = log_with(1);
    let app = run(observed(|_, _| Ok(())), config().commit_interval(NEVER), &log);
    produce(&log, "in", &["a", "b"]);
    eventually("processed", || log.records("out").len() == 2);
    assert!(log.committed("app").is_empty());
    assert!(app.close(SOON));
    assert_eq!(committed(&log, "in", 0), Some(2));
}

#[test]
fn a_thread_that_has_run_dry_may_commit_early() {
    let log = log_with(1);
    // Two thirds of it come while the first third is in work.
    let fed = log.clone();
    let topology = observed(move |_, record| {
        if record.value == "first" {
            produce(&fed, "in", &["second", "third"]);
            assert!(committed(&fed, "in", 0).is_none());
        }
        Ok(())
    });
    let app = run(topology, config().commit_interval(NEVER).early_commit(ms(1)), &log);
    produce(&log, "in", &["first"]);
    eventually("all is committed", || committed(&log, "in", 0) == Some(3));
    assert!(app.close(SOON));
}

#[test]
fn a_restart_goes_on_where_it_was_committed() {
    let log = log_with(1);
    for values in [["a", "b"], ["c", "d"], ["e", "f"]] {
        let app = run(observed(|_, _| Ok(())), config(), &log);
        produce(&log, "in", &values);
        eventually("processed", || texts(&log, "out").last().is_some_and(|v| *v == values[1]));
        assert!(app.close(SOON));
    }
    assert_eq!(texts(&log, "out"), ["a", "b", "c", "d", "e", "f"]);
}

#[test]
fn after_a_crash_records_since_the_last_commit_come_again() {
    let log = log_with(1);
    // Ends without a commit at `x`.
    let topology = observed(|ctx, record| match record.value.as_str() {
        "now" => {
            ctx.request_commit();
            Ok(())
        }
        "x" => Err("crash".into()),
        _ => Ok(()),
    });
    let app = run(topology, config().commit_interval(NEVER), &log);
    produce(&log, "in", &["a", "now"]);
    eventually("committed", || committed(&log, "in", 0) == Some(2));
    produce(&log, "in", &["b", "c"]);
    eventually("processed", || log.records("out").len() == 4);
    produce(&log, "in", &["x"]);
    assert!(app.wait_for(State::Error, SOON));
    drop(app);
    assert_eq!(committed(&log, "in", 0), Some(2));

    let app = run(observed(|_, _| Ok(())), config(), &log);
    eventually("committed", || committed(&log, "in", 0) == Some(5));
    assert_eq!(texts(&log, "out"), ["a", "now", "b", "c", "b", "c", "x"]);
    assert!(app.close(SOON));
}

#[test]
fn stream_time_survives_a_restart_in_the_metadata_of_the_commit() {
    let log = log_with(1);
    let app = run(observed(|_, _| Ok(())), config(), &log);
    log.produce("in", "k", "a", at(100)).unwrap();
    log.produce("in", "k", "late", at(50)).unwrap();
    eventually("committed", || committed(&log, "in", 0) == Some(2));
    assert!(app.close(SOON));
    let metadata = log.committed("app")[&TopicPartition::new("in", 0)].metadata.clone();
    // Base64 of version 2, the partition time as i64, no entries: as Java 4.3 writes it.
    assert_eq!(metadata, "AgAAAAAAAABkAAAAAA==");

    let notes = Notes::default();
    let seen = notes.clone();
    let topology = observed(move |ctx, record| {
        seen.add(format!("{} {}", record.value, ctx.stream_time()));
        Ok(())
    });
    let app = run(topology, config(), &log);
    log.produce("in", "k", "b", at(70)).unwrap();
    log.produce("in", "k", "c", at(120)).unwrap();
    eventually("processed", || notes.len() == 2);
    assert_eq!(notes.all(), ["b 100", "c 120"]);
    assert!(app.close(SOON));
}

#[test]
fn the_partition_time_survives_a_restart() {
    let topology = || {
        let mut topology = Topology::builder();
        let source = Source::new(Utf8, Utf8).event_time(EventTime::PartitionTimeOnInvalid);
        let lines = topology.source("lines", "in", source);
        topology.sink("sink", &[lines], "out", (Utf8, Utf8));
        topology.build().unwrap()
    };
    let log = log_with(1);
    for time in [100, -1] {
        let app = run(topology(), config(), &log);
        let (_, offset) = log.produce("in", "k", "v", at(time)).unwrap();
        eventually("committed", || committed(&log, "in", 0) == Some(offset + 1));
        assert!(app.close(SOON));
    }
    let times: Vec<_> = log.records("out").iter().map(|record| record.timestamp).collect();
    assert_eq!(times, [at(100), at(100)]);
}

#[test]
fn skipped_records_are_committed_past() {
    let log = log_with(1);
    let handlers = Handlers::default().on_deserialization(|_| Verdict::Continue);
    let app = run(observed(|_, _| Ok(())), config().handlers(handlers), &log);
    log.produce("in", "k", "a", at(0)).unwrap();
    log.produce("in", "k", [0xff], at(0)).unwrap();
    eventually("committed", || committed(&log, "in", 0) == Some(2));
    assert!(app.close(SOON));
}

#[test]
fn sources_start_where_they_are_told() {
    use OffsetReset::{ByDuration, Earliest, Latest};
    let now = 1_000_000;
    for (reset, expected) in [
        (Earliest, vec!["old", "young", "new"]),
        (Latest, vec!["new"]),
        (ByDuration(Duration::from_secs(10)), vec!["young", "new"]),
    ] {
        let clock = kstreams::time::ManualClock::starting_at(at(now));
        let log = with_topics(MemoryLog::builder().clock(clock.clone()).build(), 1);
        log.produce("in", "k", "old", at(now - 60_000)).unwrap();
        log.produce("in", "k", "young", at(now - 1_000)).unwrap();
        let mut topology = Topology::builder();
        let source = Source::new(Utf8, Utf8).offset_reset(reset);
        let lines = topology.source("lines", "in", source);
        topology.sink("sink", &[lines], "out", (Utf8, Utf8));
        let topology = topology.build().unwrap();
        let mut driver_config = config();
        if let ByDuration(_) = reset {
            driver_config = driver_config.clock(clock);
        }
        let app = Streams::new(topology, driver_config, log.clone()).unwrap();
        app.start().unwrap();
        // A manual clock stands still: so does a wait on it.
        eventually("it runs", || app.state() == State::Running && !app.tasks().is_empty());
        log.produce("in", "k", "new", at(now)).unwrap();
        let arrived = || texts(&log, "out").last().is_some_and(|value| value == "new");
        eventually("processed", arrived);
        assert_eq!(texts(&log, "out"), expected, "{reset:?}");
        bounded("drop", move || drop(app));
    }
}

#[test]
fn without_an_offset_and_a_reset_rule_it_fails_clearly() {
    let log = log_with(1);
    produce(&log, "in", &["a"]);
    let app = Streams::new(observed(|_, _| Ok(())), config().offset_reset(OffsetReset::None), log);
    let app = app.unwrap();
    app.start().unwrap();
    assert!(app.wait_for(State::Error, SOON));
    let error = app.take_error().unwrap();
    assert_eq!(error.kind(), ErrorKind::OffsetReset);
    assert!(error.to_string().contains("in-0"), "{error}");
}

#[test]
fn a_source_that_was_made_anew_and_is_shorter_is_read_by_the_reset_rule() {
    for reset in [OffsetReset::Earliest, OffsetReset::None] {
        let log = log_with(1);
        produce(&log, "in", &["a", "b", "c"]);
        let app = run(observed(|_, _| Ok(())), config(), &log);
        eventually("committed", || committed(&log, "in", 0) == Some(3));
        assert!(app.close(SOON));
        log.delete_topic("in");
        log.create_topic("in", 1).unwrap();
        produce(&log, "in", &["new"]);
        let config = config().offset_reset(reset);
        let app = Streams::new(observed(|_, _| Ok(())), config, log.clone()).unwrap();
        app.start().unwrap();
        if reset == OffsetReset::Earliest {
            eventually("it goes on", || texts(&log, "out") == ["a", "b", "c", "new"]);
            eventually("committed anew", || committed(&log, "in", 0) == Some(1));
        } else {
            assert!(app.wait_for(State::Error, SOON));
            let error = app.take_error().unwrap();
            assert_eq!(error.kind(), ErrorKind::OffsetReset);
            assert!(error.to_string().contains("in-0"), "{error}");
        }
    }
}
