//! Members that come, go, fail and disagree.

use kstreams_runtime::transport::{CommittedOffset, Producer, ProducerOptions};

use super::*;

fn next(offset: i64) -> CommittedOffset {
    CommittedOffset { offset, leader_epoch: None, metadata: "m".to_owned() }
}

fn transactional(log: &dyn Log, id: &str) -> Box<dyn Producer> {
    let options = ProducerOptions {
        client_id: "p".to_owned(),
        transactional_id: Some(id.to_owned()),
        transaction_timeout: LONG,
    };
    let mut producer = log.producer(options).expect("a producer");
    producer.init_transactions(LONG).expect("transactions");
    producer
}

#[test]
fn a_member_keeps_its_other_tasks_while_it_gives_some_up() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("share"));
    let group = kafka.unique("share-app");
    kafka.create_topic(&topic, 4);
    let mut first = Member::of(&*log, &group, "one", &topic);
    until(&mut [&mut first], |members| members[0].partitions() == [0, 1, 2, 3]);
    let mut second = Member::of(&*log, &group, "two", &topic);
    // The first is told to give two up, and does not: the second gets nothing.
    let clock = SystemClock::new();
    let kept = loop {
        assert!(clock.monotonic() < LONG, "nothing is taken away");
        second.obey().expect("obeyed");
        if let Some(MembershipEvent::Assigned(kept)) = first.hear().expect("heard") {
            break kept;
        }
        first.pause.wait(Duration::from_millis(20)).expect("waited");
    };
    assert_eq!(kept.active.len(), 2);
    assert!(kept.active.is_subset(&first.owned.active));
    assert!(second.owned.active.is_empty());
    // What it is to give up it may still commit, until it has said that it is gone.
    let gone = first.owned.active.difference(&kept.active).next().copied().expect("some");
    let gone = TopicPartition::new(topic.as_str(), gone.partition);
    first.link.commit(&[(gone.clone(), next(7))], LONG).expect("not given up yet");
    first.link.acknowledge(&kept).expect("given up");
    first.owned = kept;
    until(&mut [&mut first, &mut second], |members| members[1].partitions().len() == 2);
    let mut all = [first.partitions(), second.partitions()].concat();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
    let committed = second.link.committed(&[gone], LONG).expect("read");
    assert_eq!(committed, [Some(next(7))]);
}

#[test]
fn a_member_that_is_gone_comes_back_as_itself_with_the_first_heartbeat() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("back"));
    let group = kafka.unique("back-app");
    kafka.create_topic(&topic, 4);
    let mut stays = Member::of(&*log, &group, "stays", &topic);
    let mut dies = Member::of(&*log, &group, "dies", &topic);
    until(&mut [&mut stays, &mut dies], |members| {
        members.iter().all(|member| member.partitions().len() == 2)
    });
    let (had, n_heard) = (dies.owned.clone(), stays.heard.len());
    // Not dropped: it says nothing more, as after a kill.
    std::mem::forget(dies);
    let clock = SystemClock::new();
    let mut again = Member::of(&*log, &group, "dies", &topic);
    until(&mut [&mut again], |members| !members[0].heard.is_empty());
    assert_eq!(again.owned, had);
    assert!(clock.monotonic() < Duration::from_secs(3), "{:?}", clock.monotonic());
    stays.obey().expect("obeyed");
    assert_eq!(stays.heard.len(), n_heard, "the other has noticed nothing");
}

#[test]
fn a_member_that_leaves_is_followed_soon_and_cannot_commit() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("leave"));
    let group = kafka.unique("leave-app");
    kafka.create_topic(&topic, 2);
    let mut first = Member::of(&*log, &group, "one", &topic);
    let mut second = Member::of(&*log, &group, "two", &topic);
    until(&mut [&mut first, &mut second], |members| {
        members.iter().all(|member| member.partitions().len() == 1)
    });
    let clock = SystemClock::new();
    first.link.leave(LONG).expect("left");
    first.link.leave(LONG).expect("left already");
    assert!(clock.monotonic() < Duration::from_secs(2), "{:?}", clock.monotonic());
    until(&mut [&mut second], |members| members[0].partitions() == [0, 1]);
    // Long before the session would be over.
    assert!(clock.monotonic() < Duration::from_secs(15), "{:?}", clock.monotonic());
    let at = TopicPartition::new(topic.as_str(), 0);
    let refused = first.link.commit(&[(at, next(1))], LONG).expect_err("left");
    assert_eq!(refused.kind(), ErrorKind::Closed);
}

