//! Faults on the way to the log, one kind at a time: exactly-once holds through each of them.
//!
//! The simulation mixes them at random; here each has a test of its own, with real threads. A commit
//! that arrives late is missing here: this client asks again by itself, as librdkafka does, and then
//! nothing protects the next transaction (docs/reliability.md). In the simulation it does not.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::*;
use kstreams::ErrorKind;
use kstreams::log::memory::{Fault, Faults, Request, RequestKind};
use kstreams::time::{Clock, SystemClock};

const N_KEYS: u64 = 7;

/// Every other request of a kind suffers, until so many have.
#[derive(Debug)]
struct Scripted {
    is_meant: fn(&Request<'_>) -> bool,
    fault: Fault,
    n_seen: AtomicUsize,
    n_left: AtomicUsize,
}

impl Faults for Scripted {
    fn decide(&self, request: &Request<'_>) -> Option<Fault> {
        if !(self.is_meant)(request) {
            return None;
        }
        if self.n_seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return None;
        }
        let less = |left: usize| left.checked_sub(1);
        let is_due = self.n_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        is_due.then_some(self.fault)
    }
}

/// Sends records little by little, so that there are many commits, until all faults have come.
#[track_caller]
fn run_through(
    faults: &Arc<Scripted>,
    topology: Topology,
    guarantee: Guarantee,
) -> (Streams, MemoryLog) {
    let log = MemoryLog::builder().faults(Arc::clone(faults) as Arc<dyn Faults>).build();
    let log = with_topics(log, 2);
    let config = config()
        .guarantee(guarantee)
        .transaction_timeout(ms(1000))
        .on_uncaught(|_| UncaughtVerdict::ReplaceThread);
    let app = Streams::new(topology, config, log.clone()).unwrap();
    app.start().unwrap();
    let clock = SystemClock::new();
    for round in 0.. {
        if faults.n_left.load(Ordering::Relaxed) == 0 {
            break;
        }
        assert!(clock.monotonic() < SOON, "the faults do not come: {faults:?} {:?}", app.state());
        for key in 0..N_KEYS {
            log.produce("in", format!("{key}"), format!("{key}.{round}"), at(0)).unwrap();
        }
        std::thread::park_timeout(ms(10));
    }
    (app, log)
}

