//! How tasks change hands, and who may commit meanwhile.

use std::collections::BTreeSet;

use kstreams_core::error::ErrorKind;
use kstreams_core::task::TaskId;

use super::super::GroupMode;
use super::store::with_store;
use super::*;
use crate::transport::{Assignment, CommittedOffset, MembershipEvent};

fn group_log(
    mode: GroupMode,
    settings: impl FnOnce(MemoryLogBuilder) -> MemoryLogBuilder,
) -> (MemoryLog, ManualClock) {
    let (log, clock) = log(|builder| settings(builder.group_mode(mode)));
    log.create_topic("in", 4).expect("created");
    (log, clock)
}

fn tasks(partitions: &[i32]) -> Assignment {
    let task = |partition: &i32| TaskId { subtopology: 0, partition: *partition };
    Assignment { active: partitions.iter().map(task).collect(), standby: BTreeSet::new() }
}

fn assigned(partitions: &[i32]) -> Option<MembershipEvent> {
    Some(MembershipEvent::Assigned(tasks(partitions)))
}

#[track_caller]
fn check(member: &mut dyn Membership, expected: Option<MembershipEvent>) {
    assert_eq!(member.poll().expect("polled"), expected);
}

fn acknowledge(member: &mut dyn Membership, partitions: &[i32]) {
    member.acknowledge(&tasks(partitions)).expect("acknowledged");
}

/// Commits one partition of `in`.
fn commit(member: &mut dyn Membership, partition: i32) -> Result<(), ErrorKind> {
    let offset = CommittedOffset { offset: 1, leader_epoch: None, metadata: String::new() };
    let offsets = [(TopicPartition::new("in", partition), offset)];
    member.commit(&offsets, SECOND).map_err(|error| error.kind())
}

#[test]
fn a_task_goes_on_only_once_it_is_released() {
    let (log, _clock) = group_log(GroupMode::Streams, |builder| builder);
    let (mut one, mut two) = (member(&log, "one"), member(&log, "two"));
    check(&mut *one, assigned(&[0, 1, 2, 3]));
    acknowledge(&mut *one, &[0, 1, 2, 3]);
    check(&mut *one, None);
    check(&mut *two, assigned(&[]));
    acknowledge(&mut *two, &[]);
    check(&mut *one, assigned(&[0, 1]));
    check(&mut *two, None);
    // Told to give them up, but not yet done: it may still commit.
    assert_eq!(commit(&mut *one, 3), Ok(()));
    acknowledge(&mut *one, &[0, 1]);
    check(&mut *two, assigned(&[2, 3]));
    acknowledge(&mut *two, &[2, 3]);
    check(&mut *one, None);
    // The hole of the protocol: at the current epoch nobody looks at the partition.
    assert_eq!(commit(&mut *one, 3), Ok(()));
    two.leave(SECOND).expect("left");
    check(&mut *one, assigned(&[0, 1, 2, 3]));
}

#[test]
fn an_older_epoch_may_commit_what_it_still_owns() {
    let (log, _clock) = group_log(GroupMode::Streams, |builder| builder);
    let (mut one, mut two) = (member(&log, "one"), member(&log, "two"));
    check(&mut *one, assigned(&[0, 1, 2, 3]));
    acknowledge(&mut *one, &[0, 1, 2, 3]);
    let old = one.group_metadata().expect("metadata");
    check(&mut *two, assigned(&[]));
    check(&mut *one, assigned(&[0, 1]));
    acknowledge(&mut *one, &[0, 1]);
    let mut producer = producer(&log, Some("id"));
    for (partition, expected) in [(0, None), (3, Some(ErrorKind::Fenced))] {
        producer.begin_transaction().expect("begun");
        let offset = CommittedOffset { offset: 1, leader_epoch: None, metadata: String::new() };
        let offsets = [(TopicPartition::new("in", partition), offset)];
        let sent = producer.send_offsets(&offsets, &old, SECOND);
        assert_eq!(sent.err().map(|error| error.kind()), expected);
        producer.abort_transaction(SECOND).expect("aborted");
    }
}

#[test]
fn a_member_that_keeps_tasks_for_too_long_is_expelled() {
    let (log, clock) = group_log(GroupMode::Streams, |builder| builder);
    let (mut one, mut two) = (member(&log, "one"), member(&log, "two"));
    check(&mut *one, assigned(&[0, 1, 2, 3]));
    acknowledge(&mut *one, &[0, 1, 2, 3]);
    check(&mut *two, assigned(&[]));
    acknowledge(&mut *two, &[]);
    check(&mut *one, assigned(&[0, 1]));
    clock.advance(TIMEOUT / 2);
    check(&mut *one, None);
    check(&mut *two, None);
    clock.advance(TIMEOUT / 2);
    check(&mut *two, assigned(&[0, 1, 2, 3]));
    assert_eq!(commit(&mut *one, 0), Err(ErrorKind::Fenced));
}

#[test]
fn a_silent_member_is_lost_and_joins_again() {
    for mode in [GroupMode::Streams, GroupMode::Classic] {
        let (log, clock) = group_log(mode, |builder| builder);
        let mut one = member(&log, "one");
        check(&mut *one, assigned(&[0, 1, 2, 3]));
        acknowledge(&mut *one, &[0, 1, 2, 3]);
        clock.advance(TIMEOUT);
        assert_eq!(commit(&mut *one, 0), Err(ErrorKind::Fenced));
        check(&mut *one, Some(MembershipEvent::Lost));
        check(&mut *one, None);
        one.acknowledge(&Assignment::default()).expect("acknowledged");
        check(&mut *one, assigned(&[0, 1, 2, 3]));
        assert_eq!(commit(&mut *one, 0), Ok(()));
    }
}

