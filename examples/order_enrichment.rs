//! Orders with the names of their customers: a table joined with another by a key in its values.
//!
//! Whatever changes, an order or a customer, the result follows; so it does when an order moves to
//! another customer or either is deleted.
//!
//! ```sh
//! cargo run --no-default-features --features dsl --example order_enrichment
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use kstreams::dsl::{StreamsBuilder, TableJoined};
use kstreams::prelude::*;

fn topology() -> Result<Topology> {
    let builder = StreamsBuilder::new();
    // Order -> "customer article"; customer -> name.
    let orders = builder.table::<String, String>("orders", "orders");
    let customers = builder.table::<String, String>("customers", "customers");
    orders
        .join_on_with(
            &customers,
            |_, order| order.split_once(' ').map(|(customer, _)| customer.to_owned()),
            |_, order, name| {
                let article = order.split_once(' ').map_or("", |(_, article)| article);
                format!("{article} for {name}")
            },
            TableJoined::named("who"),
        )
        .to_stream()
        .to("named-orders");
    Ok(builder.build()?)
}

fn main() -> Result {
    // The sides have partition counts of their own: subscriptions and answers travel by topic.
    let mut driver = TestDriver::builder(topology()?, Config::new("orders"))
        .partitions("orders", 4)
        .partitions("customers", 2)
        .build()?;
    let steps = [
        ("orders", "o1", Some("c1 tea")),
        ("customers", "c1", Some("Ann")),
        ("orders", "o2", Some("c1 cups")),
        ("customers", "c1", Some("Ann Smith")),
        ("customers", "c2", Some("Bob")),
        ("orders", "o2", Some("c2 cups")),
        ("orders", "o1", None),
    ];
    for (topic, key, value) in steps {
        let value = value.map(str::to_owned);
        driver.input(topic, Utf8, Nullable(Utf8)).pipe(key.into(), value)?;
        for result in driver.output("named-orders", Utf8, Nullable(Utf8)).read()? {
            println!("{}: {}", result.key, result.value.as_deref().unwrap_or("deleted"));
        }
    }
    driver.close()
}
