//! The topology: which topics there are, and how the processors are wired.
//!
//! Flights are keyed by where they left, but an airline leaves from everywhere: so flights are
//! written again under the key of each statistic, and a sub-topology of its own reads them. The
//! league needs all airlines in one place: its topic has one partition.

use std::collections::BTreeMap;

use kstreams::prelude::*;
use kstreams::record::RecordMetadata;

use crate::flight::{Flight, Outcome, Text, departure};
use crate::options::StoreKind;
use crate::processors::{ByText, Clean, Enrich, League, RawRow, Running, Standings, Tally};
use crate::statistics::{Airline, Hour, Route, Statistic};

/// The topics that are not the application's own; a prefix keeps runs on one cluster apart.
#[derive(Clone, Debug)]
pub(crate) struct TopicNames {
    pub(crate) flights: String,
    pub(crate) planes: String,
    pub(crate) airlines: String,
    /// One record with the number of flights, written when all are there.
    pub(crate) loaded: String,
    pub(crate) bad: String,
    pub(crate) totals: String,
    pub(crate) airline_stats: String,
    pub(crate) route_stats: String,
    pub(crate) hour_stats: String,
    pub(crate) league: String,
}

impl TopicNames {
    pub(crate) fn new(prefix: &str) -> Self {
        let name = |name: &str| format!("{prefix}{name}");
        Self {
            flights: name("flights"),
            planes: name("planes"),
            airlines: name("airlines"),
            loaded: name("flights-loaded"),
            bad: name("flights-bad"),
            totals: name("flight-totals"),
            airline_stats: name("airline-stats"),
            route_stats: name("route-stats"),
            hour_stats: name("hour-stats"),
            league: name("league"),
        }
    }
}

/// Wires it all. Each process builds it anew, and all build the same.
pub(crate) fn build(topics: &TopicNames, kind: StoreKind) -> Result<Topology> {
    let mut topology = Topology::builder();

    // Every process holds the two tables whole, so a look-up never leaves it.
    let planes = table(&mut topology, "planes", &topics.planes, kind, I64, |row: &str| {
        // tailnum,year,type,manufacturer,model,engines,seats,..
        row.split(',').nth(6).unwrap_or_default().parse().map_err(Error::from)
    });
    let airlines = table(&mut topology, "airlines", &topics.airlines, kind, Utf8, |row: &str| {
        Ok(row.split_once(',').map_or("", |(_, name)| name).to_owned())
    });

    // The log's own time is when a row was written. A bad row must not move event time.
    let scheduled = EventTime::custom(|row: &RawRow, _: RecordMetadata<'_>, newest: Timestamp| {
        Ok(departure(&row.value).unwrap_or(newest.max(Timestamp::from_millis(0))))
    });
    let raw = Source::new(Nullable(ByteArray), ByteArray).event_time(scheduled);
    let rows = topology.source("flights", topics.flights.as_str(), raw);

    let id = topology.store(store("rows", kind, U64));
    let tally_of = id.clone();
    let tally = topology.processor("tally", &[rows], move || Tally {
        id: tally_of.clone(),
        rows: None,
        newest: None,
    });
    topology.connect(tally, &id);
    topology.sink("totals", &[tally], topics.totals.as_str(), (Utf8, U64));

    let clean = topology.processor("clean", &[rows], || Clean);
    let flights = topology.fixed_key_processor("enrich", &[clean], move || Enrich {
        ids: (planes.clone(), airlines.clone()),
        planes: None,
        airlines: None,
    });

    let by_airline =
        rekey(&mut topology, "airline", flights, |flight, _| Some(flight.carrier.clone()));
    let by_route = rekey(&mut topology, "route", flights, |flight, _| {
        Some(format!("{}-{}", flight.origin, flight.dest))
    });
    let by_hour = rekey(&mut topology, "hour", flights, |flight, at| {
        let hour = at.as_millis() / 3_600_000 % 24;
        matches!(flight.outcome, Outcome::Arrived(_))
            .then(|| format!("{hour:02} {}", flight.carrier))
    });
    let airlines =
        running::<Airline>(&mut topology, "airline", kind, by_airline, &topics.airline_stats);
    running::<Route>(&mut topology, "route", kind, by_route, &topics.route_stats);
    running::<Hour>(&mut topology, "hour", kind, by_hour, &topics.hour_stats);

    league(&mut topology, kind, by_airline, airlines, topics);
    Ok(topology.build()?)
}

