//! How a stream is written to a topic.

use std::sync::Arc;

use kstreams_core::sink::Partitioner;

use super::serde_options;
use crate::serdes::Choice;

/// How a stream is written to a topic (`Produced`).
///
/// ```
/// use kstreams_core::record::Record;
/// use kstreams_core::serde::Utf8;
/// use kstreams_core::sink::Partitions;
/// use kstreams_dsl::{Produced, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let first = |_: &str, _: &Record<String, String>, _: i32| Partitions::One(0);
/// builder
///     .stream::<String, String>("in")
///     .to_with("out", Produced::with(Utf8, Utf8).name("out").partitioner(first));
/// # builder.build()?;
/// # Ok::<(), kstreams_dsl::BuildErrors>(())
/// ```
pub struct Produced<K, V> {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) key: Choice<K>,
    pub(crate) value: Choice<V>,
    pub(crate) partitioner: Option<Arc<dyn Partitioner<K, V>>>,
}

serde_options!(Produced, "the name of the sink node");

impl<K, V> Produced<K, V> {
    fn blank(key: Choice<K>, value: Choice<V>) -> Self {
        Self { name: None, key, value, partitioner: None }
    }

    /// Chooses partitions by this rule instead of the hash of the key.
    #[must_use]
    pub fn partitioner(mut self, partitioner: impl Partitioner<K, V>) -> Self {
        self.partitioner = Some(Arc::new(partitioner));
        self
    }
}
