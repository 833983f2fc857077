//! What is asked before anything else: what a broker can do, and which broker coordinates a group.

use kstreams_core::error::Result;

use super::Request;
use super::bytes::{Reader, Writer};
use super::heartbeat::Heartbeat;

/// Asks what a broker can do; allowed before authentication, and understood by every broker since
/// Kafka 0.10: an older one answers with an error code.
#[derive(Debug)]
pub(crate) struct ApiVersions;

/// What a broker can do, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BrokerApis {
    /// It knows the heartbeat of streams groups.
    has_heartbeat: bool,
    /// The finalized level of the feature `streams.version`.
    streams_version: i16,
}

impl BrokerApis {
    /// True if members of the streams protocol (KIP-1071) may join groups.
    pub(crate) fn has_streams_groups(self) -> bool {
        self.has_heartbeat && self.streams_version >= 1
    }
}

impl Request for ApiVersions {
    const KEY: i16 = 18;
    const VERSION: i16 = 3;
    const NAME: &'static str = "ApiVersions";
    // The answer must be readable whatever the broker's version.
    const HAS_TAGS: (bool, bool) = (true, false);

    type Answer = BrokerApis;

    fn write(&self, to: &mut Writer) {
        to.string("kstreams");
        to.string(env!("CARGO_PKG_VERSION"));
        to.end();
    }

    fn read(from: &mut Reader<'_>) -> Result<BrokerApis> {
        if from.int16()? != 0 {
            // An old broker, which answers in version 0.
            return Ok(BrokerApis::default());
        }
        let mut apis = BrokerApis::default();
        from.array(|from| {
            let (key, min, max) = (from.int16()?, from.int16()?, from.int16()?);
            let heartbeat = (min..=max).contains(&Heartbeat::VERSION);
            apis.has_heartbeat |= key == Heartbeat::KEY && heartbeat;
            from.end()
        })?;
        from.int32()?;
        from.tags(|tag, from| {
            if tag == FINALIZED_FEATURES {
                from.array(|from| {
                    let (name, max) = (from.string()?, from.int16()?);
                    from.int16()?;
                    if name == "streams.version" {
                        apis.streams_version = max;
                    }
                    from.end()
                })?;
            }
            Ok(())
        })?;
        Ok(apis)
    }
}

const FINALIZED_FEATURES: u32 = 2;

/// Asks which broker coordinates a group.
#[derive(Debug)]
pub(crate) struct FindCoordinator<'a> {
    pub(crate) group: &'a str,
}

/// The coordinator, or why it is not known.
#[derive(Debug)]
pub(crate) struct Coordinates {
    pub(crate) code: i16,
    pub(crate) message: Option<String>,
    pub(crate) host: String,
    pub(crate) port: i32,
}

impl Request for FindCoordinator<'_> {
    const KEY: i16 = 10;
    const VERSION: i16 = 4;
    const NAME: &'static str = "FindCoordinator";

    /// One for each group: one.
    type Answer = Vec<Coordinates>;

    fn write(&self, to: &mut Writer) {
        const GROUP: i8 = 0;
        to.int8(GROUP);
        to.array([self.group], Writer::string);
        to.end();
    }

    fn read(from: &mut Reader<'_>) -> Result<Self::Answer> {
        from.int32()?;
        let found = from.array(|from| {
            from.string()?;
            from.int32()?;
            let (host, port) = (from.string()?, from.int32()?);
            let (code, message) = (from.int16()?, from.optional_string()?);
            from.end()?;
            Ok(Coordinates { code, message, host, port })
        })?;
        from.end()?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(heartbeat: (i16, i16), level: Option<i16>) -> BrokerApis {
        let mut to = Writer::default();
        to.int16(0);
        to.array(
            [(0, 3, 13), (Heartbeat::KEY, heartbeat.0, heartbeat.1)],
            |to, (key, min, max)| {
                to.int16(key);
                to.int16(min);
                to.int16(max);
                to.end();
            },
        );
        to.int32(0);
        let mut features = Writer::default();
        features.array(level, |to, level| {
            to.string("streams.version");
            to.int16(level);
            to.int16(1);
            to.end();
        });
        let features = features.into_bytes();
        to.varint(1);
        to.varint(FINALIZED_FEATURES);
        to.varint(features.len() as u32);
        let mut bytes = to.into_bytes();
        bytes.extend(features);
        ApiVersions::read(&mut Reader::new(&bytes)).expect("read")
    }

    #[test]
    fn streams_groups_need_the_message_and_the_feature() {
        assert!(answer((0, 0), Some(1)).has_streams_groups());
        assert!(!answer((0, 0), Some(0)).has_streams_groups());
        assert!(!answer((0, 0), None).has_streams_groups());
        assert!(!answer((1, 1), Some(1)).has_streams_groups());
        // UNSUPPORTED_VERSION, in the format of version 0.
        let old = ApiVersions::read(&mut Reader::new(&[0, 35, 0, 0, 0, 0])).expect("read");
        assert!(!old.has_streams_groups());
    }
}
