//! What the shop reads, a phase after the other. The last records of a phase tell when it is done.

use kstreams::log::{KafkaLog, Log, OutgoingRecord, Producer, ProducerOptions, TopicHandle};
use kstreams::partition::partition_for;
use kstreams::prelude::*;
use kstreams::random::Random;

use super::shop::{APART, GRACE, INPUTS};
use super::{LONG, N_PARTITIONS};

/// Records of a phase.
const N_RECORDS: i64 = 250;
/// The keys of records that only move the time.
pub(super) const TICK: &str = "tick";

/// An order and a basket from one partition, of an article in another one: between all of them they
/// go the way of every record before them.
pub(super) struct End {
    pub(super) key: String,
    pub(super) article: String,
    /// Of the order and of the basket.
    pub(super) value: String,
    pub(super) price: String,
}

/// An order, and how many payments it has.
#[derive(Default)]
struct Times {
    orders: Vec<(String, i64)>,
    payments: Vec<(String, i64)>,
}

pub(super) struct Input {
    producer: Box<dyn Producer>,
    topics: Vec<TopicHandle>,
    random: Random,
    /// The time of the newest record.
    time: i64,
    n_sent: i64,
    times: Times,
}

impl Input {
    /// Times are of today: the broker deletes by age what windows have logged.
    pub(super) fn new(log: &KafkaLog, prefix: &str, now: Timestamp) -> Self {
        let options = ProducerOptions {
            client_id: "shop".into(),
            transactional_id: None,
            transaction_timeout: LONG,
        };
        let mut producer = log.producer(options).unwrap();
        let topics = INPUTS.map(|of| producer.topic(&format!("{prefix}-{of}")).unwrap()).to_vec();
        let time = now.as_millis() - 3_000_000;
        let random = Random::seeded(11);
        Self { producer, topics, random, time, n_sent: 0, times: Times::default() }
    }

    /// A phase, and the records that end it.
    ///
    /// Each record has a time of its own, so that there is one order in which a task takes them; none
    /// is so late that it matters who has seen what before it.
    pub(super) fn send_phase(&mut self, phase: usize) -> Vec<End> {
        let ends = ends(phase);
        self.time += 10_000;
        for End { key, .. } in &ends {
            self.time += 1;
            self.send(2, key, Some("last"), self.time);
        }
        for _ in 0..N_RECORDS {
            self.time += 1000;
            self.send_any();
        }
        self.time += 10_000;
        for End { key, article, value, price } in &ends {
            self.time += 10;
            self.order(key, value, self.time);
            self.send(3, key, Some(value), self.time + 1);
            self.send(4, article, Some(price), self.time + 2);
        }
        self.producer.flush(LONG).unwrap();
        ends
    }

    /// Moves the time of all partitions on, beyond all windows.
    pub(super) fn tick(&mut self) {
        self.time += 60_000;
        for partition in 0..N_PARTITIONS {
            self.time += 1;
            let key = named(TICK, partition);
            self.send(0, &key, Some(TICK), self.time);
        }
        self.producer.flush(LONG).unwrap();
    }

    /// How many results the join of orders and payments has.
    pub(super) fn n_paid(&self) -> usize {
        let Times { orders, payments } = &self.times;
        let apart = APART.as_millis() as u64;
        let of = |(key, time): &(String, i64)| {
            let is_paid = |(by, at): &&(String, i64)| by == key && at.abs_diff(*time) <= apart;
            payments.iter().filter(is_paid).count().max(1)
        };
        orders.iter().map(of).sum()
    }

    fn send_any(&mut self) {
        let n = self.n_sent;
        let late = self.random.below(GRACE.as_secs() - 1) as i64 * 1000;
        let time = self.time - late + n % 1000;
        let customer = format!("c{}", self.random.below(8));
        let article = format!("a{}\u{e9}", self.random.below(6));
        let is_there = self.random.below(5) > 0;
        match self.random.below(20) {
            0..8 => self.order(&customer, &format!("{article} {n}"), time),
            8..13 => {
                self.send(1, &customer, Some(&format!("card {n}")), time);
                self.times.payments.push((customer, time));
            }
            13..15 => self.send(2, &customer, is_there.then_some(&format!("name {n}")), time),
            15..18 => {
                let basket = format!("b{}", self.random.below(15));
                self.send(3, &basket, is_there.then_some(&format!("{article} {n}")), time);
            }
            _ => self.send(4, &article, is_there.then_some(&format!("{n}.00")), time),
        }
    }

    fn order(&mut self, customer: &str, value: &str, time: i64) {
        self.send(0, customer, Some(value), time);
        self.times.orders.push((customer.to_owned(), time));
    }

    fn send<V: AsRef<str> + ?Sized>(&mut self, to: usize, key: &str, value: Option<&V>, time: i64) {
        let record = OutgoingRecord {
            topic: self.topics[to],
            partition: None,
            key: Some(key.as_bytes()),
            value: value.map(|value| value.as_ref().as_bytes()),
            timestamp: Timestamp::from_millis(time),
            headers: &Headers::default(),
            tag: 0,
        };
        self.producer.send(&record).unwrap();
        self.n_sent += 1;
    }
}

/// From each partition to each.
fn ends(phase: usize) -> Vec<End> {
    let pairs = (0..N_PARTITIONS).flat_map(|from| (0..N_PARTITIONS).map(move |to| (from, to)));
    let end = |(from, to)| {
        let article = named(&format!("z{phase}{from}"), to);
        let value = format!("{article} {phase}");
        End { key: named(&format!("end{to}"), from), article, value, price: format!("{phase}.99") }
    };
    pairs.map(end).collect()
}

/// A key that begins so and goes to this partition.
fn named(start: &str, partition: i32) -> String {
    let mut all = (0..).map(|n| format!("{start}-{n}"));
    all.find(|key| partition_for(key.as_bytes(), N_PARTITIONS) == partition).unwrap()
}
