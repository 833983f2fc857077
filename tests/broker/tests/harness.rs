//! The harness itself, on the real thing: a broker's life, and every golden program. Run by `cargo test`;
//! fails with what to install when there is no Java.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside the test functions themselves")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    net::TcpStream,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use kstreams_broker::{Broker, ErrorKind, Java, golden, shared, tools};

/// Set for the child of `ends_with_its_process`.
const CHILD: &str = "KSTREAMS_BROKER_TEST_CHILD";

fn java() -> Java {
    Java::prepare().unwrap()
}

/// Runs a tool and gives what it printed; it must not fail.
fn tool(broker: &Broker, class: &str, args: &[&str]) -> String {
    let output = broker.tool(class, args).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{class} {args:?}: {text}{errors}");
    text
}

fn runs(pid: u32) -> bool {
    let script = "kill -0 \"$0\" 2>&1";
    Command::new("sh").args(["-c", script]).arg(pid.to_string()).output().unwrap().status.success()
}

#[test]
fn a_topic_outlives_stop_kill_and_pause() {
    let broker = Broker::start().unwrap();
    tool(&broker, tools::TOPICS, &["--create", "--topic", "words", "--partitions", "3"]);

    let bootstrap = broker.bootstrap().to_owned();
    broker.restart().unwrap();
    assert_eq!(broker.bootstrap(), bootstrap);
    assert_eq!(tool(&broker, tools::TOPICS, &["--list"]).trim(), "words");

    let killed = broker.pid().unwrap();
    broker.kill().unwrap();
    assert!(!runs(killed));
    assert_eq!(broker.pid(), None);
    broker.restart().unwrap();
    // Once, by the controller alone: what was not written would be done again by the node.
    assert_eq!(broker.log_tail(usize::MAX).matches("its session has timed out").count(), 1);

    broker.pause().unwrap();
    broker.resume();
    let text = tool(&broker, tools::TOPICS, &["--describe", "--topic", "words"]);
    assert!(text.contains("PartitionCount: 3"), "{text}");
    broker.stop().unwrap();
}

#[test]
fn dropping_ends_the_process_even_when_paused() {
    let broker = Broker::start().unwrap();
    let pid = broker.pid().unwrap();
    assert!(runs(pid));
    broker.pause().unwrap();
    drop(broker);
    assert!(!runs(pid));
}

