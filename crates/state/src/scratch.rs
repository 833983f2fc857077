//! Buffers of a thread in which keys and values are serialized, so that a call allocates nothing.

use std::cell::Cell;

#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

thread_local! {
    static SCRATCH: Cell<Option<Scratch>> = const { Cell::new(None) };
}

/// Lends two empty buffers; a call within a call (a serde that reads a store) gets its own.
pub(crate) fn with_scratch<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
    let kept = SCRATCH.try_with(Cell::take).ok().flatten();
    let mut scratch = kept.unwrap_or_default();
    let result = work(&mut scratch);
    scratch.key.clear();
    scratch.value.clear();
    scratch.key.shrink_to(KEPT);
    scratch.value.shrink_to(KEPT);
    // A thread that is ending has no place to keep them.
    let _ = SCRATCH.try_with(|slot| slot.set(Some(scratch)));
    result
}

/// Bytes that a thread keeps of each buffer.
const KEPT: usize = 64 << 10;
