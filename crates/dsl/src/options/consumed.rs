//! How topics are read.

use std::sync::Arc;

use kstreams_core::source::{EventTime, OffsetReset};

use super::serde_options;
use crate::serdes::Choice;

/// How a stream or table reads its topics (`Consumed`).
///
/// ```
/// use kstreams_core::serde::{U64, Utf8};
/// use kstreams_core::source::OffsetReset;
/// use kstreams_dsl::{Consumed, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let how = Consumed::with(Utf8, U64).name("clicks").offset_reset(OffsetReset::Latest);
/// builder.stream_with("clicks", how).to("copy");
/// assert!(builder.build()?.describe().contains("Source: clicks (topics: [clicks])"));
/// # Ok::<(), kstreams_dsl::BuildErrors>(())
/// ```
pub struct Consumed<K, V> {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) key: Choice<K>,
    pub(crate) value: Choice<V>,
    pub(crate) reset: Option<OffsetReset>,
    pub(crate) event_time: Option<EventTime<K, V>>,
}

serde_options!(Consumed, "the name of the source node");

impl<K, V> Consumed<K, V> {
    fn blank(key: Choice<K>, value: Choice<V>) -> Self {
        Self { name: None, key, value, reset: None, event_time: None }
    }

    /// Where to start without a committed offset.
    #[must_use]
    pub fn offset_reset(mut self, reset: OffsetReset) -> Self {
        self.reset = Some(reset);
        self
    }

    /// The rule for event time.
    #[must_use]
    pub fn event_time(mut self, rule: EventTime<K, V>) -> Self {
        self.event_time = Some(rule);
        self
    }
}
