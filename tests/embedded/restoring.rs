//! Restoring: several stores at once, beside running tasks, resumed, from changelogs that lost
//! records, and after damage. The store on disk is one that a user wrote, on the public traits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::support::*;
use kstreams::handler::{Handlers, Verdict};
use kstreams::log::Log;
use kstreams::record::{Headers, Offset, RawRecord};
use kstreams::state::testing::TempDir;
use kstreams::store::{
    ChangeBuffer, ChangelogConfig, StateStore, StoreBuilder, StoreContext, TaskTimes,
};
use kstreams::{ErrorKind, RestoreProgress};

/// A map that is written to a file as a whole with each commit; a checksum tells a damaged one.
struct FileStore {
    name: String,
    path: PathBuf,
    inner: Mutex<Inner>,
    changes: Option<Arc<ChangeBuffer>>,
    times: Arc<TaskTimes>,
    notes: Notes,
    gate: Arc<Gate>,
}

#[derive(Clone, Default)]
struct Inner {
    committed: BTreeMap<String, String>,
    current: BTreeMap<String, String>,
    offset: Option<Offset>,
    is_damaged: bool,
}

/// Lets the test hold up the restore of one partition.
#[derive(Default)]
struct Gate(Mutex<Option<(i32, Receiver<()>)>>);

#[derive(Clone)]
struct FileStores {
    notes: Notes,
    gate: Arc<Gate>,
}

impl FileStores {
    fn new() -> Self {
        Self { notes: Notes::default(), gate: Arc::default() }
    }
}

impl StoreBuilder for FileStores {
    type Store = FileStore;

    fn name(&self) -> &str {
        "file"
    }

    fn changelog(&self) -> Option<ChangelogConfig> {
        let overrides = vec![("segment.bytes".to_owned(), "1048576".to_owned())];
        Some(ChangelogConfig { overrides, ..ChangelogConfig::compacted() })
    }

    fn build(&self, context: StoreContext) -> Result<FileStore> {
        let dir = context.dir.expect("a directory");
        std::fs::create_dir_all(&dir)?;
        let path = dir.join("file");
        let mut inner = Inner::default();
        if let Ok(text) = std::fs::read_to_string(&path) {
            inner = read(&text).ok_or_else(|| {
                Error::new(ErrorKind::Corrupted, format!("{} is damaged", path.display()))
            })?;
        }
        self.notes.add(format!("{} opened at {:?}", context.task, inner.offset));
        let (notes, gate) = (self.notes.clone(), Arc::clone(&self.gate));
        let (changes, times) = (context.changes, context.times);
        let name = format!("file {}", context.task.partition);
        let inner = Mutex::new(inner);
        Ok(FileStore { name, path, inner, changes, times, notes, gate })
    }
}

fn read(text: &str) -> Option<Inner> {
    let (check, rest) = text.split_once('\n')?;
    let sum: u64 = rest.bytes().map(u64::from).sum();
    if check != sum.to_string() {
        return None;
    }
    let mut lines = rest.lines();
    let offset = lines.next()?.parse().ok();
    let entry = |line: &str| line.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    let committed: BTreeMap<_, _> = lines.map(entry).collect::<Option<_>>()?;
    Some(Inner { current: committed.clone(), committed, offset, is_damaged: false })
}

impl FileStore {
    fn get(&self, key: &str) -> Result<Option<String>> {
        let inner = self.inner.lock().unwrap();
        if inner.is_damaged {
            return Err(Error::new(ErrorKind::Corrupted, format!("{} is damaged", self.name)));
        }
        Ok(inner.current.get(key).cloned())
    }

    fn put(&self, key: &str, value: &str) {
        self.inner.lock().unwrap().current.insert(key.into(), value.into());
        if let Some(changes) = &self.changes {
            let value = Some(value.as_bytes());
            changes.append(key.as_bytes(), value, self.times.record(), &Headers::default());
        }
    }

    /// As if the disk gave back something else from now on.
    fn damage(&self) {
        std::fs::write(&self.path, "garbage").unwrap();
        self.inner.lock().unwrap().is_damaged = true;
    }

    fn write(&self, inner: &Inner) -> Result {
        let mut rest = format!("{}\n", inner.offset.map_or("none".into(), |at| at.to_string()));
        inner.committed.iter().for_each(|(key, value)| rest += &format!("{key}={value}\n"));
        let sum: u64 = rest.bytes().map(u64::from).sum();
        Ok(std::fs::write(&self.path, format!("{sum}\n{rest}"))?)
    }
}

impl StateStore for FileStore {
    fn name(&self) -> &str {
        "file"
    }

    fn is_persistent(&self) -> bool {
        true
    }

