//! SCRAM (RFC 5802, RFC 7677) on OpenSSL's primitives; without channel binding, as Kafka's.

use kstreams_core::error::{Error, ErrorKind, Result};
use openssl::base64::{decode_block, encode_block};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkcs5::pbkdf2_hmac;
use openssl::pkey::PKey;
use openssl::sign::Signer;

/// The hash of the mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    pub(super) fn mechanism(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn digest(self) -> MessageDigest {
        match self {
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha512 => MessageDigest::sha512(),
        }
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        Signer::new(self.digest(), &*PKey::hmac(key)?)?.sign_oneshot_to_vec(text)
    }
}

/// One authentication.
pub(super) struct Scram {
    hash: Hash,
    password: String,
    nonce: String,
    /// The first message without its header.
    first: String,
    /// What the server must prove in the end.
    expected: Vec<u8>,
}

impl Scram {
    pub(super) fn new(hash: Hash, user: &str, password: &str) -> Result<Self> {
        let mut nonce = [0; 24];
        openssl::rand::rand_bytes(&mut nonce)
            .map_err(|e| Error::new(ErrorKind::Fatal, format!("no random bytes: {e}")))?;
        Ok(Self::with_nonce(hash, user, password, encode_block(&nonce)))
    }

    fn with_nonce(hash: Hash, user: &str, password: &str, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let first = format!("n={user},r={nonce}");
        Self { hash, password: password.to_owned(), nonce, first, expected: Vec::new() }
    }

    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.first)
    }

    /// The proof for the server's challenge.
    pub(super) fn answer(&mut self, challenge: &[u8]) -> Result<String, String> {
        let odd = || "the broker's SCRAM challenge cannot be read".to_owned();
        let challenge = std::str::from_utf8(challenge).map_err(|_| odd())?;
        let field = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name));
        let (nonce, salt) = (field("r=").ok_or_else(odd)?, field("s=").ok_or_else(odd)?);
        let rounds: usize = field("i=").and_then(|text| text.parse().ok()).ok_or_else(odd)?;
        if !nonce.starts_with(&self.nonce) || nonce == self.nonce {
            return Err("the broker did not take up our nonce".to_owned());
        }
        if !(1..=MOST_ROUNDS).contains(&rounds) {
            return Err(format!("the broker asks for {rounds} rounds of SCRAM"));
        }
        let salt = decode_block(salt).map_err(|_| odd())?;
        let end = format!("c=biws,r={nonce}");
        let signed = format!("{},{challenge},{end}", self.first);
        let proof = self.prove(&salt, rounds, signed.as_bytes());
        let proof = proof.map_err(|error| format!("SCRAM: {error}"))?;
        Ok(format!("{end},p={}", encode_block(&proof)))
    }

    fn prove(&mut self, salt: &[u8], rounds: usize, signed: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let digest = self.hash.digest();
        let mut salted = vec![0; digest.size()];
        pbkdf2_hmac(self.password.as_bytes(), salt, rounds, digest, &mut salted)?;
        let client_key = self.hash.hmac(&salted, b"Client Key")?;
        let stored_key = openssl::hash::hash(digest, &client_key)?;
        let signature = self.hash.hmac(&stored_key, signed)?;
        let server_key = self.hash.hmac(&salted, b"Server Key")?;
        self.expected = self.hash.hmac(&server_key, signed)?;
        Ok(client_key.iter().zip(signature).map(|(key, sign)| key ^ sign).collect())
    }

    /// The server knows the password too.
    pub(super) fn check(&self, end: &[u8]) -> Result<(), String> {
        let expected = format!("v={}", encode_block(&self.expected));
        let is_same = end.len() == expected.len() && openssl::memcmp::eq(end, expected.as_bytes());
        if is_same { Ok(()) } else { Err("the broker could not prove that it knows us".to_owned()) }
    }
}

/// Kafka's own upper bound: a server must not keep us busy for ever.
const MOST_ROUNDS: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    #[test]
    fn the_published_example_holds() {
        let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        let mut scram = Scram::with_nonce(Hash::Sha256, "user", "pencil", nonce);
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                          s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(
            scram.answer(challenge).expect("a proof"),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        scram.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").expect("the server's");
        assert!(scram.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=").is_err());
    }

    #[test]
    fn a_strange_server_is_refused() {
        let scram = || Scram::with_nonce(Hash::Sha512, "a,b=c", "p", "ours".to_owned());
        assert_eq!(scram().first(), "n,,n=a=2Cb=3Dc,r=ours");
        for challenge in
            ["", "r=ours,s=AAAA,i=4096", "r=other,s=AAAA,i=4096", "r=ours1,s=AAAA,i=99999999"]
        {
            assert!(scram().answer(challenge.as_bytes()).is_err(), "{challenge}");
        }
    }
}
