//! A small client of Kafka's protocol for what librdkafka does not speak: frames over one
//! connection, and the few messages that a member of a streams group needs (KIP-1071).
//!
//! The messages are written by hand on the primitives in `bytes`: a dozen of them, some twenty lines
//! each, in one version each. The crate `kafka-protocol` (0.18) has neither of the streams group's
//! messages and keeps its primitives to itself, so it would have spared the other, simple ones only,
//! for 80,000 generated lines.

mod bytes;
mod connection;
mod coordinator;
mod describe;
mod groups;
mod heartbeat;
mod offsets;
mod sasl;
#[cfg(feature = "ssl")]
mod scram;
mod security;
mod setup;
#[cfg(feature = "ssl")]
mod tls;

use kstreams_core::error::Result;

use bytes::{Reader, Writer};

pub(crate) use connection::Connection;
pub(crate) use coordinator::Coordinator;
pub(crate) use describe::{DescribeStreams, StreamsGroup, TaskIds};
pub(crate) use groups::{DescribeClassic, LeaveGroup, ListGroups};
pub(crate) use heartbeat::{
    Answer, Endpoint, EndpointPartitions, Heartbeat, Join, Status, WireSubtopology, WireTopic,
    WireTopology,
};
pub(crate) use offsets::{OffsetCommit, OffsetFetch};
pub(crate) use security::Security;
pub(crate) use setup::{ApiVersions, BrokerApis};

/// A message to a broker in the one version that is spoken here, and how its answer is read.
pub(crate) trait Request {
    /// The message's number.
    const KEY: i16;
    /// The version of both sides.
    const VERSION: i16;
    /// For errors.
    const NAME: &'static str;
    /// Whether the header of the request has tagged fields, and that of the answer.
    const HAS_TAGS: (bool, bool) = (true, true);

    type Answer;

    fn write(&self, to: &mut Writer);

    /// # Errors
    /// If the bytes are not what the version says.
    fn read(from: &mut Reader<'_>) -> Result<Self::Answer>;
}

#[cfg(test)]
mod tests {
    use kstreams_core::testing::hostile_inputs;

    use super::*;

    /// Answers that no broker gives are refused; a panic would take a thread down, and a length that
    /// lies the memory of the process.
    fn take_any_bytes<R: Request>() {
        let is_refused = |bytes: &Vec<u8>| R::read(&mut Reader::new(bytes)).is_err();
        let n_refused = hostile_inputs(19).filter(is_refused).count();
        assert!(n_refused > 1000, "{} reads nearly anything", R::NAME);
    }

    #[test]
    fn any_answers() {
        take_any_bytes::<ApiVersions>();
        take_any_bytes::<setup::FindCoordinator<'_>>();
        take_any_bytes::<sasl::SaslHandshake<'_>>();
        take_any_bytes::<sasl::SaslAuthenticate<'_>>();
        take_any_bytes::<Heartbeat>();
        take_any_bytes::<DescribeStreams<'_>>();
        take_any_bytes::<ListGroups>();
        take_any_bytes::<DescribeClassic<'_>>();
        take_any_bytes::<LeaveGroup<'_>>();
        take_any_bytes::<OffsetCommit<'_>>();
        take_any_bytes::<OffsetFetch<'_>>();
    }
}
