//! What all typed stores share: their byte store, their codec and their changelog.

use std::sync::Arc;

use kstreams_core::record::{Headers, Offset, RawRecord};
use kstreams_core::store::{ChangeBuffer, StoreContext, TaskTimes};
use kstreams_core::time::Timestamp;
use kstreams_core::{ErrorKind, Result};

use crate::bytes::ByteStore;
use crate::codec::Codec;
use crate::stamped::split_stamped;

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
    pub(crate) fn set(&self, key: &[u8], stored: Option<&[u8]>) -> Result {
        match stored {
            Some(stored) => self.bytes.put(key, stored)?,
            None => self.bytes.delete(key)?,
        }
        self.log(key, stored, &Headers::default());
        Ok(())
    }

    /// Appends to the changelog what Java would: the plain value, with its own time if it has one
    /// and the time of the record in work if not.
    pub(crate) fn log(&self, key: &[u8], stored: Option<&[u8]>, headers: &Headers) {
        let Some(changes) = &self.changes else { return };
        let stamped = if self.codec.stamped { stored.and_then(split_stamped) } else { None };
        match stamped {
            Some((time, value)) => changes.append(key, Some(value), time, headers),
            None => changes.append(key, stored, self.times.record(), headers),
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
        if !self.codec.stamped {
            return Some(value);
        }
        buffer.clear();
        buffer.extend_from_slice(&record.timestamp.as_millis().to_be_bytes());
        buffer.extend_from_slice(value);
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