/// A global store filled from the rows of a topic.
fn table<V: Clone + Send + 'static>(
    topology: &mut TopologyBuilder,
    name: &str,
    topic: &str,
    kind: StoreKind,
    serde: impl Serde<Item = V>,
    read: fn(&str) -> Result<V>,
) -> StoreId<ByText<V>> {
    let (source, fill) = (format!("{name}-rows"), format!("{name}-fill"));
    topology.global_store(
        store(name, kind, serde),
        &source,
        topic,
        (Utf8, Utf8),
        &fill,
        move |id| {
            let id = id.clone();
            move |ctx: &mut Context<'_, (), ()>, row: Record<String, String>| {
                ctx.store(&id)?.put(&row.key, &read(&row.value)?)
            }
        },
    )
}

/// Writes flights again under another key, and reads them back in the task of that key.
fn rekey(
    topology: &mut TopologyBuilder,
    name: &str,
    flights: Handle<String, Flight>,
    key: fn(&Flight, Timestamp) -> Option<String>,
) -> Handle<String, Flight> {
    let topic = topology.repartition_topic(name, None);
    let keyed = topology.processor(&format!("by-{name}"), &[flights], move || {
        move |ctx: &mut Context<'_, String, Flight>, flight: Record<String, Flight>| match key(
            &flight.value,
            flight.timestamp,
        ) {
            Some(key) => ctx.forward(flight.with_key(key)),
            None => Ok(()),
        }
    });
    topology.sink(&format!("to-{name}"), &[keyed], &topic, (Utf8, Text::new()));
    topology.source(&format!("from-{name}"), &topic, (Utf8, Text::new()))
}

/// A running statistic of each key, and the topic of its results.
fn running<S: Statistic>(
    topology: &mut TopologyBuilder,
    name: &str,
    kind: StoreKind,
    flights: Handle<String, Flight>,
    results: &str,
) -> StoreId<ByText<S>> {
    let id = topology.store(store(&format!("{name}-statistics"), kind, Text::new()));
    let of = id.clone();
    let statistics = topology.processor(name, &[flights], move || Running::<S> {
        id: of.clone(),
        store: None,
        changed: BTreeMap::new(),
    });
    topology.connect(statistics, &id);
    topology.sink(&format!("{name}-results"), &[statistics], results, (Utf8, Text::new()));
    id
}

fn league(
    topology: &mut TopologyBuilder,
    kind: StoreKind,
    by_airline: Handle<String, Flight>,
    airlines: StoreId<ByText<Airline>>,
    topics: &TopicNames,
) {
    let one_place = topology.repartition_topic("standings", Some(1));
    let id = airlines.clone();
    let hourly = topology.processor("standings", &[by_airline], move || Standings {
        id: id.clone(),
        airlines: None,
    });
    topology.connect(hourly, &airlines);
    topology.sink("to-league", &[hourly], &one_place, (Utf8, Text::new()));

    let standings = topology.source("from-standings", &one_place, (Utf8, Text::new()));
    let id = topology.store(store("standings", kind, Text::new()));
    let of = id.clone();
    let league = topology
        .processor("league", &[standings], move || League { id: of.clone(), standings: None });
    topology.connect(league, &id);
    topology.sink("league-tables", &[league], topics.league.as_str(), (Utf8, Utf8));
}

pub(crate) fn store<V: 'static>(
    name: &str,
    kind: StoreKind,
    value: impl Serde<Item = V>,
) -> KeyValue<String, V> {
    match kind {
        StoreKind::Memory => KeyValue::in_memory(name, Utf8, value),
        #[cfg(feature = "rocksdb")]
        StoreKind::RocksDb => KeyValue::persistent(name, Utf8, value),
    }
}
