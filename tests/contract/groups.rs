//! Members of a group: who owns what, and what is committed.

use std::sync::Arc;

use kstreams_core::error::ErrorKind;

use super::Fixture;
use super::support::{Client, LONG, N_STEPS, SHORT, next, partition, until};

pub(crate) fn one_member_gets_all_tasks(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("solo"));
    fixture.create_topic(&topic, 3);
    let client = Client::joined(&log, &fixture.unique("solo-app"), "one", &topic, 3);
    assert_eq!(client.partitions(), [0, 1, 2]);
}

pub(crate) fn a_second_member_shares_and_gives_back(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("share"));
    fixture.create_topic(&topic, 4);
    let group = fixture.unique("share-app");
    let mut first = Client::joined(&log, &group, "one", &topic, 4);
    let mut second = Client::new(&log, &group, "two", &topic);
    until(&mut [&mut first, &mut second], |clients| {
        clients.iter().all(|client| client.n_tasks() == 2)
    });
    let mut all = [first.partitions(), second.partitions()].concat();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
    first.member.leave(LONG).expect("left");
    until(&mut [&mut second], |clients| clients[0].n_tasks() == 4);
    assert_eq!(second.partitions(), [0, 1, 2, 3]);
}

pub(crate) fn committed_offsets_come_back(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("round"));
    fixture.create_topic(&topic, 2);
    let group = fixture.unique("round-app");
    let mut client = Client::joined(&log, &group, "one", &topic, 2);
    let names = [partition(&topic, 0), partition(&topic, 1)];
    let committed = [(names[1].clone(), next(5, "AgAA")), (names[0].clone(), next(9, ""))];
    client.member.commit(&committed, LONG).expect("committed");
    let asked = client.member.committed(&names, LONG).expect("offsets");
    assert_eq!(asked, [Some(next(9, "")), Some(next(5, "AgAA"))]);
    // Another member of the same group sees them too.
    client.member.leave(LONG).expect("left");
    let mut later = Client::joined(&log, &group, "two", &topic, 2);
    assert_eq!(later.committed(&names[1]), Some(next(5, "AgAA")));
}

pub(crate) fn a_commit_of_positions_goes_on_beside_the_caller(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("aside"));
    fixture.create_topic(&topic, 1);
    let mut client = Client::joined(&log, &fixture.unique("aside-app"), "one", &topic, 1);
    let name = partition(&topic, 0);
    for round in 0..3 {
        let offsets = [(name.clone(), next(round, "AgAA"))];
        client.member.start_commit(&offsets, LONG, Arc::new(|| {})).expect("started");
        let is_done = (0..N_STEPS).any(|_| client.member.poll_commit(SHORT).expect("polled"));
        assert!(is_done, "round {round}: it does not end");
        assert_eq!(client.committed(&name), Some(next(round, "AgAA")));
    }
    client.member.leave(LONG).expect("left");
    let refused = client.member.start_commit(&[(name, next(9, ""))], LONG, Arc::new(|| {}));
    let polled = refused.and_then(|()| {
        let mut polls = (0..N_STEPS).map(|_| client.member.poll_commit(SHORT));
        polls.find(|polled| !matches!(polled, Ok(false))).unwrap_or(Ok(false))
    });
    assert!(polled.is_err(), "a member that has left commits nothing: {polled:?}");
}

pub(crate) fn a_partition_without_commit_has_none(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("none"));
    fixture.create_topic(&topic, 1);
    let mut client = Client::joined(&log, &fixture.unique("none-app"), "one", &topic, 1);
    assert_eq!(client.committed(&partition(&topic, 0)), None);
}

pub(crate) fn a_member_that_left_cannot_commit(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("left"));
    fixture.create_topic(&topic, 1);
    let group = fixture.unique("left-app");
    let mut first = Client::joined(&log, &group, "one", &topic, 1);
    first.member.leave(LONG).expect("left");
    let name = partition(&topic, 0);
    assert!(first.member.commit(&[(name.clone(), next(4, ""))], LONG).is_err());
    let mut second = Client::joined(&log, &group, "two", &topic, 1);
    assert_eq!(second.committed(&name), None);
}

pub(crate) fn a_shutdown_reaches_every_member(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("stop"));
    fixture.create_topic(&topic, 2);
    let group = fixture.unique("stop-app");
    let mut first = Client::joined(&log, &group, "one", &topic, 2);
    let mut second = Client::new(&log, &group, "two", &topic);
    until(&mut [&mut first, &mut second], |clients| {
        clients.iter().all(|client| client.n_tasks() == 1)
    });
    if first.member.request_shutdown().is_err() {
        return; // A classic group of Kafka cannot carry it, and says so.
    }
    until(&mut [&mut first, &mut second], |clients| clients.iter().all(|client| client.must_stop));
}

pub(crate) fn missing_source_topics_are_named(fixture: &dyn Fixture) {
    let (log, topic) = (fixture.log(), fixture.unique("missing"));
    let mut client = Client::new(&log, &fixture.unique("missing-app"), "one", &topic);
    let error = (0..N_STEPS).find_map(|_| {
        let polled = client.poll().err();
        client.wait();
        polled
    });
    let error = error.expect("an error");
    assert_eq!(error.kind(), ErrorKind::Topic);
    assert!(error.to_string().contains(&topic), "{error}");
    // Once it is there the member joins.
    fixture.create_topic(&topic, 1);
    for _ in 0..N_STEPS {
        if client.poll().is_ok() && client.n_tasks() == 1 {
            return;
        }
        client.wait();
    }
    panic!("the member does not join");
}
