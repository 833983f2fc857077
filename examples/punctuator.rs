//! Two punctuators: one follows the records, one follows the clock.
//!
//! ```sh
//! cargo run --no-default-features --example punctuator
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use kstreams::prelude::*;

/// Sums what comes, and reports: per minute of event time, and when nothing comes for a while.
#[derive(Default)]
struct Sum {
    sum: u64,
    /// The silence alarm; kept to cancel it.
    alarm: Option<Schedule>,
}

impl Sum {
    /// A punctuator gets its processor back, so it needs no shared cell to see what it holds.
    fn minute(&mut self, ctx: &mut Context<'_, String, u64>, now: Timestamp) -> Result {
        let sum = std::mem::take(&mut self.sum);
        ctx.forward(Record::new("minute".into(), sum, now))
    }

    fn silence(&mut self, ctx: &mut Context<'_, String, u64>, now: Timestamp) -> Result {
        if let Some(alarm) = self.alarm.take() {
            alarm.cancel();
        }
        ctx.forward(Record::new("silence".into(), self.sum, now))
    }
}

impl Processor<String, u64, String, u64> for Sum {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, u64>) -> Result {
        // Stream time is the largest event time so far: a replay of last year's records behaves
        // as last year did. It stands still when no records come.
        let minutes = Every::stream_time(Duration::from_secs(60)).from(Timestamp::from_millis(0));
        ctx.schedule(minutes, Self::minute)?;
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, String, u64>,
        record: Record<String, u64>,
    ) -> Result {
        self.sum += record.value;
        // Each record winds the alarm up anew; only the clock can notice that none comes.
        if let Some(alarm) = self.alarm.take() {
            alarm.cancel();
        }
        self.alarm = Some(ctx.schedule(Every::wall_clock(Duration::from_secs(5)), Self::silence)?);
        Ok(())
    }
}

fn main() -> Result {
    let mut topology = Topology::builder();
    let numbers = topology.source("numbers", "numbers", (Utf8, U64));
    let sum = topology.processor("sum", &[numbers], Sum::default);
    topology.sink("out", &[sum], "sums", (Utf8, U64));

    // The test driver runs the real engine on a clock that moves when told, so this takes no
    // minutes. With `Streams::new(topology, config, log)` it would.
    let mut driver = TestDriver::new(topology.build()?, Config::new("sums"))?;
    let minute = 60_000;
    for (at, number) in
        [(10, 1), (minute - 1, 2), (minute, 4), (3 * minute, 8), (3 * minute + 7, 16)]
    {
        driver.input("numbers", Utf8, U64).pipe_at("n".into(), number, at)?;
        driver.advance_time(Duration::from_secs(1))?;
    }
    driver.advance_time(Duration::from_secs(10))?;
    for record in driver.output("sums", Utf8, U64).read()? {
        println!("{} {} at {}", record.key, record.value, record.timestamp);
    }
    driver.close()
}
