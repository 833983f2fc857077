//! Global stores: every instance reads all partitions of their topics, on a thread of its own.
//!
//! They are filled before the application starts, by the user's processor, and anew at each start.

mod part;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, TopicPartition};

use self::part::Part;
use crate::config::RestoreProgress;
use crate::failing::Failing;
use crate::shared::Shared;
use crate::transport::{Consumer, ConsumerOptions, Isolation, OffsetSpec, Waker};

pub(crate) struct GlobalWorker {
    shared: Arc<Shared>,
    consumer: Box<dyn Consumer>,
    parts: Vec<Part>,
    failing: Failing,
}

/// How the first filling of the stores goes on.
pub(crate) struct Filling {
    ends: BTreeMap<TopicPartition, Offset>,
    began: Duration,
    /// When something came last.
    progressed: Duration,
    reports: Vec<RestoreProgress>,
}

impl GlobalWorker {
    /// Opens the global stores; `None` if the topology has none.
    ///
    /// # Errors
    /// If a store cannot be opened or a processor's `init` fails.
    pub(crate) fn new(shared: &Arc<Shared>) -> Result<Option<Self>> {
        let globals: Vec<u32> = shared
            .topology
            .subtopologies()
            .iter()
            .filter(|sub| sub.is_global())
            .map(|sub| sub.id())
            .collect();
        if globals.is_empty() {
            return Ok(None);
        }
        let client_id = format!("{}-global", shared.client_id(0));
        // Global stores take part in no transaction, but must not show what was aborted.
        let isolation = Isolation::ReadCommitted;
        let consumer = shared.log.consumer(ConsumerOptions { client_id, isolation })?;
        let mut worker = Self {
            shared: Arc::clone(shared),
            consumer,
            parts: Vec::new(),
            failing: Failing::default(),
        };
        for id in globals {
            let part = Part::open(shared, &mut *worker.consumer, id)?;
            let readers = part.stores.iter().map(|store| store.reader().unwrap_or(store.clone()));
            worker.shared.global_stores.lock().extend(readers);
            worker.parts.push(part);
        }
        Ok(Some(worker))
    }

    /// Reads up to where the topics end now.
    ///
    /// # Errors
    /// If the log does not answer, or a record cannot be processed.
    pub(crate) fn bootstrap(&mut self) -> Result {
        let mut filling = self.begin()?;
        while !self.fill(&mut filling)? {}
        Ok(())
    }

    /// Looks where the topics end now.
    ///
    /// # Errors
    /// If the log does not answer.
    pub(crate) fn begin(&mut self) -> Result<Filling> {
        let timeout = self.shared.config.request_timeout;
        let partitions = self.parts.iter().flat_map(|part| &part.inputs);
        let latest = OffsetSpec::Latest(Isolation::ReadCommitted);
        let asked: Vec<_> = partitions.map(|input| (input.partition.clone(), latest)).collect();
        let ends = self.shared.admin.offsets(&asked, timeout)?;
        let ends: BTreeMap<TopicPartition, Offset> =
            asked.into_iter().map(|(partition, _)| partition).zip(ends).collect();
        let began = self.shared.config.clock.monotonic();
        let reports: Vec<RestoreProgress> =
            self.parts.iter().map(|part| part.progress(&ends)).collect();
        reports.iter().for_each(|report| (self.shared.config.on_restore)(report));
        Ok(Filling { ends, began, progressed: began, reports })
    }

    /// A step on the way there, or a wait for more; true if all is read.
    ///
    /// # Errors
    /// If a record cannot be processed, or nothing has come for the task timeout.
    pub(crate) fn fill(&mut self, filling: &mut Filling) -> Result<bool> {
        let Filling { ends, began, progressed, reports } = filling;
        let mut inputs = self.parts.iter().flat_map(|part| &part.inputs);
        let Some(behind) = inputs.find(|input| input.position < ends[&input.partition]) else {
            return Ok(true);
        };
        let config = &self.shared.config;
        if config.clock.monotonic().saturating_sub(*progressed) > config.task_timeout {
            let text = format!("global store: nothing more came from {}", behind.partition);
            return Err(Error::new(ErrorKind::Timeout, text));
        }
        if !self.turn()? {
            self.consumer.wait(self.shared.config.poll)?;
            return Ok(false);
        }
        *progressed = self.shared.config.clock.monotonic();
        for (part, report) in self.parts.iter().zip(reports) {
            let now = part.progress(ends);
            if now.position > report.position {
                (report.position, report.n_records) = (now.position, part.n_records);
                report.elapsed = progressed.saturating_sub(*began);
                (self.shared.config.on_restore)(report);
            }
        }
        Ok(false)
    }

    /// Applies what has come; true if anything had. What cannot be read or done now is tried again.
    ///
    /// # Errors
    /// If a record cannot be processed, or nothing has gone on for the task timeout.
    pub(crate) fn turn(&mut self) -> Result<bool> {
        let error = match self.step() {
            Ok(any) => {
                self.failing.end();
                return Ok(any);
            }
            Err(error) if error.is_retriable() => error,
            Err(error) => return Err(error),
        };
        self.failing.again("global stores", error, &self.shared.config)?;
        for part in &mut self.parts {
            part.go_back(&mut *self.consumer)?;
        }
        Ok(false)
    }

    fn step(&mut self) -> Result<bool> {
        let now = self.shared.config.clock.now();
        let mut any = false;
        for part in &mut self.parts {
            part.flow.set_system_time(now);
            let is_changed = match part.turn(&mut *self.consumer) {
                Err(error) if error.kind() == ErrorKind::OffsetReset => {
                    log::warn!("global store {}: {error}; filled anew", part.name());
                    part.begin_again(&self.shared, &mut *self.consumer)?;
                    true
                }
                turned => turned?,
            };
            if is_changed {
                part.tell_probe(&self.shared);
            }
            any |= is_changed;
        }
        Ok(any)
    }

    /// Waits for more, if there was nothing.
    ///
    /// # Errors
    /// If the consumer failed.
    pub(crate) fn wait_if_idle(&mut self, busy: bool) -> Result {
        if busy { Ok(()) } else { self.consumer.wait(Duration::from_millis(100)) }
    }

    pub(crate) fn waker(&self) -> Waker {
        self.consumer.waker()
    }

    pub(crate) fn close(self) {
        for mut part in self.parts {
            part.flow.close();
            for store in part.stores {
                if let Err(error) = store.close() {
                    log::error!("closing global store {}: {error}", store.name());
                }
            }
        }
    }
}

impl std::fmt::Debug for GlobalWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GlobalWorker").field("n_parts", &self.parts.len()).finish_non_exhaustive()
    }
}
