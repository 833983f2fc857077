//! Faults of the network between clients and log, decided by a simulation: requests lost, replies
//! lost, late or doubled requests, refusals. Without them the log asks nobody.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use super::broker::Broker;

/// Decides what happens to each request.
///
/// A request is one message of Kafka's protocol: a batch of records, not a record.
pub trait Faults: Send + Sync + fmt::Debug {
    /// Says what goes wrong with this request; `None` lets it pass.
    fn decide(&self, request: &Request<'_>) -> Option<Fault>;
}

/// A request on its way to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Who sends it.
    pub client_id: &'a str,
    /// What it asks.
    pub kind: RequestKind,
    /// The partition it is about, if it is about one.
    pub partition: Option<(&'a str, i32)>,
}

/// What a request asks; named as in Kafka's protocol where it has a name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestKind {
    /// Records of a partition.
    Fetch,
    /// A batch for a partition.
    Produce,
    /// A producer id and epoch (InitProducerId).
    InitProducer,
    /// A partition becomes part of a transaction (AddPartitionsToTxn).
    AddPartition,
    /// Offsets become part of a transaction (TxnOffsetCommit).
    AddOffsets,
    /// A transaction ends (EndTxn).
    EndTransaction {
        /// True if it is to be committed.
        is_commit: bool,
    },
    /// The coordinator ends a transaction in its partitions (WriteTxnMarkers). Delayed, the
    /// transaction stays prepared so long; dropped, until the next request.
    WriteMarkers,
    /// A member says that it lives, or joins.
    Heartbeat,
    /// A member says what it owns.
    Acknowledge,
    /// A member commits offsets (OffsetCommit).
    Commit,
    /// A member asks for committed offsets (OffsetFetch).
    Committed,
    /// A member leaves.
    Leave,
    /// Topics and offsets are listed, created or deleted.
    Admin,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request never arrives; the client sees a time-out.
    DropRequest,
    /// The request is served, the client sees a time-out.
    LoseReply,
    /// The client sees a time-out; the request arrives so much later, at the first call of any
    /// client after that. A request that only reads is dropped instead.
    Delay(Duration),
    /// The request is served twice; the client sees the first answer.
    Duplicate,
    /// The request is refused with this kind of error.
    Refuse(ErrorKind),
    /// The producer has waited as long as it does (`delivery.timeout.ms`): the batch is given up and
    /// reported as timed out. Another request is dropped instead.
    GiveUp,
}

/// The way to the log when faults are to happen on it.
pub(super) struct Network {
    faults: Arc<dyn Faults>,
    late: Mutex<Late>,
}

/// Requests that will arrive, by time and then in the order sent.
#[derive(Default)]
struct Late {
    requests: BTreeMap<(Duration, u64), LateRequest>,
    n_sent: u64,
}

type LateRequest = Box<dyn FnOnce(&Broker) + Send>;

impl Network {
    pub(super) fn new(faults: Arc<dyn Faults>) -> Self {
        Self { faults, late: Mutex::default() }
    }

    pub(super) fn decide(&self, request: &Request<'_>) -> Option<Fault> {
        self.faults.decide(request)
    }

    pub(super) fn delay(&self, until: Duration, request: impl FnOnce(&Broker) + Send + 'static) {
        let mut late = self.late.lock();
        late.n_sent += 1;
        let key = (until, late.n_sent);
        late.requests.insert(key, Box::new(request));
    }

    /// Drops the requests that have not arrived.
    pub(super) fn forget(&self) {
        let late = std::mem::take(&mut *self.late.lock());
        drop(late);
    }

    /// Serves the late requests whose time has come.
    pub(super) fn deliver(&self, broker: &Broker) {
        let now = broker.clock.monotonic();
        loop {
            let mut late = self.late.lock();
            let Some(entry) = late.requests.first_entry().filter(|entry| entry.key().0 <= now)
            else {
                return;
            };
            let request = entry.remove();
            drop(late);
            request(broker);
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_late = self.late.lock().requests.len();
        f.debug_struct("Network").field("faults", &self.faults).field("n_late", &n_late).finish()
    }
}

impl Broker {
    /// Sends a request that changes something.
    pub(super) fn call<T>(
        &self,
        request: &Request<'_>,
        mut serve: impl FnMut(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let Some(network) = &self.network else { return serve(self) };
        network.deliver(self);
        match network.decide(request) {
            None => serve(self),
            Some(Fault::Delay(by)) => {
                let until = self.clock.monotonic().saturating_add(by);
                network.delay(until, move |broker| drop(serve(broker)));
                Err(timed_out(request))
            }
            Some(fault) => suffer(fault, request, || serve(self)),
        }
    }

    /// Sends a request that only reads.
    pub(super) fn ask<T>(
        &self,
        request: &Request<'_>,
        mut serve: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let Some(network) = &self.network else { return serve() };
        network.deliver(self);
        match network.decide(request) {
            None => serve(),
            Some(fault) => suffer(fault, request, serve),
        }
    }
}

fn suffer<T>(
    fault: Fault,
    request: &Request<'_>,
    mut serve: impl FnMut() -> Result<T>,
) -> Result<T> {
    match fault {
        Fault::DropRequest | Fault::Delay(_) | Fault::GiveUp => Err(timed_out(request)),
        Fault::LoseReply => {
            drop(serve());
            Err(timed_out(request))
        }
        Fault::Duplicate => {
            let first = serve();
            drop(serve());
            first
        }
        Fault::Refuse(kind) => {
            Err(Error::new(kind, format!("{}: {:?} was refused", request.client_id, request.kind)))
        }
    }
}

/// What a client sees if no answer came.
fn timed_out(request: &Request<'_>) -> Error {
    let text = format!("{}: no answer to {:?}", request.client_id, request.kind);
    Error::new(ErrorKind::Timeout, text)
}
