//! The same topology in the Streams DSL (`--dsl`): equal results, written down shorter.
//!
//! What counts rows and what cannot be said in operators are the processors of the other pipeline.

use kstreams::dsl::{
    Consumed, GlobalKTable, Grouped, KStream, KTable, Materialized, Produced, Repartitioned,
    StreamsBuilder,
};
use kstreams::prelude::*;
use kstreams::record::RecordMetadata;

use crate::flight::{Flight, Outcome, Text, departure};
use crate::options::StoreKind;
use crate::pipeline::{TopicNames, store};
use crate::processors::{Clean, League, RawRow, Tally};
use crate::statistics::{Airline, Hour, Route, Statistic};

type Flights = KStream<String, Flight>;

/// Builds the topology; each process builds the same.
pub(crate) fn build(topics: &TopicNames, kind: StoreKind) -> Result<Topology> {
    let builder = StreamsBuilder::new();
    // One result of each key for each commit.
    builder.cache(10 << 20);
    let planes = table(&builder, "planes", &topics.planes, kind);
    let airlines = table(&builder, "airlines", &topics.airlines, kind);

    let scheduled = EventTime::custom(|row: &RawRow, _: RecordMetadata<'_>, newest: Timestamp| {
        Ok(departure(&row.value).unwrap_or(newest.max(Timestamp::from_millis(0))))
    });
    let raw = Consumed::with(Nullable(ByteArray), ByteArray).name("flights").event_time(scheduled);
    let rows = builder.stream_with(topics.flights.as_str(), raw);

    let id = builder.add_store(store("rows", kind, U64));
    let tally_of = id.clone();
    let tally = move || Tally { id: tally_of.clone(), rows: None, newest: None };
    let totals: KStream<String, u64> = rows.process_with(tally, &id).named("tally");
    totals.to(&topics.totals);

    let clean: Flights = rows.process(|| Clean).named("clean");
    let flights = clean
        .left_join_global(
            &planes,
            |_, flight| flight.tailnum.clone(),
            |_, flight, row| {
                // tailnum,year,type,manufacturer,model,engines,seats,..
                let seats = row.and_then(|row| row.split(',').nth(6)?.parse().ok());
                Flight { seats, ..flight.clone() }
            },
        )
        .left_join_global(
            &airlines,
            |_, flight| flight.carrier.clone(),
            |_, flight, row| {
                let airline = row.and_then(|row| row.split_once(',')).map_or("", |(_, name)| name);
                Flight { airline: airline.to_owned(), ..flight.clone() }
            },
        );

    let by_airline = flights.select_key(|_, flight| flight.carrier.clone());
    let by_route = flights.select_key(|_, flight| format!("{}-{}", flight.origin, flight.dest));
    // The hour of a record is its time, which operators on keys and values do not see.
    let by_hour: Flights = flights.process(|| {
        |ctx: &mut Context<'_, String, Flight>, flight: Record<String, Flight>| {
            if !matches!(flight.value.outcome, Outcome::Arrived(_)) {
                return Ok(());
            }
            let hour = flight.timestamp.as_millis() / 3_600_000 % 24;
            let key = format!("{hour:02} {}", flight.value.carrier);
            ctx.forward(flight.with_key(key))
        }
    });
    let airlines = running::<Airline>(&by_airline, "airline", kind, &topics.airline_stats);
    running::<Route>(&by_route, "route", kind, &topics.route_stats);
    running::<Hour>(&by_hour, "hour", kind, &topics.hour_stats);

    league(&builder, &airlines, kind, topics);
    Ok(builder.build()?)
}

/// The rows of a topic, whole in every process.
fn table(
    builder: &StreamsBuilder,
    name: &str,
    topic: &str,
    kind: StoreKind,
) -> GlobalKTable<String, String> {
    let store = Materialized::named(name);
    builder.global_table(topic, if kind == StoreKind::Memory { store.in_memory() } else { store })
}

/// A running statistic of each key, and the topic of its results.
fn running<S: Statistic>(
    flights: &Flights,
    name: &str,
    kind: StoreKind,
    results: &str,
) -> KTable<String, S> {
    let store = Materialized::with(Utf8, Text::new()).name(&format!("{name}-statistics"));
    let store = if kind == StoreKind::Memory { store.in_memory() } else { store };
    let add = |_: &String, flight, mut statistic: S| {
        statistic.add(&flight);
        statistic
    };
    let grouped = flights.group_by_key_with(Grouped::with(Utf8, Text::new()).name(name));
    let statistics = grouped.aggregate(S::default, add, store);
    statistics.to_stream().to_with(results, Produced::with(Utf8, Nullable(Text::new())));
    statistics
}

/// All airlines in one place, and where they stand each hour.
fn league(
    builder: &StreamsBuilder,
    airlines: &KTable<String, Airline>,
    kind: StoreKind,
    topics: &TopicNames,
) {
    let one_place = Repartitioned::with(Utf8, Text::new()).name("standings").partitions(1);
    let id = builder.add_store(store("standings", kind, Text::new()));
    let of = id.clone();
    let tables: KStream<String, String> = airlines
        .to_stream()
        .map_values(Option::unwrap_or_default)
        .repartition_with(one_place)
        .process_with(move || League { id: of.clone(), standings: None }, &id);
    tables.to(&topics.league);
}
