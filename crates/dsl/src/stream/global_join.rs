//! Join a stream with a global table (`KStream.join`, `leftJoin` with a `GlobalKTable`).

use std::sync::Arc;

use kstreams_core::processor::Data;

use super::table_join::{LookUp, Nulls};
use crate::builder::check_same;
use crate::plan::Kind;
use crate::table::GlobalKTable;
use crate::{DefaultSerde, KStream};

impl<K: Data, V: Data> KStream<K, V> {
    /// Joins each record with the global table's value of the key that `selector` gives it;
    /// records without one are dropped. The stream need not be partitioned as the table is.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::Utf8;
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// let countries = builder.global_table::<String, String>("countries", "countries");
    /// builder
    ///     .stream::<String, String>("visits")
    ///     .join_global(&countries, |_, code| code.clone(), |_, _, country| country.clone())
    ///     .to("visited");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("countries", Utf8, Utf8).pipe("it".into(), "Italy".into())?;
    /// # driver.input("visits", Utf8, Utf8).pipe("ann".into(), "it".into())?;
    /// # driver.input("visits", Utf8, Utf8).pipe("ann".into(), "xx".into())?;
    /// # assert_eq!(driver.output("visited", Utf8, Utf8).read_values()?, ["Italy"]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn join_global<GK, T, R>(
        &self,
        table: &GlobalKTable<GK, T>,
        selector: impl Fn(&K, &V) -> GK + Send + Sync + 'static,
        joiner: impl Fn(&K, &V, &T) -> R + Send + Sync + 'static,
    ) -> KStream<K, R>
    where
        GK: Data + DefaultSerde,
        T: Data,
        R: Data,
    {
        let joiner = move |k: &K, v: &V, t: Option<&T>| Some(joiner(k, v, t?));
        self.joined_global(table, selector, joiner, false)
    }

    /// As [`join_global`](Self::join_global), for all records, with `None` where the table has no
    /// value.
    pub fn left_join_global<GK, T, R>(
        &self,
        table: &GlobalKTable<GK, T>,
        selector: impl Fn(&K, &V) -> GK + Send + Sync + 'static,
        joiner: impl Fn(&K, &V, Option<&T>) -> R + Send + Sync + 'static,
    ) -> KStream<K, R>
    where
        GK: Data + DefaultSerde,
        T: Data,
        R: Data,
    {
        let joiner = move |k: &K, v: &V, t: Option<&T>| Some(joiner(k, v, t));
        self.joined_global(table, selector, joiner, true)
    }

    fn joined_global<GK, T, R>(
        &self,
        table: &GlobalKTable<GK, T>,
        selector: impl Fn(&K, &V) -> GK + Send + Sync + 'static,
        joiner: impl Fn(&K, &V, Option<&T>) -> Option<R> + Send + Sync + 'static,
        is_left: bool,
    ) -> KStream<K, R>
    where
        GK: Data + DefaultSerde,
        T: Data,
        R: Data,
    {
        check_same(&self.plan, &table.plan, self.node);
        let (selector, joiner) = (Arc::new(selector), Arc::new(joiner));
        let view = Arc::clone(&table.view);
        let key = Some(crate::SerdeOf::new(GK::default_serde()));
        let nulls = Nulls { key, value: self.value.clone() };
        // Kafka Streams calls inner joins so, too.
        let node = self.node("KSTREAM-LEFTJOIN-", move || {
            let selector = Arc::clone(&selector);
            LookUp {
                view: Arc::clone(&view),
                table: None,
                nulls: nulls.clone(),
                key_of: move |key: &K, value: &V| Some(selector(key, value)),
                joiner: Arc::clone(&joiner) as _,
                is_left,
            }
        });
        self.plan.borrow_mut().node(node).keeps_null_keys = is_left;
        self.behind(node, Kind::ChangesValue, self.key.clone(), None)
    }
}
