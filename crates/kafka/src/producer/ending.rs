//! The end of a transaction, from its last record to the markers.

use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::TopicPartition;
use kstreams_runtime::transport::{CommittedOffset, GroupMetadata};

use super::core::Core;
use crate::client::Deadline;

/// Commits, and waits for each step.
pub(super) fn commit(
    core: &mut Core,
    offsets: &[(TopicPartition, CommittedOffset)],
    group: &GroupMetadata,
    timeout: Duration,
) -> Result {
    // Inside a transaction the order of offsets and output decides nothing: the two round trips of
    // the offsets pass while output is on its way.
    if !offsets.is_empty() {
        core.add_offsets(offsets, group, timeout)?;
    }
    core.flush(timeout)?;
    if core.has_failures() {
        // librdkafka would refuse the commit; the record that failed says more.
        let text = "a record of the transaction was refused";
        return Err(Error::new(ErrorKind::Production, text));
    }
    core.commit(timeout)?;
    // Output of the next transaction waits meanwhile; the tasks go on.
    let markers = Deadline::after(MARKERS);
    while !markers.is_over() {
        core.serve(markers.remaining());
    }
    Ok(())
}

/// How long the broker is given to write a transaction's markers, which it does after it has answered.
/// It refuses the next transaction until then, and librdkafka asks again after 20 ms, whatever its
/// settings (`rd_kafka_txn_handle_AddPartitionsToTxn`).
const MARKERS: Duration = Duration::from_millis(5);
