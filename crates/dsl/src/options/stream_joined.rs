//! How two streams are joined.

use std::fmt;
use std::sync::Arc;

use kstreams_core::serde::Serde;

use super::StoreKind;
use crate::DefaultSerde;
use crate::serdes::Choice;

/// How two streams are joined (`StreamJoined`): names of the nodes and the stores, and serdes.
///
/// ```
/// use std::time::Duration;
/// use kstreams_dsl::{JoinWindows, StreamJoined, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let clicks = builder.stream::<String, String>("clicks");
/// let views = builder.stream::<String, String>("views");
/// let windows = JoinWindows::of(Duration::from_secs(1));
/// let how = StreamJoined::named("seen").store_name("seen");
/// clicks.join_with(&views, |_, click, view| format!("{click}{view}"), windows, how).to("seen");
/// let topology = builder.build()?;
/// assert!(topology.describe().contains("stores: [seen-this-join-store]"));
/// # Ok::<(), kstreams_dsl::BuildErrors>(())
/// ```
pub struct StreamJoined<K, V, V2> {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) store_name: Option<Arc<str>>,
    pub(crate) key: Choice<K>,
    pub(crate) value: Choice<V>,
    pub(crate) other: Choice<V2>,
    pub(crate) kind: StoreKind,
}

impl<K: 'static, V: 'static, V2: 'static> StreamJoined<K, V, V2> {
    /// With these serdes for keys and for the values of this stream and of the other.
    pub fn with(
        key: impl Serde<Item = K>,
        value: impl Serde<Item = V>,
        other: impl Serde<Item = V2>,
    ) -> Self {
        let (key, value, other) = (Choice::given(key), Choice::given(value), Choice::given(other));
        Self { name: None, store_name: None, key, value, other, kind: StoreKind::Default }
    }

    /// With the serdes that came down the streams, if any, and this name for the nodes.
    pub fn named(name: &str) -> Self
    where
        K: DefaultSerde,
        V: DefaultSerde,
        V2: DefaultSerde,
    {
        Self::default().name(name)
    }

    /// Sets the name of the nodes, and of repartition topics where they are needed.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the name that the stores begin with.
    #[must_use]
    pub fn store_name(mut self, name: &str) -> Self {
        self.store_name = Some(name.into());
        self
    }

    /// Keeps the windows in memory.
    #[must_use]
    pub fn in_memory(mut self) -> Self {
        self.kind = StoreKind::InMemory;
        self
    }
}

impl<K, V, V2> Default for StreamJoined<K, V, V2>
where
    K: DefaultSerde + 'static,
    V: DefaultSerde + 'static,
    V2: DefaultSerde + 'static,
{
    fn default() -> Self {
        Self {
            name: None,
            store_name: None,
            key: Choice::default_of(),
            value: Choice::default_of(),
            other: Choice::default_of(),
            kind: StoreKind::Default,
        }
    }
}

impl<K, V, V2> fmt::Debug for StreamJoined<K, V, V2> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamJoined").field("name", &self.name).finish_non_exhaustive()
    }
}
