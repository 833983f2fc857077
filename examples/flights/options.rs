//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use kstreams::prelude::*;

pub(crate) const USAGE: &str = "\
usage: flights [OPTION]..

Real flights through hand-written processors: a league table of delays and a chart.
Without --bootstrap everything happens in this process, on the embedded log.

what to do
  (nothing)              fill the topics if they are new, process, show the results
  --load                 fill the topics even if they exist
  --load-only            fill the topics and stop
  --worker               process until all is done or SIGTERM comes; show no results
  --collect              process nothing, wait for the results of the workers and show them
how
  --bootstrap HOST:PORT  run on this Kafka cluster; start it again to share the work
  --threads N            0, the default, means one for each core
  --guarantee G          at-least-once (default) or exactly-once
  --store S              memory (default) or rocksdb
  --state-dir DIR        where RocksDB keeps its files
  --app-id NAME          the group (default: flights)
  --prefix TEXT          begin the name of every topic with this
  --commit-interval MS   default 100
  --session-timeout MS   after which a silent process loses its tasks (default 45000)
  --until-idle SECONDS   all is done when the results have not changed for so long
input
  --year DIR             flights.csv, planes.csv and airlines.csv of the whole year, from fetch-year
  --records N            only the first N rows
  --inject N             a truncated row after each N-th one (default 5000, 0 for none)
output
  --statistics FILE      write the results, a line for each key, in the order of reference.py
  --chart FILE           the chart (default: flights-delay.svg in the folder for temporary files)
  --describe             print the topology and stop
  --dsl                  do it with the Streams DSL: the same results, from another topology";

/// Which part of the work this process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Everything,
    LoadOnly,
    Worker,
    Collect,
    Describe,
    Help,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Memory,
    #[cfg(feature = "rocksdb")]
    RocksDb,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) load: bool,
    /// With the Streams DSL.
    #[cfg(feature = "dsl")]
    pub(crate) dsl: bool,
    pub(crate) bootstrap: Option<String>,
    pub(crate) threads: usize,
    pub(crate) guarantee: Guarantee,
    pub(crate) store: StoreKind,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) app_id: String,
    pub(crate) prefix: String,
    pub(crate) commit_interval: Duration,
    pub(crate) session_timeout: Duration,
    pub(crate) until_idle: Option<Duration>,
    pub(crate) year: Option<PathBuf>,
    pub(crate) records: usize,
    pub(crate) inject: usize,
    pub(crate) statistics: Option<PathBuf>,
    pub(crate) chart: PathBuf,
}

impl Options {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            mode: Mode::Everything,
            load: false,
            #[cfg(feature = "dsl")]
            dsl: false,
            bootstrap: None,
            threads: 0,
            guarantee: Guarantee::AtLeastOnce,
            store: StoreKind::Memory,
            state_dir: None,
            app_id: "flights".into(),
            prefix: String::new(),
            commit_interval: Duration::from_millis(100),
            session_timeout: Duration::from_secs(45),
            until_idle: None,
            year: None,
            records: usize::MAX,
            inject: 5000,
            statistics: None,
            chart: std::env::temp_dir().join("flights-delay.svg"),
        };
        while let Some(word) = words.next() {
            let mut value =
                || words.next().ok_or_else(|| Error::from(format!("{word} needs a value")));
            match word.as_str() {
                "--load" => options.load = true,
                #[cfg(feature = "dsl")]
                "--dsl" => options.dsl = true,
                "--load-only" => options.mode = Mode::LoadOnly,
                "--worker" => options.mode = Mode::Worker,
                "--collect" => options.mode = Mode::Collect,
                "--describe" => options.mode = Mode::Describe,
                "--help" | "-h" => options.mode = Mode::Help,
                "--bootstrap" => options.bootstrap = Some(value()?),
                "--threads" => options.threads = value()?.parse()?,
                "--guarantee" => options.guarantee = guarantee(&value()?)?,
                "--store" => options.store = store(&value()?)?,
                "--state-dir" => options.state_dir = Some(value()?.into()),
                "--app-id" => options.app_id = value()?,
                "--prefix" => options.prefix = value()?,
                "--commit-interval" => {
                    options.commit_interval = Duration::from_millis(value()?.parse()?);
                }
                "--session-timeout" => {
                    options.session_timeout = Duration::from_millis(value()?.parse()?);
                }
                "--until-idle" => {
                    options.until_idle = Some(Duration::from_secs_f64(seconds(&value()?)?));
                }
                "--year" => options.year = Some(value()?.into()),
                "--records" => options.records = value()?.parse()?,
                "--inject" => options.inject = value()?.parse()?,
                "--statistics" => options.statistics = Some(value()?.into()),
                "--chart" => options.chart = value()?.into(),
                _ => return Err(format!("unknown option {word}; see --help").into()),
            }
        }
        let alone = matches!(options.mode, Mode::LoadOnly | Mode::Worker | Mode::Collect);
        if alone && options.bootstrap.is_none() {
            return Err("the embedded log lives and ends with one process: \
                        this mode needs --bootstrap"
                .into());
        }
        Ok(options)
    }
}

fn seconds(text: &str) -> Result<f64> {
    let seconds: f64 = text.parse()?;
    let fits = (0.0..1e6).contains(&seconds);
    if fits { Ok(seconds) } else { Err(format!("`{text}` seconds are out of range").into()) }
}

fn guarantee(text: &str) -> Result<Guarantee> {
    match text {
        "at-least-once" => Ok(Guarantee::AtLeastOnce),
        "exactly-once" => Ok(Guarantee::ExactlyOnce),
        _ => Err(format!("`{text}` is neither at-least-once nor exactly-once").into()),
    }
}

fn store(text: &str) -> Result<StoreKind> {
    match text {
        "memory" => Ok(StoreKind::Memory),
        #[cfg(feature = "rocksdb")]
        "rocksdb" => Ok(StoreKind::RocksDb),
        #[cfg(not(feature = "rocksdb"))]
        "rocksdb" => Err("built without the feature rocksdb".into()),
        _ => Err(format!("`{text}` is neither memory nor rocksdb").into()),
    }
}
