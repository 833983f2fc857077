//! Offsets: positions outside of the log, and who is told of them; questions that there is no time for.

use std::sync::Arc;
use std::time::Duration;

use kstreams_broker::Broker;
use kstreams_core::error::ErrorKind;
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::time::{Clock, SystemClock};
use kstreams_kafka::KafkaLog;
use kstreams_runtime::transport::{Admin, Isolation, Log, NewTopic, OffsetSpec};

use super::LONG;
use super::kafka::{consumer, flush, producer, send, take, until};

/// A partition on a broker of its own, whose beginning is deleted.
struct Purged {
    broker: Broker,
    log: KafkaLog,
    admin: Arc<dyn Admin>,
    at: TopicPartition,
}

impl Purged {
    /// Its consumers have no fetch under way while five records wait.
    fn new() -> Self {
        let broker = Broker::start().expect("a broker");
        let log = KafkaLog::builder(broker.bootstrap())
            .set("consumer.queued.min.messages", "5")
            .build()
            .expect("built");
        let admin = log.admin().expect("an admin client");
        let topic = NewTopic {
            name: "purged".to_owned(),
            n_partitions: 1,
            replication: None,
            configs: Vec::new(),
        };
        admin.create_topics(&[topic], LONG).expect("created");
        Self { broker, log, admin, at: TopicPartition::new("purged", 0) }
    }

    fn fill(&self, n: usize) {
        let mut producer = producer(&self.log, None);
        for _ in 0..n {
            send(&mut *producer, "purged", 0, b"x").expect("sent");
        }
        flush(&mut *producer);
    }

    fn delete(&self, before: Offset) {
        self.admin.delete_records(&[(self.at.clone(), before)], LONG).expect("deleted");
        let earliest = [(self.at.clone(), OffsetSpec::Earliest)];
        assert_eq!(self.admin.offsets(&earliest, LONG).expect("offsets"), [before]);
    }
}

/// A lane below the log is ended before the broker has answered; the next one begins inside of it.
#[test]
fn a_lane_is_told_nothing_of_an_earlier_one() {
    let purged = Purged::new();
    purged.fill(20);
    purged.delete(5);
    let mut consumer = consumer(&purged.log, Isolation::ReadCommitted);
    for turn in 0..5 {
        let lanes = consumer.assign(&[(purged.at.clone(), 5)]).expect("a lane");
        let mut next = 5;
        until(&mut *consumer, |consumer| {
            let fetched = consumer.fetch(lanes[0], 1);
            take(&fetched.unwrap_or_else(|told| panic!("turn {turn}: {told}")), &mut next);
            next == 6
        });
        consumer.unassign(&lanes).expect("ended");
        purged.broker.pause().expect("paused");
        let below = consumer.assign(&[(purged.at.clone(), 0)]).expect("a lane");
        // Its request goes out meanwhile.
        let clock = SystemClock::new();
        until(&mut *consumer, |_| clock.monotonic() > Duration::from_millis(200));
        consumer.unassign(&below).expect("ended");
        purged.broker.resume();
    }
}

/// What was fetched before is given out first.
#[test]
fn a_lane_is_told_when_the_log_has_moved_past_it() {
    let purged = Purged::new();
    purged.fill(20);
    let mut consumer = consumer(&purged.log, Isolation::ReadCommitted);
    let lanes = consumer.assign(&[(purged.at.clone(), 0)]).expect("a lane");
    let mut next = 0;
    until(&mut *consumer, |consumer| {
        take(&consumer.fetch(lanes[0], 1).expect("fetched"), &mut next);
        next == 1
    });
    purged.fill(20);
    purged.delete(30);
    let mut kind = None;
    until(&mut *consumer, |consumer| {
        match consumer.fetch(lanes[0], 1) {
            Ok(fetched) => take(&fetched, &mut next),
            Err(told) => kind = Some(told.kind()),
        }
        kind.is_some()
    });
    assert_eq!((next, kind), (20, Some(ErrorKind::OffsetReset)));
    consumer.seek(lanes[0], 30).expect("sought");
    next = 30;
    until(&mut *consumer, |consumer| {
        take(&consumer.fetch(lanes[0], 1).expect("fetched"), &mut next);
        next == 40
    });
}

/// librdkafka's own listing of offsets works on memory that it has freed, if its time is over before
/// it has begun.
#[test]
fn offsets_may_be_asked_for_when_there_is_no_time() {
    let broker = Broker::start().expect("a broker");
    let log = KafkaLog::builder(broker.bootstrap()).build().expect("built");
    let admin = log.admin().expect("an admin client");
    admin.topics(LONG).expect("connected");
    let ask = |thread: usize| {
        for turn in 0..500 {
            let at = TopicPartition::new(format!("t{thread}-{turn}"), 0);
            let timeout = Duration::from_micros(turn);
            admin.offsets(&[(at, OffsetSpec::Earliest)], timeout).expect_err("no such topic");
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let ask = &ask;
            scope.spawn(move || ask(thread));
        }
    });
    admin.topics(LONG).expect("listed");
}
