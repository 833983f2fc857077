//! Passes records from log to log through the whole engine on one thread, without a clock: for
//! `scripts/instructions`, which counts what that takes.
//!
//! `--workload passthrough|chain|count|window-count|lookup --store memory --guarantee
//! at-least-once|exactly-once --records 20000 --keys 1000`

use kstreams::prelude::*;
use kstreams_benches::Args;
use kstreams_benches::workloads::topology;

fn main() -> Result {
    let known = ["workload", "store", "guarantee", "records", "keys"];
    let args = Args::read(&known)?;
    let guarantee = args.guarantee()?;
    let config = Config::new("instructions").guarantee(guarantee);
    let mut driver = TestDriver::new(topology(&args)?, config)?;
    let n_keys = args.number("keys", 1000)?;
    let value = [b'v'; 92];
    if args.get("workload", "") == "lookup" {
        for key in 0..n_keys {
            driver.log().produce("table", key.to_be_bytes(), value, Timestamp::from_millis(0))?;
        }
    }
    for index in 0..args.number("records", 20_000)? {
        let key = (index % n_keys).to_be_bytes();
        driver.log().produce("input", key, value, Timestamp::from_millis(index as i64))?;
    }
    driver.settle()
}
