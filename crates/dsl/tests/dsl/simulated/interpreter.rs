//! What each task had to write, by the test driver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, Result};
use kstreams_core::record::{Headers, TopicPartition};
use kstreams_core::task::TaskId;
use kstreams_core::time::Timestamp;
use kstreams_runtime::Config;
use kstreams_runtime::testing::TestDriver;
use kstreams_runtime::testing::sim::{History, Oracle, SimPlan, Taken};
use kstreams_runtime::transport::memory::{NewRecord, OwnedRecord};
use kstreams_topology::{SubTopology, Topology};

use super::super::java::{BUFFERS, CLOSE, Text, dynamic_topics, inputs};
use super::{APP, outputs};

/// A join tells once a second what has found no partner, and so do windows that have closed.
const LONGER_THAN_A_JOIN_WAITS: Duration = Duration::from_secs(2);

/// The topics that a sub-topology, and no other, writes, other than those it is fed with.
fn topics_of(topology: &Topology, sub: u32, lines: &[&str]) -> BTreeSet<String> {
    let all = topology.subtopologies();
    let of = |sub: &SubTopology| -> BTreeSet<String> {
        let sinks = sub.sink_topics().iter().map(|topic| topic.full_name(APP).to_string());
        let logged = sub.stores().iter().filter(|store| store.is_logged());
        let changelogs = logged.filter_map(|store| store.changelog_topic(APP));
        sinks.chain(changelogs.map(|name| name.to_string())).collect()
    };
    let mut own: BTreeSet<String> = topology.subtopology(sub).map(of).unwrap_or_default();
    for other in all.iter().filter(|other| other.id() != sub) {
        let of_other = of(other);
        own.retain(|topic| !of_other.contains(topic));
    }
    if all.len() == 1 {
        own.extend(dynamic_topics(lines));
    }
    // These joins write by the clock what they have changed.
    own.retain(|topic| !inputs(lines).contains(topic) && !is_of_partners(topic));
    own
}

/// Holds what waits for a partner in a left or outer join of streams.
fn is_of_partners(store: &str) -> bool {
    store.contains("OUTERSHARED") || store.contains("-shared-join-store")
}

/// A record as it is compared: without its partition if it has no key, since any will do then.
type Written = (Option<i32>, Option<Vec<u8>>, i64);
type Key = Option<Vec<u8>>;

fn written(topic: &str, record: &OwnedRecord) -> Written {
    let partition = record.key.is_some().then_some(record.partition);
    let (mut value, mut time) = (record.value.clone(), record.timestamp.as_millis());
    if BUFFERS.iter().any(|name| topic.contains(name)) {
        // Suppressions log with the time of the clock, as Java's do, and where the record came
        // from: behind its time the offset, which is another one here.
        time = 0;
        value.iter_mut().for_each(|value| value[8..16].fill(0));
    }
    (partition, value, time)
}

/// One task, run by itself.
struct Twin {
    task: TaskId,
    driver: Option<TestDriver>,
    /// What it writes.
    topics: BTreeSet<String>,
    /// The next offset in each of their partitions.
    ends: BTreeMap<(String, i32), i64>,
    expected: BTreeMap<String, BTreeMap<Key, Vec<Written>>>,
    /// Something is told by the clock: what has found no partner, or windows that have closed.
    is_clocked: bool,
    is_closing: bool,
    n_taken: usize,
    /// What its global tables hold, by topic, and up to where they have read.
    global: BTreeMap<String, Table>,
    global_positions: Arc<BTreeMap<TopicPartition, i64>>,
}

/// Key and value as bytes.
type Table = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a global table holds that has read its topic up to these positions.
fn table(history: &History, topic: &str, positions: &BTreeMap<TopicPartition, i64>) -> Table {
    let mut table = Table::new();
    for (at, position) in positions.iter().filter(|(at, _)| *at.topic == *topic) {
        let records = history.records(topic, at.partition).iter();
        for record in records.take_while(|record| record.offset < *position) {
            match (&record.key, &record.value) {
                (Some(key), Some(value)) => drop(table.insert(key.clone(), value.clone())),
                (Some(key), None) => drop(table.remove(key)),
                (None, _) => {}
            }
        }
    }
    table
}

