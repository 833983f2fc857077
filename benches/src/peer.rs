//! The programs that run a workload by turns, their topics, and their figures.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use kstreams::Result;
use kstreams::log::{Log, NewTopic};
use kstreams_broker::{Broker, Java};

const LONG: Duration = Duration::from_secs(60);

/// What Kafka's own start script gives a broker's JVM. The tests' one compiles little and stops for its
/// collector: a pause of 60 ms each second or two was most of the tail of any latency.
const BROKER: [&str; 8] = [
    "-XX:TieredStopAtLevel=4",
    "-XX:-UseSerialGC",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Xms1g",
    "-Xmx1g",
];

/// Starts a broker as one that is deployed, with more `options` of the JVM; it ends when this is
/// dropped.
///
/// # Errors
/// As [`BrokerBuilder::start`](kstreams_broker::BrokerBuilder::start).
pub fn broker(options: &str) -> Result<Broker> {
    let options = BROKER.into_iter().chain(options.split_whitespace());
    let broker = options.fold(Broker::builder(), |broker, option| broker.jvm_option(option));
    Ok(broker.start().map_err(|e| e.to_string())?)
}

/// Makes topics. The records' times are old, or no times of day at all: none is deleted by age.
///
/// # Errors
/// What the log says.
pub fn create_topics(log: &dyn Log, names: &[&str], n_partitions: i32) -> Result {
    let topic = |name: &&str| NewTopic {
        name: (*name).to_owned(),
        n_partitions,
        replication: None,
        configs: vec![("retention.ms".into(), "-1".into())],
    };
    let topics: Vec<NewTopic> = names.iter().map(topic).collect();
    log.admin()?.create_topics(&topics, LONG)
}

/// The command of a workload: of the engine, of Kafka Streams for `java-..`, of a bare loop for
/// `limit-..`; with a store in memory for `..-memory`. It lies beside the program that runs now.
///
/// # Errors
/// If Java is not there.
pub fn command(workload: &str) -> Result<Command> {
    let here = std::env::current_exe()?;
    let own = |program: &str| Command::new(here.with_file_name(program));
    if let Some(client) = workload.strip_prefix("limit-") {
        let mut command = own("limit");
        command.args(["--client", client]);
        return Ok(command);
    }
    let (mut command, workload) = match workload.strip_prefix("java-") {
        Some(workload) => {
            let java = Java::prepare().map_err(|e| e.to_string())?;
            (java.at_full_speed("kstreams.PeerEngine"), workload)
        }
        None => (own("engine"), workload),
    };
    let (workload, store) = match workload.strip_suffix("-memory") {
        Some(workload) => (workload, "memory"),
        None => (workload, "rocksdb"),
    };
    command.args(["--workload", workload, "--store", store]);
    Ok(command)
}

/// As [`command`], on a broker: from `input` to `output`, both named in full.
///
/// # Errors
/// As [`command`].
pub fn on_broker(
    workload: &str,
    guarantee: &str,
    bootstrap: &str,
    id: &str,
    [input, output]: [&str; 2],
) -> Result<Command> {
    let mut command = command(workload)?;
    command.args(["--bootstrap", bootstrap, "--app-id", id, "--guarantee", guarantee]);
    command.args(["--input", input, "--output", output]);
    Ok(command)
}

/// True for a workload that our engine runs.
pub fn is_own(workload: &str) -> bool {
    !workload.starts_with("limit-") && !workload.starts_with("java-")
}

/// The figures in the line that a program closes with, by name.
pub fn figures(line: &str) -> BTreeMap<String, f64> {
    let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
    pairs.filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?))).collect()
}
