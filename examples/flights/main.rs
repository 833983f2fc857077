//! Every flight out of New York City in July 2013, through hand-written processors.
//!
//! ```sh
//! cargo run --no-default-features --example flights                 # nothing installed
//! cargo run --example flights -- --bootstrap localhost:9092 --store rocksdb   # start it twice
//! ```
//!
//! The rows of the input are records as they come: keyed by where the flight left, some of them
//! broken. `clean` refuses the broken ones, `enrich` looks planes and airlines up, and a
//! sub-topology for each statistic keeps it in a store. The results are read back from their
//! topics, whatever process has written them. With `--dsl` operators of the Streams DSL do the same.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod flight;
mod input;
mod options;
mod pipeline;
#[cfg(feature = "dsl")]
mod pipeline_dsl;
mod processors;
mod report;
mod results;
mod statistics;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use kstreams::log::Log;
use kstreams::prelude::*;
use kstreams::time::{Clock, SystemClock};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::options::{Mode, Options, USAGE};
use crate::pipeline::TopicNames;
use crate::results::Results;

fn main() -> Result {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("error")).init();
    let options = Options::parse(std::env::args().skip(1))?;
    let topics = TopicNames::new(&options.prefix);
    match options.mode {
        Mode::Help => {
            println!("{USAGE}");
            Ok(())
        }
        Mode::Describe => {
            print!("{}", topology(&options, &topics)?.describe());
            Ok(())
        }
        _ => run(&options, &topics),
    }
}

fn topology(options: &Options, topics: &TopicNames) -> Result<Topology> {
    #[cfg(feature = "dsl")]
    if options.dsl {
        return pipeline_dsl::build(topics, options.store);
    }
    pipeline::build(topics, options.store)
}

fn run(options: &Options, topics: &TopicNames) -> Result {
    let stop = stop_signal()?;
    let log = open_log(options.bootstrap.as_deref())?;
    let clock = SystemClock::new();
    if matches!(options.mode, Mode::Everything | Mode::LoadOnly)
        && let Some(n_rows) = input::load(&*log, topics, options)?
    {
        println!(
            "{} rows written to topic {} in {:.1?}",
            HumanCount(n_rows),
            topics.flights,
            clock.monotonic()
        );
    }
    if options.mode == Mode::LoadOnly {
        return Ok(());
    }
    input::wait_for_topics(&*log, topics)?;
    let began = clock.monotonic();
    let app = match options.mode {
        Mode::Collect => None,
        _ => Some(start(options, topics, &log)?),
    };
    let mut results = Results::new(&*log, topics)?;
    let is_done = wait(options, &stop, &mut results, app.as_ref().map(|(app, _)| app))?;
    let took = clock.monotonic() - began;
    if let Some((app, dir)) = app {
        if !app.close(input::BOUND) {
            return Err("the application did not close in time".into());
        }
        // Only now no store of it is open any more.
        drop(app);
        if options.bootstrap.is_none() {
            // The log was in memory: state without its log is of no use.
            let _ = std::fs::remove_dir_all(dir);
        }
    }
    if !is_done {
        println!("stopped before all was processed");
        return Ok(());
    }
    let rate = results.tables.rows() as f64 / took.as_secs_f64();
    let (rows, rate) = (HumanCount(results.tables.rows()), HumanCount(rate as u64));
    println!("{rows} rows, {} of them bad, in {took:.2?}: {rate} rows/s", results.tables.bad());
    if options.mode == Mode::Worker { Ok(()) } else { show(options, &results) }
}

fn show(options: &Options, results: &Results) -> Result {
    println!("\n{}", report::league(&results.tables)?);
    report::chart(&results.tables, &options.chart)?;
    println!("chart: {}", options.chart.display());
    if let Some(file) = &options.statistics {
        std::fs::write(file, report::statistics(&results.tables))?;
        println!("statistics: {}", file.display());
    }
    Ok(())
}

/// Ctrl-C and SIGTERM ask for an end in order; the second time they end the process.
fn stop_signal() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

fn open_log(bootstrap: Option<&str>) -> Result<Arc<dyn Log>> {
    match bootstrap {
        None => Ok(Arc::new(MemoryLog::new())),
        #[cfg(feature = "kafka")]
        Some(servers) => Ok(Arc::new(KafkaLog::new(servers))),
        #[cfg(not(feature = "kafka"))]
        Some(_) => Err("built without the feature kafka".into()),
    }
}

/// Starts the application; tells also where its state lies.
fn start(options: &Options, topics: &TopicNames, log: &Arc<dyn Log>) -> Result<(Streams, PathBuf)> {
    // A row that cannot be read is put aside; anything else that fails is a fault of the program.
    let (unreadable, broken): (Arc<str>, Arc<str>) =
        (topics.bad.as_str().into(), topics.bad.as_str().into());
    let handlers = Handlers::default()
        .on_deserialization(move |_| Verdict::DeadLetter(Arc::clone(&unreadable)))
        .on_processing(move |failure| match failure.node {
            "clean" => Verdict::DeadLetter(Arc::clone(&broken)),
            _ => Verdict::Fail,
        });
    let config = Config::new(&options.app_id)
        .threads(options.threads)
        .guarantee(options.guarantee)
        .commit_interval(options.commit_interval)
        .session_timeout(options.session_timeout)
        .handlers(handlers);
    let base = std::env::temp_dir().join("kstreams-flights");
    let run = format!("embedded-{}", std::process::id());
    for slot in 0..64 {
        // Processes of one machine share the work, but not a directory: take the first free one.
        let dir = match (&options.state_dir, &options.bootstrap) {
            (Some(dir), _) => dir.clone(),
            (None, None) => base.join(&run),
            (None, Some(_)) => base.join(format!("{slot}")),
        };
        let topology = topology(options, topics)?;
        let app = Streams::with_log(topology, config.clone().state_dir(&dir), Arc::clone(log))?;
        match app.start() {
            Ok(()) => return Ok((app, dir)),
            Err(error) if error.kind() == ErrorKind::StateDir && options.state_dir.is_none() => {}
            Err(error) => return Err(error),
        }
    }
    Err("no free state directory; name one with --state-dir".into())
}

/// Follows the results until they are complete (true) or the process is to stop (false).
fn wait(
    options: &Options,
    stop: &AtomicBool,
    results: &mut Results,
    app: Option<&Streams>,
) -> Result<bool> {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {per_sec}, {eta} left");
    bar.set_style(style.map_err(Error::user)?);
    let (clock, mut newest) = (SystemClock::new(), Duration::ZERO);
    loop {
        if results.poll()? {
            newest = clock.monotonic();
            bar.set_length(results.tables.loaded.unwrap_or_default());
            bar.set_position(results.tables.rows());
        }
        let idle = clock.monotonic().saturating_sub(newest);
        let is_done = match options.until_idle {
            Some(limit) => results.tables.loaded.is_some() && idle >= limit,
            None => results.tables.are_complete(),
        };
        if is_done || stop.load(Ordering::Relaxed) {
            bar.finish_and_clear();
            return Ok(is_done);
        }
        if let Some(app) = app.filter(|app| app.state().is_terminal()) {
            let stopped = || "the application has stopped".into();
            return Err(app.take_error().unwrap_or_else(stopped));
        }
    }
}
