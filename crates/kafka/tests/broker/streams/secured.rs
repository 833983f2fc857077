//! The connection of the streams protocol with TLS and SASL, given librdkafka's properties.

use std::path::Path;
use std::process::Command;

use kstreams_broker::Broker;
use kstreams_runtime::transport::{CommittedOffset, NewTopic};

use super::*;

/// A key store for the broker and its certificate, which is its own authority.
fn keys(dir: &Path) -> (String, String) {
    let (store, certificate) = (dir.join("keys.p12"), dir.join("certificate.pem"));
    let keytool = |args: &[&str]| {
        let mut command = Command::new("keytool");
        command.args(args).args(["-alias", "broker", "-storepass", "secret"]);
        command.arg("-keystore").arg(&store);
        let output = command.output().expect("keytool, which comes with Java");
        assert!(output.status.success(), "{output:?}");
    };
    let who = ["-dname", "CN=localhost", "-ext", "san=ip:127.0.0.1", "-validity", "2"];
    keytool(&[&["-genkeypair", "-keyalg", "EC", "-storetype", "PKCS12"][..], &who].concat());
    let file = certificate.display().to_string();
    keytool(&["-exportcert", "-rfc", "-file", &file]);
    (store.display().to_string(), file)
}

fn broker(store: &str, certificate: &str) -> Broker {
    let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                 username=\"broker\" password=\"b\" user_broker=\"b\" user_app=\"plain\";";
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    Broker::builder()
        .property("listener.security.protocol.map", "BROKER:SASL_SSL,CONTROLLER:PLAINTEXT")
        .property("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512")
        .property("sasl.mechanism.inter.broker.protocol", "PLAIN")
        .property("listener.name.broker.plain.sasl.jaas.config", plain)
        .property("listener.name.broker.scram-sha-256.sasl.jaas.config", scram)
        .property("listener.name.broker.scram-sha-512.sasl.jaas.config", scram)
        .property("ssl.keystore.location", store)
        .property("ssl.keystore.type", "PKCS12")
        .property("ssl.keystore.password", "secret")
        .property("ssl.truststore.location", certificate)
        .property("ssl.truststore.type", "PEM")
        .start()
        .expect("a broker")
}

/// Makes the user `app` known to SCRAM.
fn add_user(broker: &Broker, dir: &Path, certificate: &str) {
    let client = dir.join("client.properties");
    let text = format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nssl.truststore.type=PEM\n\
         ssl.truststore.location={certificate}\nsasl.jaas.config=org.apache.kafka.common.security.\
         plain.PlainLoginModule required username=\"broker\" password=\"b\";\n"
    );
    std::fs::write(&client, text).expect("written");
    let client = client.display().to_string();
    for secret in ["SCRAM-SHA-256=[password=small]", "SCRAM-SHA-512=[password=large]"] {
        let args = ["--command-config", &client, "--alter", "--add-config", secret];
        let args = [&args[..], &["--entity-type", "users", "--entity-name", "app"]].concat();
        let output = broker.tool(tools::CONFIGS, args).expect("a tool that runs");
        assert!(output.status.success(), "{output:?}");
    }
}

fn log(broker: &Broker, properties: &[(&str, &str)]) -> KafkaLog {
    let builder = KafkaLog::builder(broker.bootstrap()).set("security.protocol", "SASL_SSL");
    let set =
        |builder: kstreams_kafka::KafkaLogBuilder, pair: &(&str, &str)| builder.set(pair.0, pair.1);
    let builder = properties.iter().fold(builder, set).set("sasl.username", "app");
    builder.build().expect("a log")
}

#[test]
fn members_join_with_tls_and_sasl_and_are_told_what_is_wrong() {
    let dir = std::env::temp_dir().join(format!("kstreams-secured-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let (store, certificate) = keys(&dir);
    let broker = broker(&store, &certificate);
    add_user(&broker, &dir, &certificate);
    let trusted = ("ssl.ca.location", certificate.as_str());
    let ways = [("PLAIN", "plain"), ("SCRAM-SHA-256", "small"), ("SCRAM-SHA-512", "large")];
    let with = |mechanism, password| {
        let said = [trusted, ("sasl.mechanism", mechanism), ("sasl.password", password)];
        log(&broker, &said)
    };
    let topic =
        NewTopic { name: "t".to_owned(), n_partitions: 1, replication: None, configs: Vec::new() };
    let admin = with("PLAIN", "plain").admin().expect("admin");
    admin.create_topics(&[topic], LONG).expect("created");
    for (mechanism, password) in ways {
        let mut member = Member::of(&with(mechanism, password), mechanism, "one", "t");
        until(&mut [&mut member], |members| members[0].partitions() == [0]);
        let committed = CommittedOffset { offset: 1, leader_epoch: None, metadata: String::new() };
        let at = TopicPartition::new("t", 0);
        member.link.commit(&[(at, committed)], LONG).expect("committed");
        let clock = SystemClock::new();
        let mut stranger = Member::of(&with(mechanism, "wrong"), mechanism, "two", "t");
        let error = error_of(&mut stranger);
        assert_eq!(error.kind(), ErrorKind::Authorization, "{error}");
        assert!(error.message().contains(broker.bootstrap()), "{error}");
        assert!(clock.monotonic() < LONG, "{:?}", clock.monotonic());
    }
    let untrusting = [("sasl.mechanism", "PLAIN"), ("sasl.password", "plain")];
    let error = error_of(&mut Member::of(&log(&broker, &untrusting), "none", "one", "t"));
    assert_eq!(error.kind(), ErrorKind::Authorization, "{error}");
    assert!(error.message().contains("ssl.ca.location"), "{error}");
    std::fs::remove_dir_all(dir).expect("removed");
}
