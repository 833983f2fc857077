//! librdkafka's errors as kstreams names them.

use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr;

use crate::client::Trouble;

/// The error of a transactional call.
#[derive(Debug)]
pub(crate) struct TransactionError {
    pub(crate) code: Code,
    pub(crate) text: String,
    pub(crate) fatal: bool,
    pub(crate) retriable: bool,
    /// The transaction must be aborted, then the producer can go on.
    pub(crate) abortable: bool,
}

/// What a code means, whoever reported it.
pub(crate) fn kind(code: Code) -> ErrorKind {
    match code {
        Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::NoOffset => ErrorKind::OffsetReset,
        Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicId
        | Code::InvalidTopic
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::InvalidConfig
        | Code::PolicyViolation
        | Code::TopicDeletionDisabled => ErrorKind::Topic,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::DelegationTokenAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::Authentication => ErrorKind::Authorization,
        Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::UnknownProducerId
        | Code::InvalidProducerIdMapping
        | Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::FencedInstanceId
        | Code::FencedMemberEpoch
        | Code::StaleMemberEpoch
        | Code::RebalanceInProgress
        | Code::AssignmentLost => ErrorKind::Fenced,
        Code::OperationTimedOut
        | Code::MessageTimedOut
        | Code::TimedOutQueue
        | Code::RequestTimedOut => ErrorKind::Timeout,
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::SSL
        | Code::WaitingForCoordinator
        | Code::InProgress
        | Code::PreviousInProgress
        | Code::WaitCache
        | Code::Retry
        | Code::Outdated
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::BrokerNotAvailable
        | Code::ReplicaNotAvailable
        | Code::NetworkException
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::NotCoordinator
        | Code::NotController
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::ConcurrentTransactions
        | Code::KafkaStorageError
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::OffsetNotAvailable
        | Code::UnstableOffsetCommit
        | Code::ThrottlingQuotaExceeded => ErrorKind::Unavailable,
        Code::MessageSizeTooLarge
        | Code::MessageBatchTooLarge
        | Code::InvalidMessage
        | Code::InvalidRecord
        | Code::InvalidTimestamp
        | Code::InvalidMessageSize => ErrorKind::Production,
        _ => ErrorKind::Fatal,
    }
}

/// The code inside rdkafka's error.
pub(crate) fn code_of(error: &KafkaError) -> Code {
    match error {
        KafkaError::Transaction(error) => error.code(),
        other => other.rdkafka_error_code().unwrap_or(Code::Fail),
    }
}

/// An error while `doing` something.
pub(crate) fn coded(code: Code, doing: &str) -> Error {
    Error::new(kind(code), format!("{doing}: {}", words(code)))
}

/// An error that a broker answered with, by its number.
pub(crate) fn answered(code: i16, message: Option<&str>, doing: &str) -> Error {
    let error = coded(number(code), doing);
    // Some answers have a message that is empty.
    match message.filter(|message| !message.is_empty()) {
        Some(message) => Error::new(error.kind(), format!("{doing}: {message}")),
        None if number(code) == Code::Unknown => {
            Error::new(ErrorKind::Fatal, format!("{doing}: error {code}"))
        }
        None => error,
    }
}

/// The code with this number on the wire; `Unknown` for one that librdkafka does not know.
pub(crate) fn number(code: i16) -> Code {
    RDKafkaRespErr::try_from(i32::from(code)).map_or(Code::Unknown, Into::into)
}

/// An error of rdkafka while `doing` something.
pub(crate) fn wrapped(error: KafkaError, doing: &str) -> Error {
    let code = code_of(&error);
    let message = match &error {
        KafkaError::ClientCreation(why)
        | KafkaError::Subscription(why)
        | KafkaError::AdminOpCreation(why)
        | KafkaError::PauseResume(why)
        | KafkaError::Seek(why) => format!("{doing}: {why}"),
        _ => format!("{doing}: {}", words(code)),
    };
    Error::new(kind(code), message).with_source(error)
}

/// A client that could not be made: the settings do not fit.
pub(crate) fn refused(error: KafkaError, doing: &str) -> Error {
    let why = match &error {
        KafkaError::ClientCreation(why) => why.clone(),
        other => other.to_string(),
    };
    Error::new(ErrorKind::Config, format!("{doing}: {why}"))
}

/// A call to which no broker answered in time, with what the client complained about meanwhile.
pub(crate) fn unanswered(trouble: &Trouble, timeout: Duration, doing: &str) -> Error {
    match trouble.last() {
        Some((code, reason)) if kind(code) == ErrorKind::Authorization => {
            Error::new(ErrorKind::Authorization, format!("{doing}: {reason}"))
        }
        Some((_, reason)) => {
            Error::new(ErrorKind::Timeout, format!("{doing}: no answer in {timeout:?}: {reason}"))
        }
        None => Error::new(ErrorKind::Timeout, format!("{doing}: no answer in {timeout:?}")),
    }
}

/// An error that `unanswered` may explain better.
pub(crate) fn asked(error: KafkaError, trouble: &Trouble, timeout: Duration, doing: &str) -> Error {
    match code_of(&error) {
        Code::OperationTimedOut
        | Code::TimedOutQueue
        | Code::RequestTimedOut
        | Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::WaitingForCoordinator => unanswered(trouble, timeout, doing),
        _ => wrapped(error, doing),
    }
}

/// What a failed transactional call means for the caller.
pub(crate) fn transactional(error: TransactionError, doing: &str) -> Error {
    let message = format!("{doing}: {}", error.text);
    let kind = match kind(error.code) {
        kind @ (ErrorKind::Fenced
        | ErrorKind::Authorization
        | ErrorKind::Topic
        | ErrorKind::Production) => kind,
        ErrorKind::Timeout | ErrorKind::Unavailable if !error.fatal => ErrorKind::Timeout,
        _ if error.retriable && !error.fatal => ErrorKind::Timeout,
        _ if error.abortable && !error.fatal => ErrorKind::Production,
        _ => ErrorKind::Fatal,
    };
    Error::new(kind, message)
}

/// librdkafka's words, without the prefix that says which side spoke.
fn words(code: Code) -> String {
    let text = code.to_string();
    match text.split_once(": ") {
        Some(("Broker" | "Local", rest)) => rest.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: Code, fatal: bool, retriable: bool, expect: ErrorKind) {
        let error =
            TransactionError { code, text: "no".into(), fatal, retriable, abortable: false };
        assert_eq!(transactional(error, "commit").kind(), expect, "{code:?}");
    }

    #[test]
    fn whoever_took_over_is_told_as_fenced() {
        check(Code::Fenced, true, false, ErrorKind::Fenced);
        check(Code::ProducerFenced, true, false, ErrorKind::Fenced);
        check(Code::InvalidProducerEpoch, true, false, ErrorKind::Fenced);
        check(Code::UnknownMemberId, false, false, ErrorKind::Fenced);
        check(Code::IllegalGeneration, false, false, ErrorKind::Fenced);
    }

    #[test]
    fn an_unknown_outcome_is_a_time_out_and_the_rest_is_fatal() {
        check(Code::OperationTimedOut, false, true, ErrorKind::Timeout);
        check(Code::ConcurrentTransactions, false, true, ErrorKind::Timeout);
        check(Code::OperationTimedOut, true, false, ErrorKind::Fatal);
        check(Code::InvalidTransactionalState, false, false, ErrorKind::Fatal);
    }
}
