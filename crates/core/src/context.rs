//! What a processor is given: its place in the graph, and what it may ask of its task.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::flow::{Edges, Scheduled, Slot, TaskEnv, hop};
use crate::processor::{Data, FixedKey, Punctuator};
use crate::punctuation::{Every, Schedule};
use crate::record::{FixedKeyRecord, Offset, Record};
use crate::store::{StateStore, StoreId};
use crate::time::Timestamp;

/// The position of a processor in its task while it works: forward records, ask about the task.
///
/// It dereferences to [`TaskEnv`]: task id, record metadata, times, request a commit.
pub struct Context<'a, K, V> {
    pub(crate) edges: &'a Edges,
    pub(crate) rest: &'a mut [Slot],
    pub(crate) env: &'a mut TaskEnv,
    pub(crate) types: PhantomData<fn(K, V)>,
}

impl<K: Data, V: Data> Context<'_, K, V> {
    /// Passes a record to every child; it is cloned for all but the last.
    ///
    /// Each child, and everything behind it, is done when this returns.
    ///
    /// # Errors
    /// If a node further down failed and its handler decided to fail. Pass it on with `?`.
    pub fn forward(&mut self, record: Record<K, V>) -> Result {
        match self.edges.offsets.as_slice() {
            [only] => hop(*only, record, self.rest, self.env),
            _ => self.fan_out(record),
        }
    }

    /// Passes a record to one child.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_to(&mut self, child: Child<K, V>, record: Record<K, V>) -> Result {
        match self.edges.offsets.get(child.index) {
            Some(offset) => hop(*offset, record, self.rest, self.env),
            None => Err(Error::new(ErrorKind::User, "forward to a child of another processor")),
        }
    }

    #[inline(never)]
    fn fan_out(&mut self, record: Record<K, V>) -> Result {
        let Some((last, others)) = self.edges.offsets.split_last() else { return Ok(()) };
        for offset in others {
            hop(*offset, record.clone(), self.rest, self.env)?;
        }
        hop(*last, record, self.rest, self.env)
    }
}

impl<K: 'static, V: 'static> Context<'_, K, V> {
    /// Schedules a punctuator from within `process`; `P` is the processor's own type.
    ///
    /// # Errors
    /// If `P` is not the type of the processor at this node.
    pub fn schedule<P: 'static>(
        &mut self,
        every: Every,
        punctuator: impl Punctuator<P, K, V>,
    ) -> Result<Schedule> {
        self.env.schedule_here(every, Box::new(Scheduled::<P, K, V>::new(punctuator)))
    }
}

impl<K, V> Context<'_, K, V> {
    /// The same position, borrowed anew.
    pub(crate) fn reborrow(&mut self) -> Context<'_, K, V> {
        Context { edges: self.edges, rest: self.rest, env: self.env, types: PhantomData }
    }

    /// A store that is connected to this processor.
    ///
    /// It is looked up by name: take it once, in `init`, where speed matters.
    ///
    /// # Errors
    /// If the store is not connected to this processor in the topology.
    pub fn store<S: StateStore>(&self, id: &StoreId<S>) -> Result<Arc<S>> {
        self.env.store_here(id)
    }

    /// Works on behalf of another record than the one in work, as one that was held back: its place is
    /// what [`TaskEnv::record_metadata`] tells, and its time what stores log with what has none of its
    /// own, such as a deletion (`setRecordContext`).
    ///
    /// ```
    /// use kstreams_core::Result;
    /// use kstreams_core::context::{Context, RecordContext};
    /// use kstreams_core::record::Record;
    ///
    /// /// Taken with `ctx.record_context()` when the record came.
    /// type Held = (RecordContext, Record<String, i64>);
    ///
    /// fn send_on(ctx: &mut Context<'_, String, i64>, (context, record): Held) -> Result {
    ///     ctx.within(context, |ctx| {
    ///         // Stores are written here.
    ///         ctx.forward(record)
    ///     })
    /// }
    /// ```
    pub fn within<R>(&mut self, context: RecordContext, work: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.env.record_context();
        self.env.set_record_context(context);
        let done = work(self);
        self.env.set_record_context(before);
        done
    }
}

