//! Keep some values of a table (`KTable.filter`, `filterNot`).

use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::Result;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::time::Timestamp;
use kstreams_state::Stamped;

use super::keeper::{Keeper, Update};
use super::map_values::Derived;
use super::view::{Getter, View};
use super::{Change, KTable};
use crate::options::Materialized;
use crate::store::Stores;

type Predicate<K, V> = Arc<dyn Fn(&K, &V) -> bool + Send + Sync>;

impl<K: Data, V: Data> KTable<K, V> {
    /// A table of the values for which `keep` is true. A value for which it is not deletes.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Nullable, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// let balances = builder.table::<String, i64>("balances", "balances");
    /// balances.filter(|_, balance| *balance < 0).to_stream().to("overdrawn");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("balances", Utf8, I64).pipe("k".into(), -1)?;
    /// # driver.input("balances", Utf8, I64).pipe("k".into(), 1)?;
    /// # let out = driver.output("overdrawn", Utf8, Nullable(I64)).read_values()?;
    /// # assert_eq!(out, [Some(-1), None]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn filter(&self, keep: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.filtered(Arc::new(keep), None)
    }

    /// As [`filter`](Self::filter), kept in a store.
    pub fn filter_with(
        &self,
        keep: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
        store: impl Into<Materialized<K, V>>,
    ) -> Self {
        self.filtered(Arc::new(keep), Some(store.into()))
    }

    /// A table of the values for which `drop` is false.
    pub fn filter_not(&self, drop: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.filter(move |key, value| !drop(key, value))
    }

    fn filtered(&self, keep: Predicate<K, V>, store: Option<Materialized<K, V>>) -> Self {
        let derived = Derived::new(self, store.as_ref(), "KTABLE-FILTER-", self.value.as_ref());
        if self.origin.send_old(false) {
            derived.send_old.set();
        }
        let of_versions = self.origin.is_versioned();
        let (view, send_old) = (Rc::clone(&self.origin), derived.send_old.clone());
        let of = Arc::clone(&keep);
        let make_view = move || -> Arc<dyn View<K, V>> {
            Arc::new(FilterView { of: view.view(), keep: Arc::clone(&of) })
        };
        derived.table(self, store, make_view, move |keeper| Filter {
            keep: Arc::clone(&keep),
            sends_old: send_old.get(),
            of_versions,
            keeper,
        })
    }
}

struct FilterView<K, V> {
    of: Arc<dyn View<K, V>>,
    keep: Predicate<K, V>,
}

impl<K: Data, V: Data> View<K, V> for FilterView<K, V> {
    fn stores(&self) -> Vec<Arc<str>> {
        self.of.stores()
    }

    fn open(&self, stores: &dyn Stores) -> Result<Box<dyn Getter<K, V>>> {
        Ok(Box::new(FilterGetter { of: self.of.open(stores)?, keep: Arc::clone(&self.keep) }))
    }
}

struct FilterGetter<K, V> {
    of: Box<dyn Getter<K, V>>,
    keep: Predicate<K, V>,
}

impl<K: Data, V: Data> Getter<K, V> for FilterGetter<K, V> {
    fn get(&self, key: &K) -> Result<Option<Stamped<V>>> {
        Ok(self.of.get(key)?.filter(|stamped| (self.keep)(key, &stamped.value)))
    }

    fn get_as_of(&self, key: &K, time: Timestamp) -> Result<Option<Stamped<V>>> {
        let of = self.of.get_as_of(key, time)?;
        Ok(of.filter(|stamped| (self.keep)(key, &stamped.value)))
    }
}

struct Filter<K, V> {
    keep: Predicate<K, V>,
    sends_old: bool,
    /// Then what downstream has seen last says nothing about this change.
    of_versions: bool,
    keeper: Option<Keeper<K, V>>,
}

impl<K: Data, V: Data> Processor<K, Change<V>, K, Change<V>> for Filter<K, V> {
    fn init(&mut self, ctx: &mut Init<'_, Self, K, Change<V>>) -> Result {
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.open(ctx))
    }

    fn flush(&mut self, ctx: &mut Context<'_, K, Change<V>>) -> Result {
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.flush(ctx))
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, K, Change<V>>,
        record: Record<K, Change<V>>,
    ) -> Result {
        let Record { key, value: Change { new, old, is_latest }, timestamp, headers } = record;
        let new = new.filter(|value| (self.keep)(&key, value));
        let old = match &self.keeper {
            _ if !self.sends_old => None,
            Some(keeper) => keeper.get(&key)?.map(|stamped| stamped.value),
            None => old.filter(|value| (self.keep)(&key, value)),
        };
        // It was not there and is not now.
        if !self.of_versions && self.sends_old && new.is_none() && old.is_none() {
            return Ok(());
        }
        match &mut self.keeper {
            Some(keeper) => keeper.set(ctx, Update { key, new, old, timestamp, headers }),
            None => {
                let value = Change { new, old, is_latest };
                ctx.forward(Record { key, value, timestamp, headers })
            }
        }
    }
}
