//! What is special about the classic group: the range assignor, patterns, what it cannot carry.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kstreams_broker::tools;
use kstreams_core::error::{Error, ErrorKind};
use kstreams_core::record::TopicPartition;
use kstreams_core::serde::Utf8;
use kstreams_core::time::{Clock, SystemClock};
use kstreams_kafka::{GroupProtocol, KafkaLog};
use kstreams_runtime::transport::{
    Assignment, CommittedOffset, Log, MemberOptions, Membership, MembershipEvent, Waker,
};
use kstreams_topology::{InternalTopicSettings, Topics, Topology};

use super::contract::Fixture as _;
use super::{Kafka, LONG};

pub(super) fn member(log: &dyn Log, group: &str, topics: Topics) -> Box<dyn Membership> {
    member_as(log, group, topics, None)
}

fn member_as(
    log: &dyn Log,
    group: &str,
    topics: Topics,
    instance: Option<&str>,
) -> Box<dyn Membership> {
    let mut topology = Topology::builder();
    topology.source("in", topics, (Utf8, Utf8));
    log.membership(MemberOptions {
        application_id: group.into(),
        process_id: "process".to_owned(),
        client_id: "member".to_owned(),
        topology: Arc::new(topology.build().expect("valid")),
        member_id: None,
        internal_topics: InternalTopicSettings::default(),
        replication: None,
        application_server: None,
        group_instance_id: instance.map(str::to_owned),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: LONG,
    })
    .expect("a member")
}

/// Something that waits without a clock of its own: a consumer that reads nothing.
fn pause(log: &dyn Log) -> impl FnMut() + use<> {
    let options = kstreams_runtime::transport::ConsumerOptions {
        client_id: "pause".to_owned(),
        isolation: kstreams_runtime::transport::Isolation::ReadCommitted,
    };
    let mut consumer = log.consumer(options).expect("a consumer");
    let _: Waker = consumer.waker();
    move || consumer.wait(Duration::from_millis(20)).expect("waited")
}

/// Polls and acknowledges until an assignment is good enough.
pub(super) fn until(
    log: &dyn Log,
    members: &mut [&mut Box<dyn Membership>],
    done: impl Fn(&[BTreeSet<String>]) -> bool,
) -> Result<(), Error> {
    let (clock, mut pause) = (SystemClock::new(), pause(log));
    let mut owned = vec![BTreeSet::new(); members.len()];
    while !done(&owned) {
        assert!(clock.monotonic() < Duration::from_secs(60), "it takes too long: {owned:?}");
        for (member, owned) in members.iter_mut().zip(&mut owned) {
            let assignment = match member.poll()? {
                Some(MembershipEvent::Assigned(assignment)) => assignment,
                Some(MembershipEvent::Suspend | MembershipEvent::Lost) => Assignment::default(),
                Some(MembershipEvent::ShutdownRequested) | None => continue,
            };
            member.acknowledge(&assignment).expect("acknowledged");
            *owned = assignment.active.iter().map(ToString::to_string).collect();
        }
        pause();
    }
    Ok(())
}

#[test]
fn topics_of_unequal_counts_are_refused_when_they_are_split() {
    let kafka = Kafka::with(GroupProtocol::Classic);
    let (log, group) = (kafka.log(), kafka.unique("uneven-app"));
    let topics = [kafka.unique("uneven-a"), kafka.unique("uneven-b")];
    kafka.create_topic(&topics[0], 4);
    kafka.create_topic(&topics[1], 6);
    let mut first = member(&*log, &group, topics.clone().into());
    until(&*log, &mut [&mut first], |owned| owned[0].len() == 6).expect("alone it has all");
    let mut second = member(&*log, &group, topics.clone().into());
    let error = until(&*log, &mut [&mut first, &mut second], |_| false).expect_err("split");
    assert_eq!(error.kind(), ErrorKind::Topic);
    assert!(topics.iter().all(|topic| error.to_string().contains(topic)), "{error}");
}

#[test]
fn a_pattern_takes_the_topics_that_match() {
    let kafka = Kafka::with(GroupProtocol::Classic);
    let (log, group) = (kafka.log(), kafka.unique("pattern-app"));
    let name = kafka.unique("pattern");
    kafka.create_topic(&format!("{name}-x"), 2);
    kafka.create_topic(&format!("{name}-y"), 3);
    kafka.create_topic(&format!("no-{name}-z"), 9);
    let pattern = Topics::pattern(&format!(r"{name}-\w")).expect("a pattern");
    let mut only = member(&*log, &group, pattern);
    until(&*log, &mut [&mut only], |owned| owned[0].len() == 3).expect("joined");
}

