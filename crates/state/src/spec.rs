//! What every store builder holds: a name, where the data lives, and how it is logged.

use std::sync::Arc;

use kstreams_core::Result;
use kstreams_core::store::{ChangelogConfig, StoreContext};

use crate::bytes::ByteStore;
use crate::codec::{Codec, Serdes};
use crate::core::Core;
use crate::lru::Lru;
use crate::memory::Memory;
use crate::overlay::Keys;

#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) name: Arc<str>,
    pub(crate) backing: Backing,
    /// The user's settings for the changelog topic; `None` if there is no changelog.
    pub(crate) logging: Option<Vec<(String, String)>>,
}

/// Where the data lives.
#[derive(Clone, Debug)]
pub(crate) enum Backing {
    Memory,
    /// In memory, at most so many entries.
    Lru(usize),
    #[cfg(feature = "rocksdb")]
    Rocks(crate::rocks::Settings),
}

impl Spec {
    pub(crate) fn new(name: &str, backing: Backing) -> Self {
        Self { name: name.into(), backing, logging: Some(Vec::new()) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_persistent(&self) -> bool {
        !matches!(self.backing, Backing::Memory | Backing::Lru(_))
    }

    pub(crate) fn changelog(&self, config: ChangelogConfig) -> Option<ChangelogConfig> {
        let overrides = self.logging.clone()?;
        Some(ChangelogConfig { overrides, ..config })
    }

    /// Opens the store of one task. `format` names the layout of its bytes: data written in
    /// another one is refused as corrupted, so that it is rebuilt instead of misread.
    pub(crate) fn open<K: 'static, V: 'static>(
        &self,
        serdes: &Serdes<K, V>,
        format: &str,
        keys: Keys,
        context: StoreContext,
    ) -> Result<Core<K, V>> {
        let format = serdes.envelope.prefix().to_owned() + format;
        let (bytes, persistent): (Arc<dyn ByteStore>, _) = match &self.backing {
            Backing::Memory => (Arc::new(Memory::new(context.transactional)), false),
            Backing::Lru(max) => (Arc::new(Lru::new(*max)), false),
            #[cfg(feature = "rocksdb")]
            Backing::Rocks(settings) => {
                (crate::rocks::open(&self.name, settings, &format, keys, &context)?, true)
            }
        };
        #[cfg(not(feature = "rocksdb"))]
        let _ = (format, keys);
        if serdes.envelope.headers {
            context.times.keep_headers();
        }
        let codec = Codec::new(serdes, &self.name, &context.changelog_topic);
        Ok(Core::new(codec, bytes, persistent, context))
    }
}

/// The builder methods that are the same for every kind of store.
macro_rules! spec_methods {
    () => {
        /// Adds settings to the changelog topic; they win over the derived ones.
        #[must_use]
        pub fn logging<N: Into<String>, T: Into<String>>(
            mut self,
            overrides: impl IntoIterator<Item = (N, T)>,
        ) -> Self {
            let all = self.spec.logging.get_or_insert_default();
            all.extend(overrides.into_iter().map(|(name, value)| (name.into(), value.into())));
            self
        }

        /// Gives the store no changelog: what it holds is lost with its disk or its process.
        #[must_use]
        pub fn without_logging(mut self) -> Self {
            self.spec.logging = None;
            self
        }

        /// Sets options of this store's RocksDB, after the defaults; without effect in memory.
        #[cfg(feature = "rocksdb")]
        #[must_use]
        pub fn rocksdb(
            mut self,
            configure: impl Fn(&mut ::rocksdb::Options) + Send + Sync + 'static,
        ) -> Self {
            if let $crate::spec::Backing::Rocks(settings) = &mut self.spec.backing {
                settings.configure = Some(::std::sync::Arc::new(configure));
            }
            self
        }

        /// Gives this store's RocksDB another memory budget than the process's.
        #[cfg(feature = "rocksdb")]
        #[must_use]
        pub fn rocksdb_memory(mut self, memory: &$crate::rocks::RocksMemory) -> Self {
            if let $crate::spec::Backing::Rocks(settings) = &mut self.spec.backing {
                settings.memory = Some(memory.clone());
            }
            self
        }
    };
}
pub(crate) use spec_methods;
