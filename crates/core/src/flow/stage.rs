//! Steps without state, and runs of them that become one node.
//!
//! A hop between nodes costs more than what most of these steps do. Steps that follow each other in
//! a plan, with one way in and one way out, call each other directly; each keeps its name, for
//! descriptions and for errors.

use std::any::Any;
use std::marker::PhantomData;

use super::TaskEnv;
use super::slot::{Edges, Input, Node, Slot};
use crate::context::Context;
use crate::error::Result;
use crate::processor::Data;
use crate::record::Record;

/// Passes any number of records on for each one, and knows nothing else: no stores, no time, no
/// children to choose from. Closures are stages.
///
/// ```
/// use kstreams_core::flow::{Next, NodeFactory};
/// use kstreams_core::record::Record;
///
/// let doubled = NodeFactory::stage(|| {
///     |record: Record<String, i64>, next: &mut Next<'_, '_, String, i64>| {
///         next.pass(record.map_value(|n| n * 2))
///     }
/// });
/// # let _ = doubled;
/// ```
pub trait Stage<KIn, VIn, KOut, VOut>: Send + 'static {
    /// Called for each record.
    ///
    /// # Errors
    /// As [`Processor::process`](crate::processor::Processor::process).
    fn pass(&mut self, record: Record<KIn, VIn>, next: &mut Next<'_, '_, KOut, VOut>) -> Result;
}

impl<F, KIn, VIn, KOut, VOut> Stage<KIn, VIn, KOut, VOut> for F
where
    F: FnMut(Record<KIn, VIn>, &mut Next<'_, '_, KOut, VOut>) -> Result + Send + 'static,
{
    #[inline]
    fn pass(&mut self, record: Record<KIn, VIn>, next: &mut Next<'_, '_, KOut, VOut>) -> Result {
        self(record, next)
    }
}

/// Where a stage passes records on to.
pub struct Next<'a, 'b, K, V> {
    link: &'a mut dyn Link<K, V>,
    exit: &'a mut Exit<'b>,
}

impl<K, V> Next<'_, '_, K, V> {
    /// Passes a record on; everything behind is done when this returns.
    ///
    /// # Errors
    /// If a node further down failed and its handler decided to fail. Pass it on with `?`.
    #[inline]
    pub fn pass(&mut self, record: Record<K, V>) -> Result {
        self.link.take(record, self.exit)
    }
}

impl<K, V> std::fmt::Debug for Next<'_, '_, K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Next")
    }
}

/// The way out of a run.
pub(super) struct Exit<'a> {
    edges: &'a Edges,
    rest: &'a mut [Slot],
    env: &'a mut TaskEnv,
    head: usize,
}

/// One stage with all that follow it.
pub(super) trait Link<K, V>: Send {
    fn take(&mut self, record: Record<K, V>, exit: &mut Exit<'_>) -> Result;
}

struct Joint<S, K, V> {
    stage: S,
    next: Box<dyn Link<K, V>>,
    /// How far behind the first of the run.
    at: usize,
}

impl<S, KIn, VIn, KOut, VOut> Link<KIn, VIn> for Joint<S, KOut, VOut>
where
    S: Stage<KIn, VIn, KOut, VOut>,
{
    #[inline]
    fn take(&mut self, record: Record<KIn, VIn>, exit: &mut Exit<'_>) -> Result {
        exit.env.at = exit.head + self.at;
        self.stage.pass(record, &mut Next { link: &mut *self.next, exit })
    }
}

/// Behind the last stage.
struct End;

impl<K: Data, V: Data> Link<K, V> for End {
    #[inline]
    fn take(&mut self, record: Record<K, V>, exit: &mut Exit<'_>) -> Result {
        exit.env.at = exit.head;
        let (edges, rest, env) = (exit.edges, &mut *exit.rest, &mut *exit.env);
        Context { edges, rest, env, types: PhantomData }.forward(record)
    }
}

/// The node around a run of stages.
struct Run<K, V> {
    first: Box<dyn Link<K, V>>,
    edges: Edges,
}

impl<K: 'static, V: 'static> Node<K, V> for Run<K, V> {
    fn accept(&mut self, record: Record<K, V>, rest: &mut [Slot], env: &mut TaskEnv) -> Result {
        let head = env.at;
        let mut exit = Exit { edges: &self.edges, rest, env, head };
        match self.first.take(record, &mut exit) {
            Ok(()) => Ok(()),
            Err(error) => env.processing_failed(error),
        }
    }
}

/// A stage whose types are erased: links travel as `Any` around a `Box<dyn Link<K, V>>`.
pub(super) trait ErasedStage: Send + Sync {
    /// The link behind it, if it is the last.
    fn end(&self) -> Box<dyn Any>;
    /// It with what follows; `None` if that takes records of another type.
    fn join(&self, next: Box<dyn Any>, at: usize) -> Option<Box<dyn Any>>;
    /// The node that begins with it.
    fn slot(&self, first: Box<dyn Any>, edges: Edges) -> Option<Slot>;
}

pub(super) struct StageOf<F, KIn, VIn, KOut, VOut> {
    supplier: F,
    types: Types<KIn, VIn, KOut, VOut>,
}

type Types<KIn, VIn, KOut, VOut> = PhantomData<fn(KIn, VIn) -> (KOut, VOut)>;

impl<F, KIn, VIn, KOut, VOut> StageOf<F, KIn, VIn, KOut, VOut> {
    pub(super) fn new(supplier: F) -> Self {
        Self { supplier, types: PhantomData }
    }
}

impl<F, S, KIn, VIn, KOut, VOut> ErasedStage for StageOf<F, KIn, VIn, KOut, VOut>
where
    F: Fn() -> S + Send + Sync,
    S: Stage<KIn, VIn, KOut, VOut>,
    KIn: 'static,
    VIn: 'static,
    KOut: Data,
    VOut: Data,
{
    fn end(&self) -> Box<dyn Any> {
        let end: Box<dyn Link<KOut, VOut>> = Box::new(End);
        Box::new(end)
    }

    fn join(&self, next: Box<dyn Any>, at: usize) -> Option<Box<dyn Any>> {
        let next = *next.downcast::<Box<dyn Link<KOut, VOut>>>().ok()?;
        let joint: Box<dyn Link<KIn, VIn>> = Box::new(Joint { stage: (self.supplier)(), next, at });
        Some(Box::new(joint))
    }

    fn slot(&self, first: Box<dyn Any>, edges: Edges) -> Option<Slot> {
        let first = *first.downcast::<Box<dyn Link<KIn, VIn>>>().ok()?;
        Some(Slot(Box::new(Input::<KIn, VIn>(Box::new(Run { first, edges })))))
    }
}