#[test]
fn a_classic_group_pauses_all_members() {
    let (log, clock) = group_log(GroupMode::Classic, |builder| builder);
    let (mut one, mut two) = (member(&log, "one"), member(&log, "two"));
    check(&mut *one, assigned(&[0, 1, 2, 3]));
    acknowledge(&mut *one, &[0, 1, 2, 3]);
    let old = one.group_metadata().expect("metadata");
    check(&mut *two, None);
    check(&mut *one, Some(MembershipEvent::Suspend));
    assert_eq!(commit(&mut *one, 3), Ok(()), "until it has released");
    acknowledge(&mut *one, &[]);
    check(&mut *two, assigned(&[2, 3]));
    check(&mut *one, assigned(&[0, 1]));
    let mut producer = producer(&log, Some("id"));
    producer.begin_transaction().expect("begun");
    let offset = CommittedOffset { offset: 1, leader_epoch: None, metadata: String::new() };
    let offsets = [(TopicPartition::new("in", 0), offset)];
    let error = producer.send_offsets(&offsets, &old, SECOND).expect_err("an old generation");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    // Whoever does not pause in time is left behind.
    let mut three = member(&log, "three");
    check(&mut *three, None);
    check(&mut *two, Some(MembershipEvent::Suspend));
    acknowledge(&mut *two, &[]);
    clock.advance(TIMEOUT / 2);
    check(&mut *one, Some(MembershipEvent::Suspend));
    check(&mut *two, None);
    check(&mut *three, None);
    clock.advance(TIMEOUT / 2);
    check(&mut *two, assigned(&[2, 3]));
    check(&mut *three, assigned(&[0, 1]));
    check(&mut *one, Some(MembershipEvent::Lost));
}

#[test]
fn standbys_are_kept_in_other_processes() {
    let (log, _clock) = group_log(GroupMode::Streams, |builder| builder.n_standby(1));
    let (mut one, mut two) =
        (member_of(&log, "one", with_store()), member_of(&log, "two", with_store()));
    check(&mut *one, assigned(&[0, 1, 2, 3]));
    acknowledge(&mut *one, &[0, 1, 2, 3]);
    check(&mut *two, standby(&[], &[0, 1]));
    check(&mut *one, assigned(&[0, 1]));
    acknowledge(&mut *one, &[0, 1]);
    check(&mut *one, standby(&[0, 1], &[2, 3]));
    check(&mut *two, standby(&[2, 3], &[0, 1]));
}

fn standby(active: &[i32], standby: &[i32]) -> Option<MembershipEvent> {
    let (active, standby) = (tasks(active).active, tasks(standby).active);
    Some(MembershipEvent::Assigned(Assignment { active, standby }))
}

#[test]
fn another_topology_is_refused_until_the_group_is_deleted() {
    let (log, _clock) = group_log(GroupMode::Streams, |builder| builder);
    let mut one = member(&log, "one");
    check(&mut *one, assigned(&[0, 1, 2, 3]));
    let other = || {
        let mut topology = Topology::builder();
        topology.source("t", "t", (Utf8, Utf8));
        member_of(&log, "two", topology.build().expect("a topology"))
    };
    let error = other().poll().expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Topology);
    one.leave(SECOND).expect("left");
    other().poll().expect_err("refused for the empty group too, as in Kafka 4.3");
    log.delete_group("app");
    check(&mut *other(), assigned(&[0]));
}

#[test]
fn a_streams_group_makes_internal_topics() {
    let (log, _clock) = group_log(GroupMode::Streams, |builder| builder);
    let mut topology = Topology::builder();
    let words = topology.repartition_topic("words", None);
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    topology.sink("to-words", &[lines], &words, (Utf8, Utf8));
    topology.source("words", &words, (Utf8, Utf8));
    let mut one = member_of(&log, "one", topology.build().expect("a topology"));
    let Some(MembershipEvent::Assigned(assignment)) = one.poll().expect("polled") else {
        panic!("an assignment was expected");
    };
    assert_eq!(assignment.active.len(), 8);
    let config = log.topic_config("app-words-repartition");
    assert_eq!(config.get("cleanup.policy").map(String::as_str), Some("delete"));
    // A source topic that goes away is told.
    log.delete_topic("in");
    assert_eq!(one.poll().expect_err("missing").kind(), ErrorKind::Topic);
}

#[test]
fn tasks_follow_a_topic_that_was_made_again() {
    let (log, _clock) = group_log(GroupMode::Streams, |builder| builder);
    let mut one = member(&log, "one");
    check(&mut *one, assigned(&[0, 1, 2, 3]));
    acknowledge(&mut *one, &[0, 1, 2, 3]);
    log.delete_topic("in");
    log.create_topic("in", 5).expect("created");
    check(&mut *one, assigned(&[0, 1, 2, 3, 4]));
}

#[test]
fn a_waiting_consumer_is_woken_by_records_and_by_its_group() {
    let log = MemoryLog::new();
    log.create_topic("in", 1).expect("created");
    let (mut consumer, lane) = reader(&log, "in", Isolation::ReadCommitted);
    let writer = log.clone();
    let wait = |consumer: &mut dyn Consumer| {
        for _ in 0..100 {
            consumer.wait(TIMEOUT).expect("waited");
            if consumer.fetch(lane, 1).expect("fetched").records.is_some() {
                return;
            }
        }
        panic!("no record came");
    };
    std::thread::scope(|scope| {
        scope.spawn(move || writer.produce("in", "k", "v", Timestamp::default()));
        wait(&mut *consumer);
    });
    let mut one = member(&log, "one");
    std::thread::scope(|scope| {
        scope.spawn(|| one.poll());
        consumer.wait(TIMEOUT).expect("woken by the group");
    });
}
