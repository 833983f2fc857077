//! Counts words again, with the Streams DSL: the topology is ten lines.
//!
//! ```sh
//! cargo run --no-default-features --features dsl --example dsl_word_count
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use kstreams::dsl::StreamsBuilder;
use kstreams::prelude::*;

fn topology() -> Result<Topology> {
    let builder = StreamsBuilder::new();
    builder
        .stream::<Option<String>, String>("text")
        .flat_map_values(|line| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
        .group_by(|_, word| word.clone())
        .count("counts")
        .to_stream()
        .to("word-counts");
    Ok(builder.build()?)
}

fn main() -> Result {
    let topology = topology()?;
    // The repartition topic between grouping and counting is part of it.
    println!("{}", topology.describe());
    // `KafkaLog::new("localhost:9092")` in its place runs the same program on a cluster.
    let log = MemoryLog::new();
    log.create_topic("text", 2)?;
    log.create_topic("word-counts", 2)?;
    for (at, line) in ["to be or not to be", "that is the question", "be that"].iter().enumerate() {
        log.produce("text", format!("{at}"), line, Timestamp::from_millis(at as i64))?;
    }
    let app = Streams::new(topology, Config::new("word-count").threads(2), log.clone())?;
    app.start()?;
    while log.records("word-counts").len() < 12 && !app.state().is_terminal() {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    app.close(Duration::from_secs(10));
    for record in log.records("word-counts") {
        let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
        let at = At::value("word-counts");
        println!("{} {}", Utf8.deserialize(&key, &at)?, I64.deserialize(&value, &at)?);
    }
    Ok(())
}
