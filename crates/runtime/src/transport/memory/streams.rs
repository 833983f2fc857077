//! How tasks change hands in a streams group: one by one, each released before it is given on
//! (KIP-1071, `CurrentAssignmentBuilder`).

use std::time::Duration;

use super::group::Group;
use crate::transport::Assignment;

impl Group {
    /// Moves a member towards its target, as far as others have released what it is to get.
    pub(super) fn reconcile(&mut self, id: &str, now: Duration) {
        let Some(mut member) = self.members.remove(id) else { return };
        let target = self.target.get(id).cloned().unwrap_or_default();
        let before = (member.epoch, member.owned.len(), member.revoking.len());
        let standby_before = member.standby.clone();
        if member.revoking.is_empty() && member.epoch < self.epoch {
            let leaving = member.owned.extract_if(.., |task, _| !target.active.contains(task));
            member.revoking = leaving.collect();
            if member.revoking.is_empty() {
                member.epoch = self.epoch;
            } else {
                member.deadline = Some(now.saturating_add(member.rebalance_timeout));
            }
        }
        if member.epoch == self.epoch {
            for task in &target.active {
                let is_held = self.members.values().any(|other| {
                    other.owned.contains_key(task) || other.revoking.contains_key(task)
                });
                if !is_held {
                    member.owned.entry(*task).or_insert(self.epoch);
                }
            }
        }
        let is_free =
            |task: &&_| !member.owned.contains_key(*task) && !member.revoking.contains_key(*task);
        member.standby = target.standby.iter().filter(is_free).copied().collect();
        let after = (member.epoch, member.owned.len(), member.revoking.len());
        if before != after || standby_before != member.standby {
            self.version += 1;
        }
        self.members.insert(id.to_owned(), member);
    }

    /// A member has closed all tasks but these.
    pub(super) fn release(&mut self, id: &str, owned: &Assignment, now: Duration) {
        let Some(member) = self.members.get_mut(id) else { return };
        let n_before = member.revoking.len();
        member.revoking.retain(|task, _| owned.active.contains(task));
        if member.revoking.is_empty() {
            member.deadline = None;
        }
        if member.revoking.len() != n_before {
            self.version += 1;
        }
        self.reconcile(id, now);
    }
}
