//! State that moves between Java and us: a changelog written by an application of the one restores
//! in the same application of the other, through the topics of a real broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kstreams::log::{Log, OutgoingRecord, ProducerOptions};
use kstreams::prelude::*;
use kstreams::random::Random;
use kstreams::state::testing::TempDir;
use kstreams::state::{SessionStore, Sessions, Stamped, Window, WindowStore, Windowed, Windows};
use kstreams::time::{Clock, SystemClock};
use kstreams_broker::{Java, golden, shared};
use parking_lot::Mutex;

const LONG: Duration = Duration::from_secs(60);
/// As in `StoreApp.java`.
const RETENTION: Duration = Duration::from_secs(10 * 3600);
const SIZE: Duration = Duration::from_secs(1);
const ENDS: [&str; 2] = ["end-0", "end-1"];

type Text = KeyValueStore<String, String>;
type StampedText = KeyValueStore<String, Stamped<String>>;

/// What a run found: the lines of the stores, sorted, and how many records each store restored.
#[derive(Debug)]
struct Found {
    lines: Vec<String>,
    restored: BTreeMap<String, i64>,
}

#[test]
fn what_java_wrote_restores_in_ours() {
    let (app, topic) = ("interop-java-first", "interop-operations-1");
    feed(topic);
    let java = java(app, topic);
    let ours = ours(app, topic);
    check(&java, &ours);
}

#[test]
fn what_we_wrote_restores_in_java() {
    let (app, topic) = ("interop-ours-first", "interop-operations-2");
    feed(topic);
    let ours = ours(app, topic);
    let java = java(app, topic);
    check(&ours, &java);
}

/// The first processed, the second restored: both hold the same.
#[track_caller]
fn check(first: &Found, second: &Found) {
    assert_eq!(first.restored.values().sum::<i64>(), 0, "{:?}", first.restored);
    for store in ["kv", "tkv", "window", "session"] {
        let n = |found: &Found| {
            found.lines.iter().filter(|line| line.split(' ').next() == Some(store)).count()
        };
        assert!(n(first) > 30, "{store}: {}", n(first));
        assert_eq!(n(first), n(second), "{store}");
        assert!(second.restored[store] >= n(first) as i64, "{store}: {:?}", second.restored);
    }
    assert_eq!(first.lines, second.lines);
}

/// Three hundred records, some of them tombstones; the last one of each partition ends the program.
///
/// Their times are of today: the broker deletes by age what windows and sessions have logged.
fn feed(topic: &str) {
    let log = KafkaLog::new(shared().unwrap().bootstrap());
    crate::topics::create(&log, &[topic], 2);
    let options = ProducerOptions {
        client_id: "feed".into(),
        transactional_id: None,
        transaction_timeout: LONG,
    };
    let mut producer = log.producer(options).unwrap();
    let topic = producer.topic(topic).unwrap();
    let random = Random::seeded(7);
    let now = SystemClock::new().now().as_millis();
    let began = now - now % 10_000 - 600_000;
    let mut send = |key: &str, partition: Option<i32>, value: Option<String>, time: i64| {
        let record = OutgoingRecord {
            topic,
            partition,
            key: Some(key.as_bytes()),
            value: value.as_deref().map(str::as_bytes),
            timestamp: Timestamp::from_millis(time),
            headers: &Headers::default(),
            tag: 0,
        };
        producer.send(&record).unwrap();
    };
    for number in 0..300 {
        let key = format!("k{}\u{e9}", random.below(60));
        let value = (random.below(6) > 0).then(|| format!("v{number}"));
        send(&key, None, value, began + number * 700 - random.below(3000) as i64);
    }
    for (partition, key) in ENDS.into_iter().enumerate() {
        send(key, Some(partition as i32), Some("yes".into()), began + 300_000);
    }
    producer.flush(LONG).unwrap();
}

fn java(app: &str, topic: &str) -> Found {
    let java = Java::prepare().unwrap();
    let bootstrap = shared().unwrap().bootstrap();
    let text = java.run(golden::STORE_APP, [bootstrap, app, topic]).unwrap();
    let mut found = Found { lines: Vec::new(), restored: BTreeMap::new() };
    for line in text.lines() {
        match line.strip_prefix("restored ").and_then(|rest| rest.split_once(' ')) {
            Some((store, n)) => {
                *found.restored.entry(store.to_owned()).or_default() += n.parse::<i64>().unwrap();
            }
            None => found.lines.push(line.to_owned()),
        }
    }
    found.lines.sort();
    found
}

struct Ids {
    plain: StoreId<Text>,
    stamped: StoreId<StampedText>,
    window: StoreId<WindowStore<String, String>>,
    session: StoreId<SessionStore<String, String>>,
}

