//! The broker that coordinates a group: found, connected to, and found again when it moves.

use kstreams_core::error::{Error, ErrorKind, Result};

use super::connection::Connection;
use super::setup::FindCoordinator;
use super::{ApiVersions, BrokerApis, Request, Security};
use crate::client::Deadline;
use crate::error;
use std::sync::Arc;
use std::time::Duration;

/// A client of a group's coordinator; connects when it is first asked.
pub(crate) struct Coordinator {
    bootstrap: Vec<String>,
    client_id: String,
    group: Arc<str>,
    security: Arc<Security>,
    connection: Option<Connection>,
    /// Which of the bootstrap brokers is asked first.
    first: usize,
}

impl Coordinator {
    /// A client of the group on the cluster at `bootstrap` (`host:port`, by commas).
    pub(crate) fn new(
        bootstrap: &str,
        client_id: String,
        group: Arc<str>,
        security: Arc<Security>,
    ) -> Self {
        let brokers = bootstrap.split(',').map(str::trim).filter(|broker| !broker.is_empty());
        let bootstrap = brokers.map(with_port).collect();
        Self { bootstrap, client_id, group, security, connection: None, first: 0 }
    }

    /// What the brokers can do. Needs no authentication.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable` if no broker answers.
    pub(crate) fn apis(&mut self, timeout: Duration) -> Result<BrokerApis> {
        self.any_broker(Deadline::after(timeout), |connection, _, deadline| {
            connection.call(&ApiVersions, deadline)
        })
    }

    /// Asks the coordinator. A connection that was closed meanwhile is replaced once.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`, `Authorization`.
    pub(crate) fn call<R: Request>(&mut self, request: &R, timeout: Duration) -> Result<R::Answer> {
        let deadline = Deadline::after(timeout);
        self.connection.take_if(|connection| connection.is_expired());
        if let Some(connection) = &mut self.connection {
            match connection.call(request, deadline) {
                Err(error) if error.kind() == ErrorKind::Unavailable => self.connection = None,
                answer => {
                    self.connection.take_if(|_| answer.is_err());
                    return answer;
                }
            }
        }
        let mut connection = self.find(deadline)?;
        let answer = connection.call(request, deadline)?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// The group has another coordinator now: the next call finds it.
    pub(crate) fn forget(&mut self) {
        self.connection = None;
    }

    fn find(&mut self, deadline: Deadline) -> Result<Connection> {
        let group = Arc::clone(&self.group);
        let found = self.any_broker(deadline, |connection, security, deadline| {
            connection.authenticate(security, deadline)?;
            let mut found = connection.call(&FindCoordinator { group: &group }, deadline)?;
            let found = found.pop().ok_or_else(super::bytes::malformed)?;
            if found.code == 0 {
                return Ok(format!("{}:{}", found.host, found.port));
            }
            let doing = format!("find the coordinator of group {group}");
            Err(error::answered(found.code, found.message.as_deref(), &doing))
        })?;
        let mut connection = Connection::open(&found, &self.client_id, &self.security, deadline)?;
        connection.authenticate(&self.security, deadline)?;
        log::debug!("group {}: coordinator at {}", self.group, connection.address());
        Ok(connection)
    }

    /// Asks one bootstrap broker after the other until one answers. One that refuses credentials
    /// speaks for all.
    fn any_broker<T>(
        &mut self,
        deadline: Deadline,
        ask: impl Fn(&mut Connection, &Security, Deadline) -> Result<T>,
    ) -> Result<T> {
        let n = self.bootstrap.len();
        let mut last = Error::new(ErrorKind::Config, "no bootstrap broker is given");
        for index in (0..n).map(|step| (self.first + step) % n) {
            let answer =
                Connection::open(&self.bootstrap[index], &self.client_id, &self.security, deadline)
                    .and_then(|mut connection| ask(&mut connection, &self.security, deadline));
            match answer {
                Err(error) if error.is_retriable() && !deadline.is_over() => last = error,
                answer => {
                    self.first = index;
                    return answer;
                }
            }
        }
        Err(last)
    }
}

/// librdkafka's rule for an address without a port.
fn with_port(address: &str) -> String {
    let has_port = address.rsplit_once(':').is_some_and(|(host, port)| {
        !port.is_empty()
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && (!host.contains(':') || host.ends_with(']'))
    });
    if has_port { address.to_owned() } else { format!("{address}:9092") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_port_is_kafkas() {
        assert_eq!(with_port("a"), "a:9092");
        assert_eq!(with_port("a:1"), "a:1");
        assert_eq!(with_port("[::1]"), "[::1]:9092");
        assert_eq!(with_port("[::1]:1"), "[::1]:1");
    }

    #[test]
    fn a_broker_that_is_not_there_is_named() {
        let security = Arc::new(Security::default());
        let mut coordinator = Coordinator::new("127.0.0.1:1", "c".to_owned(), "g".into(), security);
        let error = coordinator.apis(Duration::from_secs(5)).expect_err("nobody there");
        assert!(error.is_retriable() && error.message().contains("127.0.0.1:1"), "{error}");
    }
}
