//! What the scenarios share: small topologies, applications that run, waits with a bound.

pub(crate) use std::sync::{Arc, Mutex};
pub(crate) use std::time::Duration;

pub(crate) use kstreams::UncaughtVerdict;
pub(crate) use kstreams::prelude::*;
pub(crate) use kstreams::record::TopicPartition;
pub(crate) use kstreams::task::TaskId;

use kstreams::time::{Clock, SystemClock};

pub(crate) type Ctx<'a> = Context<'a, String, String>;
pub(crate) type Line = Record<String, String>;
pub(crate) type Counts = KeyValueStore<String, u64>;

/// Bound of every wait; a scenario that works ends long before.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// No interval of this length passes in a scenario.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn task(subtopology: u32, partition: i32) -> TaskId {
    TaskId { subtopology, partition }
}

pub(crate) fn line(key: &str, value: &str, millis: i64) -> Line {
    Record::new(key.to_owned(), value.to_owned(), at(millis))
}

/// What processors have seen, in order; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, note: impl Into<String>) {
        self.0.lock().expect("no panic while noting").push(note.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("no panic while noting").clone()
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic while noting"))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().expect("no panic while noting").len()
    }

    pub(crate) fn has(&self, note: &str) -> bool {
        self.count(note) > 0
    }

    pub(crate) fn count(&self, note: &str) -> usize {
        self.all().iter().filter(|known| *known == note).count()
    }
}

/// `in` (text, text) -> processor `work` -> `out`.
pub(crate) fn through<P>(supplier: impl Fn() -> P + Send + Sync + 'static) -> Topology
where
    P: Processor<String, String, String, String>,
{
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let work = topology.processor("work", &[lines], supplier);
    topology.sink("sink", &[work], "out", (Utf8, Utf8));
    topology.build().expect("no faults")
}

/// `in` -> a processor that calls `f` with each record and passes it on -> `out`.
pub(crate) fn observed<F>(f: F) -> Topology
where
    F: Fn(&mut Ctx<'_>, &Line) -> Result + Clone + Send + Sync + 'static,
{
    through(move || {
        let f = f.clone();
        move |ctx: &mut Ctx<'_>, record: Line| {
            f(ctx, &record)?;
            ctx.forward(record)
        }
    })
}

/// Counts the records of each key in a store, and forwards each new count.
pub(crate) struct Count {
    pub(crate) id: StoreId<Counts>,
    pub(crate) counts: Option<Store<Counts>>,
}

impl Count {
    pub(crate) fn new(id: &StoreId<Counts>) -> Self {
        Self { id: id.clone(), counts: None }
    }
}

impl Processor<String, String, String, u64> for Count {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, u64>) -> Result {
        self.counts = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_, String, u64>, record: Line) -> Result {
        let counts = self.counts.as_ref().ok_or("init comes first")?;
        let n = counts.get(&record.key)?.unwrap_or(0) + 1;
        counts.put(&record.key, &n)?;
        ctx.forward(record.with_value(n))
    }
}

/// `in` -> a processor that counts in `store` -> `out`.
pub(crate) fn counting(store: KeyValue<String, u64>) -> (Topology, StoreId<Counts>) {
    let mut topology = Topology::builder();
    let counts = topology.store(store);
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let id = counts.clone();
    let count = topology.processor("count", &[lines], move || Count::new(&id));
    topology.connect(count, &counts);
    topology.sink("sink", &[count], "out", (Utf8, U64));
    (topology.build().expect("no faults"), counts)
}

pub(crate) fn counts_in_memory() -> KeyValue<String, u64> {
    KeyValue::in_memory("counts", Utf8, U64)
}

/// A driver of a topology, as an application of the name `app`.
pub(crate) fn driver(topology: Topology) -> TestDriver {
    TestDriver::new(topology, Config::new("app")).expect("starts")
}

pub(crate) fn pipe(driver: &mut TestDriver, topic: &str, value: &str, millis: i64) -> Result {
    driver.input(topic, Utf8, Utf8).pipe_at("k".into(), value.into(), millis)
}

pub(crate) fn values(driver: &mut TestDriver, topic: &str) -> Vec<String> {
    driver.output(topic, Nullable(Utf8), Utf8).read_values().expect("text")
}

/// A log with topics `in` and `out` of so many partitions.
pub(crate) fn log_with(n_partitions: i32) -> MemoryLog {
    with_topics(MemoryLog::new(), n_partitions)
}

pub(crate) fn with_topics(log: MemoryLog, n_partitions: i32) -> MemoryLog {
    for topic in ["in", "out"] {
        log.create_topic(topic, n_partitions).expect("created");
    }
    log
}

/// An application that works at once and commits often.
pub(crate) fn config() -> Config {
    Config::new("app").commit_interval(ms(20)).poll(ms(10))
}

/// Starts an application and waits until it runs.
pub(crate) fn run(topology: Topology, config: Config, log: &MemoryLog) -> Streams {
    let app = Streams::new(topology, config, log.clone()).expect("a valid configuration");
    app.start().expect("starts");
    assert!(app.wait_for(State::Running, SOON), "{:?}: {:?}", app.state(), app.error());
    app
}

pub(crate) fn produce(log: &MemoryLog, topic: &str, values: &[&str]) {
    for (millis, value) in values.iter().enumerate() {
        log.produce(topic, "k", value, at(millis as i64)).expect("written");
    }
}

/// The committed values of a topic, as text.
pub(crate) fn texts(log: &MemoryLog, topic: &str) -> Vec<String> {
    let text = |bytes: Option<Vec<u8>>| {
        bytes.map_or("null".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    log.records(topic).into_iter().map(|record| text(record.value)).collect()
}

/// The committed keys of a topic with their values as numbers.
pub(crate) fn numbers(log: &MemoryLog, topic: &str) -> Vec<(String, u64)> {
    let records = log.records(topic).into_iter();
    let pair = |key: Option<Vec<u8>>, value: Option<Vec<u8>>| {
        let key = String::from_utf8(key.expect("a key")).expect("text");
        (key, u64::from_be_bytes(value.expect("a value").try_into().expect("8 bytes")))
    };
    records.map(|record| pair(record.key, record.value)).collect()
}

/// What the application has committed of a partition.
pub(crate) fn committed(log: &MemoryLog, topic: &str, partition: i32) -> Option<i64> {
    let all = log.committed("app");
    all.get(&TopicPartition::new(topic, partition)).map(|committed| committed.offset)
}

/// Looks again and again until `is` holds; fails when it takes too long.
pub(crate) fn eventually(what: &str, is: impl Fn() -> bool) {
    assert!(within(SOON, is), "not within {SOON:?}: {what}");
}

/// True if `is` holds at some moment within `bound`.
pub(crate) fn within(bound: Duration, is: impl Fn() -> bool) -> bool {
    let clock = SystemClock::new();
    while !is() {
        if clock.monotonic() > bound {
            return false;
        }
        std::thread::park_timeout(ms(2));
    }
    true
}

/// Does `work` on a thread of its own; fails if it does not end in time, as in a deadlock.
pub(crate) fn bounded<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(SOON).unwrap_or_else(|e| panic!("{what}: {e}"))
}
