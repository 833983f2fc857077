//! SASL over Kafka's own messages: which mechanism, then its steps (KIP-43, KIP-152).

use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};

use super::bytes::{Reader, Writer};
use super::connection::Connection;
use super::security::{Credentials, Mechanism};
use super::{Request, Security};
use crate::client::Deadline;

/// Shows a new connection's credentials, if there are any; tells for how long they are good, where
/// the broker limits that.
pub(super) fn authenticate(
    connection: &mut Connection,
    security: &Security,
    deadline: Deadline,
) -> Result<Option<Duration>> {
    let Some(credentials) = &security.credentials else { return Ok(None) };
    let mechanism = credentials.mechanism.name();
    let answer = connection.call(&SaslHandshake { mechanism }, deadline)?;
    if answer.code != 0 {
        let offered = answer.mechanisms.join(", ");
        let text = format!("the broker does not offer {mechanism}, but {offered}");
        return Err(denied(connection, &text));
    }
    let lifetime = match credentials.mechanism {
        Mechanism::Plain => step(connection, &plain(credentials), deadline)?.1,
        #[cfg(feature = "ssl")]
        Mechanism::Scram(hash) => {
            let Credentials { user, password, .. } = credentials;
            let mut scram = super::scram::Scram::new(hash, user, password)?;
            let (challenge, _) = step(connection, scram.first().as_bytes(), deadline)?;
            let proof = scram.answer(&challenge).map_err(|why| denied(connection, &why))?;
            let (end, lifetime) = step(connection, proof.as_bytes(), deadline)?;
            scram.check(&end).map_err(|why| denied(connection, &why))?;
            lifetime
        }
    };
    Ok((lifetime > 0).then(|| Duration::from_millis(lifetime.unsigned_abs())))
}

fn plain(credentials: &Credentials) -> Vec<u8> {
    format!("\0{}\0{}", credentials.user, credentials.password).into_bytes()
}

fn step(connection: &mut Connection, bytes: &[u8], deadline: Deadline) -> Result<(Vec<u8>, i64)> {
    let answer = connection.call(&SaslAuthenticate { bytes }, deadline)?;
    if answer.code != 0 {
        let why = answer.message.unwrap_or_else(|| "refused".to_owned());
        return Err(denied(connection, &why));
    }
    Ok((answer.bytes, answer.lifetime_ms))
}

fn denied(connection: &Connection, why: &str) -> Error {
    let text = format!("authentication with broker {}: {why}", connection.address());
    Error::new(ErrorKind::Authorization, text)
}

pub(super) struct SaslHandshake<'a> {
    mechanism: &'a str,
}

pub(super) struct Offered {
    code: i16,
    mechanisms: Vec<String>,
}

impl Request for SaslHandshake<'_> {
    const KEY: i16 = 17;
    const VERSION: i16 = 1;
    const NAME: &'static str = "SaslHandshake";
    const HAS_TAGS: (bool, bool) = (false, false);

    type Answer = Offered;

    fn write(&self, to: &mut Writer) {
        to.old_string(self.mechanism);
    }

    fn read(from: &mut Reader<'_>) -> Result<Offered> {
        let (code, length) = (from.int16()?, from.int32()?);
        let mechanisms = (0..length).map(|_| from.old_string()).collect::<Result<_>>()?;
        Ok(Offered { code, mechanisms })
    }
}

pub(super) struct SaslAuthenticate<'a> {
    bytes: &'a [u8],
}

pub(super) struct Authenticated {
    code: i16,
    message: Option<String>,
    bytes: Vec<u8>,
    lifetime_ms: i64,
}

impl Request for SaslAuthenticate<'_> {
    const KEY: i16 = 36;
    const VERSION: i16 = 2;
    const NAME: &'static str = "SaslAuthenticate";

    type Answer = Authenticated;

    fn write(&self, to: &mut Writer) {
        to.bytes(self.bytes);
        to.end();
    }

    fn read(from: &mut Reader<'_>) -> Result<Authenticated> {
        let (code, message) = (from.int16()?, from.optional_string()?);
        let (bytes, lifetime_ms) = (from.bytes()?.to_vec(), from.int64()?);
        from.end()?;
        Ok(Authenticated { code, message, bytes, lifetime_ms })
    }
}
