//! The application of `RelayApp.java`, line by line.

use std::time::Duration;

use kstreams::dsl::{
    BufferConfig, JoinWindows, Joined, Materialized, Naming, SessionWindows, StreamJoined,
    StreamsBuilder, Suppressed, TableJoined, TimeWindows,
};
use kstreams::prelude::*;

/// The outputs; each name stands behind the application id.
pub(super) const OUTPUTS: [&str; 7] =
    ["paid", "enriched", "half-minutes", "visits", "sold", "priced", "held"];
/// The inputs; each name stands behind their prefix.
pub(super) const INPUTS: [&str; 5] = ["orders", "payments", "customers", "baskets", "prices"];
/// How far apart an order and its payment may be.
pub(super) const APART: Duration = Duration::from_secs(10);
/// How late a record may be.
pub(super) const GRACE: Duration = Duration::from_secs(5);

const HALF_MINUTE: Duration = Duration::from_secs(30);
const VISIT: Duration = Duration::from_secs(20);

pub(super) fn shop(app: &str, input: &str) -> Topology {
    let builder = StreamsBuilder::new();
    builder.naming(Naming::Positional);
    let orders = builder.stream::<String, String>(format!("{input}-orders"));
    let payments = builder.stream::<String, String>(format!("{input}-payments"));
    let customers = builder.table::<String, String>(&format!("{input}-customers"), "customers");

    orders
        .left_join_with(
            &payments,
            |_, order, payment| format!("{order} by {}", payment.map_or("null", |by| by)),
            JoinWindows::of(APART).grace(GRACE),
            StreamJoined::named("paid"),
        )
        .to(&format!("{app}-paid"));
    orders
        .join_table_with(
            &customers,
            |_, order, customer| format!("{order} for {customer}"),
            Joined::default(),
        )
        .to(&format!("{app}-enriched"));
    orders
        .group_by_key()
        .windowed_by(TimeWindows::of(HALF_MINUTE).grace(GRACE))
        .count("per-half-minute")
        .suppress(Suppressed::until_window_closes(BufferConfig::unbounded()).name("final"))
        .to_stream()
        .map(|of, n| (format!("{} {}", of.key, of.window.start.as_millis()), n))
        .to(&format!("{app}-half-minutes"));
    orders
        .group_by_key()
        .sessions(SessionWindows::of(VISIT).grace(GRACE))
        .count("visits")
        .to_stream()
        .map(|of, n| {
            let (start, end) = (of.window.start.as_millis(), of.window.end.as_millis());
            (format!("{} {start} {end}", of.key), n)
        })
        .to(&format!("{app}-visits"));
    orders.group_by(|_, order| article(order)).count("sold").to_stream().to(&format!("{app}-sold"));

    let baskets = builder.table::<String, String>(&format!("{input}-baskets"), "baskets");
    let prices = builder.table::<String, String>(&format!("{input}-prices"), "prices");
    baskets
        .join_on_in(
            &prices,
            |_, basket| article(basket),
            |_, basket, price| format!("{basket} at {price}"),
            TableJoined::default(),
            Materialized::named("priced"),
        )
        .to_stream()
        .to(&format!("{app}-priced"));
    baskets
        .group_by(|_, basket| (article(basket), basket.clone()))
        .count("held")
        .to_stream()
        .to(&format!("{app}-held"));
    builder.build().unwrap()
}

/// The first word.
pub(super) fn article(value: &str) -> String {
    value.split(' ').next().unwrap_or_default().to_owned()
}
