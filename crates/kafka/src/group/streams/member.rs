//! A member of a streams group, as the engine sees it; its heartbeats run on a thread of their own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::random::Random;
use kstreams_core::record::TopicPartition;
use kstreams_core::time::millis;
use kstreams_runtime::transport::{
    Assignment, CommittedOffset, GroupMetadata, MemberOptions, Membership, MembershipEvent, Peer,
};

use super::beat::Beat;
use super::state::State;
use super::topology::wire_topology;
use super::verdict::{LOADING, NOT_AVAILABLE, NOT_COORDINATOR, STALE_EPOCH, UNSTABLE_OFFSET};
use crate::client::Deadline;
use crate::error;
use crate::ffi::MemberMetadata;
use crate::wire::{Coordinator, Endpoint, Join, OffsetCommit, OffsetFetch};

/// A member; each thread has one.
pub(crate) struct StreamsMember {
    group: Arc<str>,
    beat: Arc<Beat>,
    /// For offsets, so that a commit does not wait for a heartbeat.
    offsets: Coordinator,
}

impl StreamsMember {
    /// A member that has not joined yet. `connect` makes clients of the group's coordinator.
    pub(crate) fn new(options: &MemberOptions, connect: impl Fn() -> Coordinator) -> Result<Self> {
        let group = Arc::clone(&options.application_id);
        if options.group_instance_id.is_some() {
            let text = format!(
                "group {group}: group_instance_id: streams groups have no static members before \
                 Kafka 4.4; choose the classic group, or leave it away"
            );
            return Err(Error::new(ErrorKind::Config, text));
        }
        let random = Random::from_os();
        // Nobody else has an id that was just drawn: it needs no spare.
        let (id, spare) = match &options.member_id {
            Some(id) => (id.clone(), Some(random.uuid())),
            None => (random.uuid(), None),
        };
        let endpoint = endpoint(options)?;
        let join = Join {
            rebalance_timeout_ms: i32::try_from(millis(options.rebalance_timeout))
                .unwrap_or(i32::MAX),
            topology: wire_topology(options)?,
            process: options.process_id.clone(),
        };
        let beat = Beat::start(
            &group,
            |now| State::new(&group, id, spare, join, endpoint, now),
            connect(),
        )?;
        Ok(Self { offsets: connect(), group, beat })
    }

    /// Asks the coordinator until it has an answer to give, or the time is over.
    fn ask<T>(
        &mut self,
        timeout: Duration,
        doing: &str,
        ask: impl Fn(&mut Coordinator, Duration) -> Result<Asked<T>>,
    ) -> Result<T> {
        let deadline = Deadline::after(timeout);
        loop {
            let why = match self.ask_once(deadline.remaining(), doing, &ask) {
                Err(error) if error.kind() == ErrorKind::Unavailable => error,
                answer => return answer,
            };
            if deadline.remaining() <= PAUSE {
                let text = format!("no answer in {timeout:?}: {}", why.message());
                return Err(Error::new(ErrorKind::Timeout, text));
            }
            std::thread::park_timeout(PAUSE);
        }
    }

    /// Asks the coordinator.
    ///
    /// # Errors
    /// `Unavailable` if the same will do later.
    fn ask_once<T>(
        &mut self,
        timeout: Duration,
        doing: &str,
        ask: impl Fn(&mut Coordinator, Duration) -> Result<Asked<T>>,
    ) -> Result<T> {
        let code = match ask(&mut self.offsets, timeout)? {
            Asked::Done(answer) => return Ok(answer),
            Asked::Again(code) => code,
        };
        if matches!(code, LOADING | NOT_AVAILABLE | NOT_COORDINATOR) {
            self.offsets.forget();
        }
        let why = error::answered(code, None, doing);
        Err(Error::new(ErrorKind::Unavailable, why.message()))
    }

    /// Ends, and waits for the group where it is to hear of it.
    fn close(&self, timeout: Duration, how: fn(&mut State, Duration) -> bool) -> Result {
        if self.beat.close(timeout, how) {
            return Ok(());
        }
        let text = format!(
            "group {}: leave: no answer in {timeout:?}; the others take over when the session is \
             over",
            self.group
        );
        Err(Error::new(ErrorKind::Timeout, text))
    }
}

/// What came of asking once.
enum Asked<T> {
    Done(T),
    /// The same will do later: this is why it does not now.
    Again(i16),
}

impl Membership for StreamsMember {
    fn poll(&mut self) -> Result<Option<MembershipEvent>> {
        self.beat.with(State::poll)
    }

