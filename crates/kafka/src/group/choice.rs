//! Which protocol the members of a group speak: asked of the broker once per log, when the first
//! member is polled for the first time, or forced by a setting.

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::TopicPartition;
use kstreams_runtime::transport::{
    Assignment, CommittedOffset, GroupMetadata, MemberOptions, Membership, MembershipEvent, Peer,
    Waker,
};
use parking_lot::Mutex;
use rdkafka::ClientConfig;

use super::classic::ClassicMember;
use super::streams::{StreamsMember, endpoint};
use crate::wire::{BrokerApis, Coordinator, Security};

/// How the members of a group share its tasks out (Kafka Streams' `group.protocol`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupProtocol {
    /// The streams protocol where the broker offers it and it can serve the application, else the
    /// classic one. All members of a group must come to the same: stop every member before brokers
    /// are moved over the version that offers it, or force one of the two.
    ///
    /// # Differs from Kafka Streams
    /// There `classic` is the default.
    #[default]
    Auto,
    /// The streams rebalance protocol (KIP-1071), from Kafka 4.2 on: the broker assigns single
    /// tasks, and those that stay are not disturbed.
    Streams,
    /// The classic protocol: any broker, the range assignor, all tasks pause at each change.
    Classic,
}

/// The protocol of a log's groups.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    wanted: GroupProtocol,
    /// What the broker offers, once it was asked.
    apis: Mutex<Option<BrokerApis>>,
}

impl Choice {
    pub(crate) fn new(wanted: GroupProtocol) -> Self {
        Self { wanted, apis: Mutex::new(None) }
    }

    /// What the brokers can do; asks once.
    fn apis(&self, coordinator: &mut Coordinator) -> Result<BrokerApis> {
        let mut apis = self.apis.lock();
        if let Some(known) = *apis {
            return Ok(known);
        }
        Ok(*apis.insert(coordinator.apis(ASK_TIMEOUT)?))
    }
}

/// A member that speaks what the broker offers.
pub(crate) struct KafkaMember {
    bootstrap: String,
    config: ClientConfig,
    options: MemberOptions,
    choice: Arc<Choice>,
    /// Made when it is first needed.
    member: Option<Box<dyn Membership>>,
}

impl KafkaMember {
    pub(crate) fn new(
        bootstrap: &str,
        config: ClientConfig,
        options: MemberOptions,
        choice: Arc<Choice>,
    ) -> Self {
        Self { bootstrap: bootstrap.to_owned(), config, options, choice, member: None }
    }

    fn member(&mut self) -> Result<&mut dyn Membership> {
        let member = match self.member.take() {
            Some(member) => member,
            None => self.make()?,
        };
        Ok(&mut **self.member.insert(member))
    }

    fn make(&self) -> Result<Box<dyn Membership>> {
        let group = &self.options.application_id;
        endpoint(&self.options)?;
        let streams = match self.choice.wanted {
            GroupProtocol::Classic => None,
            GroupProtocol::Streams => match self.streams()? {
                Some(member) => Some(member),
                None => {
                    let text = format!(
                        "group {group}: the broker does not offer the streams protocol: it needs \
                         Kafka 4.2 with the feature streams.version at 1 (kafka-features upgrade \
                         --feature streams.version=1); or choose the classic group"
                    );
                    return Err(Error::new(ErrorKind::Config, text));
                }
            },
            GroupProtocol::Auto => match self.streams() {
                // What only the classic group can serve.
                Err(error) if error.kind() == ErrorKind::Config => {
                    log::warn!("group {group}: classic protocol: {error}");
                    None
                }
                member => member?,
            },
        };
        let name = if streams.is_some() { "streams" } else { "classic" };
        log::info!("group {group}: {name} protocol");
        Ok(match streams {
            Some(member) => Box::new(member),
            None => Box::new(ClassicMember::new(self.config.clone(), self.options.clone())?),
        })
    }

    /// A member of the streams protocol, if the broker offers it.
    fn streams(&self) -> Result<Option<StreamsMember>> {
        let security = Arc::new(Security::new(&self.config)?);
        let connect = || {
            Coordinator::new(
                &self.bootstrap,
                self.options.client_id.clone(),
                Arc::clone(&self.options.application_id),
                Arc::clone(&security),
            )
        };
        if !self.choice.apis(&mut connect())?.has_streams_groups() {
            return Ok(None);
        }
        StreamsMember::new(&self.options, connect).map(Some)
    }
}

impl Membership for KafkaMember {
    fn poll(&mut self) -> Result<Option<MembershipEvent>> {
        self.member()?.poll()
    }

    fn acknowledge(&mut self, owned: &Assignment) -> Result {
        self.member()?.acknowledge(owned)
    }

    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>> {
        self.member()?.committed(partitions, timeout)
    }

    fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
    ) -> Result {
        self.member()?.commit(offsets, timeout)
    }

    fn start_commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
        done: Waker,
    ) -> Result {
        self.member()?.start_commit(offsets, timeout, done)
    }

    fn poll_commit(&mut self, wait: Duration) -> Result<bool> {
        self.member()?.poll_commit(wait)
    }

    fn peers(&mut self) -> Vec<Peer> {
        self.member.as_mut().map_or_else(Vec::new, |member| member.peers())
    }

    fn group_metadata(&mut self) -> Result<GroupMetadata> {
        self.member()?.group_metadata()
    }

    fn request_shutdown(&mut self) -> Result {
        self.member()?.request_shutdown()
    }

    fn leave(&mut self, timeout: Duration) -> Result {
        // One that was never needed has never joined.
        self.member.as_mut().map_or(Ok(()), |member| member.leave(timeout))
    }

    fn remain(&mut self, timeout: Duration) -> Result {
        self.member.as_mut().map_or(Ok(()), |member| member.remain(timeout))
    }
}

/// How long the first poll may take to ask what the broker offers.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
