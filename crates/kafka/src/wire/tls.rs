//! TLS on OpenSSL, with the files that librdkafka is given.

use std::net::TcpStream;
use std::path::Path;

use kstreams_core::error::{Error, ErrorKind, Result};
use openssl::error::ErrorStack;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::PKey;
use openssl::ssl::{HandshakeError, SslConnector, SslConnectorBuilder, SslMethod, SslVerifyMode};
use openssl::x509::X509;
use rdkafka::ClientConfig;

use super::connection::{Stream, bound, failed};
use super::security::refused;
use crate::client::Deadline;

/// How connections are encrypted.
#[derive(Clone)]
pub(super) struct Tls {
    connector: SslConnector,
    is_host_checked: bool,
}

impl Tls {
    /// Reads librdkafka's `ssl.*` properties.
    pub(super) fn new(config: &ClientConfig) -> Result<Self> {
        let mut builder = SslConnector::builder(SslMethod::tls_client())
            .map_err(|error| refused("security.protocol", &format!("TLS: {error}")))?;
        trust(&mut builder, config)?;
        identify(&mut builder, config)?;
        if let Some(ciphers) = config.get("ssl.cipher.suites") {
            builder.set_cipher_list(ciphers).map_err(|e| taken("ssl.cipher.suites", &e))?;
        }
        let is_off = |key: &str, off: &str| {
            config.get(key).is_some_and(|value| value.eq_ignore_ascii_case(off))
        };
        if is_off("enable.ssl.certificate.verification", "false") {
            builder.set_verify(SslVerifyMode::NONE);
        }
        let is_host_checked = !is_off("ssl.endpoint.identification.algorithm", "none");
        Ok(Self { connector: builder.build(), is_host_checked })
    }

    /// Encrypts a new connection.
    pub(super) fn connect(
        &self,
        address: &str,
        stream: TcpStream,
        deadline: Deadline,
    ) -> Result<Stream> {
        bound(&stream, deadline).map_err(|why| failed(address, "TLS", &why))?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let session = self.connector.configure().map_err(|e| untrusted(address, &e.to_string()))?;
        let session = session.verify_hostname(self.is_host_checked);
        match session.connect(host, stream) {
            Ok(tls) => Ok(Stream::Tls(Box::new(tls))),
            Err(HandshakeError::WouldBlock(_)) => {
                Err(failed(address, "TLS", &std::io::ErrorKind::TimedOut.into()))
            }
            Err(HandshakeError::SetupFailure(error)) => Err(untrusted(address, &error.to_string())),
            Err(HandshakeError::Failure(half)) => match half.error().io_error() {
                Some(why) => Err(failed(address, "TLS", why)),
                None => {
                    let verdict = half.ssl().verify_result();
                    Err(untrusted(address, &format!("{} ({})", half.error(), verdict)))
                }
            },
        }
    }
}

/// Whom we believe.
fn trust(builder: &mut SslConnectorBuilder, config: &ClientConfig) -> Result {
    if let Some(place) = config.get("ssl.ca.location").filter(|place| *place != "probe") {
        let loaded = if Path::new(place).is_dir() {
            builder.load_verify_locations(None, Some(Path::new(place)))
        } else {
            builder.set_ca_file(place)
        };
        loaded.map_err(|error| taken("ssl.ca.location", &error))?;
    }
    if let Some(pem) = config.get("ssl.ca.pem") {
        let add = |builder: &mut SslConnectorBuilder| -> Result<(), ErrorStack> {
            for certificate in X509::stack_from_pem(pem.as_bytes())? {
                builder.cert_store_mut().add_cert(certificate)?;
            }
            Ok(())
        };
        add(builder).map_err(|error| taken("ssl.ca.pem", &error))?;
    }
    Ok(())
}

/// Who we are, where brokers want to know it.
fn identify(builder: &mut SslConnectorBuilder, config: &ClientConfig) -> Result {
    let password = config.get("ssl.key.password").unwrap_or("").as_bytes();
    if let Some(file) = config.get("ssl.certificate.location") {
        let loaded = builder.set_certificate_chain_file(file);
        loaded.map_err(|error| taken("ssl.certificate.location", &error))?;
    }
    if let Some(pem) = config.get("ssl.certificate.pem") {
        let certificate = X509::from_pem(pem.as_bytes());
        let set = certificate.and_then(|certificate| builder.set_certificate(&certificate));
        set.map_err(|error| taken("ssl.certificate.pem", &error))?;
    }
    let from_file = config.get("ssl.key.location").map(|file| {
        let pem = std::fs::read(file);
        ("ssl.key.location", pem.map_err(|error| error.to_string()))
    });
    let given = config.get("ssl.key.pem").map(|pem| ("ssl.key.pem", Ok(pem.as_bytes().to_vec())));
    if let Some((key, pem)) = from_file.or(given) {
        let pem = pem.map_err(|why| refused(key, &why))?;
        let private = PKey::private_key_from_pem_passphrase(&pem, password);
        let set = private.and_then(|private| builder.set_private_key(&private));
        set.map_err(|error| taken(key, &error))?;
    }
    if let Some(file) = config.get("ssl.keystore.location") {
        let key = "ssl.keystore.location";
        let der = std::fs::read(file).map_err(|error| refused(key, &error.to_string()))?;
        let password = config.get("ssl.keystore.password").unwrap_or("");
        open_keystore(builder, &der, password).map_err(|error| taken(key, &error))?;
    }
    Ok(())
}

fn open_keystore(
    builder: &mut SslConnectorBuilder,
    der: &[u8],
    password: &str,
) -> Result<(), ErrorStack> {
    let parsed = Pkcs12::from_der(der)?.parse2(password)?;
    if let Some(certificate) = &parsed.cert {
        builder.set_certificate(certificate)?;
    }
    if let Some(key) = &parsed.pkey {
        builder.set_private_key(key)?;
    }
    for certificate in parsed.ca.into_iter().flatten() {
        builder.add_extra_chain_cert(certificate)?;
    }
    Ok(())
}

fn taken(key: &str, error: &ErrorStack) -> Error {
    refused(key, &format!("cannot be used: {error}"))
}

fn untrusted(address: &str, why: &str) -> Error {
    let text = format!(
        "TLS with broker {address}: {why}; check ssl.ca.location and the broker's certificate"
    );
    Error::new(ErrorKind::Authorization, text)
}
