//! The server.properties of a test broker: one node that is broker and controller, quick in everything
//! that a test would otherwise wait for. Used by `Broker` and for the class archive.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use crate::{Error, Result, ports::Ports};

/// Any valid cluster id does; each broker is a cluster of its own.
pub(crate) const CLUSTER_ID: &str = "a3N0cmVhbXMtYnJva2VyMQ";

/// What differs from Kafka's defaults, and why.
const DEFAULTS: &[(&str, &str)] = &[
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("inter.broker.listener.name", "BROKER"),
    ("listener.security.protocol.map", "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT"),
    // One node: one replica; and few partitions, since each costs files and time at start.
    ("default.replication.factor", "1"),
    ("offsets.topic.replication.factor", "1"),
    ("offsets.topic.num.partitions", "4"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("transaction.state.log.num.partitions", "4"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
    ("share.coordinator.state.topic.num.partitions", "1"),
    // A topic that is missing must be seen as missing.
    ("auto.create.topics.enable", "false"),
    // Groups form at once, and may be asked for short time-outs; the default time-outs stay Kafka's.
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "500"),
    ("group.consumer.min.session.timeout.ms", "500"),
    ("group.consumer.min.heartbeat.interval.ms", "100"),
    ("group.streams.initial.rebalance.delay.ms", "0"),
    ("group.streams.min.session.timeout.ms", "500"),
    ("group.streams.min.heartbeat.interval.ms", "100"),
    ("group.streams.assignment.interval.ms", "0"),
    // A transaction that ran out of time is aborted soon after, not up to ten seconds later.
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500"),
    // Registration waits for the heartbeat. A node that is starved or paused must not lose its session:
    // while its partitions have no leader, Kafka 4.3.1 ends transactions without their markers.
    ("broker.heartbeat.interval.ms", "200"),
    ("broker.session.timeout.ms", "30000"),
    // Small machines: fewer threads and buffers than a server has.
    ("num.network.threads", "2"),
    ("num.io.threads", "4"),
    ("background.threads", "2"),
    ("group.coordinator.threads", "1"),
    // The first check, half a minute after the start, would delete the records of 1970 that tests write.
    ("log.retention.ms", "-1"),
    ("log.cleaner.dedupe.buffer.size", "8388608"),
    ("log.cleaner.io.buffer.size", "262144"),
];

/// Writes `server.properties` into `folder` and gives its path. What tests pass comes over the defaults;
/// an empty value takes a default away.
pub(crate) fn write(folder: &Path, ports: &Ports, extra: &[(String, String)]) -> Result<PathBuf> {
    let (broker, controller) = (ports.broker, ports.controller);
    let mut all: Vec<(String, String)> = vec![
        ("controller.quorum.voters".into(), format!("1@127.0.0.1:{controller}")),
        (
            "listeners".into(),
            format!("BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}"),
        ),
        ("advertised.listeners".into(), format!("BROKER://127.0.0.1:{broker}")),
        ("log.dirs".into(), folder.join("data").display().to_string()),
    ];
    all.extend(DEFAULTS.iter().map(|&(key, value)| (key.into(), value.into())));
    for (key, value) in extra {
        all.retain(|(known, _)| known != key);
        if !value.is_empty() {
            all.push((key.clone(), value.clone()));
        }
    }
    let mut text = String::new();
    for (key, value) in all {
        // A backslash is an escape in Java's properties.
        let value = value.replace('\\', "\\\\");
        writeln!(text, "{key}={value}").expect("writing to a string does not fail");
    }
    let path = folder.join("server.properties");
    fs::write(&path, text).map_err(Error::io(format!("write {}", path.display())))?;
    Ok(path)
}

/// The same as in this file for a node that is the controller alone and ends the sessions of brokers
/// soon, in a file beside it.
pub(crate) fn controller_alone(config: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(config);
    let text = text.map_err(Error::io(format!("read {}", config.display())))?;
    let of_controller = |line: &str| match line.split_once('=') {
        Some(("process.roles", _)) => Some("process.roles=controller".to_owned()),
        Some(("listeners", all)) => {
            let own = all.split(',').find(|listener| listener.starts_with("CONTROLLER:"));
            own.map(|own| format!("listeners={own}"))
        }
        Some(("advertised.listeners" | "inter.broker.listener.name", _)) => None,
        Some(("broker.session.timeout.ms", _)) => Some("broker.session.timeout.ms=1000".to_owned()),
        _ => Some(line.to_owned()),
    };
    let lines: Vec<String> = text.lines().filter_map(of_controller).collect();
    let path = config.with_file_name("controller.properties");
    fs::write(&path, lines.join("\n")).map_err(Error::io(format!("write {}", path.display())))?;
    Ok(path)
}

/// The same for a broker that nobody will use, in a folder that the caller removes.
pub(crate) fn write_plain(java_folder: &Path, folder: &Path) -> Result<(PathBuf, Ports)> {
    fs::create_dir_all(folder).map_err(Error::io(format!("create {}", folder.display())))?;
    let ports = Ports::reserve(java_folder)?;
    Ok((write(folder, &ports, &[])?, ports))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Folder;

    #[test]
    fn what_a_test_passes_wins() {
        let folder = Folder::new().unwrap();
        let ports = Ports::reserve(folder.path()).unwrap();
        let extra = [
            ("node.id".to_owned(), "7".to_owned()),
            ("num.io.threads".to_owned(), String::new()),
            ("sasl.jaas.config".to_owned(), "a\\b".to_owned()),
        ];
        let text = fs::read_to_string(write(folder.path(), &ports, &extra).unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.contains(&"node.id=7") && !lines.contains(&"node.id=1"));
        assert!(!text.contains("num.io.threads"));
        assert!(lines.contains(&"sasl.jaas.config=a\\\\b"));
    }
}
