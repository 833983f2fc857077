//! The probe of one instance: counts the crash points it passes and ends it at the one it is armed
//! with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::task::TaskId;
use parking_lot::Mutex;

use super::history::Observer;
use super::ledger::{CommitEvent, Ledger};
use super::order::TakeEvent;
use super::report::Coverage;
use super::trace::{Step, Trace};
use crate::probe::{CrashPoint, Probe, crash};
use crate::transport::CommittedOffset;

/// Of one place for an instance; it stays when the instance dies and is started again.
#[derive(Debug)]
pub(super) struct InstanceProbe {
    index: usize,
    worker: AtomicUsize,
    cut_off: Mutex<CutOff>,
    armed: Mutex<Option<Armed>>,
    coverage: Arc<Mutex<Coverage>>,
    ledger: Ledger,
    trace: Trace,
    /// Sees what is committed before the instance goes on, and perhaps purges it.
    observer: Option<Arc<Mutex<Observer>>>,
}

/// Whom the instance cannot reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CutOff {
    #[default]
    No,
    /// The coordinator of its group; that of transactions is another broker.
    FromGroup,
    FromAll,
}

/// Where the instance will die: at this point, when it was passed so many times more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Armed {
    pub(super) point: CrashPoint,
    pub(super) n_left: u64,
}

impl InstanceProbe {
    pub(super) fn new(
        index: usize,
        coverage: Arc<Mutex<Coverage>>,
        ledger: Ledger,
        trace: Trace,
    ) -> Self {
        Self {
            index,
            worker: AtomicUsize::new(0),
            cut_off: Mutex::default(),
            armed: Mutex::default(),
            coverage,
            ledger,
            trace,
            observer: None,
        }
    }

    /// The same, shown to an observer at each commit.
    pub(super) fn watched_by(self, observer: &Arc<Mutex<Observer>>) -> Self {
        Self { observer: Some(Arc::clone(observer)), ..self }
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn arm(&self, armed: Option<Armed>) {
        *self.armed.lock() = armed;
    }

    /// Says which worker has the next turn.
    pub(super) fn at_work(&self, worker: usize) {
        self.worker.store(worker, Ordering::Relaxed);
    }

    pub(super) fn set_cut_off(&self, cut_off: CutOff) {
        *self.cut_off.lock() = cut_off;
    }

    pub(super) fn cut_off(&self) -> CutOff {
        *self.cut_off.lock()
    }
}

impl Probe for InstanceProbe {
    fn pass(&self, point: CrashPoint) {
        self.coverage.lock().passed(point);
        let mut armed = self.armed.lock();
        match &mut *armed {
            Some(Armed { point: at, n_left }) if *at == point => {
                if *n_left > 0 {
                    *n_left -= 1;
                    return;
                }
            }
            _ => return,
        }
        *armed = None;
        drop(armed);
        self.coverage.lock().crashed(point);
        self.trace.note(Step::Crash {
            instance: self.index,
            point: Some(point),
            is_machine: false,
        });
        crash()
    }

    fn runs(&self, task: TaskId) {
        let owner = (self.index, self.worker.load(Ordering::Relaxed));
        self.ledger.took(TakeEvent::Runs { owner, task });
    }

    fn took(&self, task: TaskId, partition: &TopicPartition, offset: Offset) {
        let owner = (self.index, self.worker.load(Ordering::Relaxed));
        let partition = partition.clone();
        self.ledger.took(TakeEvent::Takes { owner, task, partition, offset });
    }

    fn flushed(&self, task: TaskId) {
        let owner = (self.index, self.worker.load(Ordering::Relaxed));
        self.ledger.took(TakeEvent::Flushes { owner, task });
    }

    fn knows(&self, partition: &TopicPartition, position: Offset) {
        let (instance, partition) = (self.index, partition.clone());
        self.ledger.took(TakeEvent::Knows { instance, partition, position });
    }

    fn committed(&self, offsets: &[(TopicPartition, CommittedOffset)]) {
        let worker = self.worker.load(Ordering::Relaxed);
        for (partition, CommittedOffset { offset, .. }) in offsets {
            let (instance, offset) = (self.index, *offset);
            let name = partition.to_string();
            self.trace.note(Step::Committed { instance, worker, partition: name, offset });
            let partition = partition.clone();
            self.ledger.commit(CommitEvent { instance, worker, partition, offset });
        }
        if let Some(observer) = &self.observer {
            // If it fails now, it will when the world looks.
            drop(observer.lock().look());
        }
    }
}
