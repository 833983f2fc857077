//! The nodes, topics and the store of a foreign-key join, in the order of Kafka Streams.

use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::processor::Data;
use kstreams_core::record::Record;
use kstreams_core::serde::{ByteArray, Nullable};
use kstreams_core::sink::Partitions;
use kstreams_state::KeyValue;
use kstreams_topology::{Sink, Source};

use super::receive::{Answer, Broadcast, Keys, Receive};
use super::resolve::{Joiner, Resolve};
use super::send::{Extractor, Subscribe};
use super::wire::{Response, ResponseSerde, Subscription, SubscriptionSerde, Topics};
use crate::options::{Materialized, StoreKind, TableJoined};
use crate::plan::{DslFault, Lowering, NodeId, Plan, Site, StoreDef};
use crate::serdes::SerdeOf;
use crate::store::Erased;
use crate::stream::ToTable;
use crate::table::{SourceOrigin, TableSource, View};

/// The names of everything that a join consists of.
pub(super) struct Names {
    registration: Arc<str>,
    pub(super) send: Arc<str>,
    registration_sink: Arc<str>,
    registration_source: Arc<str>,
    store: Arc<str>,
    pub(super) receive: Arc<str>,
    answer: Arc<str>,
    broadcast: Arc<str>,
    response: Arc<str>,
    response_sink: Arc<str>,
    response_source: Arc<str>,
    resolve: Arc<str>,
    pub(super) result: Arc<str>,
}

impl Names {
    pub(super) fn new(plan: &mut Plan, name: Option<&str>) -> Self {
        let mut next = |suffix: &str, prefix: &str| plan.suffixed_or(name, suffix, prefix);
        let registration_prefix = "KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-";
        let processor = "KTABLE-FK-JOIN-SUBSCRIPTION-PROCESSOR-";
        // The numbers are taken in this order.
        let registration = next("-subscription-registration", registration_prefix);
        let send = next("-subscription-registration-processor", registration_prefix);
        let registration_sink = next("-subscription-registration-sink", "KTABLE-SINK-");
        let registration_source = next("-subscription-registration-source", "KTABLE-SOURCE-");
        let store = next("-subscription-store", "KTABLE-FK-JOIN-SUBSCRIPTION-STATE-STORE-");
        let receive = next("-subscription-receive", processor);
        let answer = next("-subscription-join-foreign", processor);
        let broadcast = next("-foreign-join-subscription", processor);
        let response = next("-subscription-response", "KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-");
        let response_sink = next("-subscription-response-sink", "KTABLE-SINK-");
        let response_source = next("-subscription-response-source", "KTABLE-SOURCE-");
        let resolve = next(
            "-subscription-response-resolver",
            "KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-RESOLVER-PROCESSOR-",
        );
        let result = next("-result", super::OUTPUT);
        let registration: Arc<str> = format!("{registration}-topic").into();
        let response: Arc<str> = format!("{response}-topic").into();
        if name.is_none() {
            plan.note_unnamed("repartition topic", &registration);
            plan.note_unnamed("store", &store);
            plan.note_unnamed("repartition topic", &response);
        }
        Self {
            registration,
            send,
            registration_sink,
            registration_source,
            store,
            receive,
            answer,
            broadcast,
            response,
            response_sink,
            response_source,
            resolve,
            result,
        }
    }
}

/// The two tables.
pub(super) struct Sides<K, V, KO, VO> {
    pub(super) nodes: (NodeId, NodeId),
    /// Of the other table.
    pub(super) sources: Rc<[NodeId]>,
    pub(super) view: Arc<dyn View<K, V>>,
    pub(super) other_view: Arc<dyn View<KO, VO>>,
}

/// Their serdes; one that is missing has been told as a fault.
pub(super) struct Serdes<K, V, KO, VO> {
    pub(super) key: Option<SerdeOf<K>>,
    pub(super) value: Option<SerdeOf<V>>,
    pub(super) other_key: Option<SerdeOf<KO>>,
    pub(super) other_value: Option<SerdeOf<VO>>,
}

/// Where the answers come in, and where they have been joined.
pub(super) struct Answers {
    pub(super) source: NodeId,
    pub(super) resolved: NodeId,
}

