//! What operators can be told: names, serdes, stores, partitions.
//!
//! Every operator works without them; `..._with` takes them.

mod consumed;
mod grouped;
mod joined;
mod materialized;
mod produced;
mod repartitioned;
mod stream_joined;
mod suppressed;
mod table_joined;

pub use consumed::Consumed;
pub use grouped::Grouped;
pub use joined::Joined;
pub use materialized::{Materialized, StoreKind};
pub use produced::Produced;
pub use repartitioned::Repartitioned;
pub use stream_joined::StreamJoined;
pub(crate) use suppressed::Until;
pub use suppressed::{BufferConfig, StrictBufferConfig, Suppressed};
pub use table_joined::TableJoined;

/// The constructors and setters that all options with a key and a value serde share.
macro_rules! serde_options {
    ($name:ident, $what:literal) => {
        impl<K: 'static, V: 'static> $name<K, V> {
            /// With these serdes for keys and values.
            pub fn with(
                key: impl kstreams_core::serde::Serde<Item = K>,
                value: impl kstreams_core::serde::Serde<Item = V>,
            ) -> Self {
                Self::blank(
                    $crate::serdes::Choice::given(key),
                    $crate::serdes::Choice::given(value),
                )
            }

            #[doc = concat!("With the serdes that came down the stream, if any, and ", $what, ".")]
            pub fn named(name: &str) -> Self
            where
                K: $crate::DefaultSerde,
                V: $crate::DefaultSerde,
            {
                Self::default().name(name)
            }

            #[doc = concat!("Sets ", $what, ".")]
            #[must_use]
            pub fn name(mut self, name: &str) -> Self {
                self.name = Some(name.into());
                self
            }

            /// Sets the serde of keys.
            #[must_use]
            pub fn key(mut self, serde: impl kstreams_core::serde::Serde<Item = K>) -> Self {
                self.key = $crate::serdes::Choice::given(serde);
                self
            }

            /// Sets the serde of values.
            #[must_use]
            pub fn value(mut self, serde: impl kstreams_core::serde::Serde<Item = V>) -> Self {
                self.value = $crate::serdes::Choice::given(serde);
                self
            }
        }

        impl<K, V> Default for $name<K, V>
        where
            K: $crate::DefaultSerde + 'static,
            V: $crate::DefaultSerde + 'static,
        {
            fn default() -> Self {
                Self::blank(
                    $crate::serdes::Choice::default_of(),
                    $crate::serdes::Choice::default_of(),
                )
            }
        }

        impl<K, V> std::fmt::Debug for $name<K, V> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).field("name", &self.name).finish_non_exhaustive()
            }
        }
    };
}
use serde_options;
