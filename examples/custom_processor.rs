//! A processor with two children, headers, and a dead-letter topic.
//!
//! ```sh
//! cargo run --no-default-features --example custom_processor
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use kstreams::prelude::*;

/// Sends payments to one of two children, and says in a header why.
#[derive(Default)]
struct Triage {
    children: Option<[Child<String, i64>; 2]>,
}

impl Processor<String, String, String, i64> for Triage {
    /// Children are found by the names they have in the topology; a wrong one stops the start.
    fn init(&mut self, ctx: &mut Init<'_, Self, String, i64>) -> Result {
        self.children = Some([ctx.child("small")?, ctx.child("large")?]);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, String, i64>,
        payment: Record<String, String>,
    ) -> Result {
        let Some([small, large]) = self.children else { return Ok(()) };
        // `?` is enough: what to do with a record that fails is the application's decision.
        let amount: i64 = payment.value.parse()?;
        let mut payment = payment.with_value(amount);
        if amount < 1000 {
            return ctx.forward_to(small, payment);
        }
        // Headers belong to this record alone; a change is not seen by its siblings.
        payment.headers.push("reason", Some(b"1000 or more"));
        ctx.forward_to(large, payment)
    }
}

fn topology() -> Result<Topology> {
    let mut topology = Topology::builder();
    let payments = topology.source("payments", "payments", (Utf8, Utf8));
    let triage = topology.processor("triage", &[payments], Triage::default);
    topology.sink("small", &[triage], "small-payments", (Utf8, I64));
    topology.sink("large", &[triage], "large-payments", (Utf8, I64));
    Ok(topology.build()?)
}

fn main() -> Result {
    let log = MemoryLog::new();
    let topics = ["payments", "small-payments", "large-payments", "bad-payments"];
    topics.iter().try_for_each(|topic| log.create_topic(topic, 1))?;
    for (who, amount) in [("ada", "12"), ("bob", "4000"), ("cleo", "a lot"), ("dora", "999")] {
        log.produce("payments", who, amount, Timestamp::from_millis(0))?;
    }
    // Without this, "a lot" would stop the application, as in Kafka Streams.
    let config = Config::new("triage").handlers(Handlers::default().dead_letter_to("bad-payments"));
    let app = Streams::new(topology()?, config, log.clone())?;
    app.start()?;
    let n_out = || topics[1..].iter().map(|topic| log.records(topic).len()).sum::<usize>();
    while n_out() < 4 && !app.state().is_terminal() {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    app.close(Duration::from_secs(10));
    for topic in &topics[1..] {
        for record in log.records(topic) {
            let who = String::from_utf8(record.key.unwrap_or_default())?;
            println!("{topic}: {who}");
            for header in record.headers.iter().filter(|header| !header.name.contains("stack")) {
                let value = header.value.as_deref().unwrap_or_default();
                println!("  {} = {}", header.name, String::from_utf8_lossy(value));
            }
        }
    }
    Ok(())
}
