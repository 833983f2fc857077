//! What an answer to a heartbeat means.

use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind};

use crate::error;
use crate::wire::{Answer, Status};

/// What an answer comes to.
#[derive(Debug)]
pub(super) enum Verdict {
    Welcome,
    /// The group has another coordinator, or none yet.
    Elsewhere(Error),
    /// The group does not know the member, or knows it at another epoch.
    Unknown,
    /// The broker failed.
    Broken(Error),
    /// The group has members of another protocol, perhaps for as long as a session lasts: Kafka
    /// Streams does not leave a classic group when it is closed.
    Occupied(Error),
    /// It will not do, until somebody changes something.
    Refused(Error),
}

/// Reads an answer's error code.
pub(super) fn of(answer: &Answer, group: &str) -> Verdict {
    let message = answer.message.as_deref();
    let plain = |doing: &str| error::answered(answer.code, message, doing);
    let doing = format!("group {group}: heartbeat");
    let refused = |kind, what: String| {
        let said = message.unwrap_or("no reason given");
        Verdict::Refused(Error::new(kind, format!("group {group}: {what} ({said})")))
    };
    match answer.code {
        0 => Verdict::Welcome,
        LOADING | NOT_AVAILABLE | NOT_COORDINATOR => Verdict::Elsewhere(plain(&doing)),
        UNKNOWN_MEMBER | FENCED_EPOCH | STALE_EPOCH => Verdict::Unknown,
        UNKNOWN_SERVER_ERROR => {
            let text = format!(
                "{doing}: the broker failed: {}; see its log, and whether every source topic exists",
                message.unwrap_or("no reason given")
            );
            Verdict::Broken(Error::new(ErrorKind::Unavailable, text))
        }
        INVALID_TOPOLOGY | INVALID_TOPOLOGY_EPOCH | TOPOLOGY_FENCED => {
            refused(ErrorKind::Topology, "the broker refuses the topology".to_owned())
        }
        INVALID_REQUEST if message.is_some_and(|text| text.contains("opology")) => {
            let what = "runs another topology, which brokers do not let change yet: run the \
                        program that fits, choose another application id, or delete the group \
                        (which loses its offsets) once all its members have stopped";
            refused(ErrorKind::Topology, what.to_owned())
        }
        GROUP_ID_NOT_FOUND | INCONSISTENT_PROTOCOL => {
            let text = format!(
                "group {group} has members of another protocol: stop all of them first, or choose \
                 the classic group here too; those that did not leave are removed when their \
                 session is over ({})",
                message.unwrap_or("no reason given")
            );
            Verdict::Occupied(Error::new(ErrorKind::Unavailable, text))
        }
        GROUP_IS_FULL => {
            let what = "is full: see the broker's group.streams.max.size";
            refused(ErrorKind::Config, what.to_owned())
        }
        _ => Verdict::Refused(plain(&doing)),
    }
}

/// True if some member asked all to stop.
pub(super) fn is_stopping(statuses: &[Status]) -> bool {
    statuses.iter().any(|status| status.code == Status::SHUTDOWN_APPLICATION)
}

/// True if the group cannot assign tasks as it is.
pub(super) fn is_hindered(statuses: &[Status]) -> bool {
    statuses.iter().any(|status| status.code != Status::SHUTDOWN_APPLICATION)
}

/// What hinders the group, once it has lasted long enough to be no passing state: a topic that was
/// just made takes a moment until the coordinator sees it.
pub(super) fn hindrance(statuses: &[Status], group: &str, lasted: Duration) -> Option<Error> {
    statuses.iter().find_map(|status| {
        let detail = &status.detail;
        let (kind, bound, what) = match status.code {
            Status::STALE_TOPOLOGY => {
                let what = "has moved on to a newer topology; update this program";
                (ErrorKind::Topology, Duration::ZERO, what)
            }
            Status::MISSING_SOURCE_TOPICS => {
                (ErrorKind::Topic, GRACE, "misses source topics; create them")
            }
            Status::INCORRECTLY_PARTITIONED_TOPICS => {
                let what = "has topics whose partition counts do not fit; give co-partitioned \
                            topics the same number of partitions, or reset the application";
                (ErrorKind::Topic, GRACE, what)
            }
            Status::MISSING_INTERNAL_TOPICS => {
                let what = "waits for internal topics that the broker has not made; see its log";
                (ErrorKind::Topic, INTERNAL_GRACE, what)
            }
            _ => return None,
        };
        let is_due = lasted >= bound;
        is_due.then(|| Error::new(kind, format!("group {group} {what}: {detail}")))
    })
}

pub(super) const UNKNOWN_SERVER_ERROR: i16 = -1;
pub(super) const LOADING: i16 = 14;
pub(super) const NOT_AVAILABLE: i16 = 15;
pub(super) const NOT_COORDINATOR: i16 = 16;
const INCONSISTENT_PROTOCOL: i16 = 23;
const UNKNOWN_MEMBER: i16 = 25;
const INVALID_REQUEST: i16 = 42;
const GROUP_ID_NOT_FOUND: i16 = 69;
const GROUP_IS_FULL: i16 = 81;
pub(super) const UNSTABLE_OFFSET: i16 = 88;
pub(super) const FENCED_EPOCH: i16 = 110;
pub(super) const STALE_EPOCH: i16 = 113;
const INVALID_TOPOLOGY: i16 = 130;
const INVALID_TOPOLOGY_EPOCH: i16 = 131;
const TOPOLOGY_FENCED: i16 = 132;

/// How long the coordinator may take to see a topic that was just made.
pub(super) const GRACE: Duration = Duration::from_secs(3);
/// Longer than a session lasts, where nothing else is set.
pub(super) const SESSION_GRACE: Duration = Duration::from_secs(60);
const INTERNAL_GRACE: Duration = Duration::from_secs(30);