    fn committed_offset(&self) -> Result<Option<Offset>> {
        Ok(self.inner.lock().unwrap().offset)
    }

    fn restore(&self, records: &mut dyn Iterator<Item = RawRecord<'_>>, through: Offset) -> Result {
        let held = {
            let mut gate = self.gate.0.lock().unwrap();
            let is_ours = |(partition, _): &(i32, _)| self.name == format!("file {partition}");
            if gate.as_ref().is_some_and(is_ours) { gate.take() } else { None }
        };
        if let Some((_, opens)) = held {
            let _ = opens.recv();
        }
        let mut inner = self.inner.lock().unwrap();
        for record in records {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let key = text(record.key.unwrap_or_default());
            match record.value {
                Some(value) => inner.committed.insert(key, text(value)),
                None => inner.committed.remove(&key),
            };
            self.notes.add(format!("restored {}", record.offset));
        }
        inner.current = inner.committed.clone();
        inner.offset = Some(through);
        self.write(&inner)
    }

    fn commit(&self, changelog_offset: Option<Offset>) -> Result {
        let mut inner = self.inner.lock().unwrap();
        inner.committed = inner.current.clone();
        inner.offset = changelog_offset.or(inner.offset);
        self.write(&inner)
    }

    fn rollback(&self) -> bool {
        let mut inner = self.inner.lock().unwrap();
        inner.current = inner.committed.clone();
        true
    }

    fn n_dropped(&self) -> u64 {
        3
    }

    fn close(&self) -> Result {
        Ok(())
    }

    fn wipe(&self) -> Result {
        self.notes.add("wiped");
        *self.inner.lock().unwrap() = Inner::default();
        Ok(std::fs::remove_file(&self.path)?)
    }
}

/// `in` -> keeps each value, forwards the one before -> `out`.
fn keeping(stores: &FileStores) -> (Topology, StoreId<FileStore>) {
    let mut topology = Topology::builder();
    let id = topology.store(stores.clone());
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let own = id.clone();
    let keep = topology.processor("keep", &[lines], move || {
        let id = own.clone();
        move |ctx: &mut Ctx<'_>, record: Line| {
            let store = ctx.store(&id)?;
            let before = store.get(&record.key)?.unwrap_or_else(|| "none".into());
            store.put(&record.key, &record.value);
            ctx.forward(record.with_value(before))
        }
    });
    topology.connect(keep, &id);
    topology.sink("sink", &[keep], "out", (Utf8, Utf8));
    (topology.build().unwrap(), id)
}

const CHANGELOG: &str = "app-file-changelog";

/// Runs until these values of the key `k` are processed, then closes.
fn work(log: &MemoryLog, stores: &FileStores, dir: &TempDir, values: &[&str]) {
    let before = log.records("out").len();
    let app = run(keeping(stores).0, config().state_dir(dir.path()), log);
    produce(log, "in", values);
    eventually("processed", || log.records("out").len() == before + values.len());
    assert!(app.close(SOON));
}

#[test]
fn a_store_of_the_user_is_logged_committed_and_goes_on_where_it_stood() {
    let (log, dir, stores) = (log_with(1), TempDir::new(), FileStores::new());
    work(&log, &stores, &dir, &["1", "2"]);
    work(&log, &stores, &dir, &["3"]);
    assert_eq!(texts(&log, "out"), ["none", "1", "2"]);
    assert_eq!(texts(&log, CHANGELOG), ["1", "2", "3"]);
    assert_eq!(log.topic_config(CHANGELOG).get("segment.bytes").unwrap(), "1048576");
    assert!(stores.notes.has("0_0 opened at Some(1)"), "{:?}", stores.notes.all());
    assert_eq!(stores.notes.count("restored 1"), 0, "nothing is replayed after a clean end");
}

#[test]
fn what_a_store_drops_counts_for_its_task() {
    let (log, dir, stores) = (log_with(1), TempDir::new(), FileStores::new());
    let app = run(keeping(&stores).0, config().state_dir(dir.path()), &log);
    eventually("counted", || app.tasks().first().is_some_and(|task| task.counters.dropped == 3));
    assert!(app.close(SOON));
}

/// The directory of an earlier moment is put back: only what came later is replayed.
#[test]
fn only_the_tail_is_replayed() {
    let (log, dir, stores) = (log_with(1), TempDir::new(), FileStores::new());
    work(&log, &stores, &dir, &["1", "2"]);
    let path = dir.path().join("app").join("0_0").join("file");
    let old = std::fs::read(&path).unwrap();
    work(&log, &stores, &dir, &["3", "4"]);
    std::fs::write(&path, old).unwrap();
    stores.notes.take();
    work(&log, &stores, &dir, &["5"]);
    assert_eq!(texts(&log, "out").last().unwrap(), "4");
    assert_eq!(stores.notes.all(), ["0_0 opened at Some(1)", "restored 2", "restored 3"]);
}