/// Which record is in work: its place and its time (`RecordContext`). Taken with
/// [`TaskEnv::record_context`] and given to [`Context::within`].
#[derive(Clone, Copy, Debug)]
pub struct RecordContext {
    pub(crate) time: Timestamp,
    /// The input of the task, and the offset in it.
    pub(crate) place: Option<(usize, Offset)>,
}

impl RecordContext {
    /// The time of the record.
    pub fn timestamp(&self) -> Timestamp {
        self.time
    }
}

impl Default for RecordContext {
    /// That of no record, as in a punctuator.
    fn default() -> Self {
        Self { time: Timestamp::NONE, place: None }
    }
}

impl<K, V> Deref for Context<'_, K, V> {
    type Target = TaskEnv;
    fn deref(&self) -> &TaskEnv {
        self.env
    }
}

impl<K, V> DerefMut for Context<'_, K, V> {
    fn deref_mut(&mut self) -> &mut TaskEnv {
        self.env
    }
}

impl<K, V> fmt::Debug for Context<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("task", &self.env.task_id()).finish_non_exhaustive()
    }
}

/// One child of a processor, found by name in [`Init::child`].
pub struct Child<K, V> {
    index: usize,
    types: PhantomData<fn(K, V)>,
}

impl<K, V> Clone for Child<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Child<K, V> {}

impl<K, V> fmt::Debug for Child<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Child({})", self.index)
    }
}

/// What a processor may do before its first record. Forwarding is not among it: no record is in
/// work yet.
pub struct Init<'a, P, K, V> {
    pub(crate) edges: &'a Edges,
    pub(crate) env: &'a mut TaskEnv,
    pub(crate) types: PhantomData<fn(P, K, V)>,
}

impl<P, K, V> Init<'_, P, K, V> {
    pub(crate) fn reborrow(&mut self) -> Init<'_, P, K, V> {
        Init { edges: self.edges, env: self.env, types: PhantomData }
    }

    /// A store that is connected to this processor.
    ///
    /// # Errors
    /// If the store is not connected to this processor in the topology.
    pub fn store<S: StateStore>(&self, id: &StoreId<S>) -> Result<Arc<S>> {
        self.env.store_here(id)
    }

    /// The child of that name, for [`Context::forward_to`].
    ///
    /// # Errors
    /// If this processor has no such child; the message lists those it has.
    pub fn child(&self, name: &str) -> Result<Child<K, V>> {
        let names = &self.edges.names;
        match names.iter().position(|child| &**child == name) {
            Some(index) => Ok(Child { index, types: PhantomData }),
            None => Err(Error::new(
                ErrorKind::Topology,
                format!("unknown downstream node: {name} (children: {})", names.join(", ")),
            )),
        }
    }
}

impl<P: 'static, K: 'static, V: 'static> Init<'_, P, K, V> {
    /// Calls `punctuator` each interval, until the returned schedule is cancelled.
    ///
    /// # Errors
    /// Never for a processor's own type `P`, which is given here.
    pub fn schedule(
        &mut self,
        every: Every,
        punctuator: impl Punctuator<P, K, V>,
    ) -> Result<Schedule> {
        self.env.schedule_here(every, Box::new(Scheduled::<P, K, V>::new(punctuator)))
    }
}

impl<P, K, V> Deref for Init<'_, P, K, V> {
    type Target = TaskEnv;
    fn deref(&self) -> &TaskEnv {
        self.env
    }
}

impl<P, K, V> DerefMut for Init<'_, P, K, V> {
    fn deref_mut(&mut self) -> &mut TaskEnv {
        self.env
    }
}

impl<P, K, V> fmt::Debug for Init<'_, P, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Init").field("task", &self.env.task_id()).finish_non_exhaustive()
    }
}

/// As [`Context`], for processors that cannot change the key.
pub struct FixedKeyContext<'a, K, V>(pub(crate) Context<'a, K, V>);

