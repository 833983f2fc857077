//! The node around a user's processor.

use std::any::{Any, TypeId};
use std::marker::PhantomData;

use super::TaskEnv;
use super::slot::{Edges, Node, Slot};
use crate::context::{Context, Init};
use crate::error::Result;
use crate::processor::{Data, Processor, Punctuator};
use crate::record::Record;
use crate::time::Timestamp;

/// A punctuator with its types, as it lies erased among the schedules.
pub(crate) struct Scheduled<P, K, V>(Box<dyn Punctuator<P, K, V>>);

impl<P: 'static, K: 'static, V: 'static> Scheduled<P, K, V> {
    pub(crate) fn new(punctuator: impl Punctuator<P, K, V>) -> Self {
        Self(Box::new(punctuator))
    }
}

type Types<KIn, VIn, KOut, VOut> = PhantomData<fn(KIn, VIn) -> (KOut, VOut)>;

pub(super) struct ProcessorNode<P, KIn, VIn, KOut, VOut> {
    processor: P,
    edges: Edges,
    types: Types<KIn, VIn, KOut, VOut>,
}

impl<P, KIn, VIn, KOut, VOut> ProcessorNode<P, KIn, VIn, KOut, VOut> {
    pub(super) fn new(processor: P, edges: Edges) -> Self {
        Self { processor, edges, types: PhantomData }
    }
}

impl<P, KIn, VIn, KOut, VOut> Node<KIn, VIn> for ProcessorNode<P, KIn, VIn, KOut, VOut>
where
    P: Processor<KIn, VIn, KOut, VOut>,
    KIn: 'static,
    VIn: 'static,
    KOut: Data,
    VOut: Data,
{
    fn accept(&mut self, record: Record<KIn, VIn>, rest: &mut [Slot], env: &mut TaskEnv) -> Result {
        let mut ctx = Context { edges: &self.edges, rest, env, types: PhantomData };
        match self.processor.process(&mut ctx, record) {
            Ok(()) => Ok(()),
            Err(error) => env.processing_failed(error),
        }
    }

    fn init(&mut self, env: &mut TaskEnv) -> Result {
        let mut ctx = Init { edges: &self.edges, env, types: PhantomData };
        self.processor.init(&mut ctx).map_err(|error| env.place(error))
    }

    fn flush(&mut self, rest: &mut [Slot], env: &mut TaskEnv) -> Result {
        let mut ctx = Context { edges: &self.edges, rest, env, types: PhantomData };
        match self.processor.flush(&mut ctx) {
            Ok(()) => Ok(()),
            Err(error) => env.processing_failed(error),
        }
    }

    fn punctuate(
        &mut self,
        punctuator: &mut (dyn Any + Send),
        now: Timestamp,
        rest: &mut [Slot],
        env: &mut TaskEnv,
    ) -> Result {
        // The type was compared when it was scheduled.
        let Some(scheduled) = punctuator.downcast_mut::<Scheduled<P, KOut, VOut>>() else {
            return Ok(());
        };
        let mut ctx = Context { edges: &self.edges, rest, env, types: PhantomData };
        match scheduled.0.punctuate(&mut self.processor, &mut ctx, now) {
            Ok(()) => Ok(()),
            Err(error) => env.processing_failed(error),
        }
    }

    fn close(&mut self) {
        self.processor.close();
    }

    fn processor_type(&self) -> Option<TypeId> {
        Some(TypeId::of::<Scheduled<P, KOut, VOut>>())
    }
}
