//! Counts words: the smallest application with state.
//!
//! ```sh
//! cargo run --no-default-features --example word_count
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use kstreams::prelude::*;

/// What this node keeps. Each task has an instance and a store of its own.
struct Count {
    id: StoreId<KeyValueStore<String, u64>>,
    counts: Option<Store<KeyValueStore<String, u64>>>,
}

impl Processor<String, (), String, u64> for Count {
    /// Stores are looked up by name: once, here, and not for each record.
    fn init(&mut self, ctx: &mut Init<'_, Self, String, u64>) -> Result {
        self.counts = Some(ctx.store(&self.id)?);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_, String, u64>, word: Record<String, ()>) -> Result {
        let Some(counts) = &self.counts else { return Ok(()) };
        let n = counts.get(&word.key)?.unwrap_or(0) + 1;
        counts.put(&word.key, &n)?;
        ctx.forward(word.with_value(n))
    }
}

fn topology() -> Result<Topology> {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "text", (Nullable(Utf8), Utf8));
    // A closure is a processor too; the outer one makes an instance for each task.
    let split = topology.processor("split", &[lines], || {
        |ctx: &mut Context<'_, String, ()>, line: Record<Option<String>, String>| {
            line.value.split_whitespace().try_for_each(|word| {
                ctx.forward(Record::new(word.to_lowercase(), (), line.timestamp))
            })
        }
    });
    // The same word may come out of every task: this topic brings it to the task that counts it.
    let words = topology.repartition_topic("words", None);
    topology.sink("to-words", &[split], &words, (Utf8, Unit));
    let words = topology.source("words", &words, (Utf8, Unit));

    let counts = topology.store(KeyValue::in_memory("counts", Utf8, U64));
    let id = counts.clone();
    let count =
        topology.processor("count", &[words], move || Count { id: id.clone(), counts: None });
    topology.connect(count, &counts);
    topology.sink("out", &[count], "word-counts", (Utf8, U64));
    Ok(topology.build()?)
}

fn main() -> Result {
    // `KafkaLog::new("localhost:9092")` in its place runs the same program on a cluster.
    let log = MemoryLog::new();
    log.create_topic("text", 2)?;
    log.create_topic("word-counts", 2)?;
    for (at, line) in ["to be or not to be", "that is the question", "be that"].iter().enumerate() {
        log.produce("text", format!("{at}"), line, Timestamp::from_millis(at as i64))?;
    }
    let app = Streams::new(topology()?, Config::new("word-count").threads(2), log.clone())?;
    app.start()?;
    while log.records("word-counts").len() < 12 && !app.state().is_terminal() {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    app.close(Duration::from_secs(10));
    for record in log.records("word-counts") {
        let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
        let at = At::value("word-counts");
        println!("{} {}", Utf8.deserialize(&key, &at)?, U64.deserialize(&value, &at)?);
    }
    Ok(())
}