impl<K: Data, V: Data> FixedKeyContext<'_, K, V> {
    /// As [`Context::forward`].
    ///
    /// # Errors
    /// As [`Context::forward`].
    pub fn forward(&mut self, record: FixedKeyRecord<K, V>) -> Result {
        self.0.forward(record.0)
    }

    /// As [`Context::forward_to`].
    ///
    /// # Errors
    /// As [`Context::forward_to`].
    pub fn forward_to(&mut self, child: Child<K, V>, record: FixedKeyRecord<K, V>) -> Result {
        self.0.forward_to(child, record.0)
    }
}

impl<K, V> FixedKeyContext<'_, K, V> {
    /// As [`Context::store`].
    ///
    /// # Errors
    /// As [`Context::store`].
    pub fn store<S: StateStore>(&self, id: &StoreId<S>) -> Result<Arc<S>> {
        self.0.store(id)
    }
}

impl<K, V> Deref for FixedKeyContext<'_, K, V> {
    type Target = TaskEnv;
    fn deref(&self) -> &TaskEnv {
        self.0.env
    }
}

impl<K, V> DerefMut for FixedKeyContext<'_, K, V> {
    fn deref_mut(&mut self) -> &mut TaskEnv {
        self.0.env
    }
}

impl<K, V> fmt::Debug for FixedKeyContext<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As [`Init`], for processors that cannot change the key.
pub struct FixedKeyInit<'a, P, K, VIn, V> {
    inner: Init<'a, FixedKey<P>, K, V>,
    input: PhantomData<fn(VIn)>,
}

impl<'a, P, K, VIn, V> FixedKeyInit<'a, P, K, VIn, V> {
    pub(crate) fn new(inner: Init<'a, FixedKey<P>, K, V>) -> Self {
        Self { inner, input: PhantomData }
    }

    /// As [`Init::store`].
    ///
    /// # Errors
    /// As [`Init::store`].
    pub fn store<S: StateStore>(&self, id: &StoreId<S>) -> Result<Arc<S>> {
        self.inner.store(id)
    }

    /// As [`Init::child`].
    ///
    /// # Errors
    /// As [`Init::child`].
    pub fn child(&self, name: &str) -> Result<Child<K, V>> {
        self.inner.child(name)
    }
}

impl<P: 'static, K: 'static, VIn, V: 'static> FixedKeyInit<'_, P, K, VIn, V> {
    /// As [`Init::schedule`]; the punctuator can forward records that the processor has kept.
    ///
    /// # Errors
    /// As [`Init::schedule`].
    pub fn schedule(
        &mut self,
        every: Every,
        mut punctuator: impl FnMut(&mut P, &mut FixedKeyContext<'_, K, V>, Timestamp) -> Result
        + Send
        + 'static,
    ) -> Result<Schedule> {
        self.inner.schedule(
            every,
            move |p: &mut FixedKey<P>, ctx: &mut Context<'_, K, V>, now: Timestamp| {
                punctuator(&mut p.0, &mut FixedKeyContext(ctx.reborrow()), now)
            },
        )
    }
}

impl<P, K, VIn, V> Deref for FixedKeyInit<'_, P, K, VIn, V> {
    type Target = TaskEnv;
    fn deref(&self) -> &TaskEnv {
        self.inner.env
    }
}

impl<P, K, VIn, V> fmt::Debug for FixedKeyInit<'_, P, K, VIn, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl TaskEnv {
    fn schedule_here(&mut self, every: Every, punctuator: Box<dyn Any + Send>) -> Result<Schedule> {
        self.add_schedule(every, punctuator)
    }

    fn store_here<S: StateStore>(&self, id: &StoreId<S>) -> Result<Arc<S>> {
        let store: Arc<dyn Any + Send + Sync> = self.connected_store(id.name())?;
        store.downcast().map_err(|_| {
            Error::new(
                ErrorKind::Topology,
                format!(
                    "store {} is not a {}; its id comes from another topology",
                    id.name(),
                    std::any::type_name::<S>()
                ),
            )
        })
    }
}
