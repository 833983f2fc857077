//! The node that turns raw records into typed ones.

use std::sync::Arc;

use super::TaskEnv;
use super::slot::{Edges, Node, Slot, SourceNode, hop};
use crate::error::{Error, ErrorKind, Result};
use crate::processor::Data;
use crate::record::{RawRecord, Record};
use crate::serde::{At, Serde, read};
use crate::source::{EventTime, SourceSpec};
use crate::time::Timestamp;

pub(super) struct Source<KS: Serde, VS: Serde> {
    key: Arc<KS>,
    value: Arc<VS>,
    event_time: EventTime<KS::Item, VS::Item>,
    edges: Edges,
    /// Per partition, the head that was read already because its time depends on its content.
    heads: Vec<Option<Record<KS::Item, VS::Item>>>,
}

impl<KS: Serde, VS: Serde> Source<KS, VS>
where
    KS::Item: Data,
    VS::Item: Data,
{
    pub(super) fn new(spec: &SourceSpec<KS, VS>, edges: Edges) -> Self {
        Self {
            key: Arc::clone(&spec.key),
            value: Arc::clone(&spec.value),
            event_time: spec.event_time.clone(),
            edges,
            heads: Vec::new(),
        }
    }

    fn read(&self, raw: &RawRecord<'_>, env: &TaskEnv) -> Result<Record<KS::Item, VS::Item>> {
        let topic = env.record_metadata().map_or("", |metadata| metadata.topic);
        let key = read(&*self.key, raw.key, &At::key(topic).with_headers(&raw.headers))?;
        let value = read(&*self.value, raw.value, &At::value(topic).with_headers(&raw.headers))?;
        Ok(Record { key, value, timestamp: raw.timestamp, headers: raw.headers.clone() })
    }

    fn forward(
        &self,
        record: Record<KS::Item, VS::Item>,
        rest: &mut [Slot],
        env: &mut TaskEnv,
    ) -> Result {
        let Some((last, others)) = self.edges.offsets.split_last() else { return Ok(()) };
        for offset in others {
            hop(*offset, record.clone(), rest, env)?;
        }
        hop(*last, record, rest, env)
    }

    /// The user's extractor needs the record: it is read now and kept for `feed`.
    fn custom_time(
        &mut self,
        lane: usize,
        raw: &RawRecord<'_>,
        partition_time: Timestamp,
        env: &mut TaskEnv,
    ) -> Result<Option<Timestamp>> {
        let record = match self.read(raw, env) {
            Ok(record) => record,
            Err(error) => return env.deserialization_failed(error, raw).map(|()| None),
        };
        let (EventTime::Custom(extractor), Some(metadata)) =
            (&self.event_time, env.record_metadata())
        else {
            return Ok(Some(raw.timestamp));
        };
        let time = extractor
            .extract(&record, metadata, partition_time)
            .map_err(|error| env.place(error).handled())?;
        if time.as_millis() < 0 {
            env.skip_invalid_time(time);
            return Ok(None);
        }
        self.heads[lane] = Some(record);
        Ok(Some(time))
    }
}

impl<KS: Serde, VS: Serde> Node<KS::Item, VS::Item> for Source<KS, VS>
where
    KS::Item: Data,
    VS::Item: Data,
{
    fn accept(
        &mut self,
        record: Record<KS::Item, VS::Item>,
        rest: &mut [Slot],
        env: &mut TaskEnv,
    ) -> Result {
        self.forward(record, rest, env)
    }

    fn as_source(&mut self) -> Option<&mut dyn SourceNode> {
        Some(self)
    }
}

impl<KS: Serde, VS: Serde> SourceNode for Source<KS, VS>
where
    KS::Item: Data,
    VS::Item: Data,
{
    fn add_lane(&mut self) -> usize {
        self.heads.push(None);
        self.heads.len() - 1
    }

    fn timestamp(
        &mut self,
        lane: usize,
        raw: &RawRecord<'_>,
        partition_time: Timestamp,
        env: &mut TaskEnv,
    ) -> Result<Option<Timestamp>> {
        let valid = raw.timestamp.as_millis() >= 0;
        match self.event_time {
            EventTime::WallClock => Ok(Some(env.setup.clock.now())),
            EventTime::Custom(_) => self.custom_time(lane, raw, partition_time, env),
            _ if valid => Ok(Some(raw.timestamp)),
            EventTime::SkipInvalid => {
                env.skip_invalid_time(raw.timestamp);
                Ok(None)
            }
            EventTime::PartitionTimeOnInvalid if partition_time.as_millis() >= 0 => {
                Ok(Some(partition_time))
            }
            EventTime::FailOnInvalid | EventTime::PartitionTimeOnInvalid => {
                Err(env.place(invalid_time(raw.timestamp)).handled())
            }
        }
    }

    fn feed(
        &mut self,
        lane: usize,
        raw: &RawRecord<'_>,
        timestamp: Timestamp,
        rest: &mut [Slot],
        env: &mut TaskEnv,
    ) -> Result {
        let record = match self.heads[lane].take() {
            Some(record) => record,
            None => match self.read(raw, env) {
                Ok(record) => record,
                Err(error) => return env.deserialization_failed(error, raw),
            },
        };
        self.forward(record.with_timestamp(timestamp), rest, env)
    }
}

impl TaskEnv {
    #[cold]
    fn skip_invalid_time(&mut self, time: Timestamp) {
        self.counters.dropped += 1;
        log::warn!("record skipped: {}", self.place(invalid_time(time)));
    }
}

#[cold]
fn invalid_time(time: Timestamp) -> Error {
    Error::new(
        ErrorKind::Timestamp,
        format!("timestamp {time} is negative; choose another EventTime rule for this source"),
    )
}
