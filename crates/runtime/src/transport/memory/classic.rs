//! How tasks change hands in a classic, eager group: all pause, then a new generation begins.

use std::time::Duration;

use super::group::Group;
use crate::transport::Assignment;

impl Group {
    /// Asks every member that has worked to release everything.
    pub(super) fn start_pause(&mut self, now: Duration) {
        if self.pausing_since.is_none() {
            self.pausing_since = Some(now);
            for member in self.members.values_mut() {
                // A member of no generation yet waits for its first.
                member.is_waiting = member.epoch == 0;
            }
        }
        self.end_pause();
    }

    /// A member says what it still owns; with nothing left it waits for the next generation.
    pub(super) fn pause(&mut self, id: &str, owned: &Assignment, _now: Duration) {
        let Some(member) = self.members.get_mut(id) else { return };
        if self.pausing_since.is_some() && owned.active.is_empty() && !member.is_waiting {
            member.is_waiting = true;
            self.version += 1;
            self.end_pause();
        }
    }

    /// Begins the next generation once all wait for it.
    fn end_pause(&mut self) {
        if !self.members.values().all(|member| member.is_waiting) {
            return;
        }
        self.pausing_since = None;
        self.epoch += 1;
        self.version += 1;
        self.share_out();
        for (id, member) in &mut self.members {
            let target = self.target.get(id).cloned().unwrap_or_default();
            member.epoch = self.epoch;
            member.owned = target.active.into_iter().map(|task| (task, self.epoch)).collect();
            member.standby = target.standby;
        }
    }
}
