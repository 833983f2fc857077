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
    Waker,
};

use super::beat::Beat;
use super::positions::Positions;
use super::state::State;
use super::topology::wire_topology;
use crate::error;
use crate::ffi::MemberMetadata;
use crate::lent::Lent;
use crate::wire::{Coordinator, Endpoint, Join};

/// A member; each thread has one.
pub(crate) struct StreamsMember {
    group: Arc<str>,
    beat: Arc<Beat>,
    /// With a connection of its own, so that a commit does not wait for a heartbeat.
    positions: Lent<Positions>,
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
        let positions = Positions::new(&group, &beat, connect());
        Ok(Self { positions: Lent::new(positions, "kstreams-offsets"), group, beat })
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
        self.positions.wait()?.committed(partitions, timeout)
    }

    fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
    ) -> Result {
        self.positions.wait()?.commit(offsets, timeout)
    }

    fn start_commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
        done: Waker,
    ) -> Result {
        let offsets = offsets.to_vec();
        self.positions.lend(move |positions| positions.commit(&offsets, timeout), done)
    }

    fn poll_commit(&mut self, wait: Duration) -> Result<bool> {
        self.positions.poll(wait)
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

/// How long a dropped member tries to leave.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);
