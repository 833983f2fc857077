//! The hand-written processors.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use kstreams::prelude::*;

use crate::flight::Flight;
use crate::statistics::{Airline, Mean, Statistic};

/// Keyed by text, as every store here.
pub(crate) type ByText<V> = KeyValueStore<String, V>;

/// At each full hour of event time.
const HOURLY: Every = Every::stream_time(Duration::from_secs(3600)).from(Timestamp::from_millis(0));

/// A row as it came: an origin airport, where the row has one, and text that should be CSV.
pub(crate) type RawRow = Record<Option<Vec<u8>>, Vec<u8>>;

/// Counts the rows of a partition, good or bad.
pub(crate) struct Tally {
    pub(crate) id: StoreId<ByText<u64>>,
    pub(crate) rows: Option<Store<ByText<u64>>>,
    pub(crate) newest: Option<Timestamp>,
}

impl Tally {
    /// Each task has a store of its own, so this one key does for all of them.
    const KEY: &str = "rows";
}

impl Processor<Option<Vec<u8>>, Vec<u8>, String, u64> for Tally {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, u64>) -> Result {
        self.rows = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(&mut self, _: &mut Context<'_, String, u64>, row: RawRow) -> Result {
        let Some(rows) = &self.rows else { return Ok(()) };
        rows.put(&Self::KEY.to_owned(), &(rows.get(&Self::KEY.to_owned())?.unwrap_or(0) + 1))?;
        self.newest = self.newest.max(Some(row.timestamp));
        Ok(())
    }

    /// One record for each commit instead of one for each row.
    fn flush(&mut self, ctx: &mut Context<'_, String, u64>) -> Result {
        let (Some(rows), Some(newest)) = (&self.rows, self.newest.take()) else { return Ok(()) };
        let Some(n_rows) = rows.get(&Self::KEY.to_owned())? else { return Ok(()) };
        let partition = ctx.task_id().partition.to_string();
        ctx.forward(Record::new(partition, n_rows, newest))
    }
}

/// Reads rows. A row it cannot read is an error, and the application's handler sends the bytes of
/// the source record to the dead-letter topic: this code need not know that there is one.
pub(crate) struct Clean;

impl Processor<Option<Vec<u8>>, Vec<u8>, String, Flight> for Clean {
    fn process(&mut self, ctx: &mut Context<'_, String, Flight>, row: RawRow) -> Result {
        let flight = Flight::parse(&row.value)?;
        ctx.forward(row.with_key(flight.origin.clone()).with_value(flight))
    }
}

/// Looks planes and airlines up in the global stores. It cannot change the key: by its type.
pub(crate) struct Enrich {
    pub(crate) ids: (StoreId<ByText<i64>>, StoreId<ByText<String>>),
    pub(crate) planes: Option<Store<ByText<i64>>>,
    pub(crate) airlines: Option<Store<ByText<String>>>,
}

impl FixedKeyProcessor<String, Flight, Flight> for Enrich {
    fn init(&mut self, ctx: &mut FixedKeyInit<'_, Self, String, Flight, Flight>) -> Result {
        self.planes = Some(ctx.store(&self.ids.0)?);
        self.airlines = Some(ctx.store(&self.ids.1)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut FixedKeyContext<'_, String, Flight>,
        record: FixedKeyRecord<String, Flight>,
    ) -> Result {
        let (Some(planes), Some(airlines)) = (&self.planes, &self.airlines) else { return Ok(()) };
        let seats = planes.get(&record.value().tailnum)?;
        let airline = airlines.get(&record.value().carrier)?.unwrap_or_default();
        ctx.forward(record.map_value(|flight| Flight { seats, airline, ..flight }))
    }
}

/// Keeps a statistic of each key in a store, and passes on those that changed before each commit.
pub(crate) struct Running<S> {
    pub(crate) id: StoreId<ByText<S>>,
    pub(crate) store: Option<Store<ByText<S>>>,
    pub(crate) changed: BTreeMap<String, Timestamp>,
}

impl<S: Statistic> Processor<String, Flight, String, S> for Running<S> {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, S>) -> Result {
        self.store = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(
        &mut self,
        _: &mut Context<'_, String, S>,
        flight: Record<String, Flight>,
    ) -> Result {
        let Some(store) = &self.store else { return Ok(()) };
        let mut statistic = store.get(&flight.key)?.unwrap_or_default();
        statistic.add(&flight.value);
        store.put(&flight.key, &statistic)?;
        let newest = self.changed.entry(flight.key).or_insert(flight.timestamp);
        *newest = flight.timestamp.max(*newest);
        Ok(())
    }

