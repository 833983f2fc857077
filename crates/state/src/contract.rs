//! What every byte store must do, checked against a plain ordered map under random operations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kstreams_core::random::Random;
use kstreams_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::bytes::{ByteStore, End, Fill, Mark, Writes};
use crate::memory::Memory;
use crate::overlay::{Base, Keys, Overlay};
use crate::scan::{Page, Pages, Scan};

pub(crate) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Opens the store under test, or opens it again after it was closed.
type Open<'a> = &'a dyn Fn() -> Arc<dyn ByteStore>;

/// A base of the simplest kind, so that the overlay is tested without RocksDB too.
#[derive(Default)]
pub(crate) struct MapBase(pub(crate) Arc<Mutex<MapData>>);

#[derive(Default)]
pub(crate) struct MapData {
    pub(crate) entries: Entries,
    mark: Option<Mark>,
    /// How often it was asked for a key.
    pub(crate) n_gets: usize,
}

impl Writes for Entries {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.insert(key.to_vec(), value.to_vec());
    }

    fn delete(&mut self, key: &[u8]) {
        self.remove(key);
    }
}

impl Base for MapBase {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let mut inner = self.0.lock();
        inner.n_gets += 1;
        let value = inner.entries.get(key);
        out.extend(value.into_iter().flatten());
        Ok(value.is_some())
    }

    fn page(&self, scan: &Scan, limit: usize, page: &mut Page) -> Result {
        let inner = self.0.lock();
        let all = expected(&inner.entries, scan);
        for (key, value) in &all {
            if page.is_full(limit) {
                return Ok(());
            }
            page.push(key, Some(value));
        }
        page.complete = true;
        Ok(())
    }

    fn approximate_len(&self) -> Result<u64> {
        Ok(self.0.lock().entries.len() as u64)
    }

    fn mark(&self) -> Result<Mark> {
        Ok(self.0.lock().mark.unwrap_or(Mark::EMPTY))
    }

    fn write(&self, fill: Fill<'_>, _: bool) -> Result {
        let mut inner = self.0.lock();
        let before = inner.mark.unwrap_or(Mark::EMPTY);
        let End { mark, floor } = fill(&mut inner.entries)?;
        inner.entries.retain(|key, _| floor.as_ref().is_none_or(|floor| key >= floor));
        inner.mark = Some(mark.after(before));
        Ok(())
    }

    fn close(&self) -> Result {
        Ok(())
    }

    fn wipe(&self) -> Result {
        *self.0.lock() = Default::default();
        Ok(())
    }
}

fn expected(entries: &Entries, scan: &Scan) -> Vec<(Vec<u8>, Vec<u8>)> {
    let within = |key: &[u8]| *key >= *scan.from && scan.to.as_ref().is_none_or(|to| *key < **to);
    let all = entries.iter().filter(|(key, _)| within(key));
    let mut all: Vec<_> = all.map(|(key, value)| (key.clone(), value.clone())).collect();
    if scan.reverse {
        all.reverse();
    }
    all
}

fn read_all(store: &Arc<dyn ByteStore>, scan: Scan) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pages = Pages::new(Arc::clone(store), scan);
    let mut all = Vec::new();
    while let Some((key, value)) = pages.next().unwrap() {
        all.push((key.to_vec(), value.to_vec()));
    }
    all
}

/// A key of few, so that operations meet; some are long, some prefixes of others.
fn random_key(random: &Random) -> Vec<u8> {
    let long = if random.below(4) == 0 { 30 } else { 0 };
    let mut key = vec![b'k'; long];
    key.extend((0..=random.below(3)).map(|_| random.below(6) as u8));
    key
}

fn random_scan(random: &Random) -> Scan {
    let mut scan = Scan::all();
    if random.below(2) == 0 {
        scan.from = random_key(random);
    }
    if random.below(2) == 0 {
        scan.to = Some(random_key(random));
    }
    scan.reverse = random.below(2) == 0;
    scan
}

