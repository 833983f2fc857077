//! Reads what is committed, as it comes, and has the oracle look at it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use kstreams::log::{Consumer, ConsumerOptions, Isolation, KafkaLog, Lane, Log};
use kstreams::record::TopicPartition;

use super::app::{INPUT, N_PARTITIONS, TALLIES, TOTALS};
use super::oracle::{Look, Oracle};

/// Records taken from a partition at a time.
const BATCH: usize = 2000;

pub(super) struct Verifier {
    consumer: Box<dyn Consumer>,
    lanes: Vec<Reading>,
    pub(super) oracle: Oracle,
}

/// One partition that is read.
struct Reading {
    topic: &'static str,
    partition: i32,
    lane: Lane,
    /// Key and value of records whose origin has not been read yet.
    waiting: VecDeque<(String, String)>,
}

impl Verifier {
    pub(super) fn new(log: &KafkaLog) -> Self {
        let mut consumer = consumer(log);
        let mut lanes = Vec::new();
        for topic in [INPUT, TOTALS, TALLIES] {
            for partition in 0..N_PARTITIONS {
                let at = (TopicPartition::new(topic, partition), 0);
                let lane = consumer.assign(&[at]).unwrap()[0];
                lanes.push(Reading { topic, partition, lane, waiting: VecDeque::new() });
            }
        }
        Self { consumer, lanes, oracle: Oracle::default() }
    }

    /// Looks at what has come; true if anything has.
    pub(super) fn look(&mut self) -> bool {
        let mut any = false;
        for reading in &mut self.lanes {
            for (key, value) in fetch(&mut *self.consumer, reading.lane, BATCH) {
                let (key, value) = (text(key), text(value));
                if reading.topic == INPUT {
                    self.oracle.input(reading.partition, &key, &value);
                } else {
                    reading.waiting.push_back((key, value));
                }
                any = true;
            }
            while let Some((key, value)) = reading.waiting.front() {
                let oracle = &mut self.oracle;
                if oracle.output(reading.topic, reading.partition, key, value) == Look::Later {
                    break;
                }
                reading.waiting.pop_front();
            }
        }
        any
    }

    /// True if every input record that was read has all its output.
    pub(super) fn is_complete(&self) -> bool {
        let is_idle = self.lanes.iter().all(|reading| reading.waiting.is_empty());
        is_idle && self.oracle.n_inputs() == self.oracle.n_done()
    }

    /// Counts the output that comes from nowhere.
    pub(super) fn finish(&mut self) {
        for reading in &mut self.lanes {
            for (key, value) in reading.waiting.drain(..) {
                let text = format!("{}: {key} = {value} comes from nowhere", reading.topic);
                self.oracle.wrong(text);
            }
        }
    }
}

/// The last value of each key in a compacted topic, as far as it is committed.
pub(super) fn table(log: &KafkaLog, topic: &str, ends: &[i64]) -> HashMap<String, String> {
    let mut consumer = consumer(log);
    let mut table = HashMap::new();
    for (partition, end) in ends.iter().enumerate() {
        let at = (TopicPartition::new(topic, partition as i32), 0);
        let lane = consumer.assign(&[at]).unwrap()[0];
        let mut position = 0;
        while position < *end {
            consumer.wait(Duration::from_millis(10)).unwrap();
            let fetched = consumer.fetch(lane, BATCH).unwrap();
            position = fetched.position;
            let Some(batch) = fetched.records else { continue };
            for index in 0..batch.len() {
                let record = batch.get(index);
                let (key, value) = (record.key.map(<[u8]>::to_vec), record.value);
                table.insert(text(key), text(value.map(<[u8]>::to_vec)));
            }
        }
        consumer.unassign(&[lane]).unwrap();
    }
    table
}

fn consumer(log: &KafkaLog) -> Box<dyn Consumer> {
    let isolation = Isolation::ReadCommitted;
    log.consumer(ConsumerOptions { client_id: "verifier".into(), isolation }).unwrap()
}

type Pair = (Option<Vec<u8>>, Option<Vec<u8>>);

/// What has come; nothing as long as the broker is away.
fn fetch(consumer: &mut dyn Consumer, lane: Lane, max: usize) -> Vec<Pair> {
    let batch = match consumer.fetch(lane, max) {
        Ok(fetched) => fetched.records,
        Err(error) if error.is_retriable() => None,
        Err(error) => panic!("the verifier cannot read: {error}"),
    };
    let Some(batch) = batch else { return Vec::new() };
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let pair = |index| {
        let record = batch.get(index);
        (owned(record.key), owned(record.value))
    };
    (0..batch.len()).map(pair).collect()
}

fn text(bytes: Option<Vec<u8>>) -> String {
    String::from_utf8(bytes.unwrap_or_default()).unwrap()
}