#[test]
fn a_member_says_what_it_cannot_do_and_leaves_at_once() {
    let kafka = Kafka::with(GroupProtocol::Classic);
    let (log, topic) = (kafka.log(), kafka.unique("limits"));
    kafka.create_topic(&topic, 1);
    let mut member = member(&*log, &kafka.unique("limits-app"), topic.into());
    assert!(member.group_metadata().expect_err("not joined").is_retriable());
    until(&*log, &mut [&mut member], |owned| owned[0].len() == 1).expect("joined");
    member.group_metadata().expect("joined");
    let error = member.request_shutdown().expect_err("no carrier");
    assert!(error.to_string().contains("classic group cannot"), "{error}");
    let clock = SystemClock::new();
    member.leave(LONG).expect("left");
    member.leave(LONG).expect("left already");
    drop(member);
    assert!(clock.monotonic() < Duration::from_secs(2), "{:?}", clock.monotonic());
}

#[test]
fn a_member_without_broker_tells_so_and_lets_itself_be_dropped() {
    let log = KafkaLog::new("127.0.0.1:1");
    let clock = SystemClock::new();
    let mut member = member(&log, "away", "t".into());
    let error = member.poll().expect_err("nobody there");
    assert!(error.is_retriable() && error.to_string().contains("127.0.0.1:1"), "{error:?}");
    drop(member);
    assert!(clock.monotonic() < Duration::from_secs(10), "{:?}", clock.monotonic());
}

#[test]
fn a_static_member_that_comes_back_disturbs_nobody() {
    let kafka = Kafka::with(GroupProtocol::Classic);
    let (log, group, topic) = (kafka.log(), kafka.unique("static-app"), kafka.unique("static"));
    kafka.create_topic(&topic, 4);
    let join = |id: &str| member_as(&*log, &group, Topics::from(topic.as_str()), Some(id));
    let (mut one, mut two) = (join("one"), join("two"));
    let mut share = BTreeSet::new();
    until(&*log, &mut [&mut one, &mut two], |owned| owned.iter().all(|owned| owned.len() == 2))
        .expect("shared out");
    let mut pause = pause(&*log);
    for _ in 0..3 {
        one.leave(LONG).expect("closed");
        drop(one);
        one = join("one");
        let clock = SystemClock::new();
        loop {
            assert!(clock.monotonic() < LONG, "it does not come back");
            assert!(two.poll().expect("polled").is_none(), "the other hears of it");
            if let Some(MembershipEvent::Assigned(assignment)) = one.poll().expect("polled") {
                one.acknowledge(&assignment).expect("acknowledged");
                let again = assignment.active;
                assert_eq!(again.len(), 2);
                assert!(share.is_empty() || share == again, "{share:?} {again:?}");
                share = again;
                break;
            }
            pause();
        }
    }
    // What came before the last answer would be heard now.
    for _ in 0..50 {
        assert!(two.poll().expect("polled").is_none(), "the other hears of it");
        pause();
    }
    let streams = Kafka::with(GroupProtocol::Streams);
    let mut refused = member_as(&*streams.log(), &group, Topics::from(topic.as_str()), Some("one"));
    let error = refused.poll().expect_err("no static members there");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

#[test]
fn kafkas_own_tool_shows_a_classic_group_right() {
    let kafka = Kafka::with(GroupProtocol::Classic);
    let (log, group, topic) = (kafka.log(), kafka.unique("told-app"), kafka.unique("told"));
    kafka.create_topic(&topic, 2);
    let join = || member(&*log, &group, Topics::from(topic.as_str()));
    let (mut one, mut two) = (join(), join());
    until(&*log, &mut [&mut one, &mut two], |owned| owned.iter().all(|owned| owned.len() == 1))
        .expect("shared out");
    let at = TopicPartition::new(topic.as_str(), 1);
    let committed = CommittedOffset { offset: 0, leader_epoch: None, metadata: String::new() };
    let commit = |member: &mut Box<dyn Membership>| {
        member.commit(&[(at.clone(), committed.clone())], LONG).is_ok()
    };
    assert!(commit(&mut one) || commit(&mut two));
    let describe = |what: &str| {
        let args = ["--describe", "--group", &group, what, "--verbose"];
        super::streams::printed(tools::CONSUMER_GROUPS, &args)
    };
    let members: Vec<_> = describe("--members")
        .into_iter()
        .filter(|row| row.first().is_some_and(|word| *word == group))
        .collect();
    assert_eq!(members.len(), 2, "{members:?}");
    for partition in ["0", "1"] {
        let shown = format!("{topic}({partition})");
        let n = members.iter().filter(|row| row.concat().contains(&shown)).count();
        let other = format!("{topic}:{partition}");
        let m = members.iter().filter(|row| row.concat().contains(&other)).count();
        assert_eq!(n + m, 1, "{partition}: {members:?}");
    }
    let state = describe("--state").concat().join(" ");
    assert!(state.contains("Stable") && state.contains("range"), "{state}");
    let offsets = describe("--offsets");
    let row = offsets.iter().find(|row| row.contains(&topic) && row.contains(&"1".to_owned()));
    assert!(row.is_some_and(|row| row.contains(&"0".to_owned())), "{offsets:?}");
}