#[test]
fn a_store_that_its_changelog_does_not_reach_back_to_starts_anew() {
    let (log, dir, stores) = (log_with(1), TempDir::new(), FileStores::new());
    work(&log, &stores, &dir, &["1"]);
    let path = dir.path().join("app").join("0_0").join("file");
    let old = std::fs::read(&path).unwrap();
    work(&log, &stores, &dir, &["2", "3", "4"]);
    std::fs::write(&path, old).unwrap();
    let cut = [(TopicPartition::new(CHANGELOG, 0), 3)];
    log.admin().unwrap().delete_records(&cut, SOON).unwrap();
    stores.notes.take();
    work(&log, &stores, &dir, &["5"]);
    assert_eq!(stores.notes.all(), ["0_0 opened at Some(0)", "wiped", "restored 3"]);
    assert_eq!(texts(&log, "out").last().unwrap(), "4");
}

#[test]
fn a_store_ahead_of_its_changelog_starts_anew() {
    let (log, dir, stores) = (log_with(1), TempDir::new(), FileStores::new());
    work(&log, &stores, &dir, &["1", "2"]);
    let path = dir.path().join("app").join("0_0").join("file");
    let rest = "900\nk=from another log\n";
    let sum: u64 = rest.bytes().map(u64::from).sum();
    std::fs::write(&path, format!("{sum}\n{rest}")).unwrap();
    work(&log, &stores, &dir, &["3"]);
    assert_eq!(texts(&log, "out").last().unwrap(), "2");
    assert!(stores.notes.has("wiped"));
}

#[test]
fn a_compacted_changelog_restores_the_same() {
    let (log, dir, stores) = (log_with(1), TempDir::new(), FileStores::new());
    work(&log, &stores, &dir, &["1"]);
    let path = dir.path().join("app").join("0_0").join("file");
    let old = std::fs::read(&path).unwrap();
    work(&log, &stores, &dir, &["2", "3", "4", "5"]);
    std::fs::write(&path, old).unwrap();
    log.clean(CHANGELOG);
    stores.notes.take();
    work(&log, &stores, &dir, &["6"]);
    assert_eq!(texts(&log, "out").last().unwrap(), "5");
    assert!(!stores.notes.has("wiped"), "{:?}", stores.notes.all());
}

#[test]
fn a_damaged_file_is_found_at_the_start_and_the_store_rebuilt() {
    let (log, dir, stores) = (log_with(1), TempDir::new(), FileStores::new());
    work(&log, &stores, &dir, &["1", "2"]);
    std::fs::write(dir.path().join("app").join("0_0").join("file"), "torn").unwrap();
    work(&log, &stores, &dir, &["3"]);
    assert_eq!(texts(&log, "out").last().unwrap(), "2");
    assert!(stores.notes.has("0_0 opened at None"), "{:?}", stores.notes.all());
}

/// Damage that is found in the middle of work is not the record's fault: no handler may skip it.
#[test]
fn damage_found_while_processing_rebuilds_the_store_and_skips_nothing() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let (log, dir, stores) = (log_with(1), TempDir::new(), FileStores::new());
        let skip = Handlers::default().on_processing(|_| Verdict::Continue);
        let config = config().guarantee(guarantee).handlers(skip).state_dir(dir.path());
        let (topology, id) = keeping(&stores);
        let app = run(topology, config, &log);
        produce(&log, "in", &["1", "2"]);
        eventually("committed", || committed(&log, "in", 0) == Some(2));
        app.stores(&id)[0].1.damage();
        produce(&log, "in", &["3", "4"]);
        eventually("rebuilt", || committed(&log, "in", 0) == Some(4));
        assert_eq!(texts(&log, "out"), ["none", "1", "2", "3"]);
        assert!(stores.notes.has("restored 1"), "{:?}", stores.notes.all());
        assert!(app.close(SOON));
    }
}

/// Keys of the partitions 0 and 1 of two.
fn keys() -> [String; 2] {
    let of = |partition: i32| {
        let mut keys = (0..).map(|n| format!("key-{n}"));
        keys.find(|key| kstreams::partition::partition_for(key.as_bytes(), 2) == partition).unwrap()
    };
    [of(0), of(1)]
}

fn hold(stores: &FileStores, partition: i32) -> Sender<()> {
    let (open, opens) = channel();
    *stores.gate.0.lock().unwrap() = Some((partition, opens));
    open
}

