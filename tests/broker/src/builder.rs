//! What a test can ask of its broker. Made by `Broker::builder`, read by `Broker`.

use crate::{Broker, Result};

/// The settings of a [`Broker`] that is to be started.
///
/// ```no_run
/// # fn main() -> Result<(), kstreams_broker::Error> {
/// use kstreams_broker::Broker;
///
/// // Compaction as soon as there is anything to compact.
/// let broker = Broker::builder()
///     .property("log.cleaner.backoff.ms", "100")
///     .property("log.initial.task.delay.ms", "0")
///     .start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct BrokerBuilder {
    pub(crate) properties: Vec<(String, String)>,
    pub(crate) jvm_options: Vec<String>,
}

impl BrokerBuilder {
    /// Sets a line of server.properties over the harness's own; an empty value takes that one away.
    /// The listeners are called `BROKER` and `CONTROLLER`.
    pub fn property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((key.into(), value.into()));
        self
    }

    /// Adds an option of the JVM over the harness's own, for example `-Xmx2g`, or
    /// `-XX:TieredStopAtLevel=4` for a broker that a benchmark loads (a start then takes about a second
    /// longer), or `-Dorg.slf4j.simpleLogger.defaultLogLevel=info`.
    pub fn jvm_option(mut self, option: impl Into<String>) -> Self {
        self.jvm_options.push(option.into());
        self
    }

    /// Starts the broker and waits until it answers.
    ///
    /// # Errors
    /// As [`Java::prepare`](crate::Java::prepare), and [`ErrorKind::Start`](crate::ErrorKind::Start),
    /// with the tail of its log, when it is not ready within 60 seconds.
    pub fn start(self) -> Result<Broker> {
        Broker::start_with(self)
    }
}
