//! How a stream is joined with a table.

use std::sync::Arc;
use std::time::Duration;

use super::serde_options;
use crate::serdes::Choice;

/// How a stream is joined with a table (`Joined`); the serdes are those of the stream, for the
/// repartition topic where one is needed.
///
/// ```
/// use kstreams_dsl::{Joined, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let users = builder.table::<String, String>("users", "users");
/// builder
///     .stream::<i64, String>("clicks")
///     .select_key(|_, user| user.clone())
///     .join_table_with(&users, |_, _, name| name.clone(), Joined::named("who"))
///     .to("named");
/// assert!(builder.build()?.describe().contains("who-repartition"));
/// # Ok::<(), kstreams_dsl::BuildErrors>(())
/// ```
pub struct Joined<K, V> {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) key: Choice<K>,
    pub(crate) value: Choice<V>,
    pub(crate) grace: Option<Duration>,
}

serde_options!(Joined, "the name of the join and, where one is needed, of the repartition topic");

impl<K, V> Joined<K, V> {
    fn blank(key: Choice<K>, value: Choice<V>) -> Self {
        Self { name: None, key, value, grace: None }
    }

    /// Holds each record back until stream time has passed it by `grace`, so that it meets what
    /// the table was at its time though the table's updates come late (KIP-923). The table must be
    /// [versioned](crate::Materialized::versioned); results come out in the order of time.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }
}
