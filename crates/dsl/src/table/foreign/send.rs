//! The primary side: tells each foreign key which rows refer to it.

use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::{Headers, Record};
use kstreams_core::serde::{At, Serde};

use super::murmur::{Hash, hash128};
use super::wire::{Instruction, Subscription, Topics};
use crate::serdes::SerdeOf;
use crate::table::Change;

/// Which foreign key a row refers to.
pub(super) type Extractor<K, V, KO> = Arc<dyn Fn(&K, &V) -> Option<KO> + Send + Sync>;

/// `SubscriptionSendProcessorSupplier`.
pub(super) struct Subscribe<K, V, KO> {
    pub(super) extractor: Extractor<K, V, KO>,
    pub(super) value: SerdeOf<V>,
    pub(super) foreign_key: SerdeOf<KO>,
    pub(super) topics: Topics,
    pub(super) is_left: bool,
    pub(super) hash_topic: String,
    pub(super) key_topic: String,
}

impl<K: Data, V: Data, KO: Data> Processor<K, Change<V>, Option<KO>, Subscription<K>>
    for Subscribe<K, V, KO>
{
    fn init(&mut self, ctx: &mut Init<'_, Self, Option<KO>, Subscription<K>>) -> Result {
        self.hash_topic = self.topics.value_hash(ctx.application_id());
        self.key_topic = self.topics.foreign_key(ctx.application_id());
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, Option<KO>, Subscription<K>>,
        record: Record<K, Change<V>>,
    ) -> Result {
        let Record { key, value: Change { new, old, is_latest }, timestamp, headers } = record;
        if !is_latest {
            log::debug!("node {}: out-of-order change of a versioned table", ctx.node_name());
            ctx.record_dropped();
            return Ok(());
        }
        let foreign_key = |value: Option<&V>| {
            let foreign_key = (self.extractor)(&key, value?)?;
            (!self.foreign_key.is_null(&foreign_key)).then_some(foreign_key)
        };
        let (old_key, new_key) = (foreign_key(old.as_ref()), foreign_key(new.as_ref()));
        let mut steps: Vec<(Option<KO>, Instruction)> = Vec::with_capacity(2);
        let moved =
            self.bytes(old_key.as_ref(), &headers)? != self.bytes(new_key.as_ref(), &headers)?;
        match (old_key, new_key) {
            _ if old.is_none() && new.is_none() => {}
            (old_key, new_key) if self.is_left => {
                if old_key.is_some() && moved {
                    steps.push((old_key, Instruction::Forget));
                }
                // Without a key, too: the answer makes the result.
                steps.push((new_key, Instruction::Tell));
            }
            (None, None) if new.is_some() => skip_null_foreign_key(ctx),
            (None, None) => {}
            (Some(old_key), None) => {
                if new.is_some() {
                    skip_null_foreign_key(ctx);
                }
                steps.push((Some(old_key), Instruction::ForgetAndTell));
            }
            (None, new_key) => steps.push((new_key, Instruction::TellValue)),
            (old_key, new_key) if moved => {
                steps.push((old_key, Instruction::Forget));
                steps.push((new_key, Instruction::Tell));
            }
            (_, new_key) => steps.push((new_key, Instruction::TellValue)),
        }
        if steps.is_empty() {
            return Ok(());
        }
        let hash = self.hash(new.as_ref(), &headers)?;
        let task = ctx.task_id().partition;
        let partition = Some(ctx.record_metadata().map_or(task, |from| from.partition));
        for (foreign_key, instruction) in steps {
            let value = Subscription { hash, instruction, key: key.clone(), partition };
            let headers = headers.clone();
            ctx.forward(Record { key: foreign_key, value, timestamp, headers })?;
        }
        Ok(())
    }
}

impl<K, V: 'static, KO: 'static> Subscribe<K, V, KO> {
    fn bytes(&self, key: Option<&KO>, headers: &Headers) -> Result<Option<Vec<u8>>> {
        let Some(key) = key else { return Ok(None) };
        let mut out = Vec::new();
        self.foreign_key.serialize(
            key,
            &At::key(&self.key_topic).with_headers(headers),
            &mut out,
        )?;
        Ok(Some(out))
    }

    fn hash(&self, value: Option<&V>, headers: &Headers) -> Result<Option<Hash>> {
        let Some(value) = value else { return Ok(None) };
        let mut out = Vec::new();
        self.value.serialize(
            value,
            &At::value(&self.hash_topic).with_headers(headers),
            &mut out,
        )?;
        Ok(Some(hash128(&out)))
    }
}

fn skip_null_foreign_key<K, V>(ctx: &mut Context<'_, K, V>) {
    log::warn!("node {}: record skipped: null foreign key", ctx.node_name());
    ctx.record_dropped();
}
