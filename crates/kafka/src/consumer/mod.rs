//! Reading partitions without a group: one queue per partition, fetched in batches.
//!
//! The consumer has no group and uses librdkafka's simple consumer: a partition is fetched into
//! its own queue from the first byte on, and no other partition notices when one comes or goes.
//! The assigning consumer would need a group id, and loses what arrives between `assign` and the
//! split of the queue.

mod lane;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_runtime::transport::{Consumer, Fetched, Isolation, Lane, Waker};
use rdkafka::ClientConfig;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;

use crate::client::{Context, log};
use crate::error;
use crate::ffi::{self, Doorbell, EventKind, Handle, Queue};

use self::lane::PartitionLane;

/// The consumer of one thread.
pub(crate) struct KafkaConsumer {
    /// By number; numbers of lanes that ended are given again.
    lanes: Vec<Option<PartitionLane>>,
    assigned: HashMap<TopicPartition, Lane>,
    door: Arc<Doorbell>,
    main: Queue,
    client: Arc<Client<Context>>,
    handle: Arc<dyn Handle>,
}

impl KafkaConsumer {
    /// A consumer that reads nothing yet; connects in the background.
    pub(crate) fn new(mut config: ClientConfig, isolation: Isolation) -> Result<Self> {
        let level = match isolation {
            Isolation::ReadCommitted => "read_committed",
            Isolation::ReadUncommitted => "read_uncommitted",
        };
        config.set("isolation.level", level);
        let client = ffi::reader(&config).map_err(|refused| error::refused(refused, "consumer"))?;
        let client = Arc::new(client);
        let handle: Arc<dyn Handle> = Arc::clone(&client) as Arc<dyn Handle>;
        Ok(Self {
            lanes: Vec::new(),
            assigned: HashMap::new(),
            door: Arc::new(Doorbell::default()),
            main: Queue::main(&handle),
            client,
            handle,
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
        let started = PartitionLane::start(&self.handle, &self.door, partition.clone(), offset)?;
        let free = self.lanes.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            self.lanes.push(None);
            self.lanes.len() - 1
        });
        self.lanes[number] = Some(started);
        self.assigned.insert(partition.clone(), Lane(number));
        Ok(Lane(number))
    }

    /// Works off log lines and errors of the client as a whole.
    fn serve(&self) -> Result {
        while let Some(event) = self.main.poll(Duration::ZERO) {
            match event.kind() {
                EventKind::Log(level, line) => log(level, &line),
                EventKind::Error(code, reason, fatal) => {
                    self.client.context().trouble().note(code, &reason);
                    if fatal || code == RDKafkaErrorCode::Fatal {
                        return Err(Error::new(ErrorKind::Fatal, format!("consumer: {reason}")));
                    }
                    if error::kind(code) == ErrorKind::Authorization {
                        let message = format!("consumer: {reason}");
                        return Err(Error::new(ErrorKind::Authorization, message));
                    }
                }
                EventKind::Deliveries | EventKind::Offsets | EventKind::Other => {}
            }
        }
        Ok(())
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
        let (handle, door) = (Arc::clone(&self.handle), Arc::clone(&self.door));
        let slot = self.lanes.get_mut(lane.0).and_then(Option::take);
        let Some(old) = slot else { return self.lane(lane).map(drop) };
        let partition = old.partition().clone();
        let restarted = old
            .stop()
            .and_then(|()| PartitionLane::start(&handle, &door, partition.clone(), offset));
        match restarted {
            Ok(started) => self.lanes[lane.0] = Some(started),
            Err(error) => {
                self.assigned.remove(&partition);
                return Err(error);
            }
        }
        Ok(())
    }

    fn fetch(&mut self, lane: Lane, max: usize) -> Result<Fetched> {
        let client = Arc::clone(&self.client);
        self.lane(lane)?.fetch(max, client.context())
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
