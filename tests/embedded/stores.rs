//! Stores in processors: several of them, shared ones, scans that forward.

use crate::support::*;
use kstreams::ErrorKind;

type Texts = KeyValueStore<String, String>;

fn texts_in_memory(name: &str) -> KeyValue<String, String> {
    KeyValue::in_memory(name, Utf8, Utf8)
}

fn entries(store: &Texts) -> Vec<(String, String)> {
    store.all().collect::<Result<_>>().unwrap()
}

/// Puts each record into one of its stores: that of the value's first letter.
struct Sort {
    ids: Vec<StoreId<Texts>>,
    stores: Vec<Store<Texts>>,
}

impl Processor<String, String, (), ()> for Sort {
    fn init(&mut self, ctx: &mut Init<'_, Self, (), ()>) -> Result {
        self.stores = self.ids.iter().map(|id| ctx.store(id)).collect::<Result<_>>()?;
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_, (), ()>, record: Line) -> Result {
        match self.ids.iter().position(|id| record.value.starts_with(&**id.name())) {
            Some(index) => self.stores[index].put(&record.key, &record.value),
            None => Err(format!("{} has no store for {}", ctx.node_name(), record.value).into()),
        }
    }
}

fn sort(ids: &[StoreId<Texts>]) -> impl Fn() -> Sort + Send + Sync + 'static {
    let ids = ids.to_vec();
    move || Sort { ids: ids.clone(), stores: Vec::new() }
}

#[test]
fn a_processor_uses_several_stores() {
    let mut topology = Topology::builder();
    let ids = ["a", "b", "c"].map(|name| topology.store(texts_in_memory(name)));
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let sort = topology.processor("sort", &[lines], sort(&ids));
    topology.connect(sort, &ids);
    let mut driver = driver(topology.build().unwrap());
    for value in ["a1", "b1", "a2", "c1"] {
        driver.input("in", Utf8, Utf8).pipe(value.to_uppercase(), value.into()).unwrap();
    }
    let seen = ids.map(|id| entries(&driver.store(&id).unwrap()).len());
    assert_eq!(seen, [2, 1, 1]);
}

#[test]
fn a_store_is_shared_by_processors_which_then_share_a_task() {
    let mut topology = Topology::builder();
    let id = topology.store(texts_in_memory("s"));
    let one = topology.source("one", "in", (Utf8, Utf8));
    let two = topology.source("two", "more", (Utf8, Utf8));
    let writer = topology.processor("writer", &[one], sort(std::slice::from_ref(&id)));
    let own = id.clone();
    let reader = topology.processor("reader", &[two], move || {
        let id = own.clone();
        move |ctx: &mut Context<'_, String, String>, record: Line| {
            let found = ctx.store(&id)?.get(&record.key)?.unwrap_or_default();
            ctx.forward(record.with_value(found))
        }
    });
    topology.connect(writer, &id);
    topology.connect(reader, &id);
    topology.sink("sink", &[reader], "out", (Utf8, Utf8));
    let mut driver = driver(topology.build().unwrap());
    assert_eq!(driver.tasks(), [task(0, 0)]);
    pipe(&mut driver, "in", "s1", 0).unwrap();
    pipe(&mut driver, "more", "?", 0).unwrap();
    assert_eq!(values(&mut driver, "out"), ["s1"]);
}

#[test]
fn a_store_that_is_not_connected_is_refused_by_name() {
    let mut topology = Topology::builder();
    let id = topology.store(texts_in_memory("s"));
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let ids = [id.clone()];
    let connected = topology.processor("connected", &[lines], sort(&ids));
    topology.processor("stranger", &[lines], sort(&ids));
    topology.connect(connected, &id);
    let error = TestDriver::new(topology.build().unwrap(), Config::new("app")).unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::Topology, Some("stranger")));
    assert!(error.to_string().contains(" s"), "{error}");
}

/// Forwards every entry of the store; its child doubles it there.
fn scanning(n: usize, double: bool) -> (TestDriver, StoreId<Counts>) {
    let mut topology = Topology::builder();
    let id = topology.store(counts_in_memory());
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let own = id.clone();
    let scan = topology.processor("scan", &[lines], move || {
        let id = own.clone();
        move |ctx: &mut Context<'_, String, u64>, record: Line| {
            let store = ctx.store(&id)?;
            if record.value == "fill" {
                return store.put_all((0..n).map(|i| (format!("{i:04}"), i as u64)));
            }
            for entry in store.all() {
                let (key, value) = entry?;
                ctx.forward(Record::new(key, value, record.timestamp))?;
            }
            Ok(())
        }
    });
    let own = id.clone();
    let child = topology.processor("child", &[scan], move || {
        let id = own.clone();
        move |ctx: &mut Context<'_, String, u64>, record: Record<String, u64>| {
            if double {
                ctx.store(&id)?.put(&record.key, &(record.value * 2))?;
            }
            ctx.forward(record)
        }
    });
    topology.connect(scan, &id);
    topology.connect(child, &id);
    topology.sink("sink", &[child], "out", (Utf8, U64));
    (driver(topology.build().unwrap()), id)
}

#[test]
fn a_scan_may_forward_each_entry_also_when_the_child_writes_the_store() {
    const N: usize = 1500;
    for double in [false, true] {
        let (mut driver, id) = scanning(N, double);
        pipe(&mut driver, "in", "fill", 0).unwrap();
        pipe(&mut driver, "in", "scan", 1).unwrap();
        let seen = driver.output("out", Utf8, U64).read_pairs().unwrap();
        let expected: Vec<_> = (0..N).map(|i| (format!("{i:04}"), i as u64)).collect();
        assert_eq!(seen, expected, "each once, in order");
        let last = driver.store(&id).unwrap().get(&"1499".to_owned()).unwrap();
        assert_eq!(last, Some(if double { 2998 } else { 1499 }));
    }
}

#[test]
fn tasks_have_stores_of_their_own() {
    let (topology, id) = counting(counts_in_memory());
    let builder = TestDriver::builder(topology, Config::new("app")).partitions("in", 3);
    let mut driver = builder.build().unwrap();
    for n in 0..30 {
        driver.input("in", Utf8, Utf8).pipe(format!("key-{}", n % 10), "v".into()).unwrap();
    }
    assert!(driver.store(&id).is_err(), "three tasks have it");
    let mut total = 0;
    for partition in 0..3 {
        for entry in driver.store_of(&id, task(0, partition)).unwrap().all() {
            let (key, n) = entry.unwrap();
            assert_eq!(kstreams::partition::partition_for(key.as_bytes(), 3), partition);
            total += n;
        }
    }
    assert_eq!(total, 30);
}

#[test]
fn stores_are_read_from_outside_while_the_application_runs() {
    let log = log_with(2);
    let (topology, id) = counting(counts_in_memory());
    let app = run(topology, config(), &log);
    for key in ["a", "b", "c", "a"] {
        log.produce("in", key, "v", at(0)).unwrap();
    }
    let count = |key: &str| -> u64 {
        let stores = app.stores(&id).into_iter();
        stores.filter_map(|(_, store)| store.get(&key.to_owned()).unwrap()).sum()
    };
    eventually("counted", || ["a", "b", "c"].map(count) == [2, 1, 1]);
    assert_eq!(app.stores(&id).len(), 2);
    assert!(app.close(SOON));
}