/// The application of `StoreApp.java`.
fn topology(input: &str) -> (Topology, Arc<Ids>) {
    let mut topology = Topology::builder();
    let source = topology.source("source", input, (Utf8, Nullable(Utf8)));
    let plain = topology.store(KeyValue::persistent("kv", Utf8, Utf8));
    let stamped = topology.store(KeyValue::persistent("tkv", Utf8, Utf8).timestamped());
    let window = topology.store(Windows::persistent("window", SIZE, RETENTION, Utf8, Utf8));
    let session = topology.store(Sessions::persistent("session", RETENTION, Utf8, Utf8));
    let ids = Arc::new(Ids { plain, stamped, window, session });
    let of_node = Arc::clone(&ids);
    let write = topology.processor("write", &[source], move || Write(Arc::clone(&of_node), None));
    topology.connect(write, &ids.plain);
    topology.connect(write, &ids.stamped);
    topology.connect(write, &ids.window);
    topology.connect(write, &ids.session);
    (topology.build().unwrap(), ids)
}

struct Stores {
    plain: Store<Text>,
    stamped: Store<StampedText>,
    window: Store<WindowStore<String, String>>,
    session: Store<SessionStore<String, String>>,
}

/// One record, written to every store.
struct Write(Arc<Ids>, Option<Stores>);

impl Processor<String, Option<String>, (), ()> for Write {
    fn init(&mut self, ctx: &mut Init<'_, Self, (), ()>) -> Result {
        self.1 = Some(Stores {
            plain: ctx.store(&self.0.plain)?,
            stamped: ctx.store(&self.0.stamped)?,
            window: ctx.store(&self.0.window)?,
            session: ctx.store(&self.0.session)?,
        });
        Ok(())
    }

    fn process(
        &mut self,
        _: &mut Context<'_, (), ()>,
        record: Record<String, Option<String>>,
    ) -> Result {
        let Some(stores) = &self.1 else { return Err("no stores".into()) };
        let (key, timestamp) = (record.key, record.timestamp);
        let time = timestamp.as_millis();
        let floor = |unit: i64| Timestamp::from_millis(time - time % unit);
        let start = floor(SIZE.as_millis() as i64);
        let session = Windowed::new(key.clone(), Window::new(floor(500), timestamp));
        match record.value {
            Some(value) => {
                stores.plain.put(&key, &value)?;
                stores.window.put(&key, &value, start)?;
                stores.session.put(&session, &value)?;
                stores.stamped.put(&key, &Stamped { value, timestamp })?;
            }
            None => {
                stores.plain.delete(&key)?;
                stores.window.remove(&key, start)?;
                stores.session.remove(&session)?;
                stores.stamped.delete(&key)?;
            }
        }
        Ok(())
    }
}

fn ours(app: &str, topic: &str) -> Found {
    let dir = TempDir::new();
    let restored: Arc<Mutex<BTreeMap<(String, String), i64>>> = Arc::default();
    let seen = Arc::clone(&restored);
    let config = Config::new(app)
        .guarantee(Guarantee::ExactlyOnce)
        .state_dir(dir.path())
        .on_restore(move |progress| {
            let key = (progress.store.to_string(), progress.task.to_string());
            seen.lock().insert(key, progress.position - progress.start);
        });
    let (topology, ids) = topology(topic);
    let log = KafkaLog::new(shared().unwrap().bootstrap());
    let app = Streams::new(topology, config, log).unwrap();
    app.start().unwrap();
    let clock = SystemClock::new();
    let is_there = |key: &str| {
        let stores = app.stores(&ids.plain);
        stores.iter().any(|(_, store)| store.get(&key.to_owned()).unwrap().is_some())
    };
    while !(app.state() == State::Running && ENDS.into_iter().all(is_there)) {
        let in_time = clock.monotonic() < LONG;
        assert!(in_time && !app.state().is_terminal(), "{:?} {:?}", app.state(), app.error());
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let lines = content(&app, &ids);
    assert!(app.close(LONG));
    let mut sums = BTreeMap::new();
    for ((store, _), n) in restored.lock().iter() {
        *sums.entry(store.clone()).or_default() += n;
    }
    Found { lines, restored: sums }
}

/// What all stores hold, as `StoreApp.java` prints it.
fn content(app: &Streams, ids: &Ids) -> Vec<String> {
    let mut lines = Vec::new();
    for (_, store) in app.stores(&ids.plain) {
        for entry in store.all() {
            let (key, value) = entry.unwrap();
            lines.push(format!("kv {} {}", hex(&key), hex(&value)));
        }
    }
    for (_, store) in app.stores(&ids.stamped) {
        for entry in store.all() {
            let (key, Stamped { value, timestamp }) = entry.unwrap();
            lines.push(format!("tkv {} {} {}", hex(&key), hex(&value), timestamp.as_millis()));
        }
    }
    for (_, store) in app.stores(&ids.window) {
        for entry in store.all() {
            let (Windowed { key, window }, value) = entry.unwrap();
            let start = window.start.as_millis();
            lines.push(format!("window {} {} {start}", hex(&key), hex(&value)));
        }
    }
    for (_, store) in app.stores(&ids.session) {
        for entry in store.all() {
            let (Windowed { key, window }, value) = entry.unwrap();
            let (start, end) = (window.start.as_millis(), window.end.as_millis());
            lines.push(format!("session {} {} {start} {end}", hex(&key), hex(&value)));
        }
    }
    lines.sort();
    lines
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}
