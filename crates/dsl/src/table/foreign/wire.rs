//! What travels between the two sides of a foreign-key join, and its bytes: those of Kafka Streams.

use std::sync::Arc;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::serde::{At, Serde};

use super::murmur::Hash;
use crate::serdes::SerdeOf;

/// What a primary row asks of a foreign key (`SubscriptionWrapper`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscription<K> {
    /// Of the primary row's value; `None` if it was deleted.
    pub(super) hash: Option<Hash>,
    pub(super) instruction: Instruction,
    pub(super) key: K,
    /// The partition to answer to; writers before 3.4 did not tell it.
    pub(super) partition: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instruction {
    /// Forget the subscription.
    Forget = 0,
    /// Forget it and answer without a value.
    ForgetAndTell = 1,
    /// Subscribe, and answer with the value or without.
    Tell = 2,
    /// Subscribe, and answer only if there is a value.
    TellValue = 3,
}

/// The answer of a foreign row (`SubscriptionResponseWrapper`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response<V> {
    /// The hash that the subscription came with.
    pub(super) hash: Option<Hash>,
    pub(super) value: Option<V>,
    /// Where it goes; not written.
    pub(super) partition: Option<i32>,
}

/// The topics that serdes of a foreign-key join are told; schema registries name subjects by them.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    /// The registration topic, without the application id.
    pub(super) registration: Arc<str>,
}

impl Topics {
    pub(super) fn primary_key(&self, application: &str) -> String {
        format!("{application}-{}-pk", self.registration)
    }

    pub(super) fn foreign_key(&self, application: &str) -> String {
        format!("{application}-{}-fk", self.registration)
    }

    pub(super) fn value_hash(&self, application: &str) -> String {
        format!("{application}-{}-vh", self.registration)
    }
}

/// `SubscriptionWrapperSerde`.
#[derive(Clone, Debug)]
pub(super) struct SubscriptionSerde<K> {
    pub(super) key: SerdeOf<K>,
    pub(super) topics: Topics,
    /// The store that holds subscriptions.
    pub(super) store: Arc<str>,
}

impl<K: 'static> SubscriptionSerde<K> {
    /// The topic that the serde of primary keys is told, seen from the topic or store at hand.
    fn topic(&self, at: &At<'_>) -> String {
        let of_store = format!("-{}-changelog", self.store);
        let of_topic = format!("-{}", self.topics.registration);
        let application = at.topic.strip_suffix(&of_store).or(at.topic.strip_suffix(&of_topic));
        self.topics.primary_key(application.unwrap_or(at.topic))
    }
}

impl<K: 'static> Serde for SubscriptionSerde<K> {
    type Item = Subscription<K>;

    fn serialize(&self, item: &Self::Item, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        put_head(u8::from(item.partition.is_some()), item.hash, Some(item.instruction), out);
        self.key.serialize(&item.key, &At { topic: &self.topic(at), is_key: true, ..*at }, out)?;
        out.extend(item.partition.iter().flat_map(|partition| partition.to_be_bytes()));
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<Self::Item> {
        let what = "subscription of a foreign-key join";
        let malformed = || malformed(what, bytes);
        let (version, has_hash, rest) = take_version(bytes).ok_or_else(malformed)?;
        let (instruction, rest) = rest.split_first().ok_or_else(malformed)?;
        let instruction = Instruction::read(*instruction).ok_or_else(malformed)?;
        let (hash, rest) = take_hash(has_hash, rest).ok_or_else(malformed)?;
        let (key, partition) = match version {
            0 => (rest, None),
            1 => {
                let (key, partition) = rest.split_last_chunk().ok_or_else(malformed)?;
                (key, Some(i32::from_be_bytes(*partition)))
            }
            _ => return Err(unknown_version(what, version)),
        };
        let topic = self.topic(at);
        let key = self.key.deserialize(key, &At { topic: &topic, is_key: true, ..*at })?;
        Ok(Subscription { hash, instruction, key, partition })
    }
}

impl Instruction {
    fn read(byte: u8) -> Option<Self> {
        let all = [Self::Forget, Self::ForgetAndTell, Self::Tell, Self::TellValue];
        all.get(usize::from(byte)).copied()
    }
}

/// `SubscriptionResponseWrapperSerde`. As there, a value without bytes is read as none.
#[derive(Clone, Debug)]
pub(super) struct ResponseSerde<V>(pub(super) SerdeOf<V>);

impl<V: 'static> Serde for ResponseSerde<V> {
    type Item = Response<V>;

    fn serialize(&self, item: &Response<V>, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        put_head(0, item.hash, None, out);
        item.value.as_ref().map_or(Ok(()), |value| self.0.serialize(value, at, out))
    }

    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<Response<V>> {
        let what = "answer of a foreign-key join";
        let malformed = || malformed(what, bytes);
        let (version, has_hash, rest) = take_version(bytes).ok_or_else(malformed)?;
        if version != 0 {
            return Err(unknown_version(what, version));
        }
        let (hash, rest) = take_hash(has_hash, rest).ok_or_else(malformed)?;
        let value = match rest {
            [] => None,
            bytes => Some(self.0.deserialize(bytes, at)?),
        };
        Ok(Response { hash, value, partition: None })
    }
}

