//! What the broker makes of a topology, and what Kafka's own tool shows of the group.

use kstreams_core::context::Context;
use kstreams_core::record::Record;
use kstreams_runtime::transport::CommittedOffset;

use super::*;

#[path = "../../../../topology/tests/topology/support.rs"]
#[expect(unreachable_pub, reason = "examples in the documentation include the file as their own")]
mod cells;

/// Two sub-topologies joined by a repartition topic; the second keeps a store.
fn counting(topic: &str) -> Topology {
    let mut topology = Topology::builder();
    let words = topology.repartition_topic("words", None);
    let lines = topology.source("lines", topic, (Utf8, Utf8));
    topology.sink("to-words", &[lines], &words, (Utf8, Utf8));
    let counts = topology.store(cells::cells("counts"));
    let words = topology.source("words", &words, (Utf8, Utf8));
    let count = topology.processor("count", &[words], || {
        |_: &mut Context<'_, (), ()>, _: Record<String, String>| Ok(())
    });
    topology.connect(count, &counts);
    topology.build().expect("valid")
}

#[test]
fn the_broker_makes_internal_topics_with_our_settings() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("made"));
    let group = kafka.unique("made-app");
    kafka.create_topic(&topic, 3);
    let mut wanted = options(&group, "one", counting(&topic));
    wanted.internal_topics.overrides = vec![("segment.ms".to_owned(), "86400000".to_owned())];
    let mut member = Member::new(&*log, wanted);
    until(&mut [&mut member], |members| members[0].owned.active.len() == 6);
    let topics = log.admin().expect("admin").topics(LONG).expect("listed");
    for name in ["words-repartition", "counts-changelog"] {
        let name = format!("{group}-{name}");
        let made = topics.iter().find(|topic| topic.name == name).expect("made");
        assert_eq!(made.n_partitions, 3, "{name}");
    }
    let changelog = format!("{group}-counts-changelog");
    let described = printed(tools::TOPICS, &["--describe", "--topic", &changelog]).concat();
    let described = described.join(" ");
    assert!(described.contains("cleanup.policy=compact"), "{described}");
    assert!(described.contains("segment.ms=86400000"), "{described}");
}

#[test]
fn kafkas_own_tool_shows_the_group_right() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("shown"));
    let group = kafka.unique("shown-app");
    kafka.create_topic(&topic, 2);
    let mut first = Member::new(&*log, options(&group, "one", counting(&topic)));
    let mut second = Member::new(&*log, options(&group, "two", counting(&topic)));
    until(&mut [&mut first, &mut second], |members| {
        members.iter().all(|member| member.owned.active.len() == 2)
    });
    let at = first.owned.active.first().copied().expect("some");
    let at = TopicPartition::new(topic.as_str(), at.partition);
    let committed = CommittedOffset { offset: 0, leader_epoch: None, metadata: String::new() };
    first.link.commit(&[(at, committed)], LONG).expect("committed");
    let describe = |what: &str| {
        printed(tools::STREAMS_GROUPS, &["--describe", "--group", &group, what, "--verbose"])
    };
    let members = describe("--members");
    for (name, member) in [("one", &first), ("two", &second)] {
        let id = format!("{name}-member");
        let row = members.iter().find(|row| row.contains(&id)).expect("a row of the member");
        assert!(row.contains(&uuid(name)), "{row:?}");
        let tasks = row.join(" ");
        for task in &member.owned.active {
            let shown = format!("{}:[{}]", task.subtopology, task.partition);
            assert!(tasks.contains(&shown), "{task} is not in {row:?}");
        }
    }
    let state = describe("--state").concat().join(" ");
    assert!(state.contains("Stable"), "{state}");
    let offsets = describe("--offsets");
    assert!(offsets.iter().any(|row| row.contains(&topic) && row.contains(&"0".to_owned())));
}

#[test]
fn members_hear_whom_to_ask_for_state() {
    let kafka = Kafka::new();
    let (log, topic) = (kafka.log(), kafka.unique("asked"));
    let group = kafka.unique("asked-app");
    kafka.create_topic(&topic, 2);
    let with_server = |name: &str, server: &str| {
        let mut wanted = options(&group, name, reads(topic.as_str()));
        wanted.application_server = Some(server.to_owned());
        Member::new(&*log, wanted)
    };
    let (mut first, mut second) = (with_server("one", "a:1"), with_server("two", "b:2"));
    until(&mut [&mut first, &mut second], |members| {
        members.iter().all(|member| member.partitions().len() == 1)
    });
    let clock = SystemClock::new();
    let at = TopicPartition::new(topic.as_str(), first.partitions()[0]);
    loop {
        let told = first.link.peers();
        let all = told.iter().map(|peer| (peer.server.as_str(), peer.active.len()));
        if all.collect::<Vec<_>>() == [("a:1", 1), ("b:2", 1)] && told[0].active.contains(&at) {
            break;
        }
        assert!(clock.monotonic() < Duration::from_secs(60), "{told:?}");
        first.obey().expect("obeyed");
        first.pause.wait(Duration::from_millis(20)).expect("waited");
    }
    let mut odd = options(&group, "odd", reads(topic.as_str()));
    odd.application_server = Some("nowhere".to_owned());
    let error = error_of(&mut Member::new(&*log, odd));
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("nowhere"), "{error}");
}
