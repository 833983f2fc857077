//! The primary side again: joins its rows with the answers.

use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::serde::{At, Serde};

use super::murmur::hash128;
use super::wire::{Response, Topics};
use crate::serdes::SerdeOf;
use crate::table::{Getter, View};

/// Joins a row with the foreign row, if there is one.
pub(super) type Joiner<K, V, VO, R> = Arc<dyn Fn(&K, &V, Option<&VO>) -> Option<R> + Send + Sync>;

/// `ResponseJoinProcessorSupplier`.
pub(super) struct Resolve<K, V, VO, R> {
    pub(super) view: Arc<dyn View<K, V>>,
    pub(super) table: Option<Box<dyn Getter<K, V>>>,
    pub(super) value: SerdeOf<V>,
    pub(super) topics: Topics,
    pub(super) hash_topic: String,
    pub(super) joiner: Joiner<K, V, VO, R>,
}

impl<K: Data, V: Data, VO: Data, R: Data> Processor<K, Response<VO>, K, Option<R>>
    for Resolve<K, V, VO, R>
{
    fn init(&mut self, ctx: &mut Init<'_, Self, K, Option<R>>) -> Result {
        self.hash_topic = self.topics.value_hash(ctx.application_id());
        self.table = Some(self.view.open(ctx)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, K, Option<R>>,
        record: Record<K, Response<VO>>,
    ) -> Result {
        let Record { key, value: Response { hash, value: foreign, .. }, timestamp, headers } =
            record;
        let row = self.table.as_ref().map_or(Ok(None), |table| table.get(&key))?;
        let row = row.map(|row| row.value);
        let current = row.as_ref().map(|row| {
            let mut out = Vec::new();
            let at = At::value(&self.hash_topic).with_headers(&headers);
            self.value.serialize(row, &at, &mut out).map(|()| hash128(&out))
        });
        if current.transpose()? != hash {
            // The row has changed since it asked; the answer to what it is now is on its way.
            log::trace!("node {}: stale answer", ctx.node_name());
            ctx.record_dropped();
            return Ok(());
        }
        let value = row.and_then(|row| (self.joiner)(&key, &row, foreign.as_ref()));
        ctx.forward(Record { key, value, timestamp, headers })
    }
}
