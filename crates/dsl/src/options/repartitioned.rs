//! How a stream is repartitioned.

use std::sync::Arc;

use kstreams_core::sink::Partitioner;

use super::serde_options;
use crate::serdes::Choice;

/// How a stream is repartitioned (`Repartitioned`).
///
/// ```
/// use kstreams_dsl::{Repartitioned, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let spread = Repartitioned::named("spread").partitions(8);
/// builder.stream::<String, String>("in").repartition_with(spread).to("out");
/// assert!(builder.build()?.describe().contains("(topics: [spread-repartition])"));
/// # Ok::<(), kstreams_dsl::BuildErrors>(())
/// ```
pub struct Repartitioned<K, V> {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) key: Choice<K>,
    pub(crate) value: Choice<V>,
    pub(crate) partitions: Option<i32>,
    pub(crate) partitioner: Option<Arc<dyn Partitioner<K, V>>>,
}

serde_options!(Repartitioned, "the name of the topic, without `-repartition`");

impl<K, V> Repartitioned<K, V> {
    fn blank(key: Choice<K>, value: Choice<V>) -> Self {
        Self { name: None, key, value, partitions: None, partitioner: None }
    }

    /// How many partitions the topic gets; else as many as the source topics have.
    #[must_use]
    pub fn partitions(mut self, n_partitions: i32) -> Self {
        self.partitions = Some(n_partitions);
        self
    }

    /// Chooses partitions by this rule instead of the hash of the key.
    #[must_use]
    pub fn partitioner(mut self, partitioner: impl Partitioner<K, V>) -> Self {
        self.partitioner = Some(Arc::new(partitioner));
        self
    }
}
