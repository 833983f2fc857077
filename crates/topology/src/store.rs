//! The stores of a topology: their builders without types, and where they are restored from.
//!
//! The executor opens them for each task; `internal_topic` makes their changelog topics.

use std::fmt;
use std::sync::Arc;

use kstreams_core::error::Result;
use kstreams_core::store::{ChangelogConfig, StateStore, StoreBuilder, StoreContext};

use crate::topics::Topic;

/// A [`StoreBuilder`] whose store type is erased; every builder is one.
pub trait ErasedStoreBuilder: Send + Sync {
    /// As [`StoreBuilder::name`].
    fn store_name(&self) -> &str;

    /// As [`StoreBuilder::changelog`].
    fn changelog_config(&self) -> Option<ChangelogConfig>;

    /// As [`StoreBuilder::is_persistent`].
    fn keeps_on_disk(&self) -> bool;

    /// As [`StoreBuilder::build`].
    ///
    /// # Errors
    /// As [`StoreBuilder::build`].
    fn open(&self, context: StoreContext) -> Result<Arc<dyn StateStore>>;
}

impl<B: StoreBuilder> ErasedStoreBuilder for B {
    fn store_name(&self) -> &str {
        self.name()
    }

    fn changelog_config(&self) -> Option<ChangelogConfig> {
        self.changelog()
    }

    fn keeps_on_disk(&self) -> bool {
        self.is_persistent()
    }

    fn open(&self, context: StoreContext) -> Result<Arc<dyn StateStore>> {
        Ok(Arc::new(self.build(context)?))
    }
}

impl fmt::Debug for dyn ErasedStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreBuilder({})", self.store_name())
    }
}

/// Where a store's content is kept outside its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changelog {
    /// Nowhere: it is lost with the task.
    None,
    /// In an internal topic of its own, `<application id>-<store>-changelog`.
    Own(ChangelogConfig),
    /// In the source topic it is made from: a global store, a read-only store (KIP-813), or a
    /// table that reuses its source topic. Nothing is written to it.
    Source(Topic),
}

/// One store of a topology.
#[derive(Clone, Debug)]
pub struct StoreSpec {
    pub(crate) builder: Arc<dyn ErasedStoreBuilder>,
    pub(crate) changelog: Changelog,
}

impl StoreSpec {
    /// Its name.
    pub fn name(&self) -> &str {
        self.builder.store_name()
    }

    /// Where it is restored from.
    pub fn changelog(&self) -> &Changelog {
        &self.changelog
    }

    /// True if it writes to disk.
    pub fn is_persistent(&self) -> bool {
        self.builder.keeps_on_disk()
    }

    /// True if its changes are written to a changelog of its own.
    pub fn is_logged(&self) -> bool {
        matches!(self.changelog, Changelog::Own(_))
    }

    /// The topic it is restored from, if any.
    pub fn changelog_topic(&self, application_id: &str) -> Option<Arc<str>> {
        match &self.changelog {
            Changelog::None => None,
            Changelog::Own(_) => Some(self.own_topic(application_id)),
            Changelog::Source(topic) => Some(topic.full_name(application_id)),
        }
    }

    /// The topic its serdes are told (see
    /// [`StoreContext::changelog_topic`](kstreams_core::store::StoreContext::changelog_topic)):
    /// as [`changelog_topic`](Self::changelog_topic), and where there is none, the name it would
    /// have.
    pub fn serde_topic(&self, application_id: &str) -> Arc<str> {
        self.changelog_topic(application_id).unwrap_or_else(|| self.own_topic(application_id))
    }

    fn own_topic(&self, application_id: &str) -> Arc<str> {
        format!("{application_id}-{}-changelog", self.name()).into()
    }

    /// Opens the store of one task.
    ///
    /// # Errors
    /// As [`StoreBuilder::build`].
    pub fn open(&self, context: StoreContext) -> Result<Arc<dyn StateStore>> {
        self.builder.open(context)
    }
}
