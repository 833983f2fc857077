//! What a member makes of its coordinator's answers, and of their absence.

use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind};

use super::super::verdict::{self, Verdict};
use super::{After, FIRST_BACKOFF, HASTY, LAST_BACKOFF, LEAVE, LOST, Phase, SOON, State};
use crate::wire::{Answer, Heartbeat, Status};

impl State {
    /// The coordinator has answered.
    pub(in crate::group::streams) fn answered(
        &mut self,
        sent: &Heartbeat,
        answer: Answer,
        now: Duration,
    ) -> After {
        if sent.epoch == LEAVE {
            // Whatever it says: we are not a member any more.
            self.phase = if self.phase == Phase::Stuck { LOST } else { Phase::Left };
            return After::Nothing;
        }
        if self.phase == Phase::Left {
            return After::Nothing;
        }
        match verdict::of(&answer, &self.group) {
            Verdict::Welcome => {
                self.welcomed(sent, answer, now);
                After::Nothing
            }
            Verdict::Elsewhere(error) => {
                self.failed(error, now);
                After::Forget
            }
            Verdict::Unknown => {
                log::warn!("group {}: member {} is not known any more", self.group, self.member);
                if self.phase == Phase::Joined {
                    if answer.code == verdict::FENCED_EPOCH {
                        self.suspect_twin(now);
                    }
                    self.phase = LOST;
                } else {
                    self.due = now.saturating_add(FIRST_BACKOFF);
                }
                After::Nothing
            }
            Verdict::Broken(error) => {
                // The broker fails at an endpoint while a source topic is missing (Kafka 4.3). One
                // that it does not see yet it soon will; else we join without, and hear its name.
                // Told later, the others hear of the endpoint only when tasks move next.
                let since = *self.broken_since.get_or_insert(now);
                if sent.endpoint.is_some() && now.saturating_sub(since) >= verdict::GRACE {
                    self.hides_endpoint = true;
                    self.due = now;
                } else {
                    self.failed(error, now);
                }
                After::Nothing
            }
            Verdict::Occupied(error) => {
                let since = *self.occupied_since.get_or_insert(now);
                if now.saturating_sub(since) < verdict::SESSION_GRACE {
                    self.failed(error, now);
                } else {
                    self.due = now.saturating_add(LAST_BACKOFF);
                    self.refused(Error::new(ErrorKind::Config, error.message()));
                }
                After::Nothing
            }
            Verdict::Refused(error) => {
                self.due = now.saturating_add(LAST_BACKOFF);
                if error.kind() == ErrorKind::Topology {
                    return After::Compare(error);
                }
                self.refused(error);
                After::Nothing
            }
        }
    }

    fn welcomed(&mut self, sent: &Heartbeat, answer: Answer, now: Duration) {
        self.n_failed = 0;
        (self.broken_since, self.occupied_since) = (None, None);
        self.epoch = answer.epoch;
        self.interval = Duration::from_millis(answer.interval_ms.max(1).unsigned_abs().into());
        self.has_told_endpoint |= sent.endpoint.is_some();
        if sent.owned.is_some() {
            self.reported.clone_from(&sent.owned);
        }
        if self.phase == Phase::Joining {
            log::info!("group {}: member {} joined", self.group, self.member);
            (self.phase, self.joined) = (Phase::Joined, now);
            self.hasty_until = now.saturating_add(self.interval * 2);
        }
        self.asks_to_stop &= !sent.shutdown;
        self.endpoint_epoch = answer.endpoint_epoch;
        if let Some(endpoints) = answer.endpoints {
            self.endpoints = endpoints;
        }
        if let Some(assignment) = answer.assignment {
            self.target = assignment;
            self.hasty_until = now.saturating_add(self.interval * 2);
        }
        if let Some(statuses) = answer.statuses {
            self.heed(&statuses, now);
        }
        let pause = if self.is_hindered || now < self.hasty_until {
            // The first answers come while the broker is still making topics and an assignment.
            let joined_for = now.saturating_sub(self.joined);
            joined_for.clamp(SOON, HASTY).min(self.interval)
        } else {
            self.interval
        };
        self.due = match self.phase {
            Phase::Joined if self.reported.as_ref() == Some(&self.owned) => {
                now.saturating_add(pause)
            }
            _ => now,
        };
    }

    fn heed(&mut self, statuses: &[Status], now: Duration) {
        self.is_stopping |= verdict::is_stopping(statuses);
        self.is_hindered = verdict::is_hindered(statuses);
        if !self.is_hindered {
            (self.hindered_since, self.hides_endpoint) = (None, false);
            return;
        }
        let since = *self.hindered_since.get_or_insert(now);
        self.error = verdict::hindrance(statuses, &self.group, now.saturating_sub(since));
    }

    /// There was no answer, or none that helps.
    pub(in crate::group::streams) fn failed(&mut self, error: Error, now: Duration) {
        if matches!(self.phase, Phase::Stuck) {
            self.phase = LOST;
            return;
        }
        log::debug!("group {}: heartbeat: {error}", self.group);
        if self.phase == Phase::Leaving && error.kind() == ErrorKind::Authorization {
            // Who may not speak to the group cannot say goodbye either.
            self.phase = Phase::Left;
            return;
        }
        let backoff = FIRST_BACKOFF.saturating_mul(1 << self.n_failed.min(6)).min(LAST_BACKOFF);
        self.n_failed = self.n_failed.saturating_add(1);
        self.due = now.saturating_add(backoff);
        // It may have been heard or not: tell everything again.
        self.reported = None;
        self.error = Some(error);
    }

    /// It will not do, for this reason; it is tried again nevertheless.
    pub(in crate::group::streams) fn refused(&mut self, error: Error) {
        self.error = Some(error);
    }
}
