//! How records are grouped.

use std::sync::Arc;

use super::serde_options;
use crate::serdes::Choice;

/// How records are grouped for an aggregation (`Grouped`); the serdes are those of the repartition
/// topic, where one is needed.
///
/// ```
/// use kstreams_dsl::{Grouped, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// builder
///     .stream::<String, String>("lines")
///     .group_by_with(|_, line| line.len() as i64, Grouped::named("by-length"))
///     .count("counts");
/// assert!(builder.build()?.describe().contains("by-length-repartition"));
/// # Ok::<(), kstreams_dsl::BuildErrors>(())
/// ```
pub struct Grouped<K, V> {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) key: Choice<K>,
    pub(crate) value: Choice<V>,
}

serde_options!(Grouped, "the name of the repartition topic, without `-repartition`");

impl<K, V> Grouped<K, V> {
    fn blank(key: Choice<K>, value: Choice<V>) -> Self {
        Self { name: None, key, value }
    }
}
