//! Topics of tests: made, and read as readers of committed records see them.

use std::time::Duration;

use kstreams::log::{Consumer, ConsumerOptions, Isolation, KafkaLog, Lane, Log, NewTopic};
use kstreams::record::{RawRecord, TopicPartition};

const LONG: Duration = Duration::from_secs(60);
/// Records taken from a partition at a time.
const BATCH: usize = 10_000;

/// Makes topics. Event times of tests do not look like today's: no record is deleted by age.
pub(crate) fn create<S: AsRef<str>>(log: &KafkaLog, names: &[S], n_partitions: i32) {
    let topic = |name: &S| NewTopic {
        name: name.as_ref().to_owned(),
        n_partitions,
        replication: None,
        configs: vec![("retention.ms".to_owned(), "-1".to_owned())],
    };
    let topics: Vec<NewTopic> = names.iter().map(topic).collect();
    log.admin().unwrap().create_topics(&topics, LONG).unwrap();
}

/// All partitions of a topic from its beginning on, as they grow.
pub(crate) struct Reader {
    consumer: Box<dyn Consumer>,
    lanes: Vec<Lane>,
}

impl Reader {
    pub(crate) fn new(log: &KafkaLog, topic: &str, n_partitions: i32) -> Self {
        let isolation = Isolation::ReadCommitted;
        let mut consumer =
            log.consumer(ConsumerOptions { client_id: "reader".into(), isolation }).unwrap();
        let all: Vec<_> = (0..n_partitions).map(|p| (TopicPartition::new(topic, p), 0)).collect();
        let lanes = consumer.assign(&all).unwrap();
        Self { consumer, lanes }
    }

    pub(crate) fn n_partitions(&self) -> usize {
        self.lanes.len()
    }

    /// Gives each record that has come to `each`, with the number of its partition; true at the end of
    /// all partitions.
    pub(crate) fn take(&mut self, mut each: impl FnMut(usize, &RawRecord<'_>)) -> bool {
        let mut is_at_end = true;
        for (partition, lane) in self.lanes.iter().enumerate() {
            let fetched = self.consumer.fetch(*lane, BATCH).unwrap();
            is_at_end &= fetched.lag == Some(0);
            let Some(batch) = fetched.records else { continue };
            (0..batch.len()).for_each(|index| each(partition, &batch.get(index)));
        }
        is_at_end
    }

    /// Waits for more, so long at the most.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.consumer.wait(time).unwrap();
    }
}
