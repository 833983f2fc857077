//! Gathers the results from their topics: the last value of each key.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use kstreams::log::{Admin, Consumer, ConsumerOptions, Isolation, Lane, Log, OffsetSpec};
use kstreams::prelude::*;
use kstreams::record::{RawRecord, TopicPartition};

use crate::input::BOUND;
use crate::pipeline::TopicNames;
use crate::statistics::{Airline, Hour, Route};

/// How many records one fetch brings at most.
const BATCH: usize = 1000;

/// Which table a topic's records go to.
#[derive(Clone, Copy)]
enum Table {
    Loaded,
    Totals,
    Bad,
    Airlines,
    Routes,
    Hours,
}

/// Reads the result topics.
pub(crate) struct Results {
    consumer: Box<dyn Consumer>,
    lanes: Vec<(Lane, Table)>,
    pub(crate) tables: Tables,
}

/// What has come so far.
#[derive(Default)]
pub(crate) struct Tables {
    /// How many rows there are, once all are written.
    pub(crate) loaded: Option<u64>,
    /// Rows processed, for each partition of the input.
    totals: BTreeMap<String, u64>,
    /// Where the bad rows lie in the input. At least once may write a dead letter twice.
    bad: BTreeSet<(Vec<u8>, Vec<u8>)>,
    pub(crate) airlines: BTreeMap<String, Airline>,
    pub(crate) routes: BTreeMap<String, Route>,
    pub(crate) hours: BTreeMap<String, Hour>,
}

impl Results {
    /// From the beginning of the topics, which exist.
    pub(crate) fn new(log: &dyn Log, topics: &TopicNames) -> Result<Self> {
        let client_id = "flights-results".into();
        let isolation = Isolation::ReadCommitted;
        let mut consumer = log.consumer(ConsumerOptions { client_id, isolation })?;
        let admin = log.admin()?;
        let mut lanes = Vec::new();
        for (topic, table) in [
            (&topics.loaded, Table::Loaded),
            (&topics.totals, Table::Totals),
            (&topics.bad, Table::Bad),
            (&topics.airline_stats, Table::Airlines),
            (&topics.route_stats, Table::Routes),
            (&topics.hour_stats, Table::Hours),
        ] {
            let partitions = partitions(&*admin, topic)?;
            let from_start: Vec<_> =
                partitions.iter().map(|p| (p.clone(), OffsetSpec::Earliest)).collect();
            let starts = admin.offsets(&from_start, BOUND)?;
            let placed: Vec<_> = partitions.into_iter().zip(starts).collect();
            lanes.extend(consumer.assign(&placed)?.into_iter().map(|lane| (lane, table)));
        }
        Ok(Self { consumer, lanes, tables: Tables::default() })
    }

    /// Takes what has come, or waits for it a little; true if anything came.
    pub(crate) fn poll(&mut self) -> Result<bool> {
        let mut any = false;
        for (lane, table) in &self.lanes {
            let Some(batch) = self.consumer.fetch(*lane, BATCH)?.records else { continue };
            any = true;
            for index in 0..batch.len() {
                self.tables.apply(*table, &batch.get(index))?;
            }
        }
        if !any {
            self.consumer.wait(Duration::from_millis(50))?;
        }
        Ok(any)
    }
}

fn partitions(admin: &dyn Admin, topic: &str) -> Result<Vec<TopicPartition>> {
    let all = admin.topics(BOUND)?;
    let found = all.iter().find(|found| found.name == topic);
    let found = found.ok_or_else(|| Error::from(format!("there is no topic {topic}")))?;
    Ok((0..found.n_partitions).map(|partition| TopicPartition::new(topic, partition)).collect())
}

impl Tables {
    fn apply(&mut self, table: Table, record: &RawRecord<'_>) -> Result {
        match table {
            Table::Loaded => self.loaded = Some(text(record.value)?.parse()?),
            Table::Totals => {
                let rows =
                    U64.deserialize(record.value.unwrap_or_default(), &At::value("totals"))?;
                self.totals.insert(text(record.key)?.to_owned(), rows);
            }
            Table::Bad => {
                let header = |name: &str| record.headers.last(name).flatten().map(<[u8]>::to_vec);
                let partition = header("__streams.errors.partition").unwrap_or_default();
                let offset = header("__streams.errors.offset").unwrap_or_default();
                self.bad.insert((partition, offset));
            }
            Table::Airlines => put(&mut self.airlines, record)?,
            Table::Routes => put(&mut self.routes, record)?,
            Table::Hours => put(&mut self.hours, record)?,
        }
        Ok(())
    }

    /// Rows that were processed, good or bad.
    pub(crate) fn rows(&self) -> u64 {
        self.totals.values().sum()
    }

    pub(crate) fn bad(&self) -> u64 {
        self.bad.len() as u64
    }

    /// True if every row has reached every statistic.
    pub(crate) fn are_complete(&self) -> bool {
        let Some(loaded) = self.loaded else { return false };
        let sum = |counts: &mut dyn Iterator<Item = i64>| counts.sum::<i64>().unsigned_abs();
        let arrived = sum(&mut self.airlines.values().map(|airline| airline.delays.count));
        self.rows() >= loaded
            && self.bad() + sum(&mut self.airlines.values().map(|airline| airline.flights))
                >= loaded
            && self.bad() + sum(&mut self.routes.values().map(|route| route.flights)) >= loaded
            && sum(&mut self.hours.values().map(|hour| hour.delays.count)) >= arrived
    }
}

fn put<V>(table: &mut BTreeMap<String, V>, record: &RawRecord<'_>) -> Result
where
    V: FromStr,
    Error: From<V::Err>,
{
    table.insert(text(record.key)?.to_owned(), text(record.value)?.parse()?);
    Ok(())
}

fn text(bytes: Option<&[u8]>) -> Result<&str> {
    Ok(std::str::from_utf8(bytes.unwrap_or_default())?)
}
