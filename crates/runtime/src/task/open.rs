//! Opening a task: its stores, its flow, its place in the log.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::flow::{Flow, Progress, TaskSetup};
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::sink::Outbox;
use kstreams_core::store::{ChangeBuffer, StateStore};
use kstreams_core::task::TaskId;

use super::{Metadata, PartitionQueue, Task};
use crate::blueprint::Blueprint;
use crate::directory::TaskClaim;
use crate::outlet::{Outlet, Topics};
use crate::transport::Lane;

/// A store of a task, with its way to the changelog.
pub(crate) struct TaskStore {
    pub(crate) store: Arc<dyn StateStore>,
    changes: Option<Arc<ChangeBuffer>>,
    topics: Topics,
    /// The outbox that is drained while the store fills the other one.
    spare: Outbox,
    /// The partition that holds its changes; a source partition for a read-only store.
    pub(crate) changelog: Option<TopicPartition>,
    /// True if that partition is an input of the task itself (KIP-813).
    pub(crate) is_source: bool,
    /// The offset that its committed data stands for.
    stands_for: Option<Offset>,
}

impl TaskStore {
    pub(crate) fn new(
        store: Arc<dyn StateStore>,
        changes: Option<Arc<ChangeBuffer>>,
        changelog: Option<TopicPartition>,
        is_source: bool,
    ) -> Self {
        let (topics, spare) = (Topics::default(), Outbox::default());
        Self { store, changes, topics, spare, changelog, is_source, stands_for: None }
    }

    /// Makes durable what the log has, with the offset of the last change in it.
    ///
    /// The producer may remember an offset from when the task was here before; meanwhile another
    /// owner wrote behind it, so an offset never goes back.
    pub(super) fn commit(&mut self, outlet: &Outlet) -> Result {
        let last = self.changelog.as_ref().and_then(|at| outlet.last_offset(at));
        let offset = last.filter(|last| self.stands_for.is_none_or(|before| before < *last));
        self.store.commit(offset)?;
        self.stands_for = offset.or(self.stands_for);
        Ok(())
    }

    /// How many bytes of its changes wait to be sent.
    pub(super) fn n_waiting(&self) -> usize {
        self.changes.as_ref().map_or(0, |changes| changes.with(|outbox| outbox.n_bytes()))
    }

    pub(super) fn drain(&mut self, outlet: &mut Outlet, task: TaskId) -> Result {
        let (Some(changes), Some(changelog)) = (&self.changes, &self.changelog) else {
            return Ok(());
        };
        // Numbered before the swap, so that both outboxes know the topic.
        self.spare.topic(&changelog.topic);
        changes.with(|outbox| std::mem::swap(outbox, &mut self.spare));
        outlet.drain(&mut self.spare, &mut self.topics, task)
    }
}

/// A task whose stores are open but not yet up to date.
pub(crate) struct OpenTask {
    pub(crate) id: TaskId,
    pub(crate) stores: Vec<TaskStore>,
    pub(crate) claim: TaskClaim,
    pub(crate) setup: TaskSetup,
}

impl OpenTask {
    /// Builds the flow and places it at its committed positions: the task runs.
    pub(crate) fn run(
        mut self,
        blueprint: Blueprint,
        global_stores: &[Arc<dyn StateStore>],
        positions: Vec<(TopicPartition, Lane, Offset, Metadata)>,
        max_idle: Option<Duration>,
    ) -> Result<Task> {
        let mut progress = Progress::new();
        let mut queues = Vec::with_capacity(positions.len());
        for (partition, lane, start, Metadata { time, progress: known }) in positions {
            queues.push(PartitionQueue::new(partition, lane, start, time));
            // It only goes up: the partition committed last knows best.
            for (name, value) in known {
                let at = progress.entry(name).or_insert(value);
                *at = value.max(*at);
            }
        }
        for queue in &queues {
            self.setup.times.advance_stream(queue.partition_time);
        }
        for store in &mut self.stores {
            // A store that comes from a standby may know the numbers of a former producer.
            store.topics = Topics::default();
            store.stands_for = store.store.committed_offset()?;
        }
        let mut stores: Vec<Arc<dyn StateStore>> =
            self.stores.iter().map(|store| Arc::clone(&store.store)).collect();
        stores.extend_from_slice(global_stores);
        let mut flow = Flow::new(&blueprint.plan, blueprint.inputs, stores, self.setup)?;
        flow.set_progress(progress);
        init(&mut flow).map_err(|error| error.at_task(self.id))?;
        Ok(Task {
            id: self.id,
            flow,
            queues,
            stores: self.stores,
            topics: Topics::default(),
            max_idle,
            dirty: false,
            is_underway: false,
            last_record: None,
            claim: self.claim,
        })
    }

    pub(crate) fn close(self) {
        for store in &self.stores {
            if let Err(error) = store.store.close() {
                log::error!("task {}: closing store {}: {error}", self.id, store.store.name());
            }
        }
    }
}

/// A panic of a processor in `init` names its node, as one in `process` does.
fn init(flow: &mut Flow) -> Result {
    catch_unwind(AssertUnwindSafe(|| flow.init())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let Some(text) = text.or_else(|| panic.downcast_ref::<String>().cloned()) else {
            resume_unwind(panic)
        };
        let error = Error::new(ErrorKind::Panic, format!("user code panicked in init: {text}"));
        Err(error.at_node(flow.env().node_name()))
    })
}
