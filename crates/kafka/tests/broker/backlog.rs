//! Partitions with a backlog beside partitions at their end.

use kstreams_core::record::TopicPartition;
use kstreams_kafka::KafkaLog;
use kstreams_runtime::transport::Isolation;

use super::Kafka;
use super::contract::Fixture as _;
use super::kafka::{consumer, flush, producer, send, take, until};

/// A fetch for partitions at their end is kept by the broker for a second here, and what is read ahead
/// lasts for milliseconds: one that waited for it would need minutes.
#[test]
fn a_backlog_does_not_wait_for_partitions_at_their_end() {
    const N: i64 = 20_000;
    let kafka = Kafka::new();
    let topic = kafka.unique("backlog");
    kafka.create_topic(&topic, 3);
    let log = KafkaLog::builder(kstreams_broker::shared().expect("a broker").bootstrap())
        .set("consumer.fetch.wait.max.ms", "1000")
        .set("consumer.queued.min.messages", "100")
        .set("consumer.fetch.message.max.bytes", "20000")
        .set("producer.batch.num.messages", "100")
        .build()
        .expect("built");
    let mut producer = producer(&log, None);
    let mut fill = |partition, n| {
        for _ in 0..n {
            send(&mut *producer, &topic, partition, &[b'x'; 60]).expect("sent");
        }
        flush(&mut *producer);
    };
    let mut consumer = consumer(&log, Isolation::ReadCommitted);
    let starts = [0, 1, 2].map(|partition| (TopicPartition::new(&*topic, partition), 0));
    let lanes = consumer.assign(&starts).expect("three lanes");
    let (mut next, mut sent, mut lags) = ([0; 3], [0; 3], [None; 3]);
    // Each has the backlog once, and so often that it changes hands; at last a record each.
    for turn in [(0, N), (1, N), (0, N), (2, N), (1, 1), (0, 1), (2, 1)] {
        let (partition, n) = turn;
        fill(partition, n);
        sent[partition as usize] += n;
        until(&mut *consumer, |consumer| {
            for (index, lane) in lanes.iter().enumerate() {
                let fetched = consumer.fetch(*lane, 50).expect("fetched");
                take(&fetched, &mut next[index]);
                let lag = fetched.lag;
                assert!(lags[index].is_none() || lag.is_some(), "{turn:?}: forgets its end");
                lags[index] = lag;
            }
            next == sent && lags == [Some(0); 3]
        });
    }
}
