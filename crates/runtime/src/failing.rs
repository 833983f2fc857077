//! How long what fails is tried again.

use std::time::Duration;

use kstreams_core::error::{Error, Result};
use kstreams_core::time::millis;

use crate::config::Config;

/// Since when something has failed without a success in between.
#[derive(Debug, Default)]
pub(crate) struct Failing(Option<Duration>);

impl Failing {
    /// It has worked.
    pub(crate) fn end(&mut self) {
        self.0 = None;
    }

    /// It has failed with what may pass; `who` tries again. The first failure is told aloud.
    ///
    /// # Errors
    /// The error, once this has gone on for the task timeout.
    pub(crate) fn again(&mut self, who: &str, error: Error, config: &Config) -> Result {
        let now = config.clock.monotonic();
        let is_news = self.0.is_none();
        let since = *self.0.get_or_insert(now);
        let limit = config.task_timeout;
        if now.saturating_sub(since) >= limit {
            let limit = millis(limit);
            let text = format!("gave up after {limit} ms (task timeout): {}", error.message());
            return Err(Error::new(error.kind(), text).with_source(error));
        }
        let level = if is_news { log::Level::Warn } else { log::Level::Debug };
        log::log!(level, "{who}: tries again: {error}");
        Ok(())
    }
}
