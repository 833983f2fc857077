//! Something that waits for brokers, lent to a thread of its own meanwhile: the one that it belongs to
//! goes on.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_runtime::transport::Waker;

/// Here, or with a thread that works with it.
pub(crate) struct Lent<T> {
    place: Place<T>,
    /// What came of work that was waited for by something else than its poll.
    outcome: Option<Result>,
    name: &'static str,
    /// Of the thread, which is made for the first work and ends when this is dropped.
    jobs: Option<Sender<Job<T>>>,
}

enum Place<T> {
    Here(Box<T>),
    Away(Receiver<(Box<T>, Result)>),
    /// The thread that had it is gone.
    Lost,
}

struct Job<T> {
    thing: Box<T>,
    work: Box<dyn FnOnce(&mut T) -> Result + Send>,
    done: Waker,
    back: Sender<(Box<T>, Result)>,
}

impl<T: Send + 'static> Lent<T> {
    /// It is here. `name` will be that of the thread.
    pub(crate) fn new(thing: T, name: &'static str) -> Self {
        Self { place: Place::Here(Box::new(thing)), outcome: None, name, jobs: None }
    }

    /// The thing, if it is here.
    pub(crate) fn here(&self) -> Option<&T> {
        if let Place::Here(thing) = &self.place { Some(thing) } else { None }
    }

    /// As [`here`](Self::here).
    pub(crate) fn here_mut(&mut self) -> Option<&mut T> {
        if let Place::Here(thing) = &mut self.place { Some(thing) } else { None }
    }

    /// The thing; waits for work that is going on, which has to be bounded.
    pub(crate) fn wait(&mut self) -> Result<&mut T> {
        if let Place::Away(back) = &self.place {
            let came = back.recv().ok();
            self.take_back(came);
        }
        self.here_mut().ok_or_else(lost)
    }

    /// Has the thread do `work`, once what it does already is done. `done` is called at its end.
    pub(crate) fn lend(
        &mut self,
        work: impl FnOnce(&mut T) -> Result + Send + 'static,
        done: Waker,
    ) -> Result {
        self.wait()?;
        let jobs = match &self.jobs {
            Some(jobs) => jobs,
            None => self.jobs.insert(start(self.name)?),
        };
        let Place::Here(thing) = std::mem::replace(&mut self.place, Place::Lost) else {
            return Err(lost());
        };
        let (back, came) = mpsc::channel();
        jobs.send(Job { thing, work: Box::new(work), done, back }).map_err(|_| lost())?;
        self.place = Place::Away(came);
        self.outcome = None;
        Ok(())
    }

    /// What came of the work, if it is done; waits for it for at most `wait`.
    pub(crate) fn poll(&mut self, wait: Duration) -> Result<bool> {
        if let Place::Away(back) = &self.place {
            match back.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                came => self.take_back(came.ok()),
            }
        }
        self.wait()?;
        self.outcome.take().unwrap_or(Ok(())).map(|()| true)
    }

    fn take_back(&mut self, came: Option<(Box<T>, Result)>) {
        self.place = match came {
            Some((thing, outcome)) => {
                self.outcome = Some(outcome);
                Place::Here(thing)
            }
            None => Place::Lost,
        };
    }
}

/// # Errors
/// If the system has no thread for it.
fn start<T: Send + 'static>(name: &str) -> Result<Sender<Job<T>>> {
    let (jobs, queue) = mpsc::channel::<Job<T>>();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || queue.into_iter().for_each(Job::run))
        .map_err(|error| Error::new(ErrorKind::Fatal, format!("no thread {name}: {error}")))?;
    Ok(jobs)
}

impl<T> Job<T> {
    fn run(self) {
        let Self { mut thing, work, done, back } = self;
        let outcome = work(&mut thing);
        // If the owner was dropped meanwhile, nobody wants either.
        let _ = back.send((thing, outcome));
        done();
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Fatal, "the thread that waits for the broker is gone")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// A waker that counts.
    fn counted() -> (Waker, Arc<AtomicUsize>) {
        let n = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&n);
        let waker = Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        (waker, n)
    }

    #[test]
    fn its_owner_goes_on_while_work_is_done() {
        let mut lent = Lent::new(1, "test");
        let (go, gate) = mpsc::channel::<()>();
        let (waker, n_woken) = counted();
        let work = move |n: &mut i32| {
            gate.recv().expect("opened");
            *n += 1;
            Ok(())
        };
        lent.lend(work, waker).expect("lent");
        assert!(!lent.poll(Duration::ZERO).expect("going on"));
        assert_eq!((lent.here(), n_woken.load(Ordering::SeqCst)), (None, 0));
        go.send(()).expect("open");
        assert!(lent.poll(LONG).expect("done"));
        assert_eq!(lent.here(), Some(&2));
    }

    #[test]
    fn an_error_is_told_once_and_to_the_poll() {
        let mut lent = Lent::new((), "test");
        let (waker, n_woken) = counted();
        let fail = |_: &mut ()| Err(Error::new(ErrorKind::Timeout, "no answer"));
        lent.lend(fail, Arc::clone(&waker)).expect("lent");
        lent.wait().expect("back");
        assert_eq!(lent.poll(LONG).expect_err("failed").kind(), ErrorKind::Timeout);
        assert!(lent.poll(LONG).expect("nothing is left of it"));
        lent.lend(|()| Ok(()), waker).expect("lent again");
        assert!(lent.poll(LONG).expect("done"));
        drop(lent);
        assert!(n_woken.load(Ordering::SeqCst) >= 1);
    }

    #[test]
    fn a_panic_loses_it_and_is_no_hang() {
        let mut lent = Lent::new((), "test");
        lent.lend(|()| panic!("on purpose"), counted().0).expect("lent");
        assert_eq!(lent.poll(LONG).expect_err("lost").kind(), ErrorKind::Fatal);
        assert_eq!(lent.lend(|()| Ok(()), counted().0).expect_err("lost").kind(), ErrorKind::Fatal);
    }
}
