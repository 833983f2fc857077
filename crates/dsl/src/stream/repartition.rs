//! Through a topic to the task of the key (`KStream.repartition`).

use std::rc::Rc;

use kstreams_core::processor::Data;

use crate::builder::required;
use crate::options::Repartitioned;
use crate::plan::{NodeId, Repartition};
use crate::serdes::{Choice, SerdeOf};
use crate::{DefaultSerde, KStream};

impl<K: Data, V: Data> KStream<K, V> {
    /// Sends all records through a topic of the application's own, even if the key has not
    /// changed: to have more tasks behind it, or to choose partitions.
    ///
    /// ```
    /// use kstreams_dsl::{Repartitioned, StreamsBuilder};
    /// # use kstreams_core::serde::{I64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// builder
    ///     .stream::<String, i64>("in")
    ///     .repartition_with(Repartitioned::named("spread").partitions(4))
    ///     .map_values(|n| n + 1)
    ///     .to("out");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # driver.input("in", Utf8, I64).pipe("k".into(), 1)?;
    /// # assert_eq!(driver.output("out", Utf8, I64).read_values()?, [2]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn repartition_with(&self, how: Repartitioned<K, V>) -> Self {
        let mut plan = self.plan.borrow_mut();
        let name = match &how.name {
            Some(name) => {
                plan.check_name(name);
                name.clone()
            }
            None => plan.new_name("KSTREAM-REPARTITION-"),
        };
        let key = required(&mut plan, &name, "key", &how.key, self.key.as_ref());
        let value = required(&mut plan, &name, "value", &how.value, self.value.as_ref());
        let (Some(key), Some(value)) = (key, value) else { return self.clone() };
        let how = Repartition {
            prefix: name,
            is_named: how.name.is_some(),
            key: key.clone(),
            value: value.clone(),
            partitions: how.partitions,
            partitioner: how.partitioner,
            can_be_shared: false,
        };
        let node = plan.repartition(self.node, how);
        drop(plan);
        Self::new(&self.plan, node, Rc::new([node]), false, Some(key), Some(value))
    }

    /// As [`repartition_with`](Self::repartition_with), with the serdes of the stream and a
    /// generated name.
    pub fn repartition(&self) -> Self
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.repartition_with(Repartitioned::default())
    }

    /// The stream by its key: itself, or behind a repartition topic if the key may have changed.
    /// Joins without a name of their own share the topic of the join before
    /// (`KStreamImpl.repartitionForJoin`).
    pub(crate) fn by_key(&self, name: Option<&str>, key: &Choice<K>, value: &Choice<V>) -> Self {
        if !self.rekeyed {
            return self.clone();
        }
        let mut plan = self.plan.borrow_mut();
        let prefix = name.map_or_else(|| plan.name(self.node), Into::into);
        let key = required(&mut plan, &prefix, "key", key, self.key.as_ref());
        let value = required(&mut plan, &prefix, "value", value, self.value.as_ref());
        let (Some(key), Some(value)) = (key, value) else { return self.clone() };
        let shared = self.repartitioned.get().filter(|_| prefix == plan.name(self.node));
        let node = match shared {
            Some(node) => {
                plan.take_numbers_of_repartition();
                node
            }
            None => repartitioned(&mut plan, self.node, prefix, name.is_some(), &key, &value),
        };
        self.repartitioned.set(Some(node));
        drop(plan);
        Self::new(&self.plan, node, Rc::new([node]), false, Some(key), Some(value))
    }
}

/// Plans a repartitioning that an operator needs.
pub(crate) fn repartitioned<K: Data, V: Data>(
    plan: &mut crate::plan::Plan,
    parent: NodeId,
    prefix: std::sync::Arc<str>,
    is_named: bool,
    key: &SerdeOf<K>,
    value: &SerdeOf<V>,
) -> NodeId {
    let (key, value) = (key.clone(), value.clone());
    let how = Repartition {
        prefix,
        is_named,
        key,
        value,
        partitions: None,
        partitioner: None,
        can_be_shared: true,
    };
    plan.repartition(parent, how)
}
