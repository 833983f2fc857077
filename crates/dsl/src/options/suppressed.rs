//! How long the changes of a table are held back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::serde::Serde;
use kstreams_core::time::Timestamp;
use kstreams_state::Windowed;

use crate::DefaultSerde;
use crate::serdes::Choice;

/// How much a suppression may hold back, and what it does when that is not enough
/// (`Suppressed.BufferConfig`).
///
/// ```
/// use kstreams_dsl::BufferConfig;
///
/// let small = BufferConfig::max_records(1_000).with_max_bytes(1 << 20);
/// let strict = small.clone().shut_down_when_full();
/// # let _ = (small, strict);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferConfig {
    pub(crate) max_records: u64,
    pub(crate) max_bytes: u64,
    pub(crate) emits_early: bool,
    pub(crate) logging: Option<Vec<(String, String)>>,
}

impl BufferConfig {
    /// At most so many records; the oldest is emitted early when there are more.
    pub const fn max_records(records: u64) -> Self {
        Self { max_records: records, max_bytes: u64::MAX, emits_early: true, logging: Some(vec![]) }
    }

    /// At most so many bytes, of which Kafka Streams' estimate is taken; the oldest record is
    /// emitted early when there are more.
    pub const fn max_bytes(bytes: u64) -> Self {
        Self { max_records: u64::MAX, max_bytes: bytes, emits_early: true, logging: Some(vec![]) }
    }

    /// As much as comes.
    pub const fn unbounded() -> StrictBufferConfig {
        let all = u64::MAX;
        let logging = Some(vec![]);
        StrictBufferConfig(Self { max_records: all, max_bytes: all, emits_early: false, logging })
    }

    /// At most so many records, too.
    #[must_use]
    pub const fn with_max_records(mut self, records: u64) -> Self {
        self.max_records = records;
        self
    }

    /// At most so many bytes, too.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Fails instead of emitting early.
    pub fn shut_down_when_full(self) -> StrictBufferConfig {
        StrictBufferConfig(Self { emits_early: false, ..self })
    }

    /// Gives the buffer no changelog: what it holds back is lost with its process.
    #[must_use]
    pub fn without_logging(mut self) -> Self {
        self.logging = None;
        self
    }

    /// Adds settings to the changelog topic.
    #[must_use]
    pub fn logging<N: Into<String>, T: Into<String>>(
        mut self,
        settings: impl IntoIterator<Item = (N, T)>,
    ) -> Self {
        let all = self.logging.get_or_insert_default();
        all.extend(settings.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }
}

/// A [`BufferConfig`] that never emits early, as final results need it
/// (`Suppressed.StrictBufferConfig`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrictBufferConfig(BufferConfig);

impl StrictBufferConfig {
    /// At most so many records.
    #[must_use]
    pub fn with_max_records(self, records: u64) -> Self {
        Self(self.0.with_max_records(records))
    }

    /// At most so many bytes.
    #[must_use]
    pub fn with_max_bytes(self, bytes: u64) -> Self {
        Self(self.0.with_max_bytes(bytes))
    }

    /// As [`BufferConfig::without_logging`].
    #[must_use]
    pub fn without_logging(self) -> Self {
        Self(self.0.without_logging())
    }

    /// As [`BufferConfig::logging`].
    #[must_use]
    pub fn logging<N: Into<String>, T: Into<String>>(
        self,
        settings: impl IntoIterator<Item = (N, T)>,
    ) -> Self {
        Self(self.0.logging(settings))
    }
}

impl From<StrictBufferConfig> for BufferConfig {
    fn from(strict: StrictBufferConfig) -> Self {
        strict.0
    }
}

/// How long the changes of a table are held back (`Suppressed`); see
/// [`KTable::suppress`](crate::KTable::suppress).
pub struct Suppressed<K, V> {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) buffer: BufferConfig,
    pub(crate) until: Until<K>,
    pub(crate) key: Choice<K>,
    pub(crate) value: Choice<V>,
}

/// What a change waits for.
pub(crate) enum Until<K> {
    /// That so much stream time has passed since the first change of its key.
    Limit(Duration),
    /// That its window, whose end this tells, takes no more records.
    WindowCloses(fn(&K) -> Timestamp),
}

impl<K: 'static, V: 'static> Suppressed<K, V> {
    /// Holds back the changes of a key until `wait` of stream time has passed since the first.
    pub fn until_time_limit(wait: Duration, buffer: impl Into<BufferConfig>) -> Self {
        Self::new(Until::Limit(wait), buffer.into())
    }

    fn new(until: Until<K>, buffer: BufferConfig) -> Self {
        Self { name: None, buffer, until, key: Choice::Inherit, value: Choice::Inherit }
    }

    /// Sets the name of the node; its store gets it too, with `-store` behind it.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the serde of keys.
    #[must_use]
    pub fn key(mut self, serde: impl Serde<Item = K>) -> Self {
        self.key = Choice::given(serde);
        self
    }

    /// Sets the serde of values.
    #[must_use]
    pub fn value(mut self, serde: impl Serde<Item = V>) -> Self {
        self.value = Choice::given(serde);
        self
    }

    /// Takes the types' own serdes where the table has none.
    pub(crate) fn or_default(mut self) -> Self
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        if let Choice::Inherit = self.key {
            self.key = Choice::default_of();
        }
        if let Choice::Inherit = self.value {
            self.value = Choice::default_of();
        }
        self
    }
}

impl<K: 'static, V: 'static> Suppressed<Windowed<K>, V> {
    /// Holds back the changes of a window until it is closed: its final result alone comes out.
    pub fn until_window_closes(buffer: StrictBufferConfig) -> Self {
        Self::new(Until::WindowCloses(|key| key.window.end), buffer.into())
    }
}

impl<K, V> fmt::Debug for Suppressed<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Suppressed");
        match &self.until {
            Until::Limit(wait) => debug.field("wait", wait),
            Until::WindowCloses(_) => debug.field("wait", &"window closes"),
        };
        debug.field("buffer", &self.buffer).finish_non_exhaustive()
    }
}
