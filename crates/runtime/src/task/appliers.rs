//! Threads that write restored records into stores, so that the thread of the tasks goes on with
//! its running ones and several stores are written at once.
//!
//! A thread ends when nothing waits: an application that is not restoring has none.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use kstreams_core::error::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::transport::Waker;

/// Applies pieces of work on at most so many threads.
pub(crate) struct Appliers {
    max_threads: usize,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Box<dyn FnOnce() + Send>>,
    n_threads: usize,
}

impl Appliers {
    pub(crate) fn new(max_threads: usize) -> Self {
        Self { max_threads, inner: Arc::default() }
    }

    /// Does `work` on another thread, then wakes the caller's consumer. The result is received
    /// once.
    pub(crate) fn submit(
        &self,
        work: impl FnOnce() -> Result + Send + 'static,
        waker: Waker,
    ) -> Receiver<Result> {
        let (sender, receiver) = sync_channel(1);
        let work = move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            let panicked = |_| Err(Error::new(ErrorKind::Panic, "a store panicked in restore"));
            // Who gave the task up does not ask any more.
            let _ = sender.send(result.unwrap_or_else(panicked));
            waker();
        };
        let mut inner = self.inner.lock();
        inner.waiting.push_back(Box::new(work));
        if inner.n_threads < self.max_threads {
            inner.n_threads += 1;
            let shared = Arc::clone(&self.inner);
            drop(inner);
            let thread = std::thread::Builder::new().name("kstreams-restore".into());
            if let Err(error) = thread.spawn(move || drain(&shared)) {
                log::warn!("cannot start a thread to restore with: {error}");
                drain(&self.inner);
            }
        }
        receiver
    }
}

/// Works until nothing waits.
fn drain(shared: &Mutex<Inner>) {
    loop {
        let mut inner = shared.lock();
        let Some(work) = inner.waiting.pop_front() else {
            inner.n_threads -= 1;
            return;
        };
        drop(inner);
        work();
    }
}

impl std::fmt::Debug for Appliers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Appliers").field("max_threads", &self.max_threads).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_work_is_done_and_the_caller_woken() {
        let appliers = Appliers::new(2);
        let (woken, wakes) = sync_channel(100);
        let waker: Waker = Arc::new(move || assert!(woken.send(()).is_ok()));
        let results: Vec<_> = (0..20)
            .map(|n| {
                let work = move || match n {
                    3 => Err("refused".into()),
                    4 => panic!("by the store"),
                    _ => Ok(()),
                };
                appliers.submit(work, Arc::clone(&waker))
            })
            .collect();
        let results: Vec<Result> =
            results.into_iter().map(|result| result.recv().unwrap()).collect();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 18);
        assert_eq!(results[4].as_ref().unwrap_err().kind(), ErrorKind::Panic);
        assert_eq!(wakes.iter().take(20).count(), 20);
    }
}
