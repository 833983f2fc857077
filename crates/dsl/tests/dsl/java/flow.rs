//! What a stage of a topology's text gives to the next one, with its types.

use std::cell::Cell;
use std::rc::Rc;

use kstreams_dsl::{
    CogroupedKStream, GlobalKTable, KGroupedStream, KGroupedTable, KStream, KTable,
    SessionWindowedKStream, TimeWindowedKStream, Windowed,
};

use super::functions::Key;
use super::text::Stage;

/// One of four: with texts or numbers as values, each never null or perhaps null.
#[derive(Clone)]
pub(super) enum Of<A, B, C, D> {
    Text(A),
    Num(B),
    SomeText(C),
    SomeNum(D),
}

pub(super) type Streams<K> =
    Of<KStream<K, String>, KStream<K, i64>, KStream<K, Option<String>>, KStream<K, Option<i64>>>;
pub(super) type Tables<K> =
    Of<KTable<K, String>, KTable<K, i64>, KTable<K, Option<String>>, KTable<K, Option<i64>>>;
pub(super) type Groups = Of<
    Rc<KGroupedStream<Key, String>>,
    Rc<KGroupedStream<Key, i64>>,
    Rc<KGroupedStream<Key, Option<String>>>,
    Rc<KGroupedStream<Key, Option<i64>>>,
>;
pub(super) type Windows = Of<
    Rc<TimeWindowedKStream<Key, String>>,
    Rc<TimeWindowedKStream<Key, i64>>,
    Rc<TimeWindowedKStream<Key, Option<String>>>,
    Rc<TimeWindowedKStream<Key, Option<i64>>>,
>;
pub(super) type Sessions = Of<
    Rc<SessionWindowedKStream<Key, String>>,
    Rc<SessionWindowedKStream<Key, i64>>,
    Rc<SessionWindowedKStream<Key, Option<String>>>,
    Rc<SessionWindowedKStream<Key, Option<i64>>>,
>;

/// A stream of values that are null twice over, of a table whose values may be null; few
/// operators are there for it, and the types do not grow without end.
pub(super) trait Doubled {
    fn next(&self, at: &Stage) -> Flow;
}

/// What a stage gives to the next one.
#[derive(Clone)]
pub(super) enum Flow {
    Stream(Streams<Key>),
    WindowedStream(Streams<Windowed<Key>>),
    Doubled(Rc<dyn Doubled>),
    Table(Tables<Key>),
    WindowedTable(Tables<Windowed<Key>>),
    Global(GlobalKTable<Key, String>),
    Groups(Groups),
    /// It is used once: the next stage takes it.
    Cogroup(Rc<Cell<Option<CogroupedKStream<Key, String>>>>),
    Windows(Windows),
    Sessions(Sessions),
    TextTableGroup(Rc<KGroupedTable<Key, String>>),
    NumTableGroup(Rc<KGroupedTable<Key, i64>>),
}

/// The same for whichever of the four it is.
macro_rules! each {
    ($of:expr, $it:ident => $body:expr) => {
        match $of {
            $crate::java::flow::Of::Text($it) => $body,
            $crate::java::flow::Of::Num($it) => $body,
            $crate::java::flow::Of::SomeText($it) => $body,
            $crate::java::flow::Of::SomeNum($it) => $body,
        }
    };
}
pub(super) use each;

macro_rules! into_of {
    ($($of:ident: $it:ident),+) => {$(
        impl<K> From<$it<K, String>> for $of<K> {
            fn from(it: $it<K, String>) -> Self {
                Of::Text(it)
            }
        }
        impl<K> From<$it<K, i64>> for $of<K> {
            fn from(it: $it<K, i64>) -> Self {
                Of::Num(it)
            }
        }
        impl<K> From<$it<K, Option<String>>> for $of<K> {
            fn from(it: $it<K, Option<String>>) -> Self {
                Of::SomeText(it)
            }
        }
        impl<K> From<$it<K, Option<i64>>> for $of<K> {
            fn from(it: $it<K, Option<i64>>) -> Self {
                Of::SomeNum(it)
            }
        }
    )+};
}
into_of!(Streams: KStream, Tables: KTable);

macro_rules! groups_of {
    ($($of:ident: $it:ident),+) => {$(
        impl From<$it<Key, String>> for $of {
            fn from(it: $it<Key, String>) -> Self {
                Of::Text(Rc::new(it))
            }
        }
        impl From<$it<Key, i64>> for $of {
            fn from(it: $it<Key, i64>) -> Self {
                Of::Num(Rc::new(it))
            }
        }
        impl From<$it<Key, Option<String>>> for $of {
            fn from(it: $it<Key, Option<String>>) -> Self {
                Of::SomeText(Rc::new(it))
            }
        }
        impl From<$it<Key, Option<i64>>> for $of {
            fn from(it: $it<Key, Option<i64>>) -> Self {
                Of::SomeNum(Rc::new(it))
            }
        }
    )+};
}
groups_of!(
    Groups: KGroupedStream,
    Windows: TimeWindowedKStream,
    Sessions: SessionWindowedKStream
);

/// A key, plain or windowed: tells the flows of its streams and tables.
pub(super) trait Keyed: super::functions::Datum {
    fn streams(of: Streams<Self>) -> Flow;
    fn tables(of: Tables<Self>) -> Flow;
}

impl Keyed for Key {
    fn streams(of: Streams<Self>) -> Flow {
        Flow::Stream(of)
    }

    fn tables(of: Tables<Self>) -> Flow {
        Flow::Table(of)
    }
}

impl Keyed for Windowed<Key> {
    fn streams(of: Streams<Self>) -> Flow {
        Flow::WindowedStream(of)
    }

    fn tables(of: Tables<Self>) -> Flow {
        Flow::WindowedTable(of)
    }
}
