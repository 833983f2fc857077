//! One task's graph at work: records in, outbox out.

use std::sync::Arc;

use super::env::{Counters, Progress, TaskEnv, TaskSetup};
use super::plan::{FlowInput, FlowPlan, NodeFactory};
use super::slot::{Slot, SourceNode};
use crate::error::{Error, ErrorKind, Result};
use crate::handler::dead_letter_headers;
use crate::punctuation::{Schedules, TimeKind};
use crate::record::{Headers, RawRecord};
use crate::sink::{OutRecord, Outbox};
use crate::store::StateStore;
use crate::time::Timestamp;

/// The running graph of one task.
///
/// The executor drives it: [`timestamp`](Self::timestamp) for each new head of a partition's queue,
/// [`feed`](Self::feed) for the head with the smallest timestamp, punctuation in between, and
/// drains [`outbox`](Self::outbox).
#[derive(Debug)]
pub struct Flow {
    slots: Vec<Slot>,
    env: TaskEnv,
    /// Per input: the slot of its source, and its lane there.
    lanes: Vec<(usize, usize)>,
}

// A task moves between threads only as a whole.
const _: () = {
    const fn send<T: Send>() {}
    send::<Flow>();
};

impl Flow {
    /// Builds the graph of one task. `stores` are those that the plan's nodes name by index.
    ///
    /// # Errors
    /// If the plan is not in topological order or an input's node is no source: faults of the
    /// builder that made the plan.
    pub fn new(
        plan: &FlowPlan,
        inputs: Vec<FlowInput>,
        stores: Vec<Arc<dyn StateStore>>,
        setup: TaskSetup,
    ) -> Result<Self> {
        let mut slots = Vec::with_capacity(plan.nodes.len());
        let n_parents = plan.n_parents();
        for (index, node) in plan.nodes.iter().enumerate() {
            let (offsets, names) = plan.ways(index, index)?;
            let run = plan.run(index, &n_parents);
            let fused = match run.as_slice() {
                [_, .., last] => {
                    let stages = run.iter().map(|at| (&plan.nodes[*at].factory, at - index));
                    NodeFactory::make_run(&stages.collect::<Vec<_>>(), plan.ways(*last, index)?)
                }
                _ => None,
            };
            slots.push(fused.unwrap_or_else(|| node.factory.make(offsets, names)));
        }
        let mut lanes = Vec::with_capacity(inputs.len());
        for input in &inputs {
            let source = slots.get_mut(input.node).and_then(|slot| slot.0.as_source());
            let lane = source.ok_or_else(|| out_of_order(&input.topic))?.add_lane();
            lanes.push((input.node, lane));
        }
        let env = TaskEnv {
            now: setup.clock.now(),
            setup,
            inputs,
            names: plan.nodes.iter().map(|node| Arc::from(&*node.name)).collect(),
            processor_types: slots.iter().map(|slot| slot.0.processor_type()).collect(),
            stores,
            connections: plan.nodes.iter().map(|node| node.stores.clone()).collect(),
            schedules: Schedules::new(),
            dead_letters: Vec::new(),
            outbox: Outbox::default(),
            counters: Counters::default(),
            current: None,
            commit_requested: false,
            progress: Progress::default(),
            at: 0,
        };
        Ok(Self { slots, env, lanes })
    }

    /// Sets what processors have committed as their progress; called before [`init`](Self::init).
    pub fn set_progress(&mut self, progress: Progress) {
        self.env.progress = progress;
    }

    /// What is to be committed with the positions of the inputs.
    pub fn progress(&self) -> &Progress {
        &self.env.progress
    }

