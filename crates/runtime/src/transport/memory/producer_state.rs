//! What a partition knows of the producers that wrote to it: epoch, sequence numbers and the last
//! batches, so that a batch sent twice is kept once and a fenced producer is refused (KIP-98).

use std::collections::{BTreeMap, VecDeque};

use kstreams_core::record::Offset;

/// Who writes: the number the log gave to a producer, and how often it was taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// Why a batch of a producer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SequenceFault {
    /// A producer with a later epoch has written, or its transaction was ended for it.
    Fenced,
    /// Batches in between are missing: data would be lost.
    OutOfOrder { expected: i32, found: i32 },
}

/// What a batch is to the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The next one.
    New,
    /// Written already; this is the offset of its last record.
    Duplicate(Offset),
}

#[derive(Debug)]
struct Known {
    epoch: i16,
    /// The last batches of this epoch.
    batches: VecDeque<Written>,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    first: i32,
    last: i32,
    last_offset: Offset,
}

/// All producers of one partition.
#[derive(Debug, Default)]
pub(super) struct ProducerStates(BTreeMap<i64, Known>);

impl ProducerStates {
    /// Looks whether a batch of `n` records may be written; `n` is positive.
    pub(super) fn check(
        &self,
        producer: Identity,
        sequence: i32,
        n: usize,
    ) -> Result<Verdict, SequenceFault> {
        let Some(known) = self.0.get(&producer.id) else { return Ok(Verdict::New) };
        if producer.epoch < known.epoch {
            return Err(SequenceFault::Fenced);
        }
        let expected = if producer.epoch > known.epoch {
            0
        } else if let Some(newest) = known.batches.back() {
            let last = advance(sequence, n - 1);
            let same = known.batches.iter().find(|old| old.first == sequence && old.last == last);
            if let Some(written) = same {
                return Ok(Verdict::Duplicate(written.last_offset));
            }
            advance(newest.last, 1)
        } else {
            sequence
        };
        if sequence == expected {
            Ok(Verdict::New)
        } else {
            Err(SequenceFault::OutOfOrder { expected, found: sequence })
        }
    }

    /// Notes a batch that was written.
    pub(super) fn wrote(
        &mut self,
        producer: Identity,
        sequence: i32,
        n: usize,
        last_offset: Offset,
    ) {
        let known = self.at_epoch(producer);
        if known.batches.len() == N_BATCHES_KEPT {
            known.batches.pop_front();
        }
        let last = advance(sequence, n - 1);
        known.batches.push_back(Written { first: sequence, last, last_offset });
    }

    /// True if a marker of this epoch may be written; from then on older epochs are refused.
    pub(super) fn fence(&mut self, producer: Identity) -> bool {
        self.at_epoch(producer).epoch == producer.epoch
    }

    fn at_epoch(&mut self, producer: Identity) -> &mut Known {
        let known = self
            .0
            .entry(producer.id)
            .or_insert_with(|| Known { epoch: producer.epoch, batches: VecDeque::new() });
        if producer.epoch > known.epoch {
            known.epoch = producer.epoch;
            known.batches.clear();
        }
        known
    }
}

/// The sequence number `n` after this one; behind the largest comes 0.
pub(super) fn advance(sequence: i32, n: usize) -> i32 {
    let wide = i64::from(sequence) + n as i64;
    (wide % (i64::from(i32::MAX) + 1)) as i32
}

/// As many as a producer may have in flight.
const N_BATCHES_KEPT: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Identity = Identity { id: 7, epoch: 1 };

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(advance(i32::MAX, 1), 0);
        assert_eq!(advance(5, 2), 7);
    }

    #[test]
    fn a_batch_is_new_once_and_gaps_are_refused() {
        let mut states = ProducerStates::default();
        assert_eq!(states.check(ONE, 0, 3), Ok(Verdict::New));
        states.wrote(ONE, 0, 3, 12);
        assert_eq!(states.check(ONE, 0, 3), Ok(Verdict::Duplicate(12)));
        assert_eq!(states.check(ONE, 3, 1), Ok(Verdict::New));
        let gap = SequenceFault::OutOfOrder { expected: 3, found: 4 };
        assert_eq!(states.check(ONE, 4, 1), Err(gap));
    }

    #[test]
    fn a_later_epoch_fences_and_starts_at_zero() {
        let mut states = ProducerStates::default();
        states.wrote(ONE, 0, 3, 2);
        let two = Identity { epoch: 2, ..ONE };
        assert!(states.fence(two));
        assert_eq!(states.check(ONE, 3, 1), Err(SequenceFault::Fenced));
        assert_eq!(states.check(two, 0, 1), Ok(Verdict::New));
        assert!(!states.fence(ONE));
    }
}
