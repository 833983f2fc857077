//! The store of a table operator, and what it tells the operators behind it.

use std::sync::Arc;

use kstreams_core::context::Context;
use kstreams_core::error::Result;
use kstreams_core::processor::Data;
use kstreams_core::record::{Headers, Record};
use kstreams_core::time::Timestamp;
use kstreams_state::Stamped;

use super::{Change, Flag, TableStore};
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

    /// Sets or deletes the value of a key and forwards the change.
    pub(crate) fn set(
        &mut self,
        ctx: &mut Context<'_, K, Change<V>>,
        update: Update<K, V>,
    ) -> Result {
        let Some(store) = &self.store else { return Ok(()) };
        let Update { key, new, old, timestamp, headers } = update;
        let stamped = new.map(|value| Stamped::new(value, timestamp));
        let is_latest = store.put(&key, stamped.as_ref())?;
        let new = stamped.map(|stamped| stamped.value);
        let old = old.filter(|_| self.sends_old);
        let value = Change { new, old, is_latest };
        ctx.forward(Record { key, value, timestamp, headers })
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
