//! Transactions, also with offsets on behalf of a member that librdkafka does not know (KIP-1071).
//!
//! rdkafka's own calls flush in steps of 100 ms and eat delivery reports.

use std::ffi::CString;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings;
use rdkafka::error::RDKafkaErrorCode;

use super::{Handle, read_code, text};
use crate::client::millis;
use crate::error::TransactionError;

/// Group, member and epoch, as a transaction carries them.
pub(crate) struct MemberMetadata(NonNull<bindings::rd_kafka_consumer_group_metadata_t>);

// SAFETY: it is only read after it was made.
unsafe impl Send for MemberMetadata {}
// SAFETY: as above.
unsafe impl Sync for MemberMetadata {}

impl MemberMetadata {
    /// `epoch` is the member's epoch, or the generation of a classic group.
    pub(crate) fn new(group: &str, member: &str, epoch: i32) -> Result<Self, RDKafkaErrorCode> {
        let group = CString::new(group).map_err(|_| RDKafkaErrorCode::InvalidGroupId)?;
        let member = CString::new(member).map_err(|_| RDKafkaErrorCode::UnknownMemberId)?;
        // SAFETY: the strings are valid and copied; a null instance id means none.
        let metadata = unsafe {
            bindings::rd_kafka_consumer_group_metadata_new_with_genid(
                group.as_ptr(),
                epoch,
                member.as_ptr(),
                ptr::null(),
            )
        };
        NonNull::new(metadata).map(Self).ok_or(RDKafkaErrorCode::Fail)
    }

    /// That of a consumer's group membership, if it has a group.
    pub(crate) fn of(client: &Arc<dyn Handle>) -> Option<Self> {
        // SAFETY: the client is valid; the metadata is a copy, which Drop gives back.
        let metadata = unsafe { bindings::rd_kafka_consumer_group_metadata(client.native()) };
        NonNull::new(metadata).map(Self)
    }

    /// The member's id; empty before it has joined.
    pub(crate) fn member(&self) -> String {
        // SAFETY: the metadata is valid; the text belongs to it and is copied.
        unsafe { text(bindings::rd_kafka_consumer_group_metadata_member_id(self.0.as_ptr())) }
    }
}

impl Drop for MemberMetadata {
    fn drop(&mut self) {
        // SAFETY: it is ours and not used afterwards.
        unsafe { bindings::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) };
    }
}

/// Fences older producers of the same transactional id. Like the calls below, only for producers.
pub(crate) fn init(producer: &Arc<dyn Handle>, timeout: Duration) -> Result<(), TransactionError> {
    // SAFETY: the client is valid.
    unsafe { outcome(bindings::rd_kafka_init_transactions(producer.native(), millis(timeout))) }
}

/// Begins a transaction. Asks no broker.
pub(crate) fn begin(producer: &Arc<dyn Handle>) -> Result<(), TransactionError> {
    // SAFETY: the client is valid.
    unsafe { outcome(bindings::rd_kafka_begin_transaction(producer.native())) }
}

/// Adds offsets to the open transaction.
pub(crate) fn send_offsets(
    producer: &Arc<dyn Handle>,
    offsets: &TopicPartitionList,
    member: &MemberMetadata,
    timeout: Duration,
) -> Result<(), TransactionError> {
    // SAFETY: all three are valid and outlive the call.
    unsafe {
        outcome(bindings::rd_kafka_send_offsets_to_transaction(
            producer.native(),
            offsets.ptr(),
            member.0.as_ptr(),
            millis(timeout),
        ))
    }
}

/// Commits. All delivery reports must have been served before, or it waits for them in vain.
pub(crate) fn commit(
    producer: &Arc<dyn Handle>,
    timeout: Duration,
) -> Result<(), TransactionError> {
    // SAFETY: the client is valid.
    unsafe { outcome(bindings::rd_kafka_commit_transaction(producer.native(), millis(timeout))) }
}

/// Aborts; as for [`commit`], all reports must have been served.
pub(crate) fn abort(producer: &Arc<dyn Handle>, timeout: Duration) -> Result<(), TransactionError> {
    // SAFETY: the client is valid.
    unsafe { outcome(bindings::rd_kafka_abort_transaction(producer.native(), millis(timeout))) }
}

/// Sends what still lingers, for at most `timeout`. Serves no delivery reports.
pub(crate) fn hurry(producer: &Arc<dyn Handle>, timeout: Duration) {
    // SAFETY: the client is valid.
    unsafe { bindings::rd_kafka_flush(producer.native(), millis(timeout)) };
}

/// # Safety
/// `error` is null, or valid and the caller's; it is destroyed.
unsafe fn outcome(error: *mut bindings::rd_kafka_error_t) -> Result<(), TransactionError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the caller vouches for the error; its text is copied before it is destroyed.
    unsafe {
        let code = bindings::rd_kafka_error_code(error);
        let failure = TransactionError {
            code: read_code(&raw const code).unwrap_or(RDKafkaErrorCode::Unknown),
            text: text(bindings::rd_kafka_error_string(error)),
            fatal: bindings::rd_kafka_error_is_fatal(error) != 0,
            retriable: bindings::rd_kafka_error_is_retriable(error) != 0,
            abortable: bindings::rd_kafka_error_txn_requires_abort(error) != 0,
        };
        bindings::rd_kafka_error_destroy(error);
        Err(failure)
    }
}
