//! A group whose members come and go while one of them restores.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;

use crate::support::*;
use kstreams::RestoreProgress;
use kstreams::log::memory::GroupMode;
use kstreams::partition::partition_for;
use kstreams::state::testing::TempDir;

const N_KEYS: usize = 200_000;
/// The first member takes so many steps before the second one comes or goes: two tasks take one each
/// in a turn, and between turns it hears of its group.
const PACE: usize = 3;
const CHANGELOG: &str = "app-counts-changelog";

/// A log with the changelog of an application that has lost its disks.
fn log_of(mode: GroupMode) -> MemoryLog {
    let log = with_topics(MemoryLog::builder().group_mode(mode).build(), 2);
    log.create_topic_with(CHANGELOG, 2, &[("cleanup.policy", "compact")]).unwrap();
    for n in 0..N_KEYS {
        log.produce(CHANGELOG, format!("key-{n}"), 7_u64.to_be_bytes(), at(0)).unwrap();
    }
    log
}

fn started(log: &MemoryLog, config: Config) -> Streams {
    let store = KeyValue::persistent("counts", Utf8, U64);
    let app = Streams::new(counting(store).0, config, log.clone()).unwrap();
    app.start().unwrap();
    app
}

fn check(mode: GroupMode) {
    let (log, one_dir, two_dir) = (log_of(mode), TempDir::new(), TempDir::new());
    let seen: Arc<Mutex<Vec<RestoreProgress>>> = Arc::default();
    let (step, steps) = channel();
    let (go, pace) = channel::<()>();
    let (own, pace) = (Arc::clone(&seen), Mutex::new(pace));
    // Each step of the first member waits until the second one has come or gone.
    let config = config().guarantee(Guarantee::ExactlyOnce);
    let paced = config.clone().state_dir(one_dir.path()).on_restore(move |progress| {
        own.lock().unwrap().push(progress.clone());
        if step.send(()).is_ok() {
            let _ = pace.lock().unwrap().recv_timeout(SOON);
        }
    });
    let one = started(&log, paced);
    let mut two = None;
    let n_steps = N_KEYS / 10_000;
    for number in 0..n_steps {
        if steps.recv_timeout(SOON).is_err() {
            break;
        }
        two = match two.take() {
            None if number % PACE == 0 => {
                Some(started(&log, config.clone().state_dir(two_dir.path())))
            }
            Some(app) if number % PACE == 0 => {
                assert!(Streams::close(&app, SOON));
                None
            }
            as_it_is => as_it_is,
        };
        let _ = go.send(());
    }
    drop((go, steps, two));
    eventually("one has restored both", || one.state() == State::Running && one.tasks().len() == 2);

    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let n_given_up = seen.iter().filter(|progress| progress.is_suspended).count();
    assert!(n_given_up > 0, "{mode:?}: nothing was taken away in {} steps", seen.len());
    // How many records each restore took, as it said last.
    let mut n_read: BTreeMap<_, BTreeMap<i64, u64>> = BTreeMap::new();
    for progress in &seen {
        let by_start = n_read.entry(progress.task).or_default();
        let n = by_start.entry(progress.start).or_default();
        *n = progress.n_records.max(*n);
    }
    for (id, by_start) in n_read {
        let key = |n: &usize| partition_for(format!("key-{n}").as_bytes(), 2) == id.partition;
        let n_keys = (0..N_KEYS).filter(key).count() as u64;
        let n_read: u64 = by_start.values().sum();
        assert_eq!(n_read, n_keys, "{mode:?} {id}: {by_start:?}");
    }
    log.produce("in", "key-1", "v", at(0)).unwrap();
    eventually("what was restored is there", || numbers(&log, "out") == [("key-1".into(), 8)]);
    assert!(one.close(SOON));
}

#[test]
fn a_restore_goes_on_where_it_was_in_a_storm_of_rebalances() {
    check(GroupMode::Streams);
}

#[test]
fn a_restore_goes_on_where_it_was_in_a_storm_of_classic_rebalances() {
    check(GroupMode::Classic);
}
