//! The node that makes a table of a stream of updates (`KTableSource`).

use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::serde::Serde;

use super::keeper::{Keeper, Update};
use super::{Change, Flag, Origin, StoreView, View};
use crate::serdes::SerdeOf;
use crate::store::Stores;

/// A table made from a topic or a stream; it has a store only if it must.
pub(crate) struct SourceOrigin {
    pub(crate) store: Arc<str>,
    pub(crate) materialized: Flag,
    pub(crate) send_old: Flag,
    is_versioned: bool,
}

impl SourceOrigin {
    pub(crate) fn new(store: Arc<str>, named: bool, is_versioned: bool) -> Rc<Self> {
        let materialized = Flag::default();
        if named {
            materialized.set();
        }
        Rc::new(Self { store, materialized, send_old: Flag::default(), is_versioned })
    }
}

impl<K: Data, V: Data> Origin<K, V> for SourceOrigin {
    fn view(&self) -> Arc<dyn View<K, V>> {
        self.materialized.set();
        Arc::new(StoreView::new(Arc::clone(&self.store)))
    }

    fn send_old(&self, force: bool) -> bool {
        if !force && !self.materialized.get() {
            return false;
        }
        self.materialized.set();
        self.send_old.set();
        true
    }

    fn is_versioned(&self) -> bool {
        self.is_versioned
    }
}

/// Keeps the latest value of each key, if the table has a store, and forwards changes.
pub(crate) struct TableSource<K, V> {
    keeper: Option<Keeper<K, V>>,
    key: SerdeOf<K>,
}

impl<K: Data, V: Data> TableSource<K, V> {
    /// `store` is there if the table is materialized.
    pub(crate) fn new(store: Option<Arc<str>>, send_old: &Flag, key: SerdeOf<K>) -> Self {
        Self { keeper: store.map(|store| Keeper::new(store, send_old.clone())), key }
    }

    pub(crate) fn open(&mut self, stores: &dyn Stores) -> Result {
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.open(stores))
    }

    pub(crate) fn flush_kept(&mut self, ctx: &mut Context<'_, K, Change<V>>) -> Result {
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.flush(ctx))
    }

    pub(crate) fn update(
        &mut self,
        ctx: &mut Context<'_, K, Change<V>>,
        record: Record<K, Option<V>>,
    ) -> Result {
        if self.key.is_null(&record.key) {
            return skip_null_key(ctx);
        }
        let Some(keeper) = &mut self.keeper else {
            return ctx.forward(record.map_value(|value| Change::new(value, None)));
        };
        let old = keeper.get(&record.key)?;
        if old.as_ref().is_some_and(|old| record.timestamp < old.timestamp) {
            log::debug!("node {}: out-of-order update of a table", ctx.node_name());
        }
        let Record { key, value: new, timestamp, headers } = record;
        let old = old.map(|old| old.value);
        keeper.set(ctx, Update { key, new, old, timestamp, headers })
    }
}

impl<K: Data, V: Data> Processor<Option<K>, Option<V>, K, Change<V>> for TableSource<K, V> {
    fn init(&mut self, ctx: &mut Init<'_, Self, K, Change<V>>) -> Result {
        self.open(ctx)
    }

    fn flush(&mut self, ctx: &mut Context<'_, K, Change<V>>) -> Result {
        self.flush_kept(ctx)
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, K, Change<V>>,
        record: Record<Option<K>, Option<V>>,
    ) -> Result {
        let Record { key, value, timestamp, headers } = record;
        match key {
            Some(key) => self.update(ctx, Record { key, value, timestamp, headers }),
            None => skip_null_key(ctx),
        }
    }
}

/// Counts a record without a key that an operator cannot use.
pub(crate) fn skip_null_key<K, V>(ctx: &mut Context<'_, K, V>) -> Result {
    log::warn!("node {}: record skipped: null key", ctx.node_name());
    ctx.record_dropped();
    Ok(())
}
