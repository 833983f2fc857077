//! The foreign side: keeps subscriptions, answers them, and tells them of changes.

use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::{Headers, Record};
use kstreams_core::serde::{At, Serde};
use kstreams_state::{Stamped, TimestampedKeyValueStore};

use super::wire::{Instruction, Response, Subscription, Topics, put_prefix};
use crate::serdes::SerdeOf;
use crate::store;
use crate::table::{Change, Getter, View, skip_null_key};

/// Subscriptions by foreign key, then primary key.
pub(super) type Subscriptions<K> = TimestampedKeyValueStore<Vec<u8>, Subscription<K>>;

/// What reads and writes the keys of subscriptions.
pub(super) struct Keys<K, KO> {
    pub(super) primary: SerdeOf<K>,
    pub(super) foreign: SerdeOf<KO>,
    pub(super) topics: Topics,
}

impl<K, KO> Clone for Keys<K, KO> {
    fn clone(&self) -> Self {
        let (primary, foreign) = (self.primary.clone(), self.foreign.clone());
        Self { primary, foreign, topics: self.topics.clone() }
    }
}

impl<K: 'static, KO: 'static> Keys<K, KO> {
    /// What all keys of a foreign key begin with.
    fn prefix(&self, application: &str, key: &KO, headers: &Headers) -> Result<Vec<u8>> {
        let topic = self.topics.foreign_key(application);
        let (mut foreign, mut out) = (Vec::new(), Vec::new());
        self.foreign.serialize(key, &At::key(&topic).with_headers(headers), &mut foreign)?;
        put_prefix(&foreign, &mut out)?;
        Ok(out)
    }

    fn combined(&self, application: &str, keys: (&KO, &K), headers: &Headers) -> Result<Vec<u8>> {
        let mut out = self.prefix(application, keys.0, headers)?;
        let topic = self.topics.primary_key(application);
        self.primary.serialize(keys.1, &At::key(&topic).with_headers(headers), &mut out)?;
        Ok(out)
    }
}

/// Keeps what the primary side asks (`SubscriptionReceiveProcessorSupplier`).
pub(super) struct Receive<K, KO> {
    pub(super) name: Arc<str>,
    pub(super) keys: Keys<K, KO>,
    pub(super) store: Option<Arc<Subscriptions<K>>>,
}

impl<K: Data, KO: Data> Processor<Option<KO>, Subscription<K>, Option<KO>, Subscription<K>>
    for Receive<K, KO>
{
    fn init(&mut self, ctx: &mut Init<'_, Self, Option<KO>, Subscription<K>>) -> Result {
        self.store = Some(store::open(ctx, &self.name)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, Option<KO>, Subscription<K>>,
        record: Record<Option<KO>, Subscription<K>>,
    ) -> Result {
        let Some(store) = &self.store else { return Ok(()) };
        let instruction = record.value.instruction;
        match &record.key {
            // A row of a left join that refers to nothing: there is nothing to keep.
            None if instruction == Instruction::Tell => {}
            None => return skip_null_key(ctx),
            Some(key) => {
                let keys = (key, &record.value.key);
                let at = self.keys.combined(ctx.application_id(), keys, &record.headers)?;
                match instruction {
                    Instruction::Forget | Instruction::ForgetAndTell => {
                        store.delete_with_headers(&at, &record.headers)?;
                    }
                    Instruction::Tell | Instruction::TellValue => {
                        let kept = Stamped::new(record.value.clone(), record.timestamp);
                        store.put_with_headers(&at, &kept, &record.headers)?;
                    }
                }
            }
        }
        ctx.forward(record)
    }
}

/// Answers what the primary side asks (`SubscriptionJoinProcessorSupplier`).
pub(super) struct Answer<KO, VO> {
    pub(super) view: Arc<dyn View<KO, VO>>,
    pub(super) table: Option<Box<dyn Getter<KO, VO>>>,
}

impl<K: Data, KO: Data, VO: Data> Processor<Option<KO>, Subscription<K>, K, Response<VO>>
    for Answer<KO, VO>
{
    fn init(&mut self, ctx: &mut Init<'_, Self, K, Response<VO>>) -> Result {
        self.table = Some(self.view.open(ctx)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, K, Response<VO>>,
        record: Record<Option<KO>, Subscription<K>>,
    ) -> Result {
        let Record { key, value: asked, timestamp, headers } = record;
        let found = match (&self.table, key) {
            (Some(table), Some(key)) => table.get(&key)?,
            _ => None,
        };
        let timestamp = found.as_ref().map_or(timestamp, |found| timestamp.max(found.timestamp));
        let found = found.map(|found| found.value);
        let value = match asked.instruction {
            Instruction::Forget => return Ok(()),
            Instruction::TellValue if found.is_none() => return Ok(()),
            Instruction::ForgetAndTell => None,
            Instruction::Tell | Instruction::TellValue => found,
        };
        let value = Response { hash: asked.hash, value, partition: asked.partition };
        ctx.forward(Record { key: asked.key, value, timestamp, headers })
    }
}

/// Tells all subscriptions of a foreign key that its value has changed
/// (`ForeignTableJoinProcessorSupplier`).
pub(super) struct Broadcast<K, KO> {
    pub(super) name: Arc<str>,
    pub(super) keys: Keys<K, KO>,
    pub(super) store: Option<Arc<Subscriptions<K>>>,
}

impl<K: Data, KO: Data, VO: Data> Processor<KO, Change<VO>, K, Response<VO>> for Broadcast<K, KO> {
    fn init(&mut self, ctx: &mut Init<'_, Self, K, Response<VO>>) -> Result {
        self.store = Some(store::open(ctx, &self.name)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, K, Response<VO>>,
        record: Record<KO, Change<VO>>,
    ) -> Result {
        let Some(store) = &self.store else { return Ok(()) };
        if self.keys.foreign.is_null(&record.key) {
            return skip_null_key(ctx);
        }
        let Record { key, value: Change { new, is_latest, .. }, timestamp, headers } = record;
        if !is_latest {
            log::debug!("node {}: out-of-order change of a versioned table", ctx.node_name());
            ctx.record_dropped();
            return Ok(());
        }
        let prefix = self.keys.prefix(ctx.application_id(), &key, &headers)?;
        for entry in store.prefix_scan(&prefix) {
            let Subscription { hash, key, partition, .. } = entry?.1.value;
            let value = Response { hash, value: new.clone(), partition };
            ctx.forward(Record { key, value, timestamp, headers: headers.clone() })?;
        }
        Ok(())
    }
}