/// By sub-topology, its tasks.
pub(super) struct Interpreter(Vec<Vec<Twin>>);

impl Interpreter {
    pub(super) fn new(lines: &[&str], plan: &SimPlan) -> Self {
        let topology = Text::build(lines).build().unwrap();
        let tasks = |sub: &SubTopology| {
            let all = (0..plan.n_partitions).map(|n| Twin::new(lines, sub.id(), n, plan));
            all.collect()
        };
        Self(topology.subtopologies().iter().map(tasks).collect())
    }

    fn compare(&mut self, history: &History, is_end: bool) -> Result<(), String> {
        for twins in &mut self.0 {
            let mut is_new = is_end;
            for twin in twins.iter_mut() {
                is_new |= twin.follow(history)?;
            }
            if is_new {
                compare(twins, history, is_end)?;
            }
        }
        Ok(())
    }
}

impl Oracle for Interpreter {
    fn look(&mut self, history: &History) -> Result<(), String> {
        self.compare(history, false)
    }

    fn finish(&mut self, history: &History) -> Result<(), String> {
        self.compare(history, true)
    }
}

impl Twin {
    fn new(lines: &[&str], subtopology: u32, partition: i32, plan: &SimPlan) -> Self {
        let topology = Text::build(lines).build().unwrap();
        let topics = topics_of(&topology, subtopology, lines);
        let mut stores = topology.subtopologies().iter().flat_map(|sub| sub.stores());
        let is_closing = lines.iter().any(|line| line.contains(CLOSE));
        let is_clocked = is_closing || stores.any(|store| is_of_partners(store.name()));
        let mut outside = outputs(&topology, lines);
        outside.extend(inputs(lines));
        let mut driver = TestDriver::builder(topology, Config::new(APP));
        for topic in &outside {
            driver = driver.partitions(topic, plan.n_partitions);
        }
        let driver = Some(driver.only(subtopology).commit_by_hand().build().unwrap());
        let task = TaskId { subtopology, partition };
        let (ends, expected, n_taken, global, global_positions) = Default::default();
        Self {
            task,
            driver,
            topics,
            ends,
            expected,
            is_clocked,
            is_closing,
            n_taken,
            global,
            global_positions,
        }
    }

    /// Does what the task has done since the last call; true if there was something.
    fn follow(&mut self, history: &History) -> Result<bool, String> {
        let order = history.order(self.task);
        let n_known = std::mem::replace(&mut self.n_taken, order.len());
        for taken in &order[n_known..] {
            self.take(history, taken)?;
        }
        Ok(n_known < order.len())
    }

    fn take(&mut self, history: &History, taken: &Taken) -> Result<(), String> {
        let (at, offset) = (&taken.partition, taken.offset);
        let record = history.record(at, offset);
        let record = record.ok_or_else(|| format!("{at}@{offset} is not committed"))?;
        let new = NewRecord {
            partition: Some(at.partition),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            timestamp: record.timestamp,
            headers: record.headers.clone(),
        };
        let text = |error: Error| error.to_string();
        let mut driver = self.driver.take().ok_or("it failed before")?;
        if taken.is_first {
            driver = driver.restart().map_err(text)?;
        }
        self.read_globally(&driver, history, taken).map_err(text)?;
        if self.is_clocked {
            driver.advance_time(LONGER_THAN_A_JOIN_WAITS).map_err(text)?;
        }
        driver.log().produce_record(&at.topic, &new).map_err(text)?;
        driver.settle().map_err(text)?;
        if taken.is_flushed {
            driver.commit().map_err(text)?;
        }
        for topic in &self.topics {
            let expected = self.expected.entry(topic.clone()).or_default();
            for record in driver.log().records(topic) {
                let end = self.ends.entry((topic.clone(), record.partition)).or_default();
                if record.offset >= *end {
                    *end = record.offset + 1;
                    expected.entry(record.key.clone()).or_default().push(written(topic, &record));
                }
            }
        }
        self.driver = Some(driver);
        Ok(())
    }
}