#[test]
fn a_member_that_the_group_has_removed_is_told_and_joins_again() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("fenced"));
    let group = kafka.unique("fenced-app");
    kafka.create_topic(&topic, 1);
    let mut member = Member::of(&*log, &group, "one", &topic);
    until(&mut [&mut member], |members| members[0].partitions() == [0]);
    // Another incarnation with the same id, which leaves: the group knows neither any more.
    let mut twin = Member::of(&*log, &group, "one", &topic);
    until(&mut [&mut twin], |members| members[0].partitions() == [0]);
    twin.link.leave(LONG).expect("left");
    let at = TopicPartition::new(topic.as_str(), 0);
    let error = member.link.commit(&[(at, next(1))], LONG).expect_err("unknown");
    assert!(error.is_fenced(), "{error}");
    let n_heard = member.heard.len();
    until(&mut [&mut member], |members| {
        members[0].heard.get(n_heard) == Some(&MembershipEvent::Lost)
            && members[0].partitions() == [0]
    });
}

#[test]
fn exactly_once_commits_go_by_epoch_and_a_lost_task_is_refused() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("once"));
    let group = kafka.unique("once-app");
    kafka.create_topic(&topic, 2);
    let mut first = Member::of(&*log, &group, "one", &topic);
    assert!(first.link.group_metadata().is_err_and(|error| error.is_retriable()));
    until(&mut [&mut first], |members| members[0].partitions() == [0, 1]);
    let old = first.link.group_metadata().expect("joined");
    let mut producer = transactional(&*log, &group);
    let mut commit = |offsets: &[(TopicPartition, CommittedOffset)], proof: &_| {
        producer.begin_transaction().expect("begun");
        match producer.send_offsets(offsets, proof, LONG) {
            Ok(()) => producer.commit_transaction(LONG),
            Err(error) => {
                producer.abort_transaction(LONG).expect("aborted");
                Err(error)
            }
        }
    };
    let both: Vec<_> =
        (0..2).map(|at| (TopicPartition::new(topic.as_str(), at), next(3))).collect();
    commit(&both, &old).expect("ours");
    let mut second = Member::of(&*log, &group, "two", &topic);
    until(&mut [&mut first, &mut second], |members| {
        members.iter().all(|member| member.partitions().len() == 1)
    });
    let lost = usize::try_from(second.partitions()[0]).expect("positive");
    let error = commit(&both[lost..=lost], &old).expect_err("another's");
    assert!(error.is_fenced(), "{error}");
    let current = first.link.group_metadata().expect("joined");
    commit(&both[1 - lost..=1 - lost], &current).expect("still ours");
}

#[test]
fn a_shutdown_of_the_application_reaches_all() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("stop"));
    let group = kafka.unique("stop-app");
    kafka.create_topic(&topic, 2);
    let mut first = Member::of(&*log, &group, "one", &topic);
    let mut second = Member::of(&*log, &group, "two", &topic);
    until(&mut [&mut first, &mut second], |members| {
        members.iter().all(|member| member.partitions().len() == 1)
    });
    second.link.request_shutdown().expect("it can be carried");
    until(&mut [&mut first, &mut second], |members| {
        members.iter().all(|member| member.heard.contains(&MembershipEvent::ShutdownRequested))
    });
}

#[test]
fn another_topology_is_refused_by_its_difference() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("differs"));
    let (group, other) = (kafka.unique("differs-app"), kafka.unique("differs-new"));
    kafka.create_topic(&topic, 1);
    kafka.create_topic(&other, 1);
    let mut first = Member::of(&*log, &group, "one", &topic);
    until(&mut [&mut first], |members| members[0].partitions() == [0]);
    let mut second = Member::of(&*log, &group, "two", &other);
    let error = error_of(&mut second);
    assert_eq!(error.kind(), ErrorKind::Topology);
    for name in [&topic, &other, &group] {
        assert!(error.message().contains(name.as_str()), "{error}");
    }
}

