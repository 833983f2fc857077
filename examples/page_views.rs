//! Visits to a site: page views with less than half an hour between them, each visit told once,
//! when it is over.
//!
//! ```sh
//! cargo run --no-default-features --features dsl --example page_views
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use kstreams::dsl::{EmitStrategy, SessionWindows, StreamsBuilder};
use kstreams::prelude::*;

const MINUTE: i64 = 60_000;

fn topology() -> Result<Topology> {
    let builder = StreamsBuilder::new();
    let visits = SessionWindows::of(Duration::from_secs(30 * 60));
    builder
        .stream::<String, String>("page-views")
        .group_by_key()
        .sessions(visits)
        .emit(EmitStrategy::OnWindowClose)
        .aggregate(
            String::new,
            |_, page, path| format!("{path}/{page}"),
            // A late view may join two visits to one.
            |_, one, two| one + &two,
            "visits",
        )
        .to_stream()
        .map(|visit, path| {
            let minutes = (visit.window.end.as_millis() - visit.window.start.as_millis()) / MINUTE;
            (visit.key, format!("{} in {minutes} minutes", path.unwrap_or_default()))
        })
        .to("visits");
    Ok(builder.build()?)
}

fn main() -> Result {
    let mut driver = TestDriver::new(topology()?, Config::new("page-views"))?;
    let views = [
        ("ann", "home", 0),
        ("bob", "home", 5),
        ("ann", "shop", 12),
        ("ann", "cart", 40),
        ("bob", "help", 50),
        ("cleo", "home", 200),
    ];
    for (user, page, minute) in views {
        let mut input = driver.input("page-views", Utf8, Utf8);
        input.pipe_at(user.into(), page.into(), minute * MINUTE)?;
    }
    for visit in driver.output("visits", Utf8, Utf8).read()? {
        println!("{}: {}", visit.key, visit.value);
    }
    driver.close()
}
