//! One connection to one broker: a request, then its answer, each within a bound.
//!
//! After any error a connection is of no use: the answer may still come. Resolving the host's name
//! is left to the system, with the bound the system has.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};

use super::bytes::{Reader, Writer, malformed};
use super::{Request, Security, sasl};
use crate::client::Deadline;

/// A connection, encrypted and authenticated as the settings ask for.
pub(crate) struct Connection {
    stream: Stream,
    address: String,
    client_id: String,
    n_sent: i32,
    /// When the broker will want the credentials again.
    expiry: Option<Deadline>,
}

pub(super) enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "ssl")]
    Tls(Box<openssl::ssl::SslStream<TcpStream>>),
}

impl Connection {
    /// Connects to `host:port`, and encrypts if that is asked for. Requests before
    /// [`authenticate`](Self::authenticate) are refused by brokers that want it.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` with the address; `Authorization` if the certificate is refused.
    pub(crate) fn open(
        address: &str,
        client_id: &str,
        security: &Security,
        deadline: Deadline,
    ) -> Result<Self> {
        let stream = connect(address, deadline).map_err(|why| failed(address, "connect", &why))?;
        let stream = security.encrypt(address, stream, deadline)?;
        let (address, client_id) = (address.to_owned(), client_id.to_owned());
        Ok(Self { stream, address, client_id, n_sent: 0, expiry: None })
    }

    /// Shows the credentials, if any are asked for.
    ///
    /// # Errors
    /// `Authorization` with the broker's words if it refuses them.
    pub(crate) fn authenticate(&mut self, security: &Security, deadline: Deadline) -> Result {
        if let Some(lifetime) = sasl::authenticate(self, security, deadline)? {
            // A little before the broker closes the connection (KIP-368).
            self.expiry = Some(Deadline::after(lifetime * 9 / 10));
        }
        Ok(())
    }

    /// True if it should be replaced before the next request.
    pub(crate) fn is_expired(&self) -> bool {
        self.expiry.is_some_and(|expiry| expiry.is_over())
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`: the connection must be dropped.
    pub(crate) fn call<R: Request>(
        &mut self,
        request: &R,
        deadline: Deadline,
    ) -> Result<R::Answer> {
        let answer = self.exchange(request, deadline);
        let bytes = answer.map_err(|why| failed(&self.address, R::NAME, &why))?;
        let mut from = Reader::new(&bytes);
        if from.int32()? != self.n_sent {
            return Err(malformed());
        }
        if R::HAS_TAGS.1 {
            from.end()?;
        }
        R::read(&mut from)
    }

    fn exchange<R: Request>(&mut self, request: &R, deadline: Deadline) -> io::Result<Vec<u8>> {
        self.n_sent = self.n_sent.wrapping_add(1);
        let mut to = Writer::default();
        to.int16(R::KEY);
        to.int16(R::VERSION);
        to.int32(self.n_sent);
        to.old_string(&self.client_id);
        if R::HAS_TAGS.0 {
            to.end();
        }
        request.write(&mut to);
        let body = to.into_bytes();
        let length = i32::try_from(body.len()).map_err(io::Error::other)?;
        let frame = [&length.to_be_bytes()[..], &body].concat();
        self.bound(deadline)?;
        self.stream.write_all(&frame)?;
        self.stream.flush()?;
        let mut length = [0; 4];
        self.fill(&mut length, deadline)?;
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > LARGEST_ANSWER {
            let text = format!("an answer of {length} bytes; is there a Kafka broker?");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut bytes = vec![0; length];
        self.fill(&mut bytes, deadline)?;
        Ok(bytes)
    }

    /// Reads exactly so much; each piece is waited for no longer than the whole may take.
    fn fill(&mut self, mut bytes: &mut [u8], deadline: Deadline) -> io::Result<()> {
        while !bytes.is_empty() {
            self.bound(deadline)?;
            match self.stream.read(bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => bytes = &mut bytes[n..],
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    fn bound(&self, deadline: Deadline) -> io::Result<()> {
        bound(self.stream.tcp(), deadline)
    }
}

/// Lets reads and writes take no longer than what is left.
pub(super) fn bound(tcp: &TcpStream, deadline: Deadline) -> io::Result<()> {
    let left = deadline.remaining();
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    tcp.set_read_timeout(Some(left))?;
    tcp.set_write_timeout(Some(left))
}

fn connect(address: &str, deadline: Deadline) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for resolved in address.to_socket_addrs()? {
        let left = deadline.remaining().min(CONNECT_TIMEOUT).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&resolved, left) {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Err(why) => last = why,
        }
    }
    Err(last)
}

/// What became of a try to talk to a broker.
pub(super) fn failed(address: &str, doing: &str, why: &io::Error) -> Error {
    use io::ErrorKind as Io;
    let (kind, text) = match why.kind() {
        Io::TimedOut | Io::WouldBlock => (ErrorKind::Timeout, "no answer in time".to_owned()),
        Io::UnexpectedEof | Io::ConnectionReset | Io::BrokenPipe => {
            (ErrorKind::Unavailable, "the broker closed the connection".to_owned())
        }
        _ => (ErrorKind::Unavailable, why.to_string()),
    };
    Error::new(kind, format!("{doing}: broker {address}: {text}"))
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            #[cfg(feature = "ssl")]
            Self::Tls(tls) => tls.get_ref(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(bytes),
            #[cfg(feature = "ssl")]
            Self::Tls(tls) => tls.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            #[cfg(feature = "ssl")]
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            #[cfg(feature = "ssl")]
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// No message that is asked for here comes near it; something else than Kafka easily does.
const LARGEST_ANSWER: usize = 64 << 20;
/// One address may take so long to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
