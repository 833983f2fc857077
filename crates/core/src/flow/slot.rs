//! The erased slot of a node, and the hop from one to the next.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use super::TaskEnv;
use crate::error::{Error, ErrorKind, Result};
use crate::record::{RawRecord, Record};
use crate::time::Timestamp;

/// The ways from one node to its children.
#[derive(Debug, Default)]
pub(crate) struct Edges {
    /// Per child, how many slots lie between it and its parent.
    pub(crate) offsets: Vec<usize>,
    pub(crate) names: Vec<Arc<str>>,
}

/// A node whose types are erased; made by [`NodeFactory`](super::NodeFactory).
pub struct Slot(pub(super) Box<dyn ErasedNode>);

impl Slot {
    /// A node that no edge leads to.
    pub(super) fn unreachable() -> Self {
        struct Nowhere;
        impl Node<(), ()> for Nowhere {
            fn accept(&mut self, _: Record<(), ()>, _: &mut [Slot], _: &mut TaskEnv) -> Result {
                Err(broken_edge())
            }
        }
        Self(Box::new(Input::<(), ()>(Box::new(Nowhere))))
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

/// What every node can do, whatever its types. Always an [`Input`].
pub(super) trait ErasedNode: Any + Send {
    fn init(&mut self, env: &mut TaskEnv) -> Result;
    fn flush(&mut self, rest: &mut [Slot], env: &mut TaskEnv) -> Result;
    fn punctuate(
        &mut self,
        punctuator: &mut (dyn Any + Send),
        now: Timestamp,
        rest: &mut [Slot],
        env: &mut TaskEnv,
    ) -> Result;
    fn close(&mut self);
    fn processor_type(&self) -> Option<TypeId>;
    fn as_source(&mut self) -> Option<&mut dyn SourceNode>;
}

/// The extra duties of a source.
pub(super) trait SourceNode {
    /// Makes room for one more partition; its lane number is returned.
    fn add_lane(&mut self) -> usize;

    /// The event time of a record that has become the head of its partition's queue; `None` if it
    /// is to be skipped.
    fn timestamp(
        &mut self,
        lane: usize,
        raw: &RawRecord<'_>,
        partition_time: Timestamp,
        env: &mut TaskEnv,
    ) -> Result<Option<Timestamp>>;

    /// Takes the head in.
    fn feed(
        &mut self,
        lane: usize,
        raw: &RawRecord<'_>,
        timestamp: Timestamp,
        rest: &mut [Slot],
        env: &mut TaskEnv,
    ) -> Result;
}

/// A node that takes records of one type.
pub(super) trait Node<K, V>: Send {
    fn accept(&mut self, record: Record<K, V>, rest: &mut [Slot], env: &mut TaskEnv) -> Result;

    fn init(&mut self, _env: &mut TaskEnv) -> Result {
        Ok(())
    }
    fn flush(&mut self, _rest: &mut [Slot], _env: &mut TaskEnv) -> Result {
        Ok(())
    }
    fn punctuate(
        &mut self,
        _punctuator: &mut (dyn Any + Send),
        _now: Timestamp,
        _rest: &mut [Slot],
        _env: &mut TaskEnv,
    ) -> Result {
        Ok(())
    }
    fn close(&mut self) {}
    fn processor_type(&self) -> Option<TypeId> {
        None
    }
    fn as_source(&mut self) -> Option<&mut dyn SourceNode> {
        None
    }
}

/// The one concrete type behind a slot, so that a hop is one type comparison and one call.
pub(super) struct Input<K, V>(pub(super) Box<dyn Node<K, V>>);

impl<K: 'static, V: 'static> ErasedNode for Input<K, V> {
    fn init(&mut self, env: &mut TaskEnv) -> Result {
        self.0.init(env)
    }
    fn flush(&mut self, rest: &mut [Slot], env: &mut TaskEnv) -> Result {
        self.0.flush(rest, env)
    }
    fn punctuate(
        &mut self,
        punctuator: &mut (dyn Any + Send),
        now: Timestamp,
        rest: &mut [Slot],
        env: &mut TaskEnv,
    ) -> Result {
        self.0.punctuate(punctuator, now, rest, env)
    }
    fn close(&mut self) {
        self.0.close();
    }
    fn processor_type(&self) -> Option<TypeId> {
        self.0.processor_type()
    }
    fn as_source(&mut self) -> Option<&mut dyn SourceNode> {
        self.0.as_source()
    }
}

/// Hands a record to the node `offset` slots further on.
///
/// For what happens there, the record in work is the one handed on: what its stores write has the
/// time that the record was given, not that of the record the task took in (`ProcessorContextImpl`).
#[inline]
pub(crate) fn hop<K: 'static, V: 'static>(
    offset: usize,
    record: Record<K, V>,
    rest: &mut [Slot],
    env: &mut TaskEnv,
) -> Result {
    let Some((head, tail)) = rest.split_at_mut_checked(offset + 1) else {
        return Err(broken_edge());
    };
    let node: &mut dyn Any = &mut *head[offset].0;
    let Some(input) = node.downcast_mut::<Input<K, V>>() else { return Err(broken_edge()) };
    let parent = env.at;
    env.at = parent + offset + 1;
    let time = env.setup.times.record();
    let is_moved = record.timestamp != time;
    if is_moved {
        env.setup.times.set_record(record.timestamp);
    }
    let result = input.0.accept(record, tail, env);
    if is_moved {
        env.setup.times.set_record(time);
    }
    env.at = parent;
    result
}

/// Cannot happen through the topology builder, whose handles carry the types.
#[cold]
fn broken_edge() -> Error {
    Error::new(ErrorKind::Topology, "an edge leads to a node of another type")
}