impl Names {
    /// Plans everything up to the joined rows.
    #[expect(clippy::too_many_arguments, reason = "the two tables and what joins them")]
    pub(super) fn plan_exchange<K: Data, V: Data, KO: Data, VO: Data, R: Data>(
        self,
        plan: &mut Plan,
        sides: Sides<K, V, KO, VO>,
        serdes: Serdes<K, V, KO, VO>,
        how: &TableJoined<K, V, KO, VO>,
        extractor: Extractor<K, V, KO>,
        joiner: Joiner<K, V, VO, R>,
        is_left: bool,
    ) -> Answers {
        let Sides { nodes: (node, other), sources, view, other_view } = sides;
        let Serdes { key, value, other_key, other_value } = serdes;
        let (Some(key), Some(value), Some(other_key), Some(other_value)) =
            (key, value, other_key, other_value)
        else {
            return Answers { source: node, resolved: node };
        };
        let topics = Topics { registration: Arc::clone(&self.registration) };
        let (primary, foreign) = (key.clone(), other_key.clone());
        let keys = Keys { primary, foreign, topics: topics.clone() };
        let subscriptions = SubscriptionSerde {
            key: key.clone(),
            topics: topics.clone(),
            store: Arc::clone(&self.store),
        };

        let (hashed, at_topics, serde) = (value.clone(), topics.clone(), subscriptions.clone());
        let (send, sink, registration) = (self.send, self.registration_sink, self.registration);
        let partitioner = how.other_partitioner.clone();
        let subscribed = plan.add(self.registration_source, &[node], move |to, at| {
            let foreign_key = other_key.clone();
            to.processor(&send, &at.parents, &[], move || Subscribe {
                extractor: Arc::clone(&extractor),
                value: hashed.clone(),
                foreign_key: foreign_key.clone(),
                topics: at_topics.clone(),
                is_left,
                hash_topic: String::new(),
                key_topic: String::new(),
            });
            let internal = to.topology.internal_topic(&registration, None);
            let nullable = || SerdeOf::new(Nullable(other_key.clone()));
            let mut how = Sink::new(nullable(), serde.clone());
            if let Some(partitioner) = partitioner {
                how = how.partitioner(
                    move |topic: &str, record: &Record<Option<KO>, Subscription<K>>, n: i32| {
                        let Some(key) = record.key.clone() else { return Partitions::Default };
                        let of = Record::new(key, (), record.timestamp);
                        partitioner.partitions(topic, &of, n)
                    },
                );
            }
            to.topology.sink(&sink, &[], &internal, how);
            to.topology.by_name().edge(&send, &sink);
            to.topology.source(&at.name, &internal, Source::new(nullable(), serde));
        });
        plan.copartition(crate::plan::union(&sources, &[subscribed]).to_vec());

        let store = StoreDef {
            name: Arc::clone(&self.store),
            builder: Arc::new(subscription_store(&self.store, how.kind, subscriptions)),
            cached: None,
        };
        let (name, of) = (Arc::clone(&self.store), keys.clone());
        let received = plan.add(self.receive, &[subscribed], move |to, at| {
            to.store(&store);
            let stores = [Arc::clone(&name)];
            to.processor(&at.name, &at.parents, &stores, move || Receive {
                name: Arc::clone(&name),
                keys: of.clone(),
                store: None,
            });
        });
        let answered = plan.add(self.answer, &[received], move |to, at| {
            let stores = other_view.stores();
            to.processor::<_, Option<KO>, Subscription<K>, _, _>(
                &at.name,
                &at.parents,
                &stores,
                move || Answer { view: Arc::clone(&other_view), table: None },
            );
        });
        let name = self.store;
        let told = plan.add(self.broadcast, &[other], move |to, at| {
            let stores = [Arc::clone(&name)];
            to.processor::<_, KO, crate::Change<VO>, _, _>(
                &at.name,
                &at.parents,
                &stores,
                move || Broadcast { name: Arc::clone(&name), keys: keys.clone(), store: None },
            );
        });

        let (sink, response, partitioner) =
            (self.response_sink, self.response, how.partitioner.clone());
        let source = plan.add(self.response_source, &[answered, told], move |to, at| {
            let internal = to.topology.internal_topic(&response, None);
            let serde = || ResponseSerde(other_value.clone());
            let how = Sink::new(key.clone(), serde()).partitioner(
                move |topic: &str, record: &Record<K, Response<VO>>, n: i32| match &partitioner {
                    Some(partitioner) => {
                        let of = Record::new(record.key.clone(), (), record.timestamp);
                        partitioner.partitions(topic, &of, n)
                    }
                    None => record.value.partition.map_or(Partitions::Default, Partitions::One),
                },
            );
            to.topology.sink(&sink, &[], &internal, how);
            for parent in &at.parents {
                to.topology.by_name().edge(parent, &sink);
            }
            to.topology.source(&at.name, &internal, Source::new(key, serde()));
        });
        let resolved = plan.add(self.resolve, &[source], move |to, at| {
            let stores = view.stores();
            to.processor(&at.name, &at.parents, &stores, move || Resolve {
                view: Arc::clone(&view),
                table: None,
                value: value.clone(),
                topics: topics.clone(),
                hash_topic: String::new(),
                joiner: Arc::clone(&joiner),
            });
        });
        Answers { source, resolved }
    }
}

fn subscription_store<K: Data>(
    name: &Arc<str>,
    kind: StoreKind,
    serde: SubscriptionSerde<K>,
) -> Erased<KeyValue<Vec<u8>, kstreams_state::Stamped<Subscription<K>>>> {
    let store = match kind {
        #[cfg(feature = "rocksdb")]
        StoreKind::Default => KeyValue::persistent(name, ByteArray, serde),
        _ => KeyValue::in_memory(name, ByteArray, serde),
    };
    Erased::new(store.timestamped())
}

/// Writes the node of the joined table, with its store if anything looks into it.
pub(super) fn write_result<K: Data, R: Data>(
    to: &mut Lowering<'_>,
    at: &Site,
    made: &SourceOrigin,
    kept: Materialized<K, R>,
    (key, value): (Option<SerdeOf<K>>, Option<SerdeOf<R>>),
    name: &Arc<str>,
) {
    let Some(key) = key else { return };
    let mut stores = Vec::new();
    if made.materialized.get() {
        let Some(value) = value else {
            to.faults.push(DslFault::MissingSerde {
                node: at.name.to_string(),
                part: "value",
                of: std::any::type_name::<R>(),
            });
            return;
        };
        to.store(&kept.key_value_store(name, key.clone(), value));
        stores.push(Arc::clone(name));
    }
    let (store, send_old) = (stores.first().cloned(), made.send_old.clone());
    to.processor(&at.name, &at.parents, &stores, move || ToTable {
        inner: TableSource::new(store.clone(), &send_old, key.clone()),
        update: |value: Option<R>| value,
    });
}