    /// The store has every change already; what is lost in a crash is only that a key has changed,
    /// and the records since the last commit will change it again.
    fn flush(&mut self, ctx: &mut Context<'_, String, S>) -> Result {
        let Some(store) = &self.store else { return Ok(()) };
        for (key, newest) in std::mem::take(&mut self.changed) {
            if let Some(statistic) = store.get(&key)? {
                ctx.forward(Record::new(key, statistic, newest))?;
            }
        }
        Ok(())
    }
}

/// Sends where the airlines of this task stand to the one task of the league, each hour of event
/// time. It shares the store of `Running<Airline>` and leaves the records to that.
pub(crate) struct Standings {
    pub(crate) id: StoreId<ByText<Airline>>,
    pub(crate) airlines: Option<Store<ByText<Airline>>>,
}

impl Standings {
    fn send(&mut self, ctx: &mut Context<'_, String, Airline>, now: Timestamp) -> Result {
        let Some(airlines) = &self.airlines else { return Ok(()) };
        for entry in airlines.all() {
            let (carrier, airline) = entry?;
            ctx.forward(Record::new(carrier, airline, now))?;
        }
        Ok(())
    }
}

impl Processor<String, Flight, String, Airline> for Standings {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, Airline>) -> Result {
        self.airlines = Some(ctx.store(&self.id)?);
        ctx.schedule(HOURLY, Self::send)?;
        Ok(())
    }

    fn process(
        &mut self,
        _: &mut Context<'_, String, Airline>,
        _: Record<String, Flight>,
    ) -> Result {
        Ok(())
    }
}

/// Writes the league table of all airlines each hour of event time.
pub(crate) struct League {
    pub(crate) id: StoreId<ByText<Airline>>,
    pub(crate) standings: Option<Store<ByText<Airline>>>,
}

impl League {
    fn publish(&mut self, ctx: &mut Context<'_, String, String>, now: Timestamp) -> Result {
        let Some(standings) = &self.standings else { return Ok(()) };
        let airlines = standings.all().collect::<Result<Vec<_>>>()?;
        let mut table = String::new();
        for (place, (carrier, airline)) in ranked(&airlines).into_iter().enumerate() {
            writeln!(table, "{:2} {carrier} {:>7}", place + 1, Mean(&airline.delays))?;
        }
        let hour = now.as_millis() / 3_600_000 % 24;
        ctx.forward(Record::new(format!("{hour:02}:00"), table, now))
    }
}

impl Processor<String, Airline, String, String> for League {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
        self.standings = Some(ctx.store(&self.id)?);
        ctx.schedule(HOURLY, Self::publish)?;
        Ok(())
    }

    fn process(
        &mut self,
        _: &mut Context<'_, String, String>,
        airline: Record<String, Airline>,
    ) -> Result {
        let Some(standings) = &self.standings else { return Ok(()) };
        standings.put(&airline.key, &airline.value)
    }
}

/// The airlines that had arrivals, the most punctual first.
pub(crate) fn ranked<'a>(
    airlines: impl IntoIterator<Item = &'a (String, Airline)>,
) -> Vec<(&'a str, &'a Airline)> {
    let mut ranked: Vec<(&str, &Airline)> = airlines
        .into_iter()
        .filter(|(_, airline)| airline.delays.count > 0)
        .map(|(carrier, airline)| (carrier.as_str(), airline))
        .collect();
    ranked.sort_by(|(_, a), (_, b)| a.delays.mean().total_cmp(&b.delays.mean()));
    ranked
}