impl Scripted {
    fn new(is_meant: fn(&Request<'_>) -> bool, fault: Fault) -> Arc<Self> {
        let n_left = AtomicUsize::new(5);
        Arc::new(Self { is_meant, fault, n_seen: AtomicUsize::new(0), n_left })
    }
}

/// Counts under exactly-once while requests suffer: each record counts once, in order.
#[track_caller]
fn check(is_meant: fn(&Request<'_>) -> bool, fault: Fault) {
    let faults = Scripted::new(is_meant, fault);
    let topology = counting(counts_in_memory()).0;
    let (app, log) = run_through(&faults, topology, Guarantee::ExactlyOnce);
    let n = log.records("in").len();
    eventually("all is counted", || log.records("out").len() >= n);
    assert!(app.close(SOON));
    assert_eq!(log.records("out").len(), n);
    for key in 0..N_KEYS {
        let key = key.to_string();
        let all = numbers(&log, "out").into_iter().filter(|(of, _)| *of == key);
        let counts: Vec<u64> = all.map(|(_, n)| n).collect();
        let expected: Vec<u64> = (1..=counts.len() as u64).collect();
        assert_eq!(counts, expected, "key {key}");
    }
}

fn is_commit(request: &Request<'_>) -> bool {
    matches!(request.kind, RequestKind::EndTransaction { is_commit: true })
}

fn is_produce(request: &Request<'_>) -> bool {
    request.kind == RequestKind::Produce
}

#[test]
fn a_commit_whose_request_is_lost_repeats_nothing() {
    check(is_commit, Fault::DropRequest);
}

#[test]
fn a_commit_whose_answer_is_lost_repeats_nothing() {
    check(is_commit, Fault::LoseReply);
}

#[test]
fn a_batch_that_arrives_late_is_in_no_later_transaction() {
    check(is_produce, Fault::Delay(ms(30)));
}

#[test]
fn a_batch_that_arrives_twice_counts_once() {
    check(is_produce, Fault::Duplicate);
}

#[test]
fn a_batch_that_is_given_up_repeats_nothing() {
    check(is_produce, Fault::GiveUp);
}

#[test]
fn a_batch_that_is_given_up_is_not_lost_at_least_once() {
    let faults = Scripted::new(is_produce, Fault::GiveUp);
    let (app, log) = run_through(&faults, observed(|_, _| Ok(())), Guarantee::AtLeastOnce);
    let sent: BTreeSet<String> = texts(&log, "in").into_iter().collect();
    eventually("all is there", || sent == texts(&log, "out").into_iter().collect());
    assert!(app.close(SOON));
}

/// No batch arrives while it is shut.
#[derive(Debug, Default)]
struct Gate(AtomicBool);

impl Faults for Gate {
    fn decide(&self, request: &Request<'_>) -> Option<Fault> {
        let is_shut = is_produce(request) && self.0.load(Ordering::Relaxed);
        is_shut.then_some(Fault::DropRequest)
    }
}

/// A commit whose acknowledgements do not come for a while is late, and that is all.
#[track_caller]
fn check_shut(config: Config) {
    let gate = Arc::new(Gate::default());
    let log = with_topics(MemoryLog::builder().faults(gate.clone()).build(), 1);
    let seen = Notes::default();
    let notes = seen.clone();
    let topology = observed(move |_, record| {
        notes.add(&record.value);
        Ok(())
    });
    let app = run(topology, config.commit_interval(ms(1)), &log);
    gate.0.store(true, Ordering::Relaxed);
    produce(&log, "in", &["a"]);
    // Time enough for a commit to begin.
    assert!(!within(ms(50), || committed(&log, "in", 0).is_some()));
    produce(&log, "in", &["b", "c"]);
    eventually("all is processed", || seen.all() == ["a", "b", "c"]);
    assert!(log.records("out").is_empty() && committed(&log, "in", 0).is_none());
    gate.0.store(false, Ordering::Relaxed);
    eventually("all is committed", || committed(&log, "in", 0) == Some(3));
    assert_eq!(texts(&log, "out"), ["a", "b", "c"]);
    assert!(app.close(SOON));
}

#[test]
fn tasks_go_on_while_a_commit_waits_for_acknowledgements() {
    check_shut(config());
}

#[test]
fn acknowledgements_may_take_longer_than_a_request() {
    check_shut(config().request_timeout(ms(10)));
}

#[test]
fn markers_that_come_late_hold_readers_up_and_nothing_else() {
    check(|request| request.kind == RequestKind::WriteMarkers, Fault::Delay(ms(30)));
}

#[test]
fn a_transactional_call_may_be_refused_in_every_way() {
    let calls: [fn(&Request<'_>) -> bool; 4] = [
        |request| request.kind == RequestKind::AddPartition,
        |request| request.kind == RequestKind::AddOffsets,
        |request| matches!(request.kind, RequestKind::EndTransaction { .. }),
        is_produce,
    ];
    // Fatal is what librdkafka raises inside of begin, commit and abort.
    let refusals =
        [ErrorKind::Fenced, ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Fatal];
    for call in calls {
        for refusal in refusals {
            check(call, Fault::Refuse(refusal));
        }
    }
}

/// Records that take longer than their transaction may: the broker gives it up, and the work is done
/// again. From then on no transaction is open while they are processed.
#[test]
fn records_that_are_always_slower_than_their_transaction_repeat_nothing() {
    let log = log_with(1);
    let seen = Notes::default();
    let notes = seen.clone();
    let topology = observed(move |_, record| {
        notes.add(&record.value[..4]);
        if record.value.starts_with("slow") {
            assert!(!within(ms(400), || false));
        }
        Ok(())
    });
    // So large that it is sent at once: the next record finds an open transaction.
    let large = "a".repeat(300 << 10);
    let values = [&large, "slow 1", &large, "slow 2", "then"];
    produce(&log, "in", &values);
    let config = config().guarantee(Guarantee::ExactlyOnce).transaction_timeout(ms(200));
    let app = run(topology, config, &log);
    eventually("all is visible", || texts(&log, "out") == values);
    // The first attempt was in vain, the second is not.
    assert!((3..=4).contains(&seen.count("slow")), "{:?}", seen.all());
    assert!(app.close(SOON));
    assert_eq!(texts(&log, "out").len(), values.len());
}
