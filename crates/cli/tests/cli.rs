//! The command line against a real broker: what it tells, what it refuses, and a reset.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use kstreams::log::{GroupProtocol, Log, NewTopic};
use kstreams::prelude::*;
use kstreams::state::testing::TempDir;
use kstreams::time::{Clock, SystemClock};
use kstreams_broker::{Broker, shared};

const LONG: Duration = Duration::from_secs(30);
const N_RECORDS: usize = 20;

/// What the program writes, or how it fails.
fn kstreams(broker: &Broker, args: &[&str]) -> Result<String, String> {
    let mut out = Vec::new();
    let all = ["kstreams", "--bootstrap-server", broker.bootstrap()].into_iter();
    let all = all.chain(args.iter().copied());
    kstreams_cli::run(all, &mut out).map_err(|failure| failure.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

/// The values in a topic's only column that matters: of each row whose first cell is `topic`.
fn column(text: &str, topic: &str, index: usize) -> Vec<String> {
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[..].first() == Some(&topic)).map(|row| row[index].to_owned()).collect()
}

/// Counts by value, over a repartition topic.
fn counting(name: &str) -> Topology {
    use kstreams::dsl::{Grouped, StreamsBuilder};
    let builder = StreamsBuilder::new();
    builder
        .stream::<Option<String>, String>(format!("{name}-in").as_str())
        .group_by_with(|_, value| value.clone(), Grouped::named("by-value"))
        .count("counts")
        .to_stream()
        .to(&format!("{name}-out"));
    builder.build().unwrap()
}

fn eventually(what: &str, is: impl Fn() -> bool) {
    let clock = SystemClock::new();
    while !is() {
        assert!(clock.monotonic() < LONG, "not within {LONG:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn check(name: &str, protocol: GroupProtocol) {
    let broker = shared().unwrap();
    let log = || KafkaLog::builder(broker.bootstrap()).group_protocol(protocol).build().unwrap();
    let (input, output) = (format!("{name}-in"), format!("{name}-out"));
    let (store, by_value) =
        (format!("{name}-counts-changelog"), format!("{name}-by-value-repartition"));
    let topic = |topic: &String| NewTopic {
        name: topic.clone(),
        n_partitions: 2,
        replication: None,
        configs: vec![],
    };
    let topics: Vec<NewTopic> = [&input, &output].into_iter().map(topic).collect();
    log().admin().unwrap().create_topics(&topics, LONG).unwrap();
    feed(&log(), &input);
    let dir = TempDir::new();
    let start = || {
        let config = Config::new(name)
            .state_dir(dir.path())
            .application_server("somewhere:77")
            .commit_interval(Duration::from_millis(50));
        let app = Streams::new(counting(name), config, log()).unwrap();
        app.start().unwrap();
        assert!(app.wait_for(State::Running, LONG), "{:?}", app.error());
        app
    };
    let run = |args: &[&str]| kstreams(broker, args);
    let lags_are_gone = || {
        let text = run(&["describe", name]).unwrap();
        let lags = [column(&text, &input, 4), column(&text, &by_value, 4)].concat();
        lags == ["0"; 4]
    };

    let app = start();
    eventually("all is committed", lags_are_gone);
    let kind = if protocol == GroupProtocol::Streams { "streams" } else { "consumer" };
    let listed = run(&["groups", "list", "--kind", kind]).unwrap();
    assert_eq!(column(&listed, name, 2), ["Stable"], "{listed}");
    let described = run(&["groups", "describe", name]).unwrap();
    assert!(described.contains(&format!("group {name}: {kind}, Stable")), "{described}");
    assert!(described.contains(&format!("{name}-")), "{described}");
    let told: &[&str] = match protocol {
        GroupProtocol::Streams => &["0_0", "0_1", "1_0", "1_1", "somewhere:77"],
        _ => &["-in-0", "-in-1", "by-value-repartition-1"],
    };
    for part in told {
        assert!(described.contains(part), "{part}: {described}");
    }
    let application = run(&["describe", name]).unwrap();
    assert!(application.contains(&store) && application.contains(&by_value), "{application}");

    let reset = ["reset", "--application-id", name, "--input-topics", &input];
    let refused = run(&reset).unwrap_err();
    assert!(refused.contains("has 1 members") && refused.contains("--force"), "{refused}");
    assert!(app.close(LONG));
    drop(app);

    let state = dir.path().display().to_string();
    let run_with = |more: &[&str]| run(&[&reset[..], &["--state-dir", &state], more].concat());
    let dry = run_with(&["--dry-run"]).unwrap();
    for part in [&store, &by_value] {
        assert!(dry.contains(&format!("delete topic {part}")), "{dry}");
    }
    assert_eq!(column(&dry, &input, 3), ["0", "0"], "{dry}");
    assert!(lags_are_gone() && dir.path().join(name).exists(), "a dry run did something");
    let unknown = run_with(&["--internal-topics", "nothing-of-it"]).unwrap_err();
    assert!(unknown.contains("nothing-of-it") && unknown.contains(&store), "{unknown}");
    let missing = run(&["reset", "--application-id", name, "--input-topics", "not-there"]);
    assert!(missing.unwrap_err().contains("not-there"));

    run_with(&[]).unwrap();
    assert!(!dir.path().join(name).exists());
    let there = log().admin().unwrap();
    eventually("internal topics are gone", || {
        let topics = there.topics(LONG).unwrap();
        !topics.iter().any(|topic| topic.name == store || topic.name == by_value)
    });
    // From the start again: the counts are the same once more.
    let app = start();
    eventually("all is counted anew", lags_are_gone);
    assert!(app.close(LONG));
    let counts = ends(&log(), &output);
    assert_eq!(counts, 2 * N_RECORDS as i64, "each record has counted twice");
}

fn feed(log: &KafkaLog, topic: &str) {
    use kstreams::log::{OutgoingRecord, ProducerOptions};
    let options = ProducerOptions {
        client_id: "feed".to_owned(),
        transactional_id: None,
        transaction_timeout: LONG,
    };
    let mut producer = log.producer(options).unwrap();
    let handle = producer.topic(topic).unwrap();
    for n in 0..N_RECORDS {
        let value = format!("v{}", n % 3);
        let record = OutgoingRecord {
            topic: handle,
            partition: Some(n as i32 % 2),
            key: Some(b"k"),
            value: Some(value.as_bytes()),
            timestamp: Timestamp::from_millis(1),
            headers: &Headers::default(),
            tag: 0,
        };
        producer.send(&record).unwrap();
    }
    producer.flush(LONG).unwrap();
}

fn ends(log: &KafkaLog, topic: &str) -> i64 {
    use kstreams::log::{Isolation, OffsetSpec};
    use kstreams::record::TopicPartition;
    let latest = OffsetSpec::Latest(Isolation::ReadUncommitted);
    let asked: Vec<_> = (0..2).map(|p| (TopicPartition::new(topic, p), latest)).collect();
    log.admin().unwrap().offsets(&asked, LONG).unwrap().iter().sum()
}

#[test]
fn a_streams_group_is_told_and_reset() {
    check("cli-streams", GroupProtocol::Streams);
}

#[test]
fn a_classic_group_is_told_and_reset() {
    check("cli-classic", GroupProtocol::Classic);
}

/// Set in a process that is to die: bootstrap server, application id and state directory.
const VICTIM: &str = "KSTREAMS_CLI_VICTIM";
/// What it says when it runs.
const RUNS: &str = "it runs";

/// Runs the application of a test until it is killed.
#[expect(clippy::print_stdout, reason = "the test listens")]
fn run_victim(role: &str, protocol: GroupProtocol) {
    let mut words = role.split(' ');
    let mut word = || words.next().unwrap();
    let log = KafkaLog::builder(word()).group_protocol(protocol).build().unwrap();
    let name = word();
    let config = Config::new(name).state_dir(word());
    let app = Streams::new(counting(name), config, log).unwrap();
    app.start().unwrap();
    assert!(app.wait_for(State::Running, LONG), "{:?}", app.error());
    println!("{RUNS}");
    let _ = std::io::stdin().lines().count();
}

fn check_force(test: &str, name: &str, protocol: GroupProtocol) {
    if let Ok(role) = std::env::var(VICTIM) {
        return run_victim(&role, protocol);
    }
    let broker = shared().unwrap();
    let log = KafkaLog::new(broker.bootstrap());
    let topics = ["in", "out"].map(|of| NewTopic {
        name: format!("{name}-{of}"),
        n_partitions: 2,
        replication: None,
        configs: vec![],
    });
    log.admin().unwrap().create_topics(&topics, LONG).unwrap();
    let dir = TempDir::new();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(VICTIM, format!("{} {name} {}", broker.bootstrap(), dir.path().display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(victim.stdout.take().unwrap());
    assert!(said.lines().map_while(Result::ok).any(|line| line.contains(RUNS)));
    victim.kill().unwrap();
    victim.wait().unwrap();

    let input = format!("{name}-in");
    let state = dir.path().display().to_string();
    let reset = ["reset", "--application-id", name, "--input-topics", &input];
    let refused = kstreams(broker, &reset).unwrap_err();
    assert!(refused.contains("has 1 members"), "{refused}");
    let forced = [&reset[..], &["--state-dir", &state, "--force"]].concat();
    let told = kstreams(broker, &forced).unwrap();
    assert!(told.contains("remove 1 members"), "{told}");
    assert!(!dir.path().join(name).exists());
    let described = kstreams(broker, &["groups", "describe", name]).unwrap();
    assert!(described.contains("Empty"), "{described}");
}

#[test]
fn a_member_that_died_is_removed_by_force_from_a_streams_group() {
    let test = "a_member_that_died_is_removed_by_force_from_a_streams_group";
    check_force(test, "forced-streams", GroupProtocol::Streams);
}

#[test]
fn a_member_that_died_is_removed_by_force_from_a_classic_group() {
    let test = "a_member_that_died_is_removed_by_force_from_a_classic_group";
    check_force(test, "forced-classic", GroupProtocol::Classic);
}
