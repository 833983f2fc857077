//! A topology with a store that keeps nothing: enough to have state.

use kstreams_core::context::Context;
use kstreams_core::error::Result;
use kstreams_core::record::{Offset, RawRecord, Record};
use kstreams_core::store::{ChangelogConfig, StateStore, StoreBuilder, StoreContext};

use super::*;

/// Reads `in` into a store.
pub(super) fn with_store() -> Topology {
    let mut topology = Topology::builder();
    let lines = topology.source("in", "in", (Utf8, Utf8));
    let keep = topology.processor("keep", &[lines], || {
        |_: &mut Context<'_, String, String>, _: Record<String, String>| Ok(())
    });
    let store = topology.store(Nothing);
    topology.connect(keep, &store);
    topology.build().expect("a topology")
}

struct Nothing;

impl StoreBuilder for Nothing {
    type Store = Self;

    fn name(&self) -> &str {
        "nothing"
    }

    fn changelog(&self) -> Option<ChangelogConfig> {
        Some(ChangelogConfig::compacted())
    }

    fn build(&self, _: StoreContext) -> Result<Self> {
        Ok(Self)
    }
}

impl StateStore for Nothing {
    fn name(&self) -> &str {
        "nothing"
    }

    fn is_persistent(&self) -> bool {
        false
    }

    fn committed_offset(&self) -> Result<Option<Offset>> {
        Ok(None)
    }

    fn restore(&self, _: &mut dyn Iterator<Item = RawRecord<'_>>, _: Offset) -> Result {
        Ok(())
    }

    fn commit(&self, _: Option<Offset>) -> Result {
        Ok(())
    }

    fn rollback(&self) -> bool {
        true
    }

    fn close(&self) -> Result {
        Ok(())
    }

    fn wipe(&self) -> Result {
        Ok(())
    }
}
