//! An application that may not do everything it must: each permission that is missing is told by its
//! resource, in time.

use std::time::Duration;

use kstreams::log::KafkaLog;
use kstreams::prelude::*;
use kstreams::state::testing::TempDir;
use kstreams::time::{Clock, SystemClock};
use kstreams::{Error, ErrorKind};
use kstreams_broker::{Broker, tools};

use crate::counting::counting;

const LONG: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// What an application needs under exactly-once, as `kafka-acls` says it, and what an error must name
/// without it. Everything that is its own begins with its id.
const NEEDS: [(&[&str], &[&str]); 6] = [
    (&["--operation", "Read", "--topic", "in"], &["in"]),
    (&["--operation", "Write", "--topic", "out"], &["out"]),
    (&["--operation", "Create", "--topic", "app-", PREFIXED, "prefixed"], &["app-", "-changelog"]),
    (
        &["--operation", "Read", "--operation", "Write", "--topic", "app-", PREFIXED, "prefixed"],
        &["app-", "-changelog"],
    ),
    (&["--operation", "Read", "--group", "app-", PREFIXED, "prefixed"], &["app-"]),
    (&["--operation", "Write", "--transactional-id", "app-", PREFIXED, "prefixed"], &["app-"]),
];
const PREFIXED: &str = "--resource-pattern-type";
/// Lacks nothing.
const ALL: usize = NEEDS.len();

fn broker() -> Broker {
    let users: String = (0..=ALL).map(|n| format!(" user_u{n}=\"p\"")).collect();
    let plain = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"broker\" \
         password=\"b\" user_broker=\"b\"{users};"
    );
    Broker::builder()
        .property("listener.security.protocol.map", "BROKER:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT")
        .property("sasl.enabled.mechanisms", "PLAIN")
        .property("sasl.mechanism.inter.broker.protocol", "PLAIN")
        .property("listener.name.broker.plain.sasl.jaas.config", plain)
        .property(
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        )
        // The controller's listener knows nobody.
        .property("super.users", "User:broker;User:ANONYMOUS")
        .start()
        .unwrap()
}

fn log(broker: &Broker, user: &str, password: &str) -> KafkaLog {
    let builder = KafkaLog::builder(broker.bootstrap())
        .set("security.protocol", "SASL_PLAINTEXT")
        .set("sasl.mechanism", "PLAIN");
    builder.set("sasl.username", user).set("sasl.password", password).build().unwrap()
}

/// Each need is granted to all users but the one of its number.
fn grant(broker: &Broker, dir: &TempDir) {
    let client = dir.path().join("client.properties");
    let text = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config=org.apache.\
                kafka.common.security.plain.PlainLoginModule required username=\"broker\" \
                password=\"b\";\n";
    std::fs::write(&client, text).unwrap();
    let client = client.display().to_string();
    // What may not even be seen counts as missing: that is another error.
    let visible: [&[&str]; 2] = [
        &["--operation", "Describe", "--topic", "in"],
        &["--operation", "Describe", "--topic", "out"],
    ];
    let needs = NEEDS.iter().map(|(args, _)| *args).chain(visible);
    for (need, args) in needs.enumerate() {
        let mut all: Vec<String> =
            ["--command-config", &client, "--add", "--force"].map(str::to_owned).to_vec();
        for user in (0..=ALL).filter(|user| *user != need) {
            all.extend(["--allow-principal".to_owned(), format!("User:u{user}")]);
        }
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        let output = broker.tool(tools::ACLS, all).unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// Runs the application of a user until it counts, or fails.
fn outcome(broker: &Broker, user: usize) -> Result<(), Error> {
    let dir = TempDir::new();
    let config =
        Config::new(&format!("app-{user}")).guarantee(Guarantee::ExactlyOnce).state_dir(dir.path());
    let log = log(broker, &format!("u{user}"), "p");
    let app = Streams::new(counting("in", "out"), config, log).unwrap();
    app.start()?;
    let clock = SystemClock::new();
    loop {
        assert!(clock.monotonic() < LONG, "u{user}: {:?}", app.state());
        let positions = app.tasks().into_iter().flat_map(|task| task.positions);
        if positions.map(|(_, offset)| offset).sum::<i64>() > 0 {
            assert!(app.close(LONG));
            return Ok(());
        }
        if app.state().is_terminal() {
            return Err(app.take_error().unwrap());
        }
        std::thread::park_timeout(LOOK);
    }
}

#[test]
fn each_missing_permission_is_told_by_its_resource() {
    let (broker, dir) = (broker(), TempDir::new());
    grant(&broker, &dir);
    let all = log(&broker, "broker", "b");
    crate::topics::create(&all, &["in", "out"], 1);
    crate::kills::feed::Feed::through(&all, "in", 1, 0).send_each(10);
    for (user, (need, names)) in NEEDS.iter().enumerate() {
        let error = outcome(&broker, user).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authorization, "{need:?}: {error}");
        for name in *names {
            assert!(error.to_string().contains(name), "{need:?}: no `{name}` in: {error}");
        }
    }
    outcome(&broker, ALL).unwrap();
}
