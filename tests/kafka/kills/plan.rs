//! What happens when, from a seed.

use std::time::Duration;

use kstreams::random::Random;

/// What happens to processes and broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// SIGKILL; started again after a while.
    Kill { process: usize, down: Duration },
    /// SIGSTOP beyond the time-outs of session and transaction, then SIGCONT.
    Pause { process: usize, length: Duration },
    /// The broker is shut down in order, and starts again on its folder and port.
    Bounce { down: Duration },
    /// The same with SIGKILL.
    KillBroker { down: Duration },
    /// SIGSTOP of the broker, then SIGCONT: connections stay open, nothing answers.
    PauseBroker { length: Duration },
}

/// What a run is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) seed: u64,
    /// How long there is input.
    pub(super) length: Duration,
    /// Input records per second.
    pub(super) rate: u64,
    pub(super) disturbance: Disturbance,
    /// The memory of RocksDB in each process, in bytes.
    pub(super) rocks_bytes: u64,
}

impl Options {
    /// After which a silent member loses its tasks: soon, unless nobody is silenced.
    pub(super) fn session(&self) -> Duration {
        match self.disturbance {
            Disturbance::None => Duration::from_secs(45),
            _ => SESSION,
        }
    }
}

/// Whom a run disturbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    None,
    Processes,
    ProcessesAndBroker,
}

pub(super) const N_PROCESSES: usize = 3;
/// After which a silent member loses its tasks.
pub(super) const SESSION: Duration = Duration::from_secs(4);
/// After which the broker aborts an open transaction.
pub(super) const TRANSACTION: Duration = Duration::from_secs(6);

/// The faults of a run with the times at which they begin, in order. Kinds take turns, so that a
/// short run has each of them; victims, times and lengths are drawn.
pub(super) fn faults(options: &Options) -> Vec<(Duration, Fault)> {
    if options.disturbance == Disturbance::None {
        return Vec::new();
    }
    let bounces = options.disturbance == Disturbance::ProcessesAndBroker;
    let random = Random::seeded(options.seed);
    let millis = |from: u64, to: u64| Duration::from_millis(from + random.below(to - from + 1));
    let mut faults = Vec::new();
    let mut at = millis(5000, 8000);
    for turn in 0_u64.. {
        if at + Duration::from_secs(5) > options.length {
            break;
        }
        let process = random.below(N_PROCESSES as u64) as usize;
        let fault = match turn % 8 {
            2 => {
                let beyond = SESSION.max(TRANSACTION).as_millis() as u64;
                Fault::Pause { process, length: millis(beyond + 2000, beyond + 8000) }
            }
            4 if bounces && turn % 16 == 4 => Fault::KillBroker { down: millis(0, 2000) },
            4 if bounces => Fault::Bounce { down: millis(0, 3000) },
            6 if bounces => Fault::PauseBroker { length: millis(1000, 9000) },
            _ => Fault::Kill { process, down: millis(0, 3000) },
        };
        faults.push((at, fault));
        // At times two of the three are killed at once.
        if turn % 8 == 5 {
            let process = (process + 1) % N_PROCESSES;
            faults.push((at, Fault::Kill { process, down: millis(0, 3000) }));
        }
        at += millis(5000, 11_000);
    }
    faults
}