impl Twin {
    /// Brings the global tables of the driver to what was in those beside the task; that may be
    /// less than before, when the task has moved.
    fn read_globally(&mut self, driver: &TestDriver, history: &History, at: &Taken) -> Result<()> {
        if self.global_positions == at.global {
            return Ok(());
        }
        self.global_positions = Arc::clone(&at.global);
        let topics: BTreeSet<&str> = at.global.keys().map(|at| &*at.topic).collect();
        for topic in topics {
            let wanted = table(history, topic, &at.global);
            let held = self.global.entry(topic.to_owned()).or_default();
            let keys: BTreeSet<Vec<u8>> = held.keys().chain(wanted.keys()).cloned().collect();
            for key in keys {
                let value = wanted.get(&key);
                if held.get(&key) != value {
                    let record = NewRecord {
                        partition: None,
                        key: Some(&key),
                        value: value.map(|value| &**value),
                        timestamp: Timestamp::from_millis(0),
                        headers: Headers::default(),
                    };
                    driver.log().produce_record(topic, &record)?;
                }
            }
            *held = wanted;
        }
        Ok(())
    }
}

/// True for what a joiner has made of one side alone.
fn is_alone((_, value, _): &mut Written) -> bool {
    value.as_ref().is_some_and(|value| value.contains(&b'~'))
}

/// True if one sorted list holds all of another.
fn holds(own: &[Written], all: &[Written]) -> bool {
    let mut own = own.iter();
    all.iter().all(|record| own.any(|other| other == record))
}

/// Compares what the tasks of one sub-topology have committed with what they had to. Before the end
/// there may be more of it: output of a transaction may be seen a little before its positions are.
fn compare(twins: &[Twin], history: &History, is_end: bool) -> Result<(), String> {
    let Some(Twin { topics, is_clocked, is_closing, .. }) = twins.first() else { return Ok(()) };
    let is_clocked = *is_clocked;
    for topic in topics {
        let is_of_closed = *is_closing && !topic.ends_with("-changelog");
        let is_late = |record: &mut Written| is_of_closed || is_alone(record);
        let partitions = 0..history.n_partitions(topic);
        if partitions.clone().any(|partition| !history.is_complete(topic, partition)) {
            continue;
        }
        let mut committed: BTreeMap<&Key, Vec<Written>> = BTreeMap::new();
        for record in partitions.flat_map(|partition| history.records(topic, partition)) {
            committed.entry(&record.key).or_default().push(written(topic, record));
        }
        let mut expected: BTreeMap<&Key, Vec<&Vec<Written>>> = BTreeMap::new();
        for (key, records) in twins.iter().flat_map(|twin| twin.expected.get(topic)).flatten() {
            expected.entry(key).or_default().push(records);
        }
        let keys: BTreeSet<&Key> = committed.keys().chain(expected.keys()).copied().collect();
        for key in keys {
            let mut own = committed.remove(key).unwrap_or_default();
            let by_task = expected.remove(key).unwrap_or_default();
            let mut all: Vec<Written> = by_task.iter().copied().flatten().cloned().collect();
            if is_clocked {
                // What has found no partner, or has closed, may come later, or not yet.
                let mut late = own.extract_if(.., is_late).collect::<Vec<_>>();
                let mut all_late = all.extract_if(.., is_late).collect::<Vec<_>>();
                late.sort();
                all_late.sort();
                if is_end && !holds(&all_late, &late) {
                    return Err(format!(
                        "{topic} has, late, for {key:?},\n{late:?}\nof\n{all_late:?}"
                    ));
                }
            }
            let is_ordered = key.is_some() && by_task.len() == 1 && !is_clocked;
            if !is_ordered {
                own.sort();
                all.sort();
            }
            let is_right = match (is_end, is_ordered) {
                (true, _) => own == all,
                (false, true) => own.starts_with(&all),
                (false, false) => holds(&own, &all),
            };
            if !is_right {
                return Err(format!("{topic} has, for {key:?},\n{own:?}\ninstead of\n{all:?}"));
            }
        }
    }
    Ok(())
}
