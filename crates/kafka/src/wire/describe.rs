//! What a streams group runs, as its coordinator knows it: to name how a refused topology differs.

use kstreams_core::error::Result;

use super::Request;
use super::bytes::{Reader, Writer};
use super::heartbeat::{WireSubtopology, WireTopic};

/// Asks for a group.
#[derive(Debug)]
pub(crate) struct DescribeGroups<'a> {
    pub(crate) group: &'a str,
}

/// Its topology; the broker does not tell which topics belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DescribedTopology {
    pub(crate) subtopologies: Vec<WireSubtopology>,
}

impl Request for DescribeGroups<'_> {
    const KEY: i16 = 89;
    const VERSION: i16 = 0;
    const NAME: &'static str = "StreamsGroupDescribe";

    type Answer = Option<DescribedTopology>;

    fn write(&self, to: &mut Writer) {
        to.array([self.group], Writer::string);
        to.bool(false);
        to.end();
    }

    /// Reads no further than the topology of the one group: members follow.
    fn read(from: &mut Reader<'_>) -> Result<Self::Answer> {
        from.int32()?;
        if from.varint()? != 2 {
            return Ok(None);
        }
        let code = from.int16()?;
        from.optional_string()?;
        from.string()?;
        from.string()?;
        from.int32()?;
        from.int32()?;
        if code != 0 || from.int8()? < 0 {
            return Ok(None);
        }
        from.int32()?;
        let subtopologies = from.optional_array(|from| {
            let id = from.string()?;
            let sources = from.array(Reader::string)?;
            let repartition_sinks = from.array(Reader::string)?;
            let changelogs = from.array(read_topic)?;
            let repartition_sources = from.array(read_topic)?;
            from.end()?;
            Ok(WireSubtopology {
                id,
                sources,
                changelogs,
                repartition_sinks,
                repartition_sources,
                copartitions: Vec::new(),
            })
        })?;
        Ok(subtopologies.map(|subtopologies| DescribedTopology { subtopologies }))
    }
}

fn read_topic(from: &mut Reader<'_>) -> Result<WireTopic> {
    let name = from.string()?;
    let (partitions, replication) = (from.int32()?, from.int16()?);
    let configs = from.array(|from| {
        let pair = (from.string()?, from.string()?);
        from.end()?;
        Ok(pair)
    })?;
    from.end()?;
    Ok(WireTopic { name, partitions, replication, configs })
}
