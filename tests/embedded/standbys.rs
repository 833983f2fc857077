//! Standby tasks: they follow, take over where the changelog ends, and come back.

use crate::support::*;
use kstreams::store::StoreBuilder;
use kstreams::{RestoreProgress, StandbyChange, StandbyStore};

const N: usize = 400;

fn log() -> MemoryLog {
    with_topics(MemoryLog::builder().n_standby(1).build(), 2)
}

fn feed(log: &MemoryLog, n: usize) {
    for i in 0..n {
        log.produce("in", format!("key-{}", i % 20), "v", at(i as i64)).unwrap();
    }
}

/// An instance whose standbys and restores are noted.
fn start(log: &MemoryLog, guarantee: Guarantee, notes: &Notes) -> Streams {
    let (restored, followed) = (notes.clone(), notes.clone());
    let config = config()
        .guarantee(guarantee)
        .commit_interval(ms(10))
        .on_restore(move |progress: &RestoreProgress| {
            if progress.position == progress.start {
                let n = progress.end - progress.start;
                restored.add(format!("restore {} of {n}", progress.task));
            }
        })
        .on_standby(move |change: StandbyChange, store: &StandbyStore| {
            followed.add(format!("{change:?} {}", store.task));
        });
    run(counting(counts_in_memory()).0, config, log)
}

fn is_warm(app: &Streams) -> bool {
    let standbys = app.standbys();
    standbys.len() == 1 && standbys.iter().all(|store| store.lag == Some(0))
}

fn assert_counted(log: &MemoryLog, n: usize) {
    eventually("all is counted", || log.records("out").len() >= n);
    let mut sums: std::collections::BTreeMap<String, Vec<u64>> = Default::default();
    for (key, count) in numbers(log, "out") {
        sums.entry(key).or_default().push(count);
    }
    for (key, counts) in sums {
        assert_eq!(counts, (1..=(n / 20) as u64).collect::<Vec<_>>(), "{key}");
    }
}

#[test]
fn a_standby_takes_over_without_reading_its_changelog_again() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let log = log();
        let (of_one, of_two) = (Notes::default(), Notes::default());
        let one = start(&log, guarantee, &of_one);
        let two = start(&log, guarantee, &of_two);
        eventually("each has one task", || one.tasks().len() == 1 && two.tasks().len() == 1);
        feed(&log, N);
        assert_counted(&log, N);
        eventually("the standbys have caught up", || is_warm(&one) && is_warm(&two));
        let lost = one.tasks()[0].task;
        of_two.take();
        assert!(one.close(SOON));
        eventually("it takes over", || two.tasks().len() == 2);
        feed(&log, N);
        assert_counted(&log, 2 * N);
        assert!(of_two.has(&format!("Promoted {lost}")), "{:?}", of_two.all());
        // The markers of the last transactions may lie behind what it has applied.
        let again = of_two.all().into_iter().find(|note| note.starts_with("restore"));
        let n_again =
            again.as_ref().and_then(|note| note.rsplit(' ').next()?.parse::<usize>().ok());
        assert!(n_again.is_none_or(|n| n < N / 4), "{again:?}");
        assert!(two.standbys().is_empty());
    }
}

#[test]
fn an_active_task_becomes_a_standby_with_its_store_open() {
    let log = log();
    let (of_one, of_two) = (Notes::default(), Notes::default());
    let one = start(&log, Guarantee::ExactlyOnce, &of_one);
    feed(&log, N);
    assert_counted(&log, N);
    assert_eq!(one.tasks().len(), 2);
    let two = start(&log, Guarantee::ExactlyOnce, &of_two);
    eventually("shared", || one.tasks().len() == 1 && two.tasks().len() == 1);
    eventually("the standbys have caught up", || is_warm(&one) && is_warm(&two));
    // What it had counted it does not read again: its position is where it stopped, or later.
    let moved = two.tasks()[0].task;
    let log_end = log.records("app-counts-changelog").len() as i64;
    let standby = one.standbys().remove(0);
    assert_eq!(standby.task, moved);
    assert!(standby.position > 0 && log_end > 0, "{standby:?}");
    assert!(of_one.count(&format!("Moved {moved}")) <= 2, "{:?}", of_one.all());
    feed(&log, N);
    assert_counted(&log, 2 * N);
    assert!(two.close(SOON));
    eventually("it comes back", || one.tasks().len() == 2);
    feed(&log, N);
    assert_counted(&log, 3 * N);
}

#[test]
fn tasks_without_a_store_have_no_standby() {
    let log = log();
    let one = run(observed(|_, _| Ok(())), config(), &log);
    let two = run(observed(|_, _| Ok(())), config(), &log);
    eventually("shared", || one.tasks().len() == 1 && two.tasks().len() == 1);
    assert!(one.standbys().is_empty() && two.standbys().is_empty());
}

#[test]
fn a_store_without_a_changelog_needs_no_standby_to_move() {
    let log = log();
    let store = || counts_in_memory().without_logging();
    assert!(store().changelog().is_none());
    let one = run(counting(store()).0, config(), &log);
    let two = run(counting(store()).0, config(), &log);
    eventually("shared", || one.tasks().len() == 1 && two.tasks().len() == 1);
    assert!(one.standbys().is_empty() && two.standbys().is_empty());
    assert!(one.close(SOON));
    eventually("taken over", || two.tasks().len() == 2);
}
