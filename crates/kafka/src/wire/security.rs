//! How brokers are to be talked to: encryption and credentials, from librdkafka's properties, so
//! that users say it once for both.
//!
//! TLS and the primitives of SCRAM come from OpenSSL, which librdkafka's feature `ssl` links
//! anyway: one TLS stack with one set of rules for files. rustls and rsasl would add two dozen
//! crates and a second set of trust rules. Kerberos and OAUTHBEARER stay librdkafka's own.

use std::net::TcpStream;

use kstreams_core::error::{Error, ErrorKind, Result};
use rdkafka::ClientConfig;

use super::connection::Stream;
use crate::client::Deadline;

/// Encryption and credentials of a connection.
#[derive(Clone, Default)]
pub(crate) struct Security {
    #[cfg(feature = "ssl")]
    tls: Option<super::tls::Tls>,
    pub(super) credentials: Option<Credentials>,
}

/// What a broker is shown.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) mechanism: Mechanism,
    pub(super) user: String,
    pub(super) password: String,
}

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    #[cfg(feature = "ssl")]
    Scram(super::scram::Hash),
}

impl Mechanism {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            #[cfg(feature = "ssl")]
            Self::Scram(hash) => hash.mechanism(),
        }
    }
}

impl Security {
    /// Reads librdkafka's properties.
    ///
    /// # Errors
    /// `Config` for what this connection cannot do, with the properties to change.
    pub(crate) fn new(config: &ClientConfig) -> Result<Self> {
        let protocol = config.get("security.protocol").unwrap_or("plaintext").to_ascii_lowercase();
        let (is_tls, is_sasl) = match protocol.as_str() {
            "plaintext" => (false, false),
            "ssl" => (true, false),
            "sasl_plaintext" => (false, true),
            "sasl_ssl" => (true, true),
            _ => return Err(refused("security.protocol", "is not known")),
        };
        #[cfg(not(feature = "ssl"))]
        if is_tls {
            return Err(refused("security.protocol", "needs the feature `ssl`"));
        }
        Ok(Self {
            #[cfg(feature = "ssl")]
            tls: if is_tls { Some(super::tls::Tls::new(config)?) } else { None },
            credentials: if is_sasl { Some(credentials(config)?) } else { None },
        })
    }

    /// Encrypts a new connection if that is asked for.
    pub(super) fn encrypt(
        &self,
        address: &str,
        stream: TcpStream,
        deadline: Deadline,
    ) -> Result<Stream> {
        #[cfg(feature = "ssl")]
        if let Some(tls) = &self.tls {
            return tls.connect(address, stream, deadline);
        }
        let _ = (address, deadline);
        Ok(Stream::Plain(stream))
    }
}

fn credentials(config: &ClientConfig) -> Result<Credentials> {
    let name = config.get("sasl.mechanism").or_else(|| config.get("sasl.mechanisms"));
    let mechanism = match name.unwrap_or("GSSAPI") {
        "PLAIN" => Mechanism::Plain,
        #[cfg(feature = "ssl")]
        "SCRAM-SHA-256" => Mechanism::Scram(super::scram::Hash::Sha256),
        #[cfg(feature = "ssl")]
        "SCRAM-SHA-512" => Mechanism::Scram(super::scram::Hash::Sha512),
        #[cfg(not(feature = "ssl"))]
        "SCRAM-SHA-256" | "SCRAM-SHA-512" => {
            return Err(refused("sasl.mechanism", "needs the feature `ssl` for SCRAM"));
        }
        _ => {
            let why = "is not served by the streams protocol's connection, which has PLAIN, \
                       SCRAM-SHA-256 and SCRAM-SHA-512; choose one of them, or the classic group";
            return Err(refused("sasl.mechanism", why));
        }
    };
    let needed = |key: &str| {
        config.get(key).map(str::to_owned).ok_or_else(|| refused(key, "is needed and not set"))
    };
    Ok(Credentials {
        mechanism,
        user: needed("sasl.username")?,
        password: needed("sasl.password")?,
    })
}

/// Values may be secret: the property is named, not what it was set to.
pub(super) fn refused(key: &str, why: &str) -> Error {
    Error::new(ErrorKind::Config, format!("property `{key}` {why}"))
}

/// Credentials are not shown.
impl std::fmt::Debug for Security {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Security")
            .field("mechanism", &self.credentials.as_ref().map(|known| known.mechanism.name()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Security> {
        let mut config = ClientConfig::new();
        for (key, value) in pairs {
            config.set(*key, *value);
        }
        Security::new(&config)
    }

    #[test]
    fn properties_of_librdkafka_are_understood() {
        assert!(read(&[]).expect("plaintext").credentials.is_none());
        let plain = read(&[
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.username", "u"),
            ("sasl.password", "secret"),
        ])
        .expect("plain");
        assert!(!format!("{plain:?}").contains("secret"));
        assert_eq!(plain.credentials.expect("some").mechanism, Mechanism::Plain);
    }

    #[test]
    fn what_it_cannot_do_is_refused_by_name() {
        let kerberos = read(&[("security.protocol", "sasl_plaintext")]).expect_err("no mechanism");
        assert_eq!(kerberos.kind(), ErrorKind::Config);
        assert!(kerberos.message().contains("classic group"), "{kerberos}");
        let half = [("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "PLAIN")];
        let error = read(&half).expect_err("no user");
        assert!(error.message().contains("`sasl.username`"), "{error}");
    }
}
