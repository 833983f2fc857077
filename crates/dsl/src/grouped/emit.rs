//! When the results of windows come out, and what is still to come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::Result;
use kstreams_core::flow::TaskEnv;
use kstreams_core::serde::{At, Serde};

use crate::serdes::SerdeOf;

/// When the results of windows and sessions come out (`EmitStrategy`, KIP-825).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmitStrategy {
    /// Each time one changes.
    #[default]
    OnWindowUpdate,
    /// Once, with the first record that comes when it can change no more.
    ///
    /// # Differs from Kafka Streams
    /// Java looks for closed windows at most once a second, and loses those that a leap of time
    /// carries past the retention of their store. Which windows are open is known in memory.
    OnWindowClose,
}

/// How long a store keeps windows: long enough to tell those that close in this very moment.
pub(super) fn kept_for(retention: Duration, emit: EmitStrategy) -> Duration {
    match emit {
        EmitStrategy::OnWindowUpdate => retention,
        EmitStrategy::OnWindowClose => retention.saturating_add(Duration::from_millis(1)),
    }
}

/// The windows whose results are still to come, in the order they will.
pub(super) struct Closing<K> {
    store: Arc<str>,
    key: SerdeOf<K>,
    /// Windows that closed by this time have come out, also before the last restart.
    last: Option<i64>,
    /// Windows before this place had closed when the task began to run here. A record that is late
    /// for them may be taken then; it is not told.
    from: i64,
    open: BTreeMap<(i64, i64), Vec<K>>,
}

impl<K: 'static> Closing<K> {
    pub(super) fn new(store: &Arc<str>, key: &SerdeOf<K>) -> Self {
        let (store, key) = (Arc::clone(store), key.clone());
        Self { store, key, last: None, from: 0, open: BTreeMap::new() }
    }

    /// Takes up what was committed; the place of the first window that is still to come out, of
    /// which `earliest` knows by the time at which others have.
    pub(super) fn resume(&mut self, task: &TaskEnv, earliest: impl Fn(i64) -> i64) -> i64 {
        self.last = task.progress(&self.store);
        self.from = self.last.map_or(0, earliest);
        self.open.clear();
        self.from
    }

    /// Remembers a window that has its first value.
    pub(super) fn add(&mut self, place: (i64, i64), key: K) {
        if place.0 >= self.from {
            self.open.entry(place).or_default().push(key);
        }
    }

    /// Takes the windows whose place is at most `through`, at the time `close` of windows that close;
    /// those of one place by the bytes of their keys.
    pub(super) fn take(
        &mut self,
        task: &mut TaskEnv,
        close: i64,
        through: (i64, i64),
    ) -> Result<Vec<((i64, i64), K)>> {
        let mut taken = Vec::new();
        if self.last.is_some_and(|last| close <= last) {
            return Ok(taken);
        }
        let topic = format!("{}-{}-changelog", task.application_id(), self.store);
        while let Some(first) = self.open.first_entry().filter(|first| *first.key() <= through) {
            let (place, keys) = first.remove_entry();
            let with_bytes = keys.into_iter().map(|key| -> Result<(Vec<u8>, K)> {
                let mut bytes = Vec::new();
                self.key.serialize(&key, &At::key(&topic), &mut bytes)?;
                Ok((bytes, key))
            });
            let mut keys = with_bytes.collect::<Result<Vec<_>>>()?;
            keys.sort_by(|one, two| one.0.cmp(&two.0));
            keys.dedup_by(|one, two| one.0 == two.0);
            taken.extend(keys.into_iter().map(|(_, key)| (place, key)));
        }
        self.last = Some(close);
        task.set_progress(&self.store, close);
        Ok(taken)
    }
}
