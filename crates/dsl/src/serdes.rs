//! Which serde a type has unless told otherwise, and serdes whose own type is erased.
//!
//! Every operator that reads or writes bytes asks [`DefaultSerde`]; options override it.

use std::fmt;
use std::sync::Arc;

use kstreams_core::Result;
use kstreams_core::serde::{At, Bool, ByteArray, F32, F64, I16, I32, I64, Nullable, Serde};
use kstreams_core::serde::{U32, U64, Unit, Utf8, UuidText};

/// A type that knows how it is written: the serde that operators infer for it.
///
/// Implement it for your own types; for a type of another crate give the serde to the operator.
///
/// ```
/// use kstreams_core::Result;
/// use kstreams_core::serde::{At, Serde};
/// use kstreams_dsl::DefaultSerde;
///
/// #[derive(Clone)]
/// struct Celsius(i16);
///
/// struct CelsiusSerde;
/// impl Serde for CelsiusSerde {
///     type Item = Celsius;
///     fn serialize(&self, item: &Celsius, _: &At<'_>, out: &mut Vec<u8>) -> Result {
///         out.extend(item.0.to_be_bytes());
///         Ok(())
///     }
///     fn deserialize(&self, bytes: &[u8], _: &At<'_>) -> Result<Celsius> {
///         let bytes = bytes.try_into().map_err(|_| "a temperature has two bytes")?;
///         Ok(Celsius(i16::from_be_bytes(bytes)))
///     }
/// }
///
/// impl DefaultSerde for Celsius {
///     type Serde = CelsiusSerde;
///     fn default_serde() -> CelsiusSerde {
///         CelsiusSerde
///     }
/// }
/// ```
pub trait DefaultSerde: Sized {
    /// The type of the serde.
    type Serde: Serde<Item = Self>;

    /// The serde.
    fn default_serde() -> Self::Serde;
}

macro_rules! default_serdes {
    ($($item:ty => $serde:ident),+ $(,)?) => {$(
        impl DefaultSerde for $item {
            type Serde = $serde;
            fn default_serde() -> $serde {
                $serde
            }
        }
    )+};
}
default_serdes! {
    String => Utf8,
    Vec<u8> => ByteArray,
    bool => Bool,
    i16 => I16,
    i32 => I32,
    i64 => I64,
    u32 => U32,
    u64 => U64,
    f32 => F32,
    f64 => F64,
    u128 => UuidText,
    () => Unit,
}

impl<T: DefaultSerde> DefaultSerde for Option<T> {
    type Serde = Nullable<T::Serde>;

    fn default_serde() -> Self::Serde {
        Nullable(T::default_serde())
    }
}

/// A serde of `T` whose own type is erased; cheap to clone.
pub struct SerdeOf<T> {
    serde: Arc<dyn Serde<Item = T>>,
    /// Writes the part of a key that partitions are chosen by, where that is not all of it.
    part: Option<Arc<dyn Serde<Item = T>>>,
}

impl<T: 'static> SerdeOf<T> {
    /// Erases the type of `serde`.
    pub fn new(serde: impl Serde<Item = T>) -> Self {
        Self { serde: Arc::new(serde), part: None }
    }

    /// As [`new`](Self::new), for keys whose partition depends on what `part` writes of them: a
    /// windowed key lies where its key lies.
    pub(crate) fn parted(serde: impl Serde<Item = T>, part: impl Serde<Item = T>) -> Self {
        Self { serde: Arc::new(serde), part: Some(Arc::new(part)) }
    }

    /// The serde of the part that partitions are chosen by, if that is not all of the key.
    pub(crate) fn part(&self) -> Option<Arc<dyn Serde<Item = T>>> {
        self.part.clone()
    }
}

impl<T: 'static> Serde for SerdeOf<T> {
    type Item = T;

    fn serialize(&self, item: &T, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        self.serde.serialize(item, at, out)
    }

    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<T> {
        self.serde.deserialize(bytes, at)
    }

    fn is_null(&self, item: &T) -> bool {
        self.serde.is_null(item)
    }

    fn null(&self) -> Option<T> {
        self.serde.null()
    }
}

impl<T> Clone for SerdeOf<T> {
    fn clone(&self) -> Self {
        Self { serde: Arc::clone(&self.serde), part: self.part.clone() }
    }
}

impl<T> fmt::Debug for SerdeOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerdeOf<{}>", std::any::type_name::<T>())
    }
}

/// What an operator was told about a serde.
pub(crate) enum Choice<T> {
    /// Nothing: what came down the stream, if anything.
    Inherit,
    /// What came down the stream, else the default of the type.
    Default(SerdeOf<T>),
    /// This one.
    Given(SerdeOf<T>),
}

impl<T: 'static> Choice<T> {
    pub(crate) fn default_of() -> Self
    where
        T: DefaultSerde,
    {
        Self::Default(SerdeOf::new(T::default_serde()))
    }

    pub(crate) fn given(serde: impl Serde<Item = T>) -> Self {
        Self::Given(SerdeOf::new(serde))
    }

    /// The serde to use where `inherited` came down the stream.
    pub(crate) fn resolve(&self, inherited: Option<&SerdeOf<T>>) -> Option<SerdeOf<T>> {
        match self {
            Self::Given(serde) => Some(serde.clone()),
            Self::Default(serde) => Some(inherited.unwrap_or(serde).clone()),
            Self::Inherit => inherited.cloned(),
        }
    }
}

impl<T> Clone for Choice<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Inherit => Self::Inherit,
            Self::Default(serde) => Self::Default(serde.clone()),
            Self::Given(serde) => Self::Given(serde.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_wins_and_a_default_comes_last() {
        let inherited = SerdeOf::new(I64);
        let default = Choice::<i64>::default_of();
        assert!(default.resolve(None).is_some());
        let resolved = default.resolve(Some(&inherited)).unwrap();
        assert!(Arc::ptr_eq(&resolved.serde, &inherited.serde));
        assert!(Choice::<i64>::Inherit.resolve(None).is_none());
    }
}