#[test]
fn tasks_run_while_the_store_of_another_is_written() {
    let (log, dir, stores) = (log_with(2), TempDir::new(), FileStores::new());
    let [zero, one] = keys();
    log.create_topic_with(CHANGELOG, 2, &[("cleanup.policy", "compact")]).unwrap();
    for key in [&zero, &one] {
        log.produce(CHANGELOG, key, "old", at(0)).unwrap();
    }
    let open = hold(&stores, 1);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&seen);
    let config = config()
        .state_dir(dir.path())
        .on_restore(move |progress| own.lock().unwrap().push(progress.clone()));
    let app = Streams::new(keeping(&stores).0, config, log.clone()).unwrap();
    app.start().unwrap();
    log.produce("in", &zero, "new", at(0)).unwrap();
    log.produce("in", &one, "new", at(0)).unwrap();
    eventually("the first runs", || texts(&log, "out") == ["old"]);
    let done = |partition: i32| {
        let seen = seen.lock().unwrap();
        let of_task = |p: &&RestoreProgress| p.task == task(0, partition);
        seen.iter().filter(of_task).any(RestoreProgress::is_done)
    };
    assert!(done(0) && !done(1));
    open.send(()).unwrap();
    eventually("the second too", || texts(&log, "out") == ["old", "old"]);
    assert!(done(1));
    assert!(seen.lock().unwrap().iter().all(|p| p.n_records <= 1 && !p.is_suspended));
    assert!(app.close(SOON));
}

#[test]
fn a_restore_that_is_given_up_says_so_and_goes_on_later() {
    let (log, dir, stores) = (log_with(1), TempDir::new(), FileStores::new());
    log.create_topic_with(CHANGELOG, 1, &[("cleanup.policy", "compact")]).unwrap();
    for n in 0..25_000 {
        log.produce(CHANGELOG, "k", n.to_string(), at(0)).unwrap();
    }
    let open = hold(&stores, 0);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&seen);
    let config = config().state_dir(dir.path()).restore_threads(1);
    let listening = config.clone().on_restore(move |p| own.lock().unwrap().push(p.clone()));
    let app = Arc::new(Streams::new(keeping(&stores).0, listening, log.clone()).unwrap());
    app.start().unwrap();
    eventually("restoring", || !seen.lock().unwrap().is_empty());
    let closing = Arc::clone(&app);
    let closed = std::thread::spawn(move || closing.close(SOON));
    eventually("closing", || app.state() == State::PendingShutdown);
    open.send(()).unwrap();
    assert!(closed.join().unwrap());
    drop(app);
    let last = seen.lock().unwrap().last().cloned().unwrap();
    assert!(last.is_suspended && !last.is_done(), "{last:?}");
    stores.notes.take();
    let app = run(keeping(&stores).0, config, &log);
    assert!(app.close(SOON));
    let opened = &stores.notes.all()[0];
    assert!(opened.starts_with("0_0 opened at Some("), "{opened}");
    let n_restored = stores.notes.all().iter().filter(|n| n.starts_with("restored")).count();
    assert!((1..25_000).contains(&n_restored), "{n_restored}");
}

/// The files of RocksDB are damaged between two runs: the counts are those of the changelog, and
/// what the listener hears says whether a store was rebuilt or only its tail replayed.
#[cfg(feature = "rocksdb")]
#[test]
fn a_damaged_rocksdb_is_rebuilt_and_an_undamaged_one_is_not() {
    let counts = || KeyValue::persistent("counts", Utf8, U64);
    for (ending, rebuilds) in [(".sst", true), ("CURRENT", true), ("nothing", false)] {
        let (log, dir) = (log_with(1), TempDir::new());
        let keys: Vec<String> = (0..500).map(|n| format!("key-{n}")).collect();
        let starts = Arc::new(Mutex::new(Vec::new()));
        for round in 1..=2 {
            let own = Arc::clone(&starts);
            let config = config().state_dir(dir.path()).on_restore(move |p| {
                own.lock().unwrap().push((p.start, p.n_records));
            });
            let app = run(counting(counts()).0, config, &log);
            for key in &keys {
                log.produce("in", key, "v", at(0)).unwrap();
            }
            eventually("counted", || log.records("out").len() == round * keys.len());
            assert!(app.close(SOON));
            let folder = dir.path().join("app").join("0_0").join("rocksdb").join("counts");
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.to_string_lossy().ends_with(ending) {
                    std::fs::write(path, "torn").unwrap();
                }
            }
        }
        let last: Vec<u64> = numbers(&log, "out").split_off(500).iter().map(|(_, n)| *n).collect();
        assert_eq!(last, vec![2; 500], "{ending}");
        let restored = starts.lock().unwrap().last().copied();
        assert_eq!(restored, rebuilds.then_some((0, 500)), "{ending}");
    }
}