/// Starts a process that shares a broker and is then killed: the broker must end by itself and remove its
/// folder, although it was paused.
#[test]
fn ends_with_its_process() {
    if std::env::var_os(CHILD).is_some() {
        let broker = shared().unwrap();
        broker.pause().unwrap();
        println!("\nbroker {}", broker.bootstrap());
        // Waits to be killed.
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ends_with_its_process", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| line.strip_prefix("broker ").map(str::to_owned)).unwrap();
    assert!(TcpStream::connect(&address).is_ok());
    let folder = std::env::temp_dir().join(format!("kstreams-broker-{}-0", child.id()));
    assert!(folder.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    // Not its process id: nobody may have collected the dead process yet.
    assert!(eventually(|| TcpStream::connect(&address).is_err()));
    assert!(eventually(|| !folder.exists()));
}

/// Looks ten times a second, for half a minute at the most.
fn eventually(holds: impl Fn() -> bool) -> bool {
    let (_sender, never) = mpsc::channel::<()>();
    (0..300).any(|_| holds() || never.recv_timeout(Duration::from_millis(100)).is_ok())
}

#[test]
fn all_group_protocols_are_there() {
    let broker = shared().unwrap();
    let features = tool(broker, tools::FEATURES, &["describe"]);
    let streams = features.lines().find(|line| line.contains("streams.version")).unwrap();
    assert!(streams.contains("FinalizedVersionLevel: 1"), "{streams}");
    tool(broker, tools::STREAMS_GROUPS, &["--list"]);
    tool(broker, tools::CONSUMER_GROUPS, &["--list"]);
    assert!(std::ptr::eq(broker, shared().unwrap()));
}

#[test]
fn a_broker_that_cannot_start_says_why() {
    let error = Broker::builder().property("num.io.threads", "many").start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Start);
    assert!(error.to_string().contains("num.io.threads"), "{error}");
}

#[test]
fn golden_partitions() {
    let text = java().run(golden::PARTITIONS, ["7", "50"]).unwrap();
    assert_eq!(text.lines().count(), 50);
    assert_eq!(text, java().run(golden::PARTITIONS, ["7", "50"]).unwrap());
    for line in text.lines() {
        let columns: Vec<&str> = line.split(' ').collect();
        let positive = columns[1].parse::<i32>().unwrap() & 0x7fff_ffff;
        assert!(golden::bytes(columns[0]).unwrap().unwrap().len() <= 64);
        assert_eq!(columns[2].parse(), Ok(positive % 7));
        assert_eq!(columns[3].parse(), Ok(positive % 12));
    }
}

#[test]
fn golden_serdes() {
    let text = java().run(golden::SERDES, ["7", "20"]).unwrap();
    let kinds = count(&text);
    let types: Vec<&str> = kinds.keys().copied().collect();
    assert!(kinds.values().all(|&count| count == 20), "{kinds:?}");
    assert_eq!(types.len(), 14, "{types:?}");
    for line in text.lines().filter(|line| line.starts_with("Long ")) {
        let columns: Vec<&str> = line.split(' ').collect();
        let value: i64 = columns[1].parse().unwrap();
        assert_eq!(golden::bytes(columns[2]), Ok(Some(value.to_be_bytes().to_vec())));
    }
}

#[test]
fn golden_changelog() {
    let text = java().run(golden::CHANGELOG, ["7", "200"]).unwrap();
    let kinds = count(&text);
    assert_eq!(kinds["put"] + kinds["putIfAbsent"] + kinds["delete"], 200);
    assert_eq!(kinds["valuets"], 200);
    assert_eq!(kinds["valuetsheaders"], 200);
    assert_eq!(kinds["changelog"], kinds["partition"]);
    for line in text.lines().filter(|line| line.starts_with("changelog ")) {
        let columns: Vec<&str> = line.split(' ').collect();
        assert_eq!(columns.len(), 6, "{line}");
        assert!(columns[1].starts_with("app-") && columns[1].ends_with("-changelog"));
        golden::headers(columns[5]).unwrap();
    }
}

#[test]
fn golden_stores() {
    let text = java().run(golden::STORES, ["7", "300"]).unwrap();
    let kinds = count(&text);
    let operations = ["wput", "sput", "sremove", "vput", "vdelete", "vget"];
    assert_eq!(operations.iter().map(|kind| kinds[kind]).sum::<usize>(), 300);
    assert_eq!(kinds["timewindowed"], 300);
    assert_eq!(kinds["sessionwindowed"], 300);
    for rows in ["wrow", "srow", "vrow"] {
        assert!(kinds[rows] > 0);
    }
}

#[test]
fn golden_describe() {
    let text = java().run(golden::DESCRIBE, [""; 0]).unwrap();
    let printed = golden::cases(&text);
    let sent = golden::cases(golden::CASES);
    let names =
        |cases: &[(&str, &str)]| cases.iter().map(|case| case.0.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&printed), names(&sent));
    assert!(printed.len() >= 30);
    for (name, body) in &printed {
        let refused = name.starts_with("refused-");
        assert_eq!(body.starts_with("error TopologyException: "), refused, "{name}: {body}");
        assert_eq!(body.starts_with("Topologies:\n   Sub-topology: 0"), !refused, "{name}: {body}");
    }
    // The same from stdin.
    assert_eq!(java().run_with_input(golden::DESCRIBE, ["--stdin"], golden::CASES).unwrap(), text);
}

#[test]
fn golden_tasks() {
    let input = "=== joined\n\
        source in words\n\
        processor rekey in\n\
        internal counts-repartition\n\
        sink to counts-repartition rekey\n\
        source from counts-repartition\n\
        processor count from\n\
        store counts count window retention=60000 size=1000\n\
        partitions words 2\n\
        === nothing-there\n\
        processor p nowhere\n";
    let text = java().run_with_input(golden::TASKS, ["--stdin"], input).unwrap();
    let cases = golden::cases(&text);
    let expect = "subtopology 0 sources words sinks app-counts-repartition stores -\n\
        subtopology 1 sources app-counts-repartition sinks - stores counts\n\
        repartition 1 app-counts-repartition 2 cleanup.policy=delete;\
        message.timestamp.type=CreateTime;retention.ms=-1;segment.bytes=52428800\n\
        changelog 1 app-counts-changelog cleanup.policy=compact,delete;\
        message.timestamp.type=CreateTime;retention.ms=86460000\n\
        globals -\n\
        task 0_0 words-0 -\n\
        task 0_1 words-1 -\n\
        task 1_0 app-counts-repartition-0 app-counts-changelog-0\n\
        task 1_1 app-counts-repartition-1 app-counts-changelog-1\n";
    assert_eq!(cases[0], ("joined", expect));
    assert!(cases[1].1.starts_with("error TopologyException: "), "{}", cases[1].1);
}

#[test]
fn a_program_that_fails_says_why() {
    let error = java().run("kstreams.NoSuchProgram", [""; 0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Program);
    assert!(error.to_string().contains("NoSuchProgram"), "{error}");
}

/// How many lines begin with each word.
fn count(text: &str) -> BTreeMap<&str, usize> {
    let mut kinds = BTreeMap::new();
    for line in text.lines() {
        *kinds.entry(line.split(' ').next().unwrap()).or_default() += 1;
    }
    kinds
}
