//! Tasks that are slow to close when the group takes them away: they move when they have closed, or
//! when the group waits no longer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::support::*;
use kstreams::log::memory::GroupMode;

const N_KEYS: usize = 20;

/// What happens to the first instance: it says that it closes, and waits for leave to go on.
#[derive(Clone)]
struct Gate {
    is_shut: Arc<AtomicBool>,
    closing: Sender<()>,
    leave: Arc<Mutex<Receiver<()>>>,
}

/// Counts, and waits at the gate before it closes.
struct Slow(Count, Option<Gate>);

impl Processor<String, String, String, u64> for Slow {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, u64>) -> Result {
        self.0.counts = Some(ctx.store(&self.0.id)?);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_, String, u64>, record: Line) -> Result {
        self.0.process(ctx, record)
    }

    fn close(&mut self) {
        if let Some(gate) = self.1.take().filter(|gate| gate.is_shut.load(Ordering::Acquire)) {
            let _ = gate.closing.send(());
            let _ = gate.leave.lock().map(|leave| leave.recv_timeout(SOON));
        }
    }
}

fn topology(gate: Option<Gate>) -> Topology {
    let mut topology = Topology::builder();
    let counts = topology.store(counts_in_memory());
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let id = counts.clone();
    let count = topology.processor("count", &[lines], move || Slow(Count::new(&id), gate.clone()));
    topology.connect(count, &counts);
    topology.sink("sink", &[count], "out", (Utf8, U64));
    topology.build().unwrap()
}

fn feed(log: &MemoryLog) {
    for key in 0..N_KEYS {
        log.produce("in", format!("key-{key}"), "v", at(0)).unwrap();
    }
}

/// Each key was counted `n` times, without a gap and without a repetition.
fn assert_counted(log: &MemoryLog, n: u64) {
    eventually("all is counted", || log.records("out").len() as u64 >= N_KEYS as u64 * n);
    let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (key, count) in numbers(log, "out") {
        counts.entry(key).or_default().push(count);
    }
    for (key, counts) in counts {
        assert_eq!(counts, (1..=n).collect::<Vec<u64>>(), "{key}");
    }
}

/// The group waits for a member to close for as long as `patience`; leave to close is given when the
/// second instance has `n_before` tasks.
fn check(mode: GroupMode, patience: Duration, n_before: usize) {
    let log = with_topics(MemoryLog::builder().group_mode(mode).build(), 4);
    let ((closing, closes), (leave, left)) = (channel(), channel());
    let is_shut = Arc::new(AtomicBool::new(true));
    let leave_of_one = Arc::new(Mutex::new(left));
    let gate = Gate { is_shut: Arc::clone(&is_shut), closing, leave: leave_of_one };
    let config = config()
        .guarantee(Guarantee::ExactlyOnce)
        .session_timeout(patience)
        .rebalance_timeout(patience);
    let one = run(topology(Some(gate)), config.clone(), &log);
    feed(&log);
    assert_counted(&log, 1);
    let two = Streams::new(topology(None), config, log.clone()).unwrap();
    two.start().unwrap();
    closes.recv_timeout(SOON).unwrap();
    eventually("the second has what it may have", || two.tasks().len() == n_before);
    feed(&log);
    is_shut.store(false, Ordering::Release);
    leave.send(()).unwrap();
    eventually("shared", || one.tasks().len() == 2 && two.tasks().len() == 2);
    feed(&log);
    assert_counted(&log, 3);
    assert!(one.close(SOON));
    assert!(two.close(SOON));
}

#[test]
fn a_task_moves_when_it_has_closed() {
    check(GroupMode::Streams, NEVER, 0);
}

#[test]
fn all_tasks_move_when_the_group_waits_no_longer() {
    for mode in [GroupMode::Streams, GroupMode::Classic] {
        check(mode, ms(500), 4);
    }
}
