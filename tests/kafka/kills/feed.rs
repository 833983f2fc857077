//! The input: so many records a second, whatever happens to the broker.

use std::time::Duration;

use kstreams::log::{KafkaLog, Log, OutgoingRecord, Producer, ProducerOptions, Sent, TopicHandle};
use kstreams::prelude::*;
use kstreams::random::Random;

/// Writes the input topic. What the log then holds is the truth, not what was sent here: a record
/// that an outage made the producer write twice is two records for everybody.
pub(crate) struct Feed {
    producer: Box<dyn Producer>,
    topic: TopicHandle,
    random: Random,
    n_keys: u64,
    /// Records per second.
    rate: u64,
    n_sent: u64,
    /// Sent before the time began.
    n_ahead: u64,
}

impl Feed {
    pub(crate) fn new(bootstrap: &str, topic: &str, seed: u64, rate: u64) -> Self {
        // Five minutes by default: librdkafka has been seen to hold one partition back so long
        // after an outage, until its queue was full for all of them.
        let log = KafkaLog::builder(bootstrap).set("producer.message.timeout.ms", "15000");
        Self::through(&log.build().unwrap(), topic, seed, rate)
    }

    pub(crate) fn through(log: &KafkaLog, topic: &str, seed: u64, rate: u64) -> Self {
        let options = ProducerOptions {
            client_id: "feed".into(),
            transactional_id: None,
            transaction_timeout: Duration::from_secs(10),
        };
        let mut producer = log.producer(options).unwrap();
        let topic = producer.topic(topic).unwrap();
        Self {
            producer,
            topic,
            random: Random::seeded(seed),
            n_keys: 20_000,
            rate,
            n_sent: 0,
            n_ahead: 0,
        }
    }

    /// Draws from so many keys.
    pub(crate) fn of_keys(mut self, n_keys: u64) -> Self {
        self.n_keys = n_keys;
        self
    }

    /// Sends a record of each of so many keys, and waits until they are written.
    pub(crate) fn send_each(&mut self, n_keys: u64) {
        (0..n_keys).for_each(|key| self.send(key));
        self.finish();
    }

    /// From now on what has been sent does not count as due.
    pub(crate) fn ahead(&mut self) {
        self.n_ahead = self.n_sent;
    }

    pub(crate) fn n_sent(&self) -> u64 {
        self.n_sent
    }

    /// Sends what is due after so much time.
    pub(crate) fn send_until(&mut self, time: Duration) {
        let due = self.n_ahead + (time.as_secs_f64() * self.rate as f64) as u64;
        while self.n_sent < due {
            let key = self.random.below(self.n_keys);
            self.send(key);
        }
        self.producer.poll(Duration::ZERO);
        self.send_refused();
    }

    /// Sends again what was not written in time; true if there was any.
    fn send_refused(&mut self) -> bool {
        let refused = self.producer.failures();
        for record in &refused {
            assert!(record.error.is_retriable(), "{record:?}");
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            self.send_bytes(key.unwrap_or_default(), value.unwrap_or_default());
        }
        !refused.is_empty()
    }

    fn send(&mut self, key: u64) {
        let value = (1 + self.random.below(1000)).to_string();
        self.send_bytes(format!("k{key}").as_bytes(), value.as_bytes());
        self.n_sent += 1;
    }

    fn send_bytes(&mut self, key: &[u8], value: &[u8]) {
        let record = OutgoingRecord {
            topic: self.topic,
            partition: None,
            key: Some(key),
            value: Some(value),
            timestamp: Timestamp::from_millis(1_000_000 + self.n_sent as i64),
            headers: &Headers::default(),
            tag: 0,
        };
        while self.producer.send(&record).unwrap() == Sent::Full {
            self.producer.poll(Duration::from_millis(10));
        }
    }

    /// Waits until everything is written.
    pub(crate) fn finish(&mut self) {
        loop {
            self.producer.flush(Duration::from_secs(120)).unwrap();
            if !self.send_refused() {
                return;
            }
        }
    }
}
