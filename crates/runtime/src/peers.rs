//! Who has which state: what the group tells of its members, for queries that cross processes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::flow::FlowInput;
use kstreams_core::partition::partition_for;
use kstreams_core::record::TopicPartition;
use kstreams_core::serde::{At, Serde};
use kstreams_core::store::{StateStore, StoreId};
use kstreams_core::task::TaskId;

use crate::app::Streams;
use crate::shared::Shared;
use crate::transport::Peer;
use crate::worker::Worker;

/// How often a thread asks its member what the group has told of the others.
const INTERVAL: Duration = Duration::from_millis(500);

/// Where the state of a key is (Java's `KeyQueryMetadata`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyLocation {
    /// The task whose store has the key.
    pub task: TaskId,
    /// True if the task runs in this process: [`Streams::stores`] has its store.
    pub is_here: bool,
    /// The server of the process in which it runs; `None` while it moves, or if that process named
    /// none.
    pub active: Option<String>,
    /// The servers of processes that keep it warm; what they have may be behind.
    pub standby: Vec<String>,
}

impl Streams {
    /// The processes of the application that named an
    /// [`application_server`](crate::Config::application_server), this one too, as the group told
    /// last; their topics are those that tasks read. Nothing before it runs.
    ///
    /// # Differs from Kafka Streams
    /// Only the streams protocol carries it; a classic group tells nothing here.
    pub fn peers(&self) -> Vec<Peer> {
        self.shared().map_or_else(Vec::new, |shared| shared.peers())
    }

    /// Where the state of `key` in a store is, for records that were partitioned as Kafka's default
    /// partitioner does it. `key` is the key of the records, also where the store's keys have a
    /// window.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kstreams_core::serde::{U64, Utf8};
    /// use kstreams_runtime::transport::memory::MemoryLog;
    /// use kstreams_runtime::{Config, State, Streams};
    /// # use kstreams_core::context::{Context, Init};
    /// # use kstreams_core::error::Result;
    /// # use kstreams_core::processor::Processor;
    /// # use kstreams_core::record::Record;
    /// # struct Nothing;
    /// # impl Processor<String, u64, (), ()> for Nothing {
    /// #     fn process(&mut self, _: &mut Context<'_, (), ()>, _: Record<String, u64>) -> Result {
    /// #         Ok(())
    /// #     }
    /// # }
    /// use kstreams_state::KeyValue;
    ///
    /// let log = MemoryLog::new();
    /// log.create_topic("in", 4)?;
    /// let mut topology = kstreams_topology::Topology::builder();
    /// let source = topology.source("source", "in", (Utf8, U64));
    /// let counts = topology.store(KeyValue::in_memory("counts", Utf8, U64));
    /// let node = topology.processor("node", &[source], || Nothing);
    /// topology.connect(node, &counts);
    /// let app = Streams::new(topology.build()?, Config::new("places"), log)?;
    /// app.start()?;
    /// assert!(app.wait_for(State::Running, Duration::from_secs(10)));
    /// let place = app.locate(&counts, &"key".to_owned(), &Utf8)?;
    /// assert!(place.is_here);
    /// # Ok::<(), kstreams_core::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Closed` before it runs; `Topology` if no task has the store (a global one is everywhere);
    /// what the serde says.
    pub fn locate<S: StateStore, K>(
        &self,
        store: &StoreId<S>,
        key: &K,
        serde: &impl Serde<Item = K>,
    ) -> Result<KeyLocation> {
        let shared = self.started()?;
        let subtopology = shared.subtopology_of(store.name())?;
        let n_tasks = shared.prints.layout.n_tasks(subtopology).max(1);
        let inputs = shared.prints.layout.inputs(TaskId { subtopology, partition: 0 });
        let topic = inputs.first().map_or("", |input| &*input.topic);
        let mut bytes = Vec::new();
        serde.serialize(key, &At::key(topic), &mut bytes)?;
        let partition = partition_for(&bytes, n_tasks);
        Ok(shared.locate(TaskId { subtopology, partition }))
    }

    /// As [`locate`](Self::locate), for records whose partition the caller knows: those of a
    /// partitioner of its own.
    ///
    /// # Errors
    /// As there; `Topic` if there is no such partition.
    pub fn locate_partition<S: StateStore>(
        &self,
        store: &StoreId<S>,
        partition: i32,
    ) -> Result<KeyLocation> {
        let shared = self.started()?;
        let subtopology = shared.subtopology_of(store.name())?;
        let n_tasks = shared.prints.layout.n_tasks(subtopology);
        if !(0..n_tasks).contains(&partition) {
            let text = format!("store {} has {n_tasks} partitions, not {partition}", store.name());
            return Err(Error::new(ErrorKind::Topic, text));
        }
        Ok(shared.locate(TaskId { subtopology, partition }))
    }

    fn started(&self) -> Result<Arc<Shared>> {
        self.shared().ok_or_else(|| Error::new(ErrorKind::Closed, "the application does not run"))
    }
}

impl Shared {
    fn subtopology_of(&self, store: &str) -> Result<u32> {
        let parts = self.topology.subtopologies().iter();
        let has = |part: &&kstreams_topology::SubTopology| {
            part.stores().iter().any(|spec| spec.name() == store)
        };
        let part = parts.zip(0..).find(|(part, _)| has(part)).map(|(_, index)| index);
        part.ok_or_else(|| Error::new(ErrorKind::Topology, format!("no task has a store {store}")))
    }

    fn locate(&self, task: TaskId) -> KeyLocation {
        let inputs = self.prints.layout.inputs(task);
        let inputs: Vec<_> = inputs.iter().map(FlowInput::topic_partition).collect();
        let peers = self.peers();
        let has = |read: &BTreeSet<TopicPartition>| inputs.iter().any(|input| read.contains(input));
        let active = peers.iter().find(|peer| has(&peer.active)).map(|peer| peer.server.clone());
        let standby =
            peers.iter().filter(|peer| has(&peer.standby)).map(|peer| peer.server.clone());
        let is_here = self.tasks().iter().any(|info| info.task == task);
        KeyLocation { task, is_here, active, standby: standby.collect() }
    }
}

impl Worker {
    /// Passes on what the group told of other processes.
    pub(crate) fn tell_peers(&mut self) {
        let now = self.shared.config.clock.monotonic();
        if self.peers_told.is_none_or(|told| now.saturating_sub(told) >= INTERVAL) {
            self.peers_told = Some(now);
            self.shared.set_peers(self.membership.peers());
        }
    }
}
