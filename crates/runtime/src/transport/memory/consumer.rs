//! The consumer: a position per lane; records come straight out of the partition's chunks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::{Offset, RawRecord, TopicPartition};

use super::broker::Broker;
use super::fault::{Request, RequestKind};
use super::partition::{Partition, Slice};
use super::signal::Seen;
use crate::transport::{Batch, Consumer, ConsumerOptions, Fetched, Isolation, Lane, Waker};

/// Reads partitions of a [`MemoryLog`](super::MemoryLog).
pub(super) struct MemoryConsumer {
    broker: Arc<Broker>,
    client_id: String,
    isolation: Isolation,
    lanes: Vec<Option<Reader>>,
    is_woken: Arc<AtomicBool>,
    seen: Seen,
}

#[derive(Debug)]
struct Reader {
    name: TopicPartition,
    /// Looked up at the first fetch; the topic may come later, as in Kafka.
    partition: Option<Arc<Partition>>,
    position: Offset,
}

impl MemoryConsumer {
    pub(super) fn new(broker: Arc<Broker>, options: ConsumerOptions) -> Self {
        let seen = broker.signal.seen();
        let ConsumerOptions { client_id, isolation } = options;
        let is_woken = Arc::default();
        Self { broker, client_id, isolation, lanes: Vec::new(), is_woken, seen }
    }

    fn has_news(&mut self) -> bool {
        self.lanes.iter_mut().flatten().any(|reader| {
            let (position, found) = (reader.position, reader.find(&self.broker));
            found.is_ok_and(|partition| partition.has_news(position, self.isolation))
        })
    }
}

impl Consumer for MemoryConsumer {
    fn assign(&mut self, partitions: &[(TopicPartition, Offset)]) -> Result<Vec<Lane>> {
        for (index, (name, _)) in partitions.iter().enumerate() {
            let is_twice = partitions[..index].iter().any(|(earlier, _)| earlier == name);
            if is_twice || self.lanes.iter().flatten().any(|reader| reader.name == *name) {
                let text = format!("{}: the partition is assigned already", self.client_id);
                return Err(
                    Error::new(ErrorKind::Fatal, text).at_partition(&name.topic, name.partition)
                );
            }
        }
        let mut lanes = Vec::with_capacity(partitions.len());
        for (name, position) in partitions {
            let reader = Reader { name: name.clone(), partition: None, position: *position };
            let free = self.lanes.iter().position(Option::is_none);
            let at = free.unwrap_or_else(|| {
                self.lanes.push(None);
                self.lanes.len() - 1
            });
            self.lanes[at] = Some(reader);
            lanes.push(Lane(at));
        }
        Ok(lanes)
    }

    fn unassign(&mut self, lanes: &[Lane]) -> Result {
        for lane in lanes {
            if let Some(reader) = self.lanes.get_mut(lane.0) {
                *reader = None;
            }
        }
        Ok(())
    }

    fn seek(&mut self, lane: Lane, offset: Offset) -> Result {
        reader(&mut self.lanes, lane)?.position = offset;
        Ok(())
    }

    fn fetch(&mut self, lane: Lane, max: usize) -> Result<Fetched> {
        let reader = reader(&mut self.lanes, lane)?;
        let (broker, isolation) = (&*self.broker, self.isolation);
        let partition = Arc::clone(reader.find(broker)?);
        let position = reader.position;
        let fetch = || partition.read(position, max, isolation);
        let mut read = if broker.network.is_some() {
            let name = Some((&*reader.name.topic, reader.name.partition));
            let kind = RequestKind::Fetch;
            match broker.ask(&Request { client_id: &self.client_id, kind, partition: name }, fetch)
            {
                Err(error) if error.kind() == ErrorKind::Timeout => {
                    return Ok(Fetched { records: None, position, lag: None });
                }
                read => read?,
            }
        } else {
            fetch()?
        };
        if read.is_blocked && read.slices.is_empty() && broker.expire_transactions() {
            read = fetch()?;
        }
        reader.position = read.position;
        let records: Option<Box<dyn Batch>> =
            if read.slices.is_empty() { None } else { Some(Box::new(Slices::new(read.slices))) };
        Ok(Fetched { records, position: read.position, lag: Some(read.lag) })
    }

    fn wait(&mut self, timeout: Duration) -> Result {
        let clock = Arc::clone(&self.broker.clock);
        let deadline = clock.monotonic().saturating_add(timeout);
        loop {
            let seen = self.broker.signal.seen();
            let changed = seen.control_differs(self.seen);
            self.seen = seen;
            if self.is_woken.swap(false, Ordering::SeqCst) || changed || !self.broker.is_blocking {
                return Ok(());
            }
            let left = deadline.saturating_sub(clock.monotonic());
            if left.is_zero() || self.has_news() || !self.broker.signal.wait(seen, left) {
                return Ok(());
            }
        }
    }

    fn waker(&self) -> Waker {
        let (broker, is_woken) = (Arc::clone(&self.broker), Arc::clone(&self.is_woken));
        Arc::new(move || {
            is_woken.store(true, Ordering::SeqCst);
            broker.signal.records();
        })
    }
}

impl Reader {
    fn find(&mut self, broker: &Broker) -> Result<&Arc<Partition>> {
        let TopicPartition { topic, partition } = &self.name;
        // A topic deleted and made again is found under its name.
        if let Some(found) = &self.partition
            && found.is_gone()
        {
            self.partition = None;
        }
        match &mut self.partition {
            Some(found) => Ok(found),
            none => {
                let found =
                    broker.topic(topic).map_err(|error| error.at_partition(topic, *partition))?;
                Ok(none.insert(Arc::clone(found.partition(*partition)?)))
            }
        }
    }
}

fn reader(lanes: &mut [Option<Reader>], lane: Lane) -> Result<&mut Reader> {
    let found = lanes.get_mut(lane.0).and_then(Option::as_mut);
    found.ok_or_else(|| Error::new(ErrorKind::Closed, format!("lane {} is not assigned", lane.0)))
}

/// Records out of one chunk or several.
struct Slices {
    parts: Vec<Slice>,
    /// How many records lie in each part and those before it.
    ends: Vec<usize>,
    len: usize,
}

impl Slices {
    fn new(parts: Vec<Slice>) -> Self {
        let mut len = 0;
        let mut ends = Vec::new();
        if parts.len() > 1 {
            ends.reserve_exact(parts.len());
        }
        for part in &parts {
            len += part.to - part.from;
            if parts.len() > 1 {
                ends.push(len);
            }
        }
        Self { parts, ends, len }
    }
}

impl Batch for Slices {
    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> RawRecord<'_> {
        let (part, index) = if let [only] = &*self.parts {
            (only, index)
        } else {
            let at = self.ends.partition_point(|end| *end <= index);
            let before = if at == 0 { 0 } else { self.ends[at - 1] };
            (&self.parts[at], index - before)
        };
        part.chunk.get(part.from + index, part.base, part.leader_epoch)
    }
}

impl fmt::Debug for MemoryConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryConsumer")
            .field("client_id", &self.client_id)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}