#[test]
fn missing_topics_are_named_also_with_an_endpoint() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("missing"));
    let mut wants = options(&kafka.unique("missing-app"), "one", reads(topic.as_str()));
    wants.application_server = Some("localhost:7070".to_owned());
    let mut member = Member::new(&*log, wants);
    let error = error_of(&mut member);
    assert_eq!(error.kind(), ErrorKind::Topic);
    assert!(error.message().contains(&topic), "{error}");
}

#[test]
fn a_group_of_classic_members_is_joined_once_they_have_left() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("mixed"));
    let group = kafka.unique("mixed-app");
    kafka.create_topic(&topic, 1);
    let classic = Kafka::with(GroupProtocol::Classic);
    let mut old = super::super::group::member(&*classic.log(), &group, topic.as_str().into());
    super::super::group::until(&*log, &mut [&mut old], |owned| owned[0].len() == 1)
        .expect("joined");
    let at = TopicPartition::new(topic.as_str(), 0);
    old.commit(&[(at.clone(), next(4))], LONG).expect("committed");
    let mut new = Member::of(&*log, &group, "new", &topic);
    let clock = SystemClock::new();
    let error = loop {
        assert!(clock.monotonic() < LONG, "no error");
        match new.link.poll() {
            Err(error) => break error,
            Ok(_) => new.pause.wait(Duration::from_millis(20)).expect("waited"),
        }
    };
    assert!(error.is_retriable(), "{error}");
    assert!(error.message().contains("stop all of them first"), "{error}");
    old.leave(LONG).expect("left");
    until(&mut [&mut new], |members| members[0].partitions() == [0]);
    assert_eq!(new.link.committed(&[at], LONG).expect("read"), [Some(next(4))]);
}

#[test]
fn a_broker_without_streams_groups_gets_classic_members() {
    let broker = kstreams_broker::Broker::start().expect("a broker");
    let downgraded = broker
        .tool(tools::FEATURES, ["downgrade", "--feature", "streams.version=0"])
        .expect("a tool that runs");
    assert!(downgraded.status.success(), "{downgraded:?}");
    let log = KafkaLog::new(broker.bootstrap());
    let admin = log.admin().expect("admin");
    let topic = kstreams_runtime::transport::NewTopic {
        name: "t".to_owned(),
        n_partitions: 1,
        replication: None,
        configs: Vec::new(),
    };
    admin.create_topics(&[topic], LONG).expect("created");
    let mut member = Member::of(&log, "app", "one", "t");
    until(&mut [&mut member], |members| members[0].partitions() == [0]);
    let refused = member.link.request_shutdown().expect_err("classic");
    assert!(refused.message().contains("classic group"), "{refused}");
    let forced = KafkaLog::builder(broker.bootstrap()).group_protocol(GroupProtocol::Streams);
    let forced = forced.build().expect("a log");
    let error = error_of(&mut Member::of(&forced, "other", "one", "t"));
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("streams.version"), "{error}");
}

#[test]
fn a_member_goes_on_after_its_broker_was_away() {
    let broker = kstreams_broker::Broker::start().expect("a broker");
    let log = KafkaLog::new(broker.bootstrap());
    let topic = kstreams_runtime::transport::NewTopic {
        name: "t".to_owned(),
        n_partitions: 2,
        replication: None,
        configs: Vec::new(),
    };
    log.admin().expect("admin").create_topics(&[topic], LONG).expect("created");
    let mut member = Member::of(&log, "app", "one", "t");
    until(&mut [&mut member], |members| members[0].partitions() == [0, 1]);
    broker.restart().expect("restarted");
    let at = TopicPartition::new("t", 0);
    member.link.commit(&[(at.clone(), next(5))], LONG).expect("found again");
    member.obey().expect("still a member");
    assert_eq!(member.partitions(), [0, 1]);
    assert_eq!(member.link.committed(&[at], LONG).expect("read"), [Some(next(5))]);
}
