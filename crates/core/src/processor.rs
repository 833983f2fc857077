//! What users implement: processors and punctuators.

use crate::context::{Context, FixedKeyContext, FixedKeyInit, Init};
use crate::error::Result;
use crate::record::{FixedKeyRecord, Record};
use crate::time::Timestamp;

/// What can travel between nodes: cloned at a fan-out only.
pub trait Data: Clone + Send + 'static {}

impl<T: Clone + Send + 'static> Data for T {}

/// One node's code: it gets records of one type and forwards records of another.
///
/// Each task has an instance of its own, made by the supplier given to the topology, and calls it
/// from one thread at a time. Closures are processors too.
///
/// ```
/// use kstreams_core::context::Context;
/// use kstreams_core::error::Result;
/// use kstreams_core::processor::Processor;
/// use kstreams_core::record::Record;
///
/// struct Words;
/// impl Processor<(), String, String, ()> for Words {
///     fn process(
///         &mut self,
///         ctx: &mut Context<'_, String, ()>,
///         line: Record<(), String>,
///     ) -> Result {
///         for word in line.value.split_whitespace() {
///             ctx.forward(Record::new(word.to_owned(), (), line.timestamp))?;
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Processor<KIn, VIn, KOut, VOut>: Send + Sized + 'static {
    /// Called once before the first record: take stores and children, schedule punctuators.
    ///
    /// # Errors
    /// Stops the task from starting.
    fn init(&mut self, _ctx: &mut Init<'_, Self, KOut, VOut>) -> Result {
        Ok(())
    }

    /// Called for each record.
    ///
    /// # Errors
    /// Goes to the processing handler, which decides: fail, continue or dead-letter (KIP-1033).
    fn process(&mut self, ctx: &mut Context<'_, KOut, VOut>, record: Record<KIn, VIn>) -> Result;

    /// Called before each commit: forward what was held back.
    ///
    /// What a processor keeps in memory and has not forwarded or stored when this returns is not
    /// part of the commit, and is lost in a crash.
    ///
    /// # Errors
    /// As for [`process`](Self::process).
    fn flush(&mut self, _ctx: &mut Context<'_, KOut, VOut>) -> Result {
        Ok(())
    }

    /// Called once when the task stops, also after a failure.
    fn close(&mut self) {}
}

impl<F, KIn, VIn, KOut, VOut> Processor<KIn, VIn, KOut, VOut> for F
where
    F: FnMut(&mut Context<'_, KOut, VOut>, Record<KIn, VIn>) -> Result + Send + 'static,
{
    fn process(&mut self, ctx: &mut Context<'_, KOut, VOut>, record: Record<KIn, VIn>) -> Result {
        self(ctx, record)
    }
}

/// A processor that cannot change the key, so no repartitioning is ever needed behind it (KIP-820).
///
/// ```
/// use kstreams_core::context::FixedKeyContext;
/// use kstreams_core::error::Result;
/// use kstreams_core::processor::FixedKeyProcessor;
/// use kstreams_core::record::FixedKeyRecord;
///
/// struct Length;
/// impl FixedKeyProcessor<String, String, usize> for Length {
///     fn process(
///         &mut self,
///         ctx: &mut FixedKeyContext<'_, String, usize>,
///         record: FixedKeyRecord<String, String>,
///     ) -> Result {
///         ctx.forward(record.map_value(|text| text.len()))
///     }
/// }
/// ```
pub trait FixedKeyProcessor<K, VIn, VOut>: Send + Sized + 'static {
    /// As [`Processor::init`].
    ///
    /// # Errors
    /// Stops the task from starting.
    fn init(&mut self, _ctx: &mut FixedKeyInit<'_, Self, K, VIn, VOut>) -> Result {
        Ok(())
    }

    /// As [`Processor::process`].
    ///
    /// # Errors
    /// Goes to the processing handler.
    fn process(
        &mut self,
        ctx: &mut FixedKeyContext<'_, K, VOut>,
        record: FixedKeyRecord<K, VIn>,
    ) -> Result;

    /// As [`Processor::flush`].
    ///
    /// # Errors
    /// As for [`process`](Self::process).
    fn flush(&mut self, _ctx: &mut FixedKeyContext<'_, K, VOut>) -> Result {
        Ok(())
    }

    /// As [`Processor::close`].
    fn close(&mut self) {}
}

/// Code that runs at an interval of stream time or wall-clock time.
///
/// It gets its processor back, so `Self::report` is a punctuator and no shared cell is needed.
/// Every `FnMut(&mut P, &mut Context<'_, KOut, VOut>, Timestamp) -> Result` is one.
///
/// `now` is the current stream time or wall-clock time, not the time it was due at: missed
/// intervals collapse into one call, as in Java.
pub trait Punctuator<P, KOut, VOut>: Send + 'static {
    /// Called when due.
    ///
    /// # Errors
    /// Goes to the processing handler, without a record.
    fn punctuate(
        &mut self,
        processor: &mut P,
        ctx: &mut Context<'_, KOut, VOut>,
        now: Timestamp,
    ) -> Result;
}

impl<F, P, KOut, VOut> Punctuator<P, KOut, VOut> for F
where
    F: FnMut(&mut P, &mut Context<'_, KOut, VOut>, Timestamp) -> Result + Send + 'static,
{
    fn punctuate(
        &mut self,
        processor: &mut P,
        ctx: &mut Context<'_, KOut, VOut>,
        now: Timestamp,
    ) -> Result {
        self(processor, ctx, now)
    }
}

/// Makes a [`FixedKeyProcessor`] a [`Processor`] whose key type stays.
pub(crate) struct FixedKey<P>(pub(crate) P);

impl<P, K, VIn, VOut> Processor<K, VIn, K, VOut> for FixedKey<P>
where
    P: FixedKeyProcessor<K, VIn, VOut>,
{
    fn init(&mut self, ctx: &mut Init<'_, Self, K, VOut>) -> Result {
        self.0.init(&mut FixedKeyInit::new(ctx.reborrow()))
    }

    fn process(&mut self, ctx: &mut Context<'_, K, VOut>, record: Record<K, VIn>) -> Result {
        self.0.process(&mut FixedKeyContext(ctx.reborrow()), FixedKeyRecord(record))
    }

    fn flush(&mut self, ctx: &mut Context<'_, K, VOut>) -> Result {
        self.0.flush(&mut FixedKeyContext(ctx.reborrow()))
    }

    fn close(&mut self) {
        self.0.close();
    }
}
