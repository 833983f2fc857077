//! The group's committed positions: read, and written as a member.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::TopicPartition;
use kstreams_runtime::transport::CommittedOffset;

use super::beat::Beat;
use super::verdict::{LOADING, NOT_AVAILABLE, NOT_COORDINATOR, STALE_EPOCH, UNSTABLE_OFFSET};
use crate::client::Deadline;
use crate::error;
use crate::wire::{Coordinator, OffsetCommit, OffsetFetch};

/// Reads and writes them.
pub(super) struct Positions {
    group: Arc<str>,
    /// Knows the member's epoch.
    beat: Arc<Beat>,
    coordinator: Coordinator,
}

impl Positions {
    pub(super) fn new(group: &Arc<str>, beat: &Arc<Beat>, coordinator: Coordinator) -> Self {
        Self { group: Arc::clone(group), beat: Arc::clone(beat), coordinator }
    }

    /// As [`Membership::committed`](kstreams_runtime::transport::Membership::committed).
    pub(super) fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let group = Arc::clone(&self.group);
        let doing = format!("group {group}: read committed offsets");
        let ask = |coordinator: &mut Coordinator, timeout| {
            let request = OffsetFetch { group: &group, partitions };
            let Some(fetched) = coordinator.call(&request, timeout)?.pop() else {
                return Err(Error::new(ErrorKind::Unavailable, format!("{doing}: no answer")));
            };
            match fetched.code {
                0 => {}
                code if is_passing(code) => return Ok(Asked::Again(code)),
                code => return Err(error::answered(code, None, &doing)),
            }
            let mut found: BTreeMap<_, _> = fetched.partitions.into_iter().collect();
            let mut positions = Vec::with_capacity(partitions.len());
            for at in partitions {
                match found.remove(at).unwrap_or(Ok(None)) {
                    Ok(position) => positions.push(position),
                    Err(code) if is_passing(code) => return Ok(Asked::Again(code)),
                    Err(code) => {
                        let error = error::answered(code, None, &doing);
                        return Err(error.at_partition(&at.topic, at.partition));
                    }
                }
            }
            Ok(Asked::Done(positions))
        };
        self.ask_once(timeout, &doing, ask)
    }

    /// As [`Membership::commit`](kstreams_runtime::transport::Membership::commit).
    pub(super) fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
    ) -> Result {
        if offsets.is_empty() {
            return Ok(());
        }
        let (group, beat) = (Arc::clone(&self.group), Arc::clone(&self.beat));
        let doing = format!("group {group}: commit");
        self.ask(timeout, &doing, |coordinator, timeout| {
            let (member, epoch) = beat.with(|state, _| state.identity())?;
            let request = OffsetCommit { group: &group, member: &member, epoch, offsets };
            let codes = coordinator.call(&request, timeout)?;
            let Some((at, code)) = codes.into_iter().find(|(_, code)| *code != 0) else {
                return Ok(Asked::Done(()));
            };
            // The epoch may have moved while the commit was on its way.
            let has_moved =
                || beat.with(|state, _| state.identity()).is_ok_and(|now| now.1 != epoch);
            if is_passing(code) || (code == STALE_EPOCH && has_moved()) {
                return Ok(Asked::Again(code));
            }
            Err(error::answered(code, None, &doing).at_partition(&at.topic, at.partition))
        })
    }

    /// Asks the coordinator until it has an answer to give, or the time is over.
    fn ask<T>(
        &mut self,
        timeout: Duration,
        doing: &str,
        ask: impl Fn(&mut Coordinator, Duration) -> Result<Asked<T>>,
    ) -> Result<T> {
        let deadline = Deadline::after(timeout);
        loop {
            let why = match self.ask_once(deadline.remaining(), doing, &ask) {
                Err(error) if error.kind() == ErrorKind::Unavailable => error,
                answer => return answer,
            };
            if deadline.remaining() <= PAUSE {
                let text = format!("no answer in {timeout:?}: {}", why.message());
                return Err(Error::new(ErrorKind::Timeout, text));
            }
            std::thread::park_timeout(PAUSE);
        }
    }

    /// Asks the coordinator.
    ///
    /// # Errors
    /// `Unavailable` if the same will do later.
    fn ask_once<T>(
        &mut self,
        timeout: Duration,
        doing: &str,
        ask: impl Fn(&mut Coordinator, Duration) -> Result<Asked<T>>,
    ) -> Result<T> {
        let code = match ask(&mut self.coordinator, timeout)? {
            Asked::Done(answer) => return Ok(answer),
            Asked::Again(code) => code,
        };
        if matches!(code, LOADING | NOT_AVAILABLE | NOT_COORDINATOR) {
            self.coordinator.forget();
        }
        let why = error::answered(code, None, doing);
        Err(Error::new(ErrorKind::Unavailable, why.message()))
    }
}

/// What came of asking once.
enum Asked<T> {
    Done(T),
    /// The same will do later: this is why it does not now.
    Again(i16),
}

fn is_passing(code: i16) -> bool {
    matches!(code, LOADING | NOT_AVAILABLE | NOT_COORDINATOR | UNSTABLE_OFFSET)
}

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);