/// The version, in whose highest bit stands that there is no hash; an instruction; the hash.
fn put_head(version: u8, hash: Option<Hash>, instruction: Option<Instruction>, out: &mut Vec<u8>) {
    out.push(if hash.is_some() { version } else { version | NO_HASH });
    out.extend(instruction.map(|instruction| instruction as u8));
    out.extend(hash.iter().flatten().flat_map(|half| half.to_be_bytes()));
}

fn take_version(bytes: &[u8]) -> Option<(u8, bool, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    Some((first & !NO_HASH, first & NO_HASH == 0, rest))
}

fn take_hash(has_hash: bool, bytes: &[u8]) -> Option<(Option<Hash>, &[u8])> {
    if !has_hash {
        return Some((None, bytes));
    }
    let (one, rest) = bytes.split_first_chunk()?;
    let (two, rest) = rest.split_first_chunk()?;
    Some((Some([u64::from_be_bytes(*one), u64::from_be_bytes(*two)]), rest))
}

/// Appends what all keys of a foreign key's subscriptions begin with.
pub(super) fn put_prefix(foreign_key: &[u8], out: &mut Vec<u8>) -> Result {
    let too_long = |_| Error::new(ErrorKind::Serialization, "a foreign key is longer than 2 GiB");
    let len = i32::try_from(foreign_key.len()).map_err(too_long)?;
    out.extend(len.to_be_bytes());
    out.extend_from_slice(foreign_key);
    Ok(())
}

const NO_HASH: u8 = 0x80;

#[cold]
fn malformed(what: &str, bytes: &[u8]) -> Error {
    Error::new(ErrorKind::Deserialization, format!("{} bytes are no {what}", bytes.len()))
}

#[cold]
fn unknown_version(what: &str, version: u8) -> Error {
    let text = format!("the {what} has version {version}, which a newer release wrote");
    Error::new(ErrorKind::Deserialization, text)
}

#[cfg(test)]
mod tests {
    use kstreams_core::serde::Utf8;
    use kstreams_core::testing::take_hostile_inputs;

    use super::*;

    fn serde() -> SubscriptionSerde<String> {
        let topics = Topics { registration: "reg-topic".into() };
        SubscriptionSerde { key: SerdeOf::new(Utf8), topics, store: "store".into() }
    }

    #[track_caller]
    fn check<S: Serde>(serde: &S, item: &S::Item, bytes: &[u8])
    where
        S::Item: PartialEq + std::fmt::Debug,
    {
        let (mut out, at) = (Vec::new(), At::value("app-reg-topic"));
        serde.serialize(item, &at, &mut out).unwrap();
        assert_eq!(out, bytes);
        assert_eq!(serde.deserialize(bytes, &at).unwrap(), *item);
    }

    fn subscription(
        hash: Option<Hash>,
        instruction: Instruction,
        partition: Option<i32>,
    ) -> Subscription<String> {
        Subscription { hash, instruction, key: "k".into(), partition }
    }

    #[test]
    fn subscriptions() {
        let with_hash = subscription(Some([1, u64::MAX]), Instruction::TellValue, Some(2));
        let hash = b"\0\0\0\0\0\0\0\x01\xff\xff\xff\xff\xff\xff\xff\xff";
        check(&serde(), &with_hash, &[b"\x01\x03", &hash[..], b"k\0\0\0\x02"].concat());
        let without = subscription(None, Instruction::ForgetAndTell, Some(0));
        check(&serde(), &without, b"\x81\x01k\0\0\0\0");
        check(&serde(), &subscription(None, Instruction::Forget, None), b"\x80\x00k");
    }

    #[test]
    fn answers() {
        let serde = ResponseSerde(SerdeOf::new(Utf8));
        let of = |hash, value: Option<&str>| Response {
            hash,
            value: value.map(str::to_owned),
            partition: None,
        };
        check(&serde, &of(None, Some("v")), b"\x80v");
        check(&serde, &of(None, None), b"\x80");
        check(&serde, &of(Some([0, 1]), None), &[&[0; 16][..], &[1]].concat());
    }

    #[test]
    fn bad_bytes_are_refused() {
        for bytes in [&b""[..], b"\x01", b"\x01\x02abc", b"\x81\x04k\0\0\0\0", b"\x82\x01k\0\0\0\0"]
        {
            assert!(serde().deserialize(bytes, &At::value("t")).is_err(), "{bytes:?}");
        }
        let serde = ResponseSerde(SerdeOf::new(Utf8));
        for bytes in [&b""[..], b"\x00abc", b"\x81v"] {
            assert!(serde.deserialize(bytes, &At::value("t")).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn serdes_of_keys_are_told_a_topic_of_their_own() {
        for topic in ["app-reg-topic", "app-store-changelog"] {
            assert_eq!(serde().topic(&At::value(topic)), "app-reg-topic-pk");
        }
    }

    #[test]
    fn any_bytes() {
        assert!(take_hostile_inputs(&serde(), 17) > 10);
        assert!(take_hostile_inputs(&ResponseSerde(SerdeOf::new(Utf8)), 17) > 10);
    }
}
