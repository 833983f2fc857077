//! Cards that are used too often: payments per card and minute, told once, when the minute is over
//! and late payments are in.
//!
//! ```sh
//! cargo run --no-default-features --features dsl --example fraud
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use kstreams::dsl::{BufferConfig, StreamsBuilder, Suppressed, TimeWindows};
use kstreams::prelude::*;

const SECOND: i64 = 1_000;

fn topology() -> Result<Topology> {
    let builder = StreamsBuilder::new();
    let minutes = TimeWindows::of(Duration::from_secs(60)).grace(Duration::from_secs(10));
    builder
        .stream::<String, i64>("payments")
        .group_by_key()
        .windowed_by(minutes)
        .aggregate(|| String::from("0 0"), |_, cents, sums| add(&sums, cents), "per-minute")
        // Without it, each payment would tell what the minute has so far.
        .suppress(Suppressed::until_window_closes(BufferConfig::unbounded()).name("final"))
        .to_stream()
        .filter(|_, sums| sums.as_deref().is_some_and(|sums| read(sums).0 >= 3))
        .map(|card, sums| {
            let (n, cents) = read(&sums.unwrap_or_default());
            let minute = card.window.start.as_millis() / (60 * SECOND);
            (card.key, format!("{n} payments, {cents} cents in minute {minute}"))
        })
        .to("alerts");
    Ok(builder.build()?)
}

/// How many payments, and their sum.
fn read(sums: &str) -> (i64, i64) {
    let mut numbers = sums.split(' ').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn add(sums: &str, cents: i64) -> String {
    let (n, sum) = read(sums);
    format!("{} {}", n + 1, sum + cents)
}

fn main() -> Result {
    let mut driver = TestDriver::new(topology()?, Config::new("fraud"))?;
    let payments = [
        ("4711", 900, 1),
        ("4711", 1_500, 20),
        ("0815", 250, 30),
        ("4711", 99_000, 59),
        ("0815", 300, 62),
        // Late, but within the ten seconds of grace.
        ("4711", 50_000, 58),
        ("0815", 275, 71),
        ("0815", 275, 200),
    ];
    for (card, cents, second) in payments {
        driver.input("payments", Utf8, I64).pipe_at(card.into(), cents, second * SECOND)?;
        for alert in driver.output("alerts", Utf8, Utf8).read()? {
            println!("second {second}: card {}: {}", alert.key, alert.value);
        }
    }
    driver.close()
}
