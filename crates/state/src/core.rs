//! What all typed stores share: their byte store, their codec and their changelog.

use std::sync::Arc;

use kstreams_core::record::{Headers, Offset, RawRecord};
use kstreams_core::store::{ChangeBuffer, StoreContext, TaskTimes};
use kstreams_core::time::Timestamp;
use kstreams_core::{ErrorKind, Result};

use crate::bytes::ByteStore;
use crate::codec::Codec;

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
        codec: Codec<K, V>,
        bytes: Arc<dyn ByteStore>,
        persistent: bool,
        context: StoreContext,
    ) -> Self {
        Self {
            codec: Arc::new(codec),
            bytes,
            changes: context.changes,
            times: context.times,
            persistent,
            read_only: false,
        }
    }

    /// The same store, whose writes fail.
    pub(crate) fn reader(&self) -> Self {
        Self {
            codec: Arc::clone(&self.codec),
            bytes: Arc::clone(&self.bytes),
            changes: self.changes.clone(),
            times: Arc::clone(&self.times),
            persistent: self.persistent,
            read_only: true,
        }
    }

    pub(crate) fn is_reader(&self) -> bool {
        self.read_only
    }

    pub(crate) fn check_writable(&self) -> Result {
        if self.read_only {
            let message = "it is read only here: only the processor of a global store writes to it";
            return Err(self.codec.error(ErrorKind::Store, message));
        }
        Ok(())
    }

    /// Sets or removes the value of `key`, and logs it.
    pub(crate) fn set(&self, key: &[u8], stored: Option<&[u8]>, headers: &Headers) -> Result {
        match stored {
            Some(stored) => self.bytes.put(key, stored)?,
            None => self.bytes.delete(key)?,
        }
        self.log(key, stored, headers);
        Ok(())
    }

    /// Appends to the changelog what Java would: the plain value, with its own time and headers if
    /// it has them, and the time of the record in work if not. The removal of a value with headers
    /// has those of the record in work.
    pub(crate) fn log(&self, key: &[u8], stored: Option<&[u8]>, headers: &Headers) {
        let Some(changes) = &self.changes else { return };
        let envelope = self.codec.envelope;
        let now = self.times.record();
        if envelope.is_empty() {
            return changes.append(key, stored, now, headers);
        }
        match stored.and_then(|stored| envelope.open(stored)) {
            Some(opened) => {
                let own = opened.headers.as_ref().unwrap_or(headers);
                changes.append(key, Some(opened.value), opened.time.unwrap_or(now), own);
            }
            None if envelope.headers => changes.append(key, None, now, &self.times.headers()),
            None => changes.append(key, None, now, headers),
        }
    }

    /// Appends a value with a time that is neither.
    pub(crate) fn log_at(&self, key: &[u8], value: Option<&[u8]>, time: Timestamp) {
        if let Some(changes) = &self.changes {
            changes.append(key, value, time, &Headers::default());
        }
    }

    /// Logs the removal of what the last put pushed out of a bounded store, as Java's LRU map does.
    pub(crate) fn log_pushed_out(&self) {
        let mut key = Vec::new();
        if self.bytes.pushed_out(&mut key) {
            self.log(&key, None, &Headers::default());
        }
    }

    /// What the store holds for the value of a changelog record.
    pub(crate) fn restored<'a>(
        &self,
        record: &RawRecord<'a>,
        buffer: &'a mut Vec<u8>,
    ) -> Option<&'a [u8]> {
        let value = record.value?;
        if self.codec.envelope.is_empty() {
            return Some(value);
        }
        buffer.clear();
        self.codec.envelope.seal(record, value, buffer);
        Some(buffer)
    }

    pub(crate) fn committed_offset(&self) -> Result<Option<Offset>> {
        Ok(self.bytes.mark()?.offset)
    }

    pub(crate) fn close(&self) -> Result {
        // The store is closed by its writer, not by its readers.
        if self.read_only { Ok(()) } else { self.bytes.close() }
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

        fn close(&self) -> Result {
            self.core.close()
        }
    };
}
pub(crate) use state_store_of_core;
