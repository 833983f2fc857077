//! Queues of librdkafka: batches of messages, events, and a bell when one stops being empty.

use std::os::raw::c_void;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rdkafka::bindings;
use rdkafka::types::{RDKafka, RDKafkaQueue};

use super::{Event, Handle, Messages};
use crate::client::millis;

/// Wakes the thread that waits for any of its queues, or for someone who rings by hand.
#[derive(Debug, Default)]
pub(crate) struct Doorbell {
    rung: Mutex<bool>,
    ring: Condvar,
}

impl Doorbell {
    /// Ends a wait, or the next one.
    pub(crate) fn ring(&self) {
        *self.rung.lock() = true;
        self.ring.notify_one();
    }

    /// Waits until it was rung since the last wait, or the time is over.
    pub(crate) fn wait(&self, timeout: Duration) {
        let mut rung = self.rung.lock();
        if !*rung && !timeout.is_zero() {
            self.ring.wait_for(&mut rung, timeout);
        }
        *rung = false;
    }
}

/// What librdkafka's callback gets to see: the flag of one queue and the bell of its consumer.
struct Bell {
    filled: AtomicBool,
    door: Arc<Doorbell>,
}

/// A queue, which keeps its client alive.
pub(crate) struct Queue {
    queue: NonNull<RDKafkaQueue>,
    bell: Option<Arc<Bell>>,
    client: Arc<dyn Handle>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Queue {}
// SAFETY: as above; each call takes the queue's own lock.
unsafe impl Sync for Queue {}

impl Queue {
    /// The queue of errors, log lines and delivery reports of a client without a group.
    pub(crate) fn main(client: &Arc<dyn Handle>) -> Self {
        // SAFETY: the client is valid; the call returns a new reference, which Drop gives back.
        let queue = unsafe { bindings::rd_kafka_queue_get_main(client.native()) };
        Self::of(client, queue)
    }

    /// The queue of everything that happens to a member of a group.
    pub(crate) fn of_member(client: &Arc<dyn Handle>) -> Self {
        // SAFETY: the client is valid; without a group the call returns null. Drop gives the new
        // reference back.
        let queue = unsafe { bindings::rd_kafka_queue_get_consumer(client.native()) };
        Self::of(client, queue)
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> usize {
        // SAFETY: the queue is valid.
        unsafe { bindings::rd_kafka_queue_length(self.as_ptr()) }
    }

    /// A new queue.
    pub(crate) fn new(client: &Arc<dyn Handle>) -> Self {
        // SAFETY: the client is valid; Drop gives the queue back.
        let queue = unsafe { bindings::rd_kafka_queue_new(client.native()) };
        Self::of(client, queue)
    }

    /// A new queue that rings `door` whenever it stops being empty; for [`take`](Self::take).
    pub(crate) fn with_bell(client: &Arc<dyn Handle>, door: &Arc<Doorbell>) -> Self {
        let mut queue = Self::new(client);
        let bell = Arc::new(Bell { filled: AtomicBool::new(false), door: Arc::clone(door) });
        // SAFETY: the queue is valid. The callback gets a pointer into `bell`, which this queue
        // holds until Drop has taken the callback away. librdkafka calls it and takes it away
        // under the queue's lock, so no call is under way after that.
        unsafe {
            bindings::rd_kafka_queue_cb_event_enable(
                queue.queue.as_ptr(),
                Some(ring),
                Arc::as_ptr(&bell).cast_mut().cast(),
            );
        }
        queue.bell = Some(bell);
        queue
    }

    fn of(client: &Arc<dyn Handle>, queue: *mut RDKafkaQueue) -> Self {
        let queue = NonNull::new(queue).expect("librdkafka always returns these queues");
        Self { queue, bell: None, client: Arc::clone(client) }
    }

    pub(super) fn as_ptr(&self) -> *mut RDKafkaQueue {
        self.queue.as_ptr()
    }

    /// False if nothing came since the last [`take`](Self::take) that emptied it.
    pub(crate) fn may_have_messages(&self) -> bool {
        self.bell.as_ref().is_none_or(|bell| bell.filled.load(Ordering::Acquire))
    }

    /// Takes up to `max` messages; never waits. If as many came, there may be more, and the bell
    /// is rung again for the rest.
    pub(crate) fn take(&self, max: usize) -> Messages {
        if let Some(bell) = &self.bell {
            bell.filled.store(false, Ordering::Release);
        }
        let mut messages = Vec::with_capacity(max);
        // SAFETY: the queue is valid, and there is room for `max` pointers.
        let taken = unsafe {
            bindings::rd_kafka_consume_batch_queue(self.as_ptr(), 0, messages.as_mut_ptr(), max)
        };
        let taken = usize::try_from(taken).unwrap_or(0);
        // SAFETY: librdkafka has written that many pointers, at most `max`.
        unsafe { messages.set_len(taken) };
        if taken == max
            && let Some(bell) = &self.bell
        {
            bell.filled.store(true, Ordering::Release);
            bell.door.ring();
        }
        // SAFETY: the messages are ours, were made by this client, and are named once.
        unsafe { Messages::new(messages, Arc::clone(&self.client)) }
    }

    /// Waits for an event.
    pub(crate) fn poll(&self, timeout: Duration) -> Option<Event> {
        // SAFETY: the queue is valid; the event is ours.
        let event = unsafe { bindings::rd_kafka_queue_poll(self.as_ptr(), millis(timeout)) };
        // SAFETY: as above.
        NonNull::new(event).map(|event| unsafe { Event::new(event, Arc::clone(&self.client)) })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the queue is valid and not used afterwards. Taking the callback away comes
        // before the bell is dropped, see `with_bell`.
        unsafe {
            if self.bell.is_some() {
                bindings::rd_kafka_queue_cb_event_enable(self.as_ptr(), None, ptr::null_mut());
            }
            bindings::rd_kafka_queue_destroy(self.as_ptr());
        }
    }
}

/// Called by librdkafka on its own threads, with the queue locked: it may only set flags.
unsafe extern "C" fn ring(_: *mut RDKafka, bell: *mut c_void) {
    // SAFETY: `with_bell` passed a pointer to a bell that lives as long as the callback is set.
    let bell = unsafe { &*bell.cast_const().cast::<Bell>() };
    bell.filled.store(true, Ordering::Release);
    bell.door.ring();
}
