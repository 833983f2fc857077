//! What all clients have in common: time bounds, and what becomes of log lines and errors.

use std::time::Duration;

use kstreams_core::time::{Clock, SystemClock};
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};

/// The context of clients without a group; keeps the last thing that went wrong, so that a
/// time-out can say why.
#[derive(Debug, Default)]
pub(crate) struct Context {
    trouble: Trouble,
    partition_error: Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl Context {
    /// What the client complained about last.
    pub(crate) fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Keeps an error of the partition whose queue is being emptied.
    pub(crate) fn partition_failed(&self, code: RDKafkaErrorCode, reason: String) {
        *self.partition_error.lock() = Some((code, reason));
    }

    /// The error of the partition whose queue was emptied last.
    pub(crate) fn take_partition_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.partition_error.lock().take()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level as i32, &format!("{facility} {line}"));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        self.trouble.note(code, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    /// Never called: the producer reads the reports itself, in bulk.
    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// The last complaint of a client: brokers that cannot be reached, credentials refused.
#[derive(Debug, Default)]
pub(crate) struct Trouble(Mutex<Option<(RDKafkaErrorCode, String)>>);

impl Trouble {
    /// Keeps and logs it. That all brokers are down says less than why each of them is.
    pub(crate) fn note(&self, code: RDKafkaErrorCode, reason: &str) {
        ::log::warn!(target: "kstreams_kafka", "{reason}");
        let mut last = self.0.lock();
        if code != RDKafkaErrorCode::AllBrokersDown || last.is_none() {
            *last = Some((code, reason.to_owned()));
        }
    }

    /// The last complaint.
    pub(crate) fn last(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.0.lock().clone()
    }
}

/// Passes a line of librdkafka on. What it calls an error is none of the application's yet.
pub(crate) fn log(level: i32, line: &str) {
    let level = match level {
        0..=4 => ::log::Level::Warn,
        5 | 6 => ::log::Level::Info,
        _ => ::log::Level::Debug,
    };
    ::log::log!(target: "librdkafka", level, "{line}");
}

/// A moment after which a call gives up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    clock: SystemClock,
    timeout: Duration,
}

impl Deadline {
    /// `timeout` from now.
    pub(crate) fn after(timeout: Duration) -> Self {
        Self { clock: SystemClock::new(), timeout }
    }

    /// How long it still is.
    pub(crate) fn remaining(&self) -> Duration {
        self.timeout.saturating_sub(self.clock.monotonic())
    }

    /// True if the time is over.
    pub(crate) fn is_over(&self) -> bool {
        self.remaining().is_zero()
    }
}

/// Milliseconds as librdkafka takes them: rounded up, never negative, which would mean for ever.
pub(crate) fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
}

/// A time-out that survives rdkafka's cast to 32 bits.
pub(crate) fn bounded(timeout: Duration) -> Duration {
    Duration::from_millis(u64::try_from(millis(timeout)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_is_never_for_ever() {
        assert_eq!(millis(Duration::from_micros(1)), 1);
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::MAX), i32::MAX);
    }
}
