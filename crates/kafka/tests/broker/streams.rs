//! What is special about the streams protocol (KIP-1071): tasks move one by one, the broker makes
//! internal topics and fences by epoch, and Kafka's own tool shows our group.

use std::sync::Arc;
use std::time::Duration;

use kstreams_broker::{shared, tools};
use kstreams_core::error::{Error, ErrorKind};
use kstreams_core::record::TopicPartition;
use kstreams_core::serde::Utf8;
use kstreams_core::time::{Clock, SystemClock};
use kstreams_kafka::{GroupProtocol, KafkaLog};
use kstreams_runtime::transport::{
    Assignment, Consumer, ConsumerOptions, Isolation, Log, MemberOptions, Membership,
    MembershipEvent,
};
use kstreams_topology::{InternalTopicSettings, Topics, Topology};

use super::contract::Fixture as _;
use super::{Kafka, LONG};

mod cases;
#[cfg(feature = "ssl")]
mod secured;
mod shape;

/// A member that does as it is told, and what it was told.
struct Member {
    link: Box<dyn Membership>,
    owned: Assignment,
    heard: Vec<MembershipEvent>,
    pause: Box<dyn Consumer>,
}

fn options(group: &str, name: &str, topology: Topology) -> MemberOptions {
    MemberOptions {
        application_id: group.into(),
        process_id: uuid(name),
        client_id: name.to_owned(),
        member_id: Some(format!("{name}-member")),
        topology: Arc::new(topology),
        internal_topics: InternalTopicSettings::default(),
        replication: None,
        application_server: None,
        group_instance_id: None,
        session_timeout: Duration::from_secs(45),
        rebalance_timeout: LONG,
    }
}

fn uuid(name: &str) -> String {
    let seed = name.bytes().map(u64::from).sum();
    kstreams_core::random::Random::seeded(seed).uuid()
}

fn reads(topics: impl Into<Topics>) -> Topology {
    let mut topology = Topology::builder();
    topology.source("in", topics, (Utf8, Utf8));
    topology.build().expect("valid")
}

impl Member {
    fn new(log: &dyn Log, options: MemberOptions) -> Self {
        let reading =
            ConsumerOptions { client_id: "pause".to_owned(), isolation: Isolation::ReadCommitted };
        Self {
            link: log.membership(options).expect("a member"),
            owned: Assignment::default(),
            heard: Vec::new(),
            pause: log.consumer(reading).expect("a consumer"),
        }
    }

    fn of(log: &dyn Log, group: &str, name: &str, topic: &str) -> Self {
        Self::new(log, options(group, name, reads(topic)))
    }

    /// Takes a piece of news; gives nothing up yet.
    fn hear(&mut self) -> Result<Option<MembershipEvent>, Error> {
        let news = match self.link.poll() {
            Err(error) if error.is_retriable() => None,
            news => news?,
        };
        self.heard.extend(news.clone());
        Ok(news)
    }

    /// Takes a piece of news and does what it says.
    fn obey(&mut self) -> Result<(), Error> {
        let owned = match self.hear()? {
            Some(MembershipEvent::Assigned(owned)) => owned,
            Some(MembershipEvent::Lost) => Assignment::default(),
            Some(MembershipEvent::Suspend) => panic!("a streams group never suspends"),
            Some(MembershipEvent::ShutdownRequested) | None => return Ok(()),
        };
        self.owned = owned.clone();
        self.link.acknowledge(&owned)
    }

    fn partitions(&self) -> Vec<i32> {
        self.owned.active.iter().map(|task| task.partition).collect()
    }
}

/// Lets members obey until something holds.
fn until(members: &mut [&mut Member], done: impl Fn(&[&mut Member]) -> bool) {
    let clock = SystemClock::new();
    while !done(members) {
        let owned: Vec<_> = members.iter().map(|member| &member.owned).collect();
        assert!(clock.monotonic() < Duration::from_secs(60), "it takes too long: {owned:?}");
        for member in &mut *members {
            member.obey().expect("obeyed");
        }
        members[0].pause.wait(Duration::from_millis(20)).expect("waited");
    }
}

/// Polls until there is an error.
fn error_of(member: &mut Member) -> Error {
    let clock = SystemClock::new();
    loop {
        assert!(clock.monotonic() < Duration::from_secs(60), "no error");
        if let Err(error) = member.obey() {
            return error;
        }
        // It may have the same trouble.
        let _ = member.pause.wait(Duration::from_millis(20));
    }
}

/// What a tool of Kafka prints, one row of words a line.
pub(super) fn printed(tool: &str, args: &[&str]) -> Vec<Vec<String>> {
    let broker = shared().expect("a broker");
    let output = broker.tool(tool, args).expect("a tool that runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .filter(|row: &Vec<String>| !row.is_empty())
        .collect()
}
