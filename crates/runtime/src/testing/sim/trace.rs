//! What a simulation has done: a hash of every decision and committed record, and the last lines.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::instance_probe::CutOff;
use crate::probe::CrashPoint;
use crate::transport::memory::{Fault, RequestKind};

/// One decision, or one thing that happened.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Turn { instance: usize, worker: usize, outcome: &'static str },
    Failed { instance: usize, worker: usize, error: String },
    Advance(Duration),
    Produce { topic: usize, partition: i32, offset: i64 },
    Upstream { is_commit: bool },
    Start { instance: usize, outcome: &'static str },
    Stop { instance: usize },
    Crash { instance: usize, point: Option<CrashPoint>, is_machine: bool },
    Pause { instance: usize, by: Duration },
    CutOff { instance: usize, from: CutOff, by: Duration },
    WallClock(i64),
    Disk { instance: usize, what: &'static str },
    Network { instance: usize, request: RequestKind, fault: Fault },
    Committed { instance: usize, worker: usize, partition: String, offset: i64 },
    Seen { topic: String, partition: i32, offset: i64, content: u64 },
    Compact,
    Heal,
    Settled,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn { instance, worker, outcome } => {
                write!(f, "instance {instance} worker {worker}: turn, {outcome}")
            }
            Self::Failed { instance, worker, error } => {
                write!(f, "instance {instance} worker {worker}: failed: {error}")
            }
            Self::Advance(by) => write!(f, "clock: {} ms pass", by.as_millis()),
            Self::Produce { topic, partition, offset } => {
                write!(f, "input {topic}-{partition}@{offset}")
            }
            Self::Upstream { is_commit: true } => f.write_str("input: a transaction is committed"),
            Self::Upstream { is_commit: false } => f.write_str("input: a transaction is aborted"),
            Self::Start { instance, outcome } => write!(f, "instance {instance}: start, {outcome}"),
            Self::Stop { instance } => write!(f, "instance {instance}: stops in order"),
            Self::Crash { instance, point, is_machine } => {
                let what = if *is_machine { "machine" } else { "process" };
                write!(f, "instance {instance}: {what} crashes")?;
                match point {
                    Some(point) => write!(f, " at {point}"),
                    None => f.write_str(" between turns"),
                }
            }
            Self::Pause { instance, by } => {
                write!(f, "instance {instance}: stands still for {} ms", by.as_millis())
            }
            Self::CutOff { instance, from, by } => {
                write!(f, "instance {instance}: cut off {from:?} for {} ms", by.as_millis())
            }
            Self::WallClock(by) => write!(f, "clock: the wall clock steps by {by} ms"),
            Self::Disk { instance, what } => write!(f, "instance {instance}: disk: {what}"),
            Self::Network { instance, request, fault } => {
                write!(f, "instance {instance}: {request:?}: {fault:?}")
            }
            Self::Committed { instance, worker, partition, offset } => {
                write!(f, "instance {instance} worker {worker}: committed {partition}@{offset}")
            }
            Self::Seen { topic, partition, offset, content } => {
                write!(f, "log: {topic}-{partition}@{offset} is committed ({content:016x})")
            }
            Self::Compact => f.write_str("log: changelogs are compacted"),
            Self::Heal => f.write_str("faults end"),
            Self::Settled => f.write_str("settled"),
        }
    }
}

/// Shared by all that decide something.
#[derive(Clone, Debug)]
pub(super) struct Trace(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    hash: Hash,
    n_steps: u64,
    last: VecDeque<(u64, Step)>,
    n_kept: usize,
}

impl Trace {
    /// Keeps the last `n_kept` steps.
    pub(super) fn new(seed: u64, n_kept: usize) -> Self {
        let mut hash = Hash::default();
        hash.number(seed);
        Self(Arc::new(Mutex::new(Inner { hash, n_steps: 0, last: VecDeque::new(), n_kept })))
    }

    pub(super) fn note(&self, step: Step) {
        let mut inner = self.0.lock();
        inner.hash.step(&step);
        inner.n_steps += 1;
        if inner.last.len() == inner.n_kept {
            inner.last.pop_front();
        }
        let number = inner.n_steps;
        inner.last.push_back((number, step));
    }

    pub(super) fn hash(&self) -> u64 {
        self.0.lock().hash.0
    }

    pub(super) fn last(&self) -> Vec<String> {
        self.0.lock().last.iter().map(|(number, step)| format!("{number:6} {step}")).collect()
    }
}

/// A hash that is the same on every machine and in every run; not for secrets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash(pub(super) u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    pub(super) fn number(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.number(u64::from_le_bytes(word));
        }
    }

    /// The hash of an entry of a map; entries are combined by `^`.
    pub(super) fn entry(key: &[u8], value: &[u8]) -> u64 {
        let mut hash = Self::default();
        hash.bytes(key);
        hash.bytes(value);
        hash.0
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Turn { instance, worker, outcome } => {
                self.number((*instance * 16 + *worker) as u64);
                self.bytes(outcome.as_bytes());
            }
            Step::Advance(by) => self.number(by.as_nanos() as u64),
            Step::Seen { partition, offset, content, topic } => {
                self.bytes(topic.as_bytes());
                self.number(*partition as u64);
                self.number(*offset as u64);
                self.number(*content);
            }
            other => self.bytes(other.to_string().as_bytes()),
        }
    }
}
