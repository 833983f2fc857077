//! The network between simulated instances and the log: requests and replies are lost, late,
//! doubled, refused; instances are cut off.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::ErrorKind;
use kstreams_core::random::Random;
use parking_lot::Mutex;

use super::instance_probe::{CutOff, InstanceProbe};
use super::plan::{NetworkPlan, Rate};
use super::report::Coverage;
use super::trace::{Step, Trace};
use crate::probe::{CrashPoint, Probe};
use crate::transport::memory::{Fault, Faults, Request, RequestKind};

/// The client whose requests always pass: it looks, it does not take part.
pub(super) const OBSERVER: &str = "simulation";

/// Decides the fate of each request.
pub(super) struct SimNetwork {
    plan: NetworkPlan,
    random: Random,
    trace: Trace,
    coverage: Arc<Mutex<Coverage>>,
    state: Mutex<State>,
}

struct State {
    is_faulty: bool,
    /// The instance whose turn it is.
    current: Option<Arc<InstanceProbe>>,
}

impl SimNetwork {
    pub(super) fn new(
        plan: NetworkPlan,
        random: Random,
        trace: Trace,
        coverage: Arc<Mutex<Coverage>>,
    ) -> Self {
        let state = Mutex::new(State { is_faulty: true, current: None });
        Self { plan, random, trace, coverage, state }
    }

    /// From now on requests come from this instance.
    /// Tells from which they came before.
    pub(super) fn serve(&self, instance: Option<Arc<InstanceProbe>>) -> Option<Arc<InstanceProbe>> {
        std::mem::replace(&mut self.state.lock().current, instance)
    }

    pub(super) fn set_faulty(&self, is_faulty: bool) {
        self.state.lock().is_faulty = is_faulty;
    }

    fn happens(&self, rate: Rate) -> bool {
        rate.0 > 0 && self.random.below(10_000) < u64::from(rate.0)
    }

    fn later(&self) -> Duration {
        let most = self.plan.latest.as_millis() as u64;
        // Mostly a little late, sometimes very.
        let bound = if self.random.below(4) == 0 { most } else { most / 20 + 1 };
        Duration::from_millis(1 + self.random.below(bound))
    }

    fn draw(&self, request: &Request<'_>) -> Option<Fault> {
        let plan = &self.plan;
        let kind = request.kind;
        // Most requests fetch, and a lost fetch does little.
        if kind == RequestKind::Fetch && self.random.below(8) != 0 {
            return None;
        }
        if kind == RequestKind::WriteMarkers {
            return self.happens(plan.late_markers).then(|| Fault::Delay(self.later()));
        }
        if self.happens(plan.lose_request) {
            return Some(Fault::DropRequest);
        }
        if self.happens(plan.lose_reply) {
            return Some(Fault::LoseReply);
        }
        let may_be_late = match kind {
            RequestKind::Produce => plan.late_produce,
            RequestKind::EndTransaction { .. } => plan.late_end,
            // Positions that arrive after newer ones set the group back: Kafka does the same.
            RequestKind::Commit => Rate(0),
            _ => plan.late,
        };
        if self.happens(may_be_late) {
            return Some(Fault::Delay(self.later()));
        }
        if self.happens(plan.duplicate) {
            return Some(Fault::Duplicate);
        }
        if self.happens(plan.refuse) {
            return Some(Fault::Refuse(ErrorKind::Unavailable));
        }
        if kind == RequestKind::Produce && self.happens(plan.give_up) {
            return Some(Fault::GiveUp);
        }
        let is_transactional = matches!(
            kind,
            RequestKind::AddPartition
                | RequestKind::AddOffsets
                | RequestKind::EndTransaction { .. }
        );
        if is_transactional && self.happens(plan.fence) {
            return Some(Fault::Refuse(ErrorKind::Fenced));
        }
        if is_transactional && self.happens(plan.fatal) {
            return Some(Fault::Refuse(ErrorKind::Fatal));
        }
        None
    }
}

/// True for what goes to the coordinator of the group.
fn is_of_group(kind: RequestKind) -> bool {
    matches!(
        kind,
        RequestKind::Heartbeat
            | RequestKind::Acknowledge
            | RequestKind::Commit
            | RequestKind::Committed
            | RequestKind::AddOffsets
            | RequestKind::Leave
    )
}

impl Faults for SimNetwork {
    fn decide(&self, request: &Request<'_>) -> Option<Fault> {
        if request.client_id == OBSERVER {
            return None;
        }
        let (current, is_faulty) = {
            let state = self.state.lock();
            (state.current.clone(), state.is_faulty)
        };
        let current = current?;
        if let Some(point) = point_of(request.kind) {
            current.pass(point);
        }
        if !is_faulty {
            return None;
        }
        let is_cut_off = match current.cut_off() {
            CutOff::No => false,
            CutOff::FromGroup => is_of_group(request.kind),
            CutOff::FromAll => request.kind != RequestKind::WriteMarkers,
        };
        let fault = if is_cut_off { Some(Fault::DropRequest) } else { self.draw(request) }?;
        self.coverage.lock().network(&fault);
        let (instance, request) = (current.index(), request.kind);
        self.trace.note(Step::Network { instance, request, fault });
        Some(fault)
    }
}

impl fmt::Debug for SimNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimNetwork").field("plan", &self.plan).finish_non_exhaustive()
    }
}

fn point_of(kind: RequestKind) -> Option<CrashPoint> {
    Some(match kind {
        RequestKind::Fetch => CrashPoint::SendFetch,
        RequestKind::Produce => CrashPoint::SendProduce,
        RequestKind::InitProducer => CrashPoint::SendInitProducer,
        RequestKind::AddPartition => CrashPoint::SendAddPartition,
        RequestKind::AddOffsets => CrashPoint::SendAddOffsets,
        RequestKind::EndTransaction { .. } => CrashPoint::SendEndTransaction,
        RequestKind::Heartbeat => CrashPoint::SendHeartbeat,
        RequestKind::Acknowledge => CrashPoint::SendAcknowledge,
        RequestKind::Commit => CrashPoint::SendCommit,
        RequestKind::Committed => CrashPoint::SendCommitted,
        RequestKind::Leave => CrashPoint::SendLeave,
        RequestKind::Admin => CrashPoint::SendAdmin,
        // The coordinator's own; it holds its locks there.
        RequestKind::WriteMarkers => return None,
    })
}
