//! What a seed draws before the first step: the shape of the application and the rates of faults.
//!
//! Each kind of fault is left out of about half of the runs, so that those without it show what
//! the others alone do.

use std::time::Duration;

use kstreams_core::random::Random;

use crate::config::Guarantee;
use crate::transport::memory::GroupMode;

/// Out of 10,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rate(pub(super) u32);

/// The shape and the faults of one run; drawn from its seed.
#[derive(Clone, Debug)]
pub struct SimPlan {
    /// The seed of the run.
    pub seed: u64,
    /// What the application promises.
    pub guarantee: Guarantee,
    /// How tasks change hands.
    pub mode: GroupMode,
    /// How many instances there are at most.
    pub n_instances: usize,
    /// How many threads each has.
    pub n_threads: usize,
    /// How many standbys each task with state has (streams protocol).
    pub n_standby: usize,
    /// How many partitions the input and output topics have.
    pub n_partitions: i32,
    /// How many input records there are.
    pub n_records: usize,
    /// How many decisions are made before the faults end.
    pub n_steps: usize,
    pub(super) commit_interval: Duration,
    pub(super) early_commit: Option<Duration>,
    pub(super) buffered_records: usize,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    pub(super) transaction_timeout: Duration,
    pub(super) has_upstream_transactions: bool,
    /// Commits go on step by step, while tasks work.
    pub(super) has_stepwise_commits: bool,
    /// Input comes in bursts, with quiet between them.
    pub(super) is_bursty: bool,
    pub(super) network: NetworkPlan,
    pub(super) crash: Rate,
    /// Of starts that are armed with a crash point.
    pub(super) armed: Rate,
    pub(super) machine: Rate,
    pub(super) lose_disk: Rate,
    pub(super) flip_bit: Rate,
    pub(super) pause: Rate,
    pub(super) cut_off: Rate,
    /// Of user code: it fails or panics.
    pub(super) trouble: Rate,
    pub(super) compact: Rate,
    pub(super) step_clock: Rate,
    pub(super) stop: Rate,
    pub(super) full_disk: Rate,
    pub(super) leap: Rate,
}

/// The rates of what happens to requests.
#[derive(Clone, Debug, Default)]
pub(super) struct NetworkPlan {
    pub(super) lose_request: Rate,
    pub(super) lose_reply: Rate,
    pub(super) late: Rate,
    pub(super) late_produce: Rate,
    pub(super) late_end: Rate,
    pub(super) late_markers: Rate,
    pub(super) duplicate: Rate,
    pub(super) refuse: Rate,
    pub(super) fence: Rate,
    pub(super) fatal: Rate,
    pub(super) give_up: Rate,
    /// The largest delay.
    pub(super) latest: Duration,
}

impl NetworkPlan {
    /// True if requests of the past may arrive after the faults have ended.
    pub(super) fn is_late(&self) -> bool {
        [self.late, self.late_produce, self.late_end, self.late_markers].iter().any(|r| r.0 > 0)
    }
}

impl SimPlan {
    /// Draws the plan of a seed.
    pub fn draw(seed: u64) -> Self {
        let random = Random::seeded(seed ^ 0x5eed_0000_91a4);
        let one_of = |choices: &[u64]| choices[random.below(choices.len() as u64) as usize];
        let millis = |choices: &[u64]| Duration::from_millis(one_of(choices));
        let rate = |choices: &[u64]| {
            let on = random.below(2) == 0;
            let drawn = one_of(choices);
            Rate(if on { drawn as u32 } else { 0 })
        };
        let guarantee = match random.below(3) {
            0 => Guarantee::AtLeastOnce,
            _ => Guarantee::ExactlyOnce,
        };
        let mode = if random.below(3) == 0 { GroupMode::Classic } else { GroupMode::Streams };
        let commit_interval = millis(&[5, 20, 50, 100, 300]);
        let is_faulty = random.below(4) != 0;
        let network = NetworkPlan {
            lose_request: rate(&[20, 100, 400]),
            lose_reply: rate(&[20, 100, 400]),
            late: rate(&[20, 100, 300]),
            late_produce: rate(&[50, 200, 500]),
            late_end: rate(&[100, 500, 1500]),
            late_markers: rate(&[100, 1000, 4000]),
            duplicate: rate(&[50, 200, 1000]),
            refuse: rate(&[20, 100, 400]),
            fence: rate(&[20, 100]),
            fatal: rate(&[5, 20]),
            latest: millis(&[200, 2000, 8000]),
            give_up: Rate(0),
        };
        let mut plan = Self {
            seed,
            guarantee,
            mode,
            n_instances: 1 + random.below(3) as usize,
            n_threads: 1 + random.below(2) as usize,
            n_partitions: 1 + random.below(3) as i32,
            n_records: 30 + random.below(120) as usize,
            n_steps: 500 + random.below(1500) as usize,
            commit_interval,
            early_commit: (seed % 5 == 4).then_some(commit_interval / 5),
            buffered_records: one_of(&[1, 3, 10, 50]) as usize,
            session_timeout: millis(&[400, 1000, 3000]),
            rebalance_timeout: millis(&[2000, 5000]),
            transaction_timeout: millis(&[500, 1500, 6000]).max(commit_interval * 2),
            is_bursty: random.below(2) == 0,
            has_upstream_transactions: random.below(3) == 0,
            network: if is_faulty { network } else { NetworkPlan::default() },
            crash: rate(&[10, 30, 60]),
            armed: rate(&[5000, 10_000]),
            machine: rate(&[1000, 3000, 10_000]),
            lose_disk: rate(&[500, 2000]),
            flip_bit: rate(&[1000, 5000]),
            pause: rate(&[20, 60]),
            cut_off: rate(&[10, 30]),
            trouble: rate(&[10, 50]),
            compact: rate(&[20, 100]),
            step_clock: rate(&[20, 100]),
            stop: rate(&[10, 40]),
            full_disk: rate(&[5, 20]),
            leap: rate(&[20, 100]),
            n_standby: random.below(2) as usize,
            has_stepwise_commits: random.below(2) == 0,
        };
        // Drawn last, so that the seeds of before it was there mean what they meant.
        let give_up = rate(&[20, 100, 400]);
        if is_faulty {
            plan.network.give_up = give_up;
        }
        plan.settled()
    }

    /// At least once, a write that arrives late, or from an instance that stood still, is a write
    /// of a former owner: Kafka has nothing against it there, so those runs are left out.
    fn settled(mut self) -> Self {
        if self.guarantee == Guarantee::AtLeastOnce {
            self.has_upstream_transactions = false;
            self.network.late_produce = Rate(0);
            self.pause = Rate(0);
            self.cut_off = Rate(0);
            self.leap = Rate(0);
        }
        self
    }

    /// The same run under another guarantee.
    #[must_use]
    pub fn with_guarantee(mut self, guarantee: Guarantee) -> Self {
        self.guarantee = guarantee;
        self.settled()
    }
}
