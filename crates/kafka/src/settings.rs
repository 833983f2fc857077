//! Properties of librdkafka: the engine's defaults, what users set, and what they must not.

use kstreams_core::error::{Error, ErrorKind, Result};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

/// Which client a property is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Consumer,
    Producer,
    Admin,
    Group,
}

impl Role {
    const ALL: [Self; 4] = [Self::Consumer, Self::Producer, Self::Admin, Self::Group];

    fn prefix(self) -> &'static str {
        match self {
            Self::Consumer => "consumer.",
            Self::Producer => "producer.",
            Self::Admin => "admin.",
            Self::Group => "group.",
        }
    }

    /// What the engine sets unless the user does. The bounds of memory are here: a lane holds at
    /// most 8 MiB of records plus one answer (256 KiB), or 2,000 small records and an answer of them; a
    /// producer at most 10,000 records or 64 MiB. librdkafka takes some 350 bytes for each. Three times
    /// as much was not faster beside a broker that answers within milliseconds; behind a long line it
    /// is.
    fn defaults(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Consumer => &[
                ("queued.min.messages", "2000"),
                ("fetch.message.max.bytes", "262144"),
                ("queued.max.messages.kbytes", "8192"),
                // How soon a lane that was full is fetched again; 1000 by default costs 3x.
                ("fetch.queue.backoff.ms", "5"),
                // Bounds how late the end behind a transaction marker is known.
                ("fetch.wait.max.ms", "100"),
                ("check.crcs", "true"),
                ("topic.metadata.propagation.max.ms", "10000"),
            ],
            Self::Producer => &[
                ("queue.buffering.max.messages", "10000"),
                ("queue.buffering.max.kbytes", "65536"),
                // Sending offsets right after a commit waits this long; 100 by default.
                ("retry.backoff.ms", "10"),
                // A topic that is written to must exist: a wrong name is an error, not a topic.
                ("allow.auto.create.topics", "false"),
                ("topic.metadata.propagation.max.ms", "10000"),
            ],
            Self::Admin => &[("allow.auto.create.topics", "false")],
            Self::Group => &[],
        }
    }

    /// What the engine relies on; a user may repeat the value, not change it.
    fn owned(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Consumer => &[
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "error"),
                ("enable.partition.eof", "true"),
            ],
            Self::Producer => &[
                ("enable.idempotence", "true"),
                ("acks", "all"),
                ("partitioner", "murmur2_random"),
                ("delivery.report.only.error", "false"),
            ],
            Self::Admin => &[],
            Self::Group => &[
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "error"),
                // Committed offsets wait for transactions that would change them.
                ("isolation.level", "read_committed"),
                ("partition.assignment.strategy", "range"),
                ("group.protocol", "classic"),
            ],
        }
    }
}

/// Properties that come from elsewhere, with the place to set them.
const ELSEWHERE: [(&str, &str); 15] = [
    ("bootstrap.servers", "it is the argument of KafkaLog::new and KafkaLog::builder"),
    ("metadata.broker.list", "it is the argument of KafkaLog::new and KafkaLog::builder"),
    ("client.id", "the engine names its clients after the application"),
    ("group.id", "it is the application id"),
    ("group.protocol", "it is KafkaLogBuilder::group_protocol"),
    ("group.instance.id", "it is Config::group_instance_id"),
    ("isolation.level", "it follows from the processing guarantee"),
    ("transactional.id", "it is made from the application id and the member"),
    ("transaction.timeout.ms", "it is a setting of the application"),
    ("session.timeout.ms", "it is a setting of the application"),
    ("max.poll.interval.ms", "it is a setting of the application"),
    ("enable.gapless.guarantee", "the engine handles failed records itself"),
    ("delivery.report.only.error", "the engine counts acknowledgements"),
    ("log.queue", "log lines go to the log crate"),
    ("enabled_events", "events belong to the engine"),
];

/// Names of the same property.
fn canonical(key: &str) -> &str {
    match key {
        "request.required.acks" => "acks",
        "auto.commit.enable" => "enable.auto.commit",
        key => key,
    }
}

/// What users set, in order; later values win.
#[derive(Clone, Default)]
pub(crate) struct Settings(Vec<(String, String)>);

impl Settings {
    pub(crate) fn set(&mut self, key: String, value: String) {
        self.0.push((key, value));
    }

