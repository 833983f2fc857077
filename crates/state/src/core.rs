//! What all typed stores share: their byte store, their codec and their changelog.

use std::sync::Arc;

use kstreams_core::record::{Headers, Offset};
use kstreams_core::store::{ChangeBuffer, StoreContext, TaskTimes};
use kstreams_core::time::Timestamp;
use kstreams_core::{ErrorKind, Result};

use crate::bytes::ByteStore;
use crate::codec::{Codec, Serdes};

pub(crate) struct Core<K, V> {
    pub(crate) codec: Arc<Codec<K, V>>,
    pub(crate) bytes: Arc<dyn ByteStore>,
    changes: Option<Arc<ChangeBuffer>>,
    times: Arc<TaskTimes>,
    pub(crate) persistent: bool,
    read_only: bool,
}

impl<K: 'static, V: 'static> Core<K, V> {
    pub(crate) fn new(
        name: &Arc<str>,
        serdes: &Serdes<K, V>,
        bytes: Arc<dyn ByteStore>,
        persistent: bool,
        context: StoreContext,
    ) -> Self {
        Self {
            codec: Arc::new(Codec::new(serdes, name, &context.changelog_topic)),
            bytes,
            changes: context.changes,
            times: context.times,
            persistent,
            read_only: false,
        }
    }

    /// The same store, whose writes fail.
    pub(crate) fn reader(&self) -> Self {
        Self { read_only: true, ..self.clone() }
    }

    /// The time of the record in work.
    pub(crate) fn record_time(&self) -> Timestamp {
        self.times.record()
    }

    pub(crate) fn check_writable(&self) -> Result {
        if self.read_only {
            return Err(self.codec.error(
                ErrorKind::Store,
                "it is read only here: only the \
                processor of a global store writes to it",
            ));
        }
        Ok(())
    }

    /// Appends to the changelog, in Java's bytes.
    pub(crate) fn log(&self, key: &[u8], value: Option<&[u8]>, timestamp: Timestamp) {
        self.log_with(key, value, timestamp, &Headers::default());
    }

    pub(crate) fn log_with(
        &self,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp: Timestamp,
        headers: &Headers,
    ) {
        if let Some(changes) = &self.changes {
            changes.append(key, value, timestamp, headers);
        }
    }

    /// Sets or removes the value of `key`. `stored` is what the byte store gets, `logged` what the
    /// changelog gets.
    pub(crate) fn set(
        &self,
        key: &[u8],
        stored: Option<&[u8]>,
        logged: Option<&[u8]>,
        timestamp: Timestamp,
    ) -> Result {
        match stored {
            Some(stored) => self.bytes.put(key, stored)?,
            None => self.bytes.delete(key)?,
        }
        self.log(key, logged, timestamp);
        Ok(())
    }

    /// Logs the removal of what the last put pushed out of a bounded store, as Java's LRU map does.
    pub(crate) fn log_pushed_out(&self) {
        let mut key = Vec::new();
        if self.bytes.pushed_out(&mut key) {
            self.log(&key, None, self.record_time());
        }
    }

    pub(crate) fn committed_offset(&self) -> Result<Option<Offset>> {
        Ok(self.bytes.mark()?.offset)
    }

    pub(crate) fn rollback(&self) -> bool {
        !self.read_only && self.bytes.rollback()
    }

    pub(crate) fn close(&self) -> Result {
        // The store is closed by its writer, not by its readers.
        if self.read_only { Ok(()) } else { self.bytes.close() }
    }

    pub(crate) fn wipe(&self) -> Result {
        self.check_writable()?;
        self.bytes.wipe()
    }

    /// As [`reader`](Self::reader) but writing goes on; stores are shared by their parts.
    fn clone(&self) -> Self {
        Self {
            codec: Arc::clone(&self.codec),
            bytes: Arc::clone(&self.bytes),
            changes: self.changes.clone(),
            times: Arc::clone(&self.times),
            persistent: self.persistent,
            read_only: self.read_only,
        }
    }
}

/// The methods of `StateStore` that are the same for every typed store: those of its `core`.
macro_rules! state_store_of_core {
    () => {
        fn name(&self) -> &str {
            &self.core.codec.name
        }

        fn is_persistent(&self) -> bool {
            self.core.persistent
        }

        fn committed_offset(&self) -> Result<Option<Offset>> {
            self.core.committed_offset()
        }

        fn uncommitted_bytes(&self) -> usize {
            self.core.bytes.uncommitted_bytes()
        }

        fn rollback(&self) -> bool {
            self.core.rollback()
        }

        fn close(&self) -> Result {
            self.core.close()
        }

        fn wipe(&self) -> Result {
            self.core.wipe()
        }
    };
}
pub(crate) use state_store_of_core;