    /// Calls `init` of every processor, in topological order.
    ///
    /// # Errors
    /// The first error of a processor.
    pub fn init(&mut self) -> Result {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            self.env.at = index;
            slot.0.init(&mut self.env)?;
        }
        Ok(())
    }

    /// The event time of a record that has become the head of its queue; `None` if it is skipped.
    ///
    /// # Errors
    /// If the record cannot be used and the handler decided to fail.
    pub fn timestamp(
        &mut self,
        input: usize,
        raw: &RawRecord<'_>,
        partition_time: Timestamp,
    ) -> Result<Option<Timestamp>> {
        self.at_record(input, raw, |source, lane, _, env| {
            source.timestamp(lane, raw, partition_time, env)
        })
    }

    /// Processes one record, with everything it causes, to the end.
    ///
    /// # Errors
    /// If a node failed and the handler decided to fail. Nothing may be committed then.
    pub fn feed(&mut self, input: usize, raw: &RawRecord<'_>, timestamp: Timestamp) -> Result {
        self.env.setup.times.set_record(timestamp);
        self.env.setup.times.set_headers(&raw.headers);
        self.env.setup.times.advance_stream(timestamp);
        self.env.counters.processed += 1;
        self.at_record(input, raw, |source, lane, rest, env| {
            source.feed(lane, raw, timestamp, rest, env)
        })
    }

    fn at_record<R>(
        &mut self,
        input: usize,
        raw: &RawRecord<'_>,
        work: impl FnOnce(&mut dyn SourceNode, usize, &mut [Slot], &mut TaskEnv) -> Result<R>,
    ) -> Result<R> {
        let (slot, lane) = self.lanes[input];
        self.env.current = Some((input, raw.offset));
        self.env.at = slot;
        let (head, rest) = self.slots.split_at_mut(slot + 1);
        let source = head[slot].0.as_source().ok_or_else(|| out_of_order("source"))?;
        let result = work(source, lane, rest, &mut self.env);
        if !self.env.dead_letters.is_empty() {
            self.write_dead_letters(Some(raw));
        }
        self.env.current = None;
        result
    }

    /// Calls the punctuators that are due by stream time; true if any was.
    ///
    /// # Errors
    /// If one failed and the handler decided to fail.
    pub fn punctuate_stream_time(&mut self) -> Result<bool> {
        let now = self.env.stream_time();
        // Before the first record there is no stream time.
        if now == Timestamp::NONE || !self.env.schedules.is_due(TimeKind::Stream, now) {
            return Ok(false);
        }
        self.punctuate(TimeKind::Stream, now)
    }

    /// Calls the punctuators that are due by wall clock; true if any was.
    ///
    /// # Errors
    /// If one failed and the handler decided to fail.
    pub fn punctuate_wall_clock(&mut self, now: Timestamp) -> Result<bool> {
        if !self.env.schedules.is_due(TimeKind::WallClock, now) {
            return Ok(false);
        }
        self.punctuate(TimeKind::WallClock, now)
    }

    /// When the next wall-clock punctuator is due; `None` if there is none.
    pub fn next_wall_clock(&self) -> Option<Timestamp> {
        let due = self.env.schedules.due(TimeKind::WallClock);
        (due != i64::MAX).then(|| Timestamp::from_millis(due))
    }

    #[cold]
    fn punctuate(&mut self, kind: TimeKind, now: Timestamp) -> Result<bool> {
        let mut any = false;
        while let Some(mut due) = self.env.schedules.take(kind, now) {
            any = true;
            self.env.counters.punctuated += 1;
            self.env.setup.times.set_record(now);
            self.env.setup.times.set_headers(&Headers::default());
            self.env.at = due.node;
            let (head, rest) = self.slots.split_at_mut(due.node + 1);
            let node = &mut head[due.node].0;
            let result = node.punctuate(&mut *due.punctuator, now, rest, &mut self.env);
            self.env.schedules.put_back(due);
            if !self.env.dead_letters.is_empty() {
                self.write_dead_letters(None);
            }
            result?;
        }
        Ok(any)
    }

    /// Calls `flush` of every processor, in topological order, so that what one forwards reaches
    /// the next before it flushes too.
    ///
    /// # Errors
    /// If one failed and the handler decided to fail.
    pub fn flush(&mut self) -> Result {
        self.env.setup.times.set_headers(&Headers::default());
        for index in 0..self.slots.len() {
            self.env.at = index;
            let (head, rest) = self.slots.split_at_mut(index + 1);
            head[index].0.flush(rest, &mut self.env)?;
        }
        if !self.env.dead_letters.is_empty() {
            self.write_dead_letters(None);
        }
        Ok(())
    }

    /// Ends the flow and gives back what it was made with.
    pub fn into_setup(self) -> TaskSetup {
        self.env.setup
    }

    /// Calls `close` of every processor.
    pub fn close(&mut self) {
        for slot in &mut self.slots {
            slot.0.close();
        }
    }

    /// The records that wait to be produced.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.env.outbox
    }

    /// True once after a processor asked for a commit.
    pub fn take_commit_request(&mut self) -> bool {
        std::mem::take(&mut self.env.commit_requested)
    }

    /// Tells the graph what time it is; processors see it as `system_time`.
    pub fn set_system_time(&mut self, now: Timestamp) {
        self.env.now = now;
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.env.counters
    }

    /// The task's stores, in the order given.
    pub fn stores(&self) -> &[Arc<dyn StateStore>] {
        &self.env.stores
    }

    /// The task as its nodes see it.
    pub fn env(&self) -> &TaskEnv {
        &self.env
    }

    #[cold]
    fn write_dead_letters(&mut self, raw: Option<&RawRecord<'_>>) {
        for (topic, error) in std::mem::take(&mut self.env.dead_letters) {
            let original = raw.map_or_else(Headers::default, |raw| raw.headers.clone());
            let headers = dead_letter_headers(original, &error, self.env.record_metadata());
            let topic = self.env.outbox.topic(&topic);
            self.env.outbox.push(OutRecord {
                topic,
                partition: None,
                key: raw.and_then(|raw| raw.key),
                value: raw.and_then(|raw| raw.value),
                timestamp: raw.map_or(self.env.setup.times.record(), |raw| raw.timestamp),
                headers: &headers,
            });
        }
    }
}