    /// The keys that were set; values may be secret.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// Refuses what the engine owns, and what librdkafka does not take.
    pub(crate) fn check(&self) -> Result {
        for (key, value) in &self.0 {
            let (role, name) = split(key);
            if name.contains("_cb") || name == "opaque" {
                return Err(config(key, "callbacks belong to the engine"));
            }
            if let Some((_, place)) = ELSEWHERE.iter().find(|(owned, _)| *owned == name) {
                return Err(config(key, place));
            }
            for role in Role::ALL.into_iter().filter(|one| role.is_none_or(|role| role == *one)) {
                let owned = role.owned().iter().find(|(owned, _)| *owned == canonical(name));
                if let Some((_, must)) = owned
                    && !same(must, value)
                {
                    return Err(config(key, &format!("the engine needs it to be {must}")));
                }
                let mut probe = ClientConfig::new();
                probe.set(name, value);
                probe.create_native_config().map_err(|error| not_taken(key, &error))?;
            }
        }
        Ok(())
    }

    /// The whole configuration of a client.
    pub(crate) fn config(&self, bootstrap: &str, role: Role) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap);
        // Broker addresses, not connections, are what librdkafka complains about at start.
        config.set("log.connection.close", "false");
        for (key, value) in role.defaults() {
            config.set(*key, *value);
        }
        // Those with a prefix win over those without, whatever the order.
        for with_prefix in [false, true] {
            for (key, value) in &self.0 {
                match split(key) {
                    (None, name) if !with_prefix => config.set(name, value),
                    (Some(one), name) if with_prefix && one == role => config.set(name, value),
                    _ => continue,
                };
            }
        }
        for (key, value) in role.owned() {
            config.set(*key, *value);
        }
        config
    }
}

/// `producer.linger.ms` is the producer's `linger.ms`. A few properties begin like a prefix
/// themselves (`group.protocol`).
fn split(key: &str) -> (Option<Role>, &str) {
    if matches!(
        key,
        "group.id"
            | "group.instance.id"
            | "group.protocol"
            | "group.protocol.type"
            | "group.remote.assignor"
    ) {
        return (None, key);
    }
    Role::ALL
        .into_iter()
        .find_map(|role| Some((Some(role), key.strip_prefix(role.prefix())?)))
        .unwrap_or((None, key))
}

fn same(must: &str, value: &str) -> bool {
    let value = value.trim();
    must.eq_ignore_ascii_case(value) || (must == "all" && value == "-1")
}

fn config(key: &str, why: &str) -> Error {
    Error::new(ErrorKind::Config, format!("property `{key}` cannot be set: {why}"))
}

/// librdkafka's own words would quote the value, which may be a secret.
fn not_taken(key: &str, error: &KafkaError) -> Error {
    let why = match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..) => {
            "librdkafka has no such property, or was built without it"
        }
        _ => "librdkafka refuses this value",
    };
    config(key, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (key, value) in pairs {
            settings.set((*key).to_owned(), (*value).to_owned());
        }
        settings
    }

    fn refused(key: &str, value: &str) -> Error {
        let error = settings(&[(key, value)]).check().expect_err(key);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(&format!("`{key}`")), "{error}");
        error
    }

    #[test]
    fn what_the_engine_owns_is_refused_by_name() {
        for (key, value) in [
            ("enable.auto.commit", "true"),
            ("consumer.enable.auto.commit", "true"),
            ("isolation.level", "read_uncommitted"),
            ("transactional.id", "x"),
            ("producer.transactional.id", "x"),
            ("group.id", "x"),
            ("enable.idempotence", "false"),
            ("acks", "1"),
            ("producer.request.required.acks", "0"),
            ("group.protocol", "consumer"),
            ("partitioner", "random"),
            ("bootstrap.servers", "elsewhere:1"),
            ("dr_msg_cb", "x"),
        ] {
            refused(key, value);
        }
    }

    #[test]
    fn what_agrees_with_the_engine_is_taken() {
        settings(&[("enable.idempotence", "true"), ("acks", "-1"), ("producer.acks", "all")])
            .check()
            .expect("the same values");
    }

    #[test]
    fn librdkafka_checks_names_and_values_and_the_value_is_not_quoted() {
        refused("no.such.property", "1");
        let error = refused("sasl.mechanism", "");
        assert!(!error.to_string().contains("value \""), "{error}");
        let error = refused("security.protocol", "hunter2");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_prefix_says_for_whom_and_wins() {
        let settings = settings(&[("producer.linger.ms", "7"), ("linger.ms", "9")]);
        settings.check().expect("known properties");
        let linger = |role| settings.config("b:1", role).get("linger.ms").map(str::to_owned);
        assert_eq!(linger(Role::Producer).as_deref(), Some("7"));
        assert_eq!(linger(Role::Admin).as_deref(), Some("9"));
    }
}
