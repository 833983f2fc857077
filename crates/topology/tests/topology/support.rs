// A store without content, for tests and for examples in the documentation, which include this
// file: they need a store builder, and the real stores are a crate above.

use kstreams_core::store as core_store;

/// The store.
#[derive(Debug)]
pub struct Cells(String);

/// Its builder.
#[derive(Debug)]
pub struct CellsBuilder {
    name: String,
    changelog: Option<core_store::ChangelogConfig>,
}

/// A logged store.
pub fn cells(name: &str) -> CellsBuilder {
    let changelog = Some(core_store::ChangelogConfig::compacted());
    CellsBuilder { name: name.to_owned(), changelog }
}

impl CellsBuilder {
    /// With another changelog, or none.
    #[allow(dead_code, reason = "not every example needs it")]
    pub fn changelog(mut self, changelog: Option<core_store::ChangelogConfig>) -> Self {
        self.changelog = changelog;
        self
    }
}

impl core_store::StoreBuilder for CellsBuilder {
    type Store = Cells;

    fn name(&self) -> &str {
        &self.name
    }
    fn changelog(&self) -> Option<core_store::ChangelogConfig> {
        self.changelog.clone()
    }
    fn build(&self, _: core_store::StoreContext) -> kstreams_core::Result<Cells> {
        Ok(Cells(self.name.clone()))
    }
}

impl core_store::StateStore for Cells {
    fn name(&self) -> &str {
        &self.0
    }
    fn is_persistent(&self) -> bool {
        false
    }
    fn committed_offset(&self) -> kstreams_core::Result<Option<kstreams_core::record::Offset>> {
        Ok(None)
    }
    fn restore(
        &self,
        _: &mut dyn Iterator<Item = kstreams_core::record::RawRecord<'_>>,
        _: kstreams_core::record::Offset,
    ) -> kstreams_core::Result {
        Ok(())
    }
    fn commit(&self, _: Option<kstreams_core::record::Offset>) -> kstreams_core::Result {
        Ok(())
    }
    fn rollback(&self) -> bool {
        true
    }
    fn close(&self) -> kstreams_core::Result {
        Ok(())
    }
    fn wipe(&self) -> kstreams_core::Result {
        Ok(())
    }
}