/// Random operations on the store and on maps, `seed` deciding them all.
fn run(open: Open<'_>, reopens: bool, seed: u64) {
    let random = Random::seeded(seed);
    let mut store = open();
    let (mut committed, mut current, mut mark) = (Entries::new(), Entries::new(), Mark::EMPTY);
    // What the next commit is of, if it was fixed.
    let mut frozen: Option<Entries> = None;
    for step in 0..2500_i64 {
        match random.below(100) {
            0..40 => {
                let (key, len) = (random_key(&random), random.below(50) as usize);
                let value = vec![step as u8; len];
                store.put(&key, &value).unwrap();
                current.insert(key, value);
            }
            40..60 => {
                let key = random_key(&random);
                store.delete(&key).unwrap();
                current.remove(&key);
            }
            60..80 => {
                let (key, mut out) = (random_key(&random), vec![7]);
                let found = store.get(&key, &mut out).unwrap();
                assert_eq!(found.then(|| &out[1..]), current.get(&key).map(|v| &v[..]));
            }
            80..90 => {
                let scan = random_scan(&random);
                assert_eq!(read_all(&store, scan.clone()), expected(&current, &scan), "{scan:?}");
            }
            90..94 => {
                mark = Mark { offset: Some(step), time: step * 2, sequence: step as i32 };
                if let Some(frozen) = frozen.take() {
                    // Nothing is written below a floor that is fixed, so there is none here.
                    store.commit(End { mark, floor: None }).unwrap();
                    committed = frozen;
                    continue;
                }
                let floor = (random.below(4) == 0).then(|| random_key(&random));
                store.commit(End { mark, floor: floor.clone() }).unwrap();
                current.retain(|key, _| floor.as_ref().is_none_or(|floor| key >= floor));
                committed = current.clone();
            }
            94 => {
                store.freeze();
                frozen.get_or_insert_with(|| current.clone());
            }
            95 => {
                frozen = None;
                assert!(store.rollback());
                assert_eq!(store.uncommitted_bytes(), 0);
                current = committed.clone();
            }
            96..98 => {
                // Restoring happens on committed data only.
                frozen = None;
                store.rollback();
                mark.offset = Some(step);
                let (put, delete) = (random_key(&random), random_key(&random));
                let mut fill = |writes: &mut dyn Writes| {
                    writes.put(&put, b"restored");
                    writes.delete(&delete);
                    Ok(End { mark, floor: None })
                };
                store.restore(&mut fill).unwrap();
                committed.put(&put, b"restored");
                committed.delete(&delete);
                current = committed.clone();
            }
            98 if reopens => {
                store.close().unwrap();
                store = open();
                frozen = None;
                current = committed.clone();
            }
            99 if random.below(4) == 0 => {
                store.wipe().unwrap();
                frozen = None;
                (committed, current, mark) = Default::default();
            }
            _ => assert_eq!(store.mark().unwrap(), mark),
        }
    }
}

#[test]
fn memory() {
    for seed in 0..40 {
        run(&|| Arc::new(Memory::new(true)), false, seed);
    }
}

#[test]
fn overlay_over_a_map() {
    for seed in 0..40 {
        let base = Arc::default();
        run(&|| Arc::new(Overlay::new(MapBase(Arc::clone(&base)), Keys::Lasting)), true, seed);
    }
}

/// A base that refuses as long as it is told to.
#[derive(Default)]
struct Refusing(MapBase, AtomicBool);

impl Base for Arc<Refusing> {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        self.0.get(key, out)
    }

    fn page(&self, scan: &Scan, limit: usize, page: &mut Page) -> Result {
        self.0.page(scan, limit, page)
    }

    fn approximate_len(&self) -> Result<u64> {
        self.0.approximate_len()
    }

    fn mark(&self) -> Result<Mark> {
        self.0.mark()
    }

    fn write(&self, fill: Fill<'_>, restoring: bool) -> Result {
        if self.1.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Store, "the disk is full"));
        }
        self.0.write(fill, restoring)
    }

    fn close(&self) -> Result {
        self.0.close()
    }

    fn wipe(&self) -> Result {
        self.0.wipe()
    }
}

#[test]
fn what_the_base_refuses_stays_uncommitted() {
    let base = Arc::new(Refusing::default());
    let store = Overlay::new(Arc::clone(&base), Keys::Lasting);
    store.put(b"kept", b"1").unwrap();
    store.commit(End::at(Some(1))).unwrap();
    base.1.store(true, Ordering::Relaxed);
    store.put(b"kept", b"2").unwrap();
    store.put(b"new", b"3").unwrap();
    store.commit(End::at(Some(2))).unwrap_err();
    assert!(store.uncommitted_bytes() > 0);
    let value = |key: &[u8]| {
        let mut out = Vec::new();
        store.get(key, &mut out).unwrap().then_some(out)
    };
    assert_eq!(value(b"kept").as_deref(), Some(&b"2"[..]));

    base.1.store(false, Ordering::Relaxed);
    store.delete(b"new").unwrap();
    store.commit(End::at(Some(3))).unwrap();
    let written = base.0.0.lock().entries.clone();
    assert_eq!(written, Entries::from([(b"kept".to_vec(), b"2".to_vec())]));

    store.put(b"kept", b"4").unwrap();
    assert!(store.rollback());
    assert_eq!(value(b"kept").as_deref(), Some(&b"2"[..]));
    assert_eq!(value(b"new"), None);
}

#[cfg(feature = "rocksdb")]
#[test]
fn overlay_over_rocksdb() {
    for seed in 0..3 {
        let dir = crate::testing::TempDir::new();
        let context = crate::testing::context(
            &crate::KeyValue::in_memory(
                "s",
                kstreams_core::serde::ByteArray,
                kstreams_core::serde::ByteArray,
            ),
            Some(dir.path()),
        );
        let settings = Default::default();
        let open =
            || crate::rocks::open(&"s".into(), &settings, "test", Keys::Passing, &context).unwrap();
        run(&open, true, seed);
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self::EMPTY
    }
}
