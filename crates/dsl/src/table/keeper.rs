//! The store of a table operator, and what it tells the operators behind it.

use std::sync::Arc;

use kstreams_core::context::Context;
use kstreams_core::error::Result;
use kstreams_core::processor::Data;
use kstreams_core::record::{Headers, Record};
use kstreams_core::time::Timestamp;
use kstreams_state::Stamped;

use super::view::Written;
use super::{Change, Flag, TableStore};
use crate::cache::Cached;
use crate::store::Stores;

/// Keeps a table and forwards its changes.
pub(crate) struct Keeper<K, V> {
    name: Arc<str>,
    send_old: Flag,
    sends_old: bool,
    store: Option<TableStore<K, V>>,
}

impl<K: Data, V: Data> Keeper<K, V> {
    pub(crate) fn new(name: Arc<str>, send_old: Flag) -> Self {
        Self { name, send_old, sends_old: false, store: None }
    }

    /// Takes the store; called in `init`.
    pub(crate) fn open(&mut self, stores: &dyn Stores) -> Result {
        self.sends_old = self.send_old.get();
        self.store = Some(TableStore::open(stores, &self.name)?);
        Ok(())
    }

    pub(crate) fn sends_old(&self) -> bool {
        self.sends_old
    }

    pub(crate) fn get(&self, key: &K) -> Result<Option<Stamped<V>>> {
        self.store.as_ref().map_or(Ok(None), |store| store.get(key))
    }

    /// Sets or deletes the value of a key and forwards the change: now, or with the next flush if
    /// the table is cached.
    pub(crate) fn set(
        &mut self,
        ctx: &mut Context<'_, K, Change<V>>,
        update: Update<K, V>,
    ) -> Result {
        let Some(store) = &self.store else { return Ok(()) };
        let Update { key, new, old, timestamp, headers } = update;
        let new = new.map(|value| Stamped::new(value, timestamp));
        if let Some(cache) = store.cache() {
            let context = ctx.record_context();
            let is_full = cache.put(Cached { key, new, context, headers })?;
            return if is_full { self.flush(ctx) } else { Ok(()) };
        }
        let written = store.write(&key, new.as_ref(), timestamp)?;
        if written == Written::Refused {
            log::debug!("node {}: update older than the versions that are kept", ctx.node_name());
            return Ok(());
        }
        let old = old.filter(|_| self.sends_old);
        let is_latest = written == Written::Latest;
        let value = Change { new: new.map(|new| new.value), old, is_latest };
        ctx.forward(Record { key, value, timestamp, headers })
    }

    /// Writes and forwards what the cache holds back.
    pub(crate) fn flush(&mut self, ctx: &mut Context<'_, K, Change<V>>) -> Result {
        let Some(store) = &self.store else { return Ok(()) };
        let Some(cache) = store.cache() else { return Ok(()) };
        let write = |key: &K, new: Option<&Stamped<V>>, time| store.write(key, new, time).map(drop);
        cache.flush(ctx, self.sends_old, |key| store.written(key), write)
    }
}

/// One change to be kept and forwarded.
pub(crate) struct Update<K, V> {
    pub(crate) key: K,
    pub(crate) new: Option<V>,
    pub(crate) old: Option<V>,
    pub(crate) timestamp: Timestamp,
    pub(crate) headers: Headers,
}
