//! Groups of any kind: which there are, and who is in those of the classic protocol.

use kstreams_core::error::Result;
use kstreams_core::record::TopicPartition;

use super::Request;
use super::bytes::{Reader, Writer};

/// Asks a broker for the groups that it coordinates.
#[derive(Debug)]
pub(crate) struct ListGroups;

/// A group in the list of its coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedGroup {
    pub(crate) id: String,
    /// `consumer`, `streams`, `share`, `connect`, ..; empty for one that only holds positions.
    pub(crate) protocol_type: String,
    pub(crate) state: String,
}

impl Request for ListGroups {
    const KEY: i16 = 16;
    // With states; from Kafka 2.6 on.
    const VERSION: i16 = 4;
    const NAME: &'static str = "ListGroups";

    /// An error code, and the groups.
    type Answer = (i16, Vec<ListedGroup>);

    fn write(&self, to: &mut Writer) {
        to.array([], |_, _: ()| {}); // In any state.
        to.end();
    }

    fn read(from: &mut Reader<'_>) -> Result<Self::Answer> {
        from.int32()?;
        let code = from.int16()?;
        let groups = from.array(|from| {
            let (id, protocol_type, state) = (from.string()?, from.string()?, from.string()?);
            from.end()?;
            Ok(ListedGroup { id, protocol_type, state })
        })?;
        from.end()?;
        Ok((code, groups))
    }
}

/// Asks the coordinator of a classic group for its members.
#[derive(Debug)]
pub(crate) struct DescribeClassic<'a> {
    pub(crate) group: &'a str,
}

/// A classic group.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClassicGroup {
    pub(crate) code: i16,
    pub(crate) state: String,
    pub(crate) protocol_type: String,
    pub(crate) members: Vec<ClassicGroupMember>,
}

/// A member of it.
#[derive(Clone, Debug)]
pub(crate) struct ClassicGroupMember {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) host: String,
    /// Empty while the group shares out, and if the assignment is not a consumer's.
    pub(crate) partitions: Vec<TopicPartition>,
}

impl Request for DescribeClassic<'_> {
    const KEY: i16 = 15;
    const VERSION: i16 = 5;
    const NAME: &'static str = "DescribeGroups";

    /// One for each group: one.
    type Answer = Vec<ClassicGroup>;

    fn write(&self, to: &mut Writer) {
        to.array([self.group], Writer::string);
        to.bool(false);
        to.end();
    }

    fn read(from: &mut Reader<'_>) -> Result<Self::Answer> {
        from.int32()?;
        let groups = from.array(|from| {
            let code = from.int16()?;
            from.string()?;
            let (state, protocol_type) = (from.string()?, from.string()?);
            from.string()?; // The assignor.
            let members = from.array(read_member)?;
            from.int32()?;
            from.end()?;
            Ok(ClassicGroup { code, state, protocol_type, members })
        })?;
        from.end()?;
        Ok(groups)
    }
}

fn read_member(from: &mut Reader<'_>) -> Result<ClassicGroupMember> {
    let (id, instance) = (from.string()?, from.optional_string()?);
    let (client_id, host) = (from.string()?, from.string()?);
    from.bytes()?;
    let assignment = from.bytes()?;
    from.end()?;
    let partitions = read_assignment(&mut Reader::new(assignment)).unwrap_or_default();
    Ok(ClassicGroupMember { id, instance, client_id, host, partitions })
}

/// Kafka's consumer protocol: a version, then partitions by topic; other fields follow.
fn read_assignment(from: &mut Reader<'_>) -> Result<Vec<TopicPartition>> {
    from.int16()?;
    let topics = from.old_array(|from| {
        let topic = from.old_string()?;
        from.old_array(|from| Ok(TopicPartition::new(topic.as_str(), from.int32()?)))
    })?;
    Ok(topics.into_iter().flatten().collect())
}

/// Takes members out of a classic group (KIP-345).
#[derive(Debug)]
pub(crate) struct LeaveGroup<'a> {
    pub(crate) group: &'a str,
    /// The id, and the instance of a static member.
    pub(crate) members: &'a [(String, Option<String>)],
}

impl Request for LeaveGroup<'_> {
    const KEY: i16 = 13;
    const VERSION: i16 = 4;
    const NAME: &'static str = "LeaveGroup";

    /// The group's error code, and each member's.
    type Answer = (i16, Vec<i16>);

    fn write(&self, to: &mut Writer) {
        to.string(self.group);
        to.array(self.members, |to, (id, instance)| {
            to.string(id);
            to.optional_string(instance.as_deref());
            to.end();
        });
        to.end();
    }

    fn read(from: &mut Reader<'_>) -> Result<Self::Answer> {
        from.int32()?;
        let code = from.int16()?;
        let members = from.array(|from| {
            from.string()?;
            from.optional_string()?;
            let code = from.int16()?;
            from.end()?;
            Ok(code)
        })?;
        from.end()?;
        Ok((code, members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_of_the_consumer_protocol_is_read() {
        let bytes = b"\0\x03\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\0\0\0\0\x07\0\x01b\0\0\0\0\xff\xff";
        let read = read_assignment(&mut Reader::new(bytes)).expect("read");
        assert_eq!(read, [TopicPartition::new("a", 0), TopicPartition::new("a", 7)]);
        assert!(read_assignment(&mut Reader::new(&bytes[..9])).is_err());
    }
}
