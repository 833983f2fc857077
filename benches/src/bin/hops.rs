//! The least that a hop costs: the best of many samples so short that other programs on the
//! machine leave most of them alone.

#![expect(clippy::print_stdout, reason = "a bench program prints its figures")]

use kstreams::Result;
use kstreams::time::{Clock, SystemClock};
use kstreams_benches::graphs::{Graph, feed_one};

const N_SAMPLES: usize = 5000;
const N_RECORDS: u32 = 200;

fn main() -> Result {
    let clock = SystemClock::new();
    for graph in Graph::all() {
        let mut flow = graph.flow();
        let mut best = f64::INFINITY;
        for _ in 0..N_SAMPLES {
            let began = clock.monotonic();
            for _ in 0..N_RECORDS {
                feed_one(&mut flow)?;
            }
            let took = clock.monotonic() - began;
            best = best.min(took.as_nanos() as f64 / f64::from(N_RECORDS));
        }
        let per_hop = best / graph.n_hops as f64;
        println!("{:<24} {best:>7.1} ns per record {per_hop:>6.1} ns per hop", graph.name);
    }
    Ok(())
}