    fn acknowledge(&mut self, owned: &Assignment) -> Result {
        self.beat.with(|state, now| state.acknowledge(owned, now))
    }

    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let group = Arc::clone(&self.group);
        let doing = format!("group {group}: read committed offsets");
        let ask = |coordinator: &mut Coordinator, timeout| {
            let request = OffsetFetch { group: &group, partitions };
            let Some(fetched) = coordinator.call(&request, timeout)?.pop() else {
                return Err(Error::new(ErrorKind::Unavailable, format!("{doing}: no answer")));
            };
            match fetched.code {
                0 => {}
                code if is_passing(code) => return Ok(Asked::Again(code)),
                code => return Err(error::answered(code, None, &doing)),
            }
            let mut found: BTreeMap<_, _> = fetched.partitions.into_iter().collect();
            let mut positions = Vec::with_capacity(partitions.len());
            for at in partitions {
                match found.remove(at).unwrap_or(Ok(None)) {
                    Ok(position) => positions.push(position),
                    Err(code) if is_passing(code) => return Ok(Asked::Again(code)),
                    Err(code) => {
                        let error = error::answered(code, None, &doing);
                        return Err(error.at_partition(&at.topic, at.partition));
                    }
                }
            }
            Ok(Asked::Done(positions))
        };
        self.ask_once(timeout, &doing, ask)
    }

    fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
    ) -> Result {
        if offsets.is_empty() {
            return Ok(());
        }
        let (group, beat) = (Arc::clone(&self.group), Arc::clone(&self.beat));
        let doing = format!("group {group}: commit");
        self.ask(timeout, &doing, |coordinator, timeout| {
            let (member, epoch) = beat.with(|state, _| state.identity())?;
            let request = OffsetCommit { group: &group, member: &member, epoch, offsets };
            let codes = coordinator.call(&request, timeout)?;
            let Some((at, code)) = codes.into_iter().find(|(_, code)| *code != 0) else {
                return Ok(Asked::Done(()));
            };
            // The epoch may have moved while the commit was on its way.
            let has_moved =
                || beat.with(|state, _| state.identity()).is_ok_and(|now| now.1 != epoch);
            if is_passing(code) || (code == STALE_EPOCH && has_moved()) {
                return Ok(Asked::Again(code));
            }
            Err(error::answered(code, None, &doing).at_partition(&at.topic, at.partition))
        })
    }

    /// Members of one process are told one by one, under the same endpoint.
    fn peers(&mut self) -> Vec<Peer> {
        let mut peers: BTreeMap<Endpoint, Peer> = BTreeMap::new();
        self.beat.with(|state, _| {
            for told in state.endpoints() {
                let peer = peers.entry(told.endpoint.clone()).or_default();
                peer.active.extend(told.active.iter().cloned());
                peer.standby.extend(told.standby.iter().cloned());
            }
        });
        let named =
            |(Endpoint { host, port }, peer)| Peer { server: format!("{host}:{port}"), ..peer };
        peers.into_iter().map(named).collect()
    }

    fn group_metadata(&mut self) -> Result<GroupMetadata> {
        let (member, epoch) = self.beat.with(|state, _| state.identity())?;
        let metadata = MemberMetadata::new(&self.group, &member, epoch);
        metadata.map(GroupMetadata::new).map_err(|code| error::coded(code, "group metadata"))
    }

    fn request_shutdown(&mut self) -> Result {
        self.beat.with(State::stop_all)
    }

    fn leave(&mut self, timeout: Duration) -> Result {
        self.close(timeout, State::leave)
    }

    fn remain(&mut self, timeout: Duration) -> Result {
        self.close(timeout, State::remain)
    }
}

impl Drop for StreamsMember {
    fn drop(&mut self) {
        self.beat.close(DROP_TIMEOUT, State::leave);
        self.beat.end();
    }
}

/// What other members are told to ask under.
///
/// # Errors
/// `Config` if the application server is not `host:port`.
pub(crate) fn endpoint(options: &MemberOptions) -> Result<Option<Endpoint>> {
    let Some(server) = options.application_server.as_deref() else { return Ok(None) };
    let parsed = server.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let parsed = parsed.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    let (host, port) = parsed.ok_or_else(|| {
        let text = format!("application server `{server}` is not `host:port`");
        Error::new(ErrorKind::Config, text)
    })?;
    Ok(Some(Endpoint { host, port }))
}

fn is_passing(code: i16) -> bool {
    matches!(code, LOADING | NOT_AVAILABLE | NOT_COORDINATOR | UNSTABLE_OFFSET)
}

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a dropped member tries to leave.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);
