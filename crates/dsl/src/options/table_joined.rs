//! How two tables are joined by a foreign key.

use std::fmt;
use std::sync::Arc;

use kstreams_core::serde::Serde;
use kstreams_core::sink::Partitioner;

use super::StoreKind;
use crate::DefaultSerde;
use crate::serdes::Choice;

/// How two tables are joined by a foreign key (`TableJoined`): names, partitions, and the serdes of
/// the tables where they have none.
///
/// ```
/// use kstreams_dsl::{StreamsBuilder, TableJoined};
///
/// let builder = StreamsBuilder::new();
/// let orders = builder.table::<i64, String>("orders", ());
/// let users = builder.table::<String, String>("users", ());
/// let how = TableJoined::named("who");
/// orders.join_on_with(&users, |_, user| user.clone(), |_, _, name| name.clone(), how);
/// let text = builder.build()?.describe();
/// assert!(text.contains("Sink: who-subscription-registration-sink"));
/// # Ok::<(), kstreams_dsl::BuildErrors>(())
/// ```
pub struct TableJoined<K, V, KO, VO> {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) key: Choice<K>,
    pub(crate) value: Choice<V>,
    pub(crate) other_key: Choice<KO>,
    pub(crate) other_value: Choice<VO>,
    pub(crate) partitioner: Option<Arc<dyn Partitioner<K, ()>>>,
    pub(crate) other_partitioner: Option<Arc<dyn Partitioner<KO, ()>>>,
    pub(crate) kind: StoreKind,
}

impl<K: 'static, V: 'static, KO: 'static, VO: 'static> TableJoined<K, V, KO, VO> {
    /// With these serdes for keys and values of this table and of the other.
    pub fn with(
        key: impl Serde<Item = K>,
        value: impl Serde<Item = V>,
        other_key: impl Serde<Item = KO>,
        other_value: impl Serde<Item = VO>,
    ) -> Self {
        Self {
            name: None,
            key: Choice::given(key),
            value: Choice::given(value),
            other_key: Choice::given(other_key),
            other_value: Choice::given(other_value),
            partitioner: None,
            other_partitioner: None,
            kind: StoreKind::Default,
        }
    }

    /// With the serdes of the tables, if they have any, and this name.
    pub fn named(name: &str) -> Self
    where
        K: DefaultSerde,
        V: DefaultSerde,
        KO: DefaultSerde,
        VO: DefaultSerde,
    {
        Self::default().name(name)
    }

    /// Sets what the names of nodes, topics and stores begin with.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Says how this table is partitioned, if not by the hash of its key.
    #[must_use]
    pub fn partitioner(mut self, partitioner: impl Partitioner<K, ()>) -> Self {
        self.partitioner = Some(Arc::new(partitioner));
        self
    }

    /// Says how the other table is partitioned, if not by the hash of its key.
    #[must_use]
    pub fn other_partitioner(mut self, partitioner: impl Partitioner<KO, ()>) -> Self {
        self.other_partitioner = Some(Arc::new(partitioner));
        self
    }

    /// Keeps the subscriptions in memory.
    #[must_use]
    pub fn in_memory(mut self) -> Self {
        self.kind = StoreKind::InMemory;
        self
    }
}

impl<K, V, KO, VO> Default for TableJoined<K, V, KO, VO>
where
    K: DefaultSerde + 'static,
    V: DefaultSerde + 'static,
    KO: DefaultSerde + 'static,
    VO: DefaultSerde + 'static,
{
    fn default() -> Self {
        Self {
            name: None,
            key: Choice::default_of(),
            value: Choice::default_of(),
            other_key: Choice::default_of(),
            other_value: Choice::default_of(),
            partitioner: None,
            other_partitioner: None,
            kind: StoreKind::Default,
        }
    }
}

impl<K, V, KO, VO> fmt::Debug for TableJoined<K, V, KO, VO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableJoined").field("name", &self.name).finish_non_exhaustive()
    }
}
