//! The log itself: addresses and settings, from which the clients of each thread are made.

use std::fmt;
use std::sync::Arc;

use kstreams_core::error::Result;
use kstreams_runtime::transport::{
    Admin, Consumer, ConsumerOptions, Log, MemberOptions, Membership, Producer, ProducerOptions,
};
use parking_lot::Mutex;
use rdkafka::ClientConfig;

use crate::admin::KafkaAdmin;
use crate::consumer::KafkaConsumer;
use crate::group::{Choice, GroupProtocol, KafkaMember};
use crate::group_admin::GroupAdmin;
use crate::producer::KafkaProducer;
use crate::settings::{Role, Settings};

/// An Apache Kafka cluster (or one that speaks its protocol) as a log for applications.
///
/// ```no_run
/// use kstreams_kafka::KafkaLog;
/// let log = KafkaLog::new("localhost:9092");
/// ```
pub struct KafkaLog {
    bootstrap: String,
    settings: Settings,
    groups: Arc<Choice>,
    /// Shared by all threads; made when first asked for.
    admin: Mutex<Option<Arc<KafkaAdmin>>>,
}

impl KafkaLog {
    /// The cluster at these addresses (`host:port`, by commas), with the engine's settings and no
    /// encryption. Connects to nothing yet.
    pub fn new(bootstrap: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            settings: Settings::default(),
            groups: Arc::default(),
            admin: Mutex::new(None),
        }
    }

    /// The cluster at these addresses, with properties of librdkafka to be set.
    ///
    /// ```
    /// use kstreams_kafka::KafkaLog;
    /// let log = KafkaLog::builder("localhost:9092").set("producer.linger.ms", "20").build()?;
    /// let wrong = KafkaLog::builder("localhost:9092").set("enable.auto.commit", "true").build();
    /// assert!(wrong.unwrap_err().to_string().contains("enable.auto.commit"));
    /// # Ok::<(), kstreams_core::error::Error>(())
    /// ```
    pub fn builder(bootstrap: impl Into<String>) -> KafkaLogBuilder {
        KafkaLogBuilder { log: Self::new(bootstrap) }
    }

    /// Looks at the cluster's groups from outside.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use kstreams_kafka::KafkaLog;
    /// let groups = KafkaLog::new("localhost:9092").group_admin()?;
    /// for group in groups.list(Duration::from_secs(30))? {
    ///     println!("{} {} {}", group.id, group.kind, group.state);
    /// }
    /// # Ok::<(), kstreams_core::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Config` for what its own connection cannot do (Kerberos, OAUTHBEARER), with the property.
    pub fn group_admin(&self) -> Result<GroupAdmin> {
        GroupAdmin::new(self.bootstrap.clone(), self.config(Role::Group, "kstreams-group-admin"))
    }

    fn config(&self, role: Role, client_id: &str) -> ClientConfig {
        let mut config = self.settings.config(&self.bootstrap, role);
        config.set("client.id", client_id);
        config
    }
}

impl Log for KafkaLog {
    fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        let config = self.config(Role::Consumer, &options.client_id);
        Ok(Box::new(KafkaConsumer::new(config, options.isolation)?))
    }

    fn producer(&self, options: ProducerOptions) -> Result<Box<dyn Producer>> {
        let config = self.config(Role::Producer, &options.client_id);
        Ok(Box::new(KafkaProducer::new(config, &options)?))
    }

    fn membership(&self, options: MemberOptions) -> Result<Box<dyn Membership>> {
        let config = self.config(Role::Group, &options.client_id);
        Ok(Box::new(KafkaMember::new(&self.bootstrap, config, options, Arc::clone(&self.groups))))
    }

    fn admin(&self) -> Result<Arc<dyn Admin>> {
        let mut admin = self.admin.lock();
        if let Some(admin) = &*admin {
            return Ok(Arc::clone(admin) as Arc<dyn Admin>);
        }
        let made = Arc::new(KafkaAdmin::new(
            self.config(Role::Admin, "kstreams-admin"),
            self.config(Role::Consumer, "kstreams-admin"),
        )?);
        *admin = Some(Arc::clone(&made));
        Ok(made)
    }
}

/// Values may be secret: only the names of what was set are shown.
impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog")
            .field("bootstrap", &self.bootstrap)
            .field("set", &self.settings.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Takes the properties of a [`KafkaLog`].
#[derive(Debug)]
#[must_use]
pub struct KafkaLogBuilder {
    log: KafkaLog,
}

impl KafkaLogBuilder {
    /// Sets a property of librdkafka for every client, or with a prefix for one kind: `consumer.`
    /// (reads records), `producer.`, `group.` (membership) or `admin.`.
    ///
    /// Properties that decide whether the engine is correct (`enable.auto.commit`,
    /// `isolation.level`, `transactional.id`, `group.id`, ..) are refused by
    /// [`build`](Self::build).
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.log.settings.set(key.into(), value.into());
        self
    }

    /// How members of the application's group share its tasks; default: as the broker can.
    ///
    /// ```
    /// use kstreams_kafka::{GroupProtocol, KafkaLog};
    /// let log = KafkaLog::builder("localhost:9092").group_protocol(GroupProtocol::Classic).build()?;
    /// # Ok::<(), kstreams_core::error::Error>(())
    /// ```
    pub fn group_protocol(mut self, protocol: GroupProtocol) -> Self {
        self.log.groups = Arc::new(Choice::new(protocol));
        self
    }

    /// Checks the properties. Connects to nothing yet.
    ///
    /// # Errors
    /// `Config` if librdkafka does not know a property or its value, or if the engine owns it; the
    /// message names it.
    pub fn build(self) -> Result<KafkaLog> {
        self.log.settings.check()?;
        Ok(self.log)
    }
}