impl FlowPlan {
    /// Where the children of a node lie, seen from the node `from`, and their names.
    fn ways(&self, node: usize, from: usize) -> Result<(Vec<usize>, Vec<Arc<str>>)> {
        let of = &self.nodes[node];
        let way = |child: &usize| {
            let target = self.nodes.get(*child).filter(|_| *child > node);
            let target = target.ok_or_else(|| out_of_order(&of.name))?;
            Ok((child - from - 1, Arc::clone(&target.name)))
        };
        of.children.iter().map(way).collect()
    }

    fn n_parents(&self) -> Vec<usize> {
        let mut n_parents = vec![0; self.nodes.len()];
        for child in self.nodes.iter().flat_map(|node| &node.children) {
            if let Some(n) = n_parents.get_mut(*child) {
                *n += 1;
            }
        }
        n_parents
    }

    /// The stages that follow each other from `first` on, with one way in and out. A node inside a
    /// run is passed over: what leads to it leads to the run's first.
    fn run(&self, first: usize, n_parents: &[usize]) -> Vec<usize> {
        let is_stage = |at: usize| self.nodes.get(at).is_some_and(|node| node.factory.is_stage());
        let mut run = Vec::new();
        let mut next = Some(first).filter(|first| is_stage(*first));
        while let Some(at) = next {
            run.push(at);
            next = match self.nodes[at].children.as_slice() {
                [only] if *only > at && is_stage(*only) && n_parents[*only] == 1 => Some(*only),
                _ => None,
            };
        }
        run
    }
}

#[cold]
fn out_of_order(name: &str) -> Error {
    Error::new(ErrorKind::Topology, format!("the plan of the graph is broken at {name}"))
}
