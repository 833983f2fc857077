//! Reading partitions without a group: one queue per partition, fetched in batches.
//!
//! The consumer has no group and uses librdkafka's simple consumer: a partition is fetched into
//! its own queue from the first byte on, and no other partition notices when one comes or goes.
//! The assigning consumer would need a group id, and loses what arrives between `assign` and the
//! split of the queue.
//!
//! A client has one fetch under way to a broker. While the partitions with a backlog are full it is
//! for those at their end alone, and the broker keeps it for `fetch.wait.max.ms`, however soon the
//! others run dry. So where both are found there are two clients: what was read ahead need not last
//! that long, and takes less memory.

mod fetcher;
mod lane;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_runtime::transport::{Consumer, Fetched, Isolation, Lane, Waker};
use rdkafka::ClientConfig;

use crate::ffi::Doorbell;

pub(crate) use self::fetcher::Fetcher;
use self::lane::PartitionLane;

/// The consumer of one thread.
pub(crate) struct KafkaConsumer {
    /// By number; numbers of lanes that ended are given again.
    lanes: Vec<Option<PartitionLane>>,
    assigned: HashMap<TopicPartition, Lane>,
    door: Arc<Doorbell>,
    /// Fetches all lanes, or those with a backlog.
    first: Arc<Fetcher>,
    /// Fetches those at their end, once there were both.
    second: Option<Arc<Fetcher>>,
    config: ClientConfig,
}

impl KafkaConsumer {
    /// A consumer that reads nothing yet; connects in the background.
    pub(crate) fn new(mut config: ClientConfig, isolation: Isolation) -> Result<Self> {
        let level = match isolation {
            Isolation::ReadCommitted => "read_committed",
            Isolation::ReadUncommitted => "read_uncommitted",
        };
        config.set("isolation.level", level);
        Ok(Self {
            lanes: Vec::new(),
            assigned: HashMap::new(),
            door: Arc::new(Doorbell::default()),
            first: Fetcher::new(&config)?,
            second: None,
            config,
        })
    }

    fn lane(&mut self, lane: Lane) -> Result<&mut PartitionLane> {
        self.lanes.get_mut(lane.0).and_then(Option::as_mut).ok_or_else(|| {
            Error::new(ErrorKind::Closed, format!("lane {} is not assigned", lane.0))
        })
    }

    fn start(&mut self, partition: &TopicPartition, offset: Offset) -> Result<Lane> {
        if self.assigned.contains_key(partition) {
            return Err(Error::new(ErrorKind::Config, "it is assigned already")
                .at_partition(&partition.topic, partition.partition));
        }
        let started = PartitionLane::start(&self.first, &self.door, partition.clone(), offset)?;
        let free = self.lanes.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            self.lanes.push(None);
            self.lanes.len() - 1
        });
        self.lanes[number] = Some(started);
        self.assigned.insert(partition.clone(), Lane(number));
        Ok(Lane(number))
    }

    /// Lets a lane begin anew; one that cannot is gone.
    fn restart(&mut self, lane: Lane, change: impl FnOnce(&mut PartitionLane) -> Result) -> Result {
        let changed = change(self.lane(lane)?);
        if changed.is_err()
            && let Some(ended) = self.lanes[lane.0].take()
        {
            self.assigned.remove(ended.partition());
        }
        changed
    }

    /// A lane starves: parts those with a backlog from those at their end, if one fetches both.
    fn part(&mut self, starving: Lane) -> Result {
        let fetcher = Arc::clone(self.lane(starving)?.fetcher());
        let numbers = self.lanes.iter().enumerate();
        let resting: Vec<Lane> = numbers
            .filter_map(|(number, lane)| Some((number, lane.as_ref()?)))
            .filter(|(_, lane)| lane.rests() && Arc::ptr_eq(lane.fetcher(), &fetcher))
            .map(|(number, _)| Lane(number))
            .collect();
        if resting.is_empty() {
            return Ok(());
        }
        if !Arc::ptr_eq(&fetcher, &self.first) {
            let first = Arc::clone(&self.first);
            return self.restart(starving, |lane| lane.hand_over(&first));
        }
        let second = match &self.second {
            Some(second) => Arc::clone(second),
            None => Arc::clone(self.second.insert(Fetcher::new(&self.config)?)),
        };
        resting.into_iter().try_for_each(|lane| self.restart(lane, |lane| lane.hand_over(&second)))
    }

    fn serve(&self) -> Result {
        self.first.serve()?;
        self.second.as_ref().map_or(Ok(()), |second| second.serve())
    }
}

impl Consumer for KafkaConsumer {
    fn assign(&mut self, partitions: &[(TopicPartition, Offset)]) -> Result<Vec<Lane>> {
        let mut lanes = Vec::with_capacity(partitions.len());
        for (partition, offset) in partitions {
            match self.start(partition, *offset) {
                Ok(lane) => lanes.push(lane),
                Err(error) => {
                    // All or nothing; a failure to undo says no more than the first one.
                    let _ = self.unassign(&lanes);
                    return Err(error);
                }
            }
        }
        Ok(lanes)
    }

    fn unassign(&mut self, lanes: &[Lane]) -> Result {
        let mut outcome = Ok(());
        for lane in lanes {
            let Some(ended) = self.lanes.get_mut(lane.0).and_then(Option::take) else { continue };
            self.assigned.remove(ended.partition());
            outcome = outcome.and(ended.stop());
        }
        outcome
    }

    fn seek(&mut self, lane: Lane, offset: Offset) -> Result {
        self.restart(lane, |lane| lane.seek(offset))
    }

    fn fetch(&mut self, lane: Lane, max: usize) -> Result<Fetched> {
        let own = self.lane(lane)?;
        let fetched = own.fetch(max)?;
        if fetched.records.is_none() && own.starves() {
            self.part(lane)?;
        }
        Ok(fetched)
    }

    fn wait(&mut self, timeout: Duration) -> Result {
        self.serve()?;
        self.door.wait(timeout);
        self.serve()
    }

    fn waker(&self) -> Waker {
        let door = Arc::clone(&self.door);
        Arc::new(move || door.ring())
    }
}
