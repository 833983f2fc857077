//! References to nodes and stores that are part of a builder.
//!
//! The builder gives typed handles out and takes them back as parents.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use kstreams_core::store::StoreId;

/// A node of a topology whose output is `Record<K, V>`.
///
/// It is given as a parent to nodes that take such records: any other edge does not compile.
///
/// ```compile_fail,E0308
/// use kstreams_core::context::Context;
/// use kstreams_core::record::Record;
/// use kstreams_core::serde::Utf8;
/// use kstreams_topology::{Handle, Topology};
///
/// let mut topology = Topology::builder();
/// let lines: Handle<String, String> = topology.source("lines", "input", (Utf8, Utf8));
/// let numbers: Handle<String, u64> = lines; // another type
/// ```
pub struct Handle<K, V> {
    pub(crate) builder: u64,
    pub(crate) node: usize,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Handle<K, V> {
    pub(crate) fn new(builder: u64, node: usize) -> Self {
        Self { builder, node, types: PhantomData }
    }

    /// The node without its types, for calls that take nodes of several types.
    pub fn node(self) -> NodeRef {
        NodeRef(Target::Handle { builder: self.builder, node: self.node })
    }
}

impl<K, V> Clone for Handle<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Handle<K, V> {}

impl<K, V> fmt::Debug for Handle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.node)
    }
}

/// A node, by handle or by name.
#[derive(Clone, Debug)]
pub struct NodeRef(pub(crate) Target);

#[derive(Clone, Debug)]
pub(crate) enum Target {
    Handle { builder: u64, node: usize },
    Name(Arc<str>),
}

impl<K, V> From<Handle<K, V>> for NodeRef {
    fn from(handle: Handle<K, V>) -> Self {
        handle.node()
    }
}

impl<K, V> From<&Handle<K, V>> for NodeRef {
    fn from(handle: &Handle<K, V>) -> Self {
        handle.node()
    }
}

impl From<&str> for NodeRef {
    fn from(name: &str) -> Self {
        Self(Target::Name(name.into()))
    }
}

impl From<&Arc<str>> for NodeRef {
    fn from(name: &Arc<str>) -> Self {
        Self(Target::Name(Arc::clone(name)))
    }
}

/// One store or several: ids, names, arrays and tuples of those.
pub trait StoreNames {
    /// The stores' names.
    fn store_names(&self) -> Vec<Arc<str>>;
}

impl<S> StoreNames for StoreId<S> {
    fn store_names(&self) -> Vec<Arc<str>> {
        vec![Arc::clone(self.name())]
    }
}

impl StoreNames for str {
    fn store_names(&self) -> Vec<Arc<str>> {
        vec![self.into()]
    }
}

impl StoreNames for Arc<str> {
    fn store_names(&self) -> Vec<Self> {
        vec![Self::clone(self)]
    }
}

impl<T: StoreNames + ?Sized> StoreNames for &T {
    fn store_names(&self) -> Vec<Arc<str>> {
        (**self).store_names()
    }
}

impl<T: StoreNames> StoreNames for [T] {
    fn store_names(&self) -> Vec<Arc<str>> {
        self.iter().flat_map(StoreNames::store_names).collect()
    }
}

impl<T: StoreNames, const N: usize> StoreNames for [T; N] {
    fn store_names(&self) -> Vec<Arc<str>> {
        self.as_slice().store_names()
    }
}

macro_rules! tuples {
    ($(($($part:ident),+))+) => {$(
        impl<$($part: StoreNames),+> StoreNames for ($($part,)+) {
            fn store_names(&self) -> Vec<Arc<str>> {
                #[allow(non_snake_case, reason = "the parts are named as their types")]
                let ($($part,)+) = self;
                [$($part.store_names()),+].concat()
            }
        }
    )+};
}
tuples! { (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }
