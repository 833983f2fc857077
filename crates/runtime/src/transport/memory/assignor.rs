//! Which member runs which task: a pure function of members, tasks and what was before.

use std::collections::BTreeMap;

use kstreams_core::task::TaskId;

use crate::transport::Assignment;

/// A member as the assignor sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidate {
    /// Members of one process do not keep each other's tasks warm.
    pub(super) process: String,
    /// What it had before.
    pub(super) previous: Assignment,
}

/// Shares the tasks out: counts differ by one at most, a task stays where it was or goes where it
/// was kept warm if the balance allows it, and those of one sub-topology are spread. Tasks marked
/// `true` have state and get `n_standby` standbys, on other processes, as far as there are some.
pub(super) fn assign(
    members: &BTreeMap<String, Candidate>,
    tasks: &BTreeMap<TaskId, bool>,
    n_standby: usize,
) -> BTreeMap<String, Assignment> {
    let mut shares = Shares {
        members,
        result: members.keys().map(|id| (id.as_str(), Assignment::default())).collect(),
    };
    if !members.is_empty() {
        shares.active(tasks);
        let with_state: Vec<TaskId> =
            tasks.iter().filter(|(_, has_state)| **has_state).map(|(task, _)| *task).collect();
        for _ in 0..n_standby {
            for task in &with_state {
                shares.standby(*task);
            }
        }
    }
    shares.result.into_iter().map(|(id, assignment)| (id.to_owned(), assignment)).collect()
}

struct Shares<'a> {
    members: &'a BTreeMap<String, Candidate>,
    result: BTreeMap<&'a str, Assignment>,
}

impl<'a> Shares<'a> {
    fn active(&mut self, tasks: &BTreeMap<TaskId, bool>) {
        let floor = tasks.len() / self.members.len();
        let mut n_larger = tasks.len() % self.members.len();
        let mut rest: Vec<TaskId> = Vec::new();
        // Whoever had it keeps it, first up to what everybody gets, then one more for some.
        for task in tasks.keys() {
            let owner = self.find(|member| member.previous.active.contains(task));
            let n = owner.map_or(usize::MAX, |id| self.result[id].active.len());
            match owner {
                Some(id) if n < floor || (n == floor && n_larger > 0) => {
                    n_larger -= usize::from(n == floor);
                    self.give(id, *task);
                }
                _ => rest.push(*task),
            }
        }
        for task in rest {
            let room = if self.result.values().any(|share| share.active.len() < floor) {
                floor
            } else {
                floor + 1
            };
            let fits = |id: &str| self.result[id].active.len() < room;
            let warm = self
                .members
                .iter()
                .find(|(id, member)| member.previous.standby.contains(&task) && fits(id.as_str()))
                .map(|(id, _)| id.as_str());
            let least = || {
                self.members.keys().map(String::as_str).min_by_key(|id| {
                    let active = &self.result[id].active;
                    let is_same = |other: &&TaskId| other.subtopology == task.subtopology;
                    (active.len(), active.iter().filter(is_same).count(), *id)
                })
            };
            if let Some(id) = warm.or_else(least) {
                self.give(id, task);
            }
        }
    }

    fn standby(&mut self, task: TaskId) {
        let has_it = |id: &str| {
            let share = &self.result[id];
            share.active.contains(&task) || share.standby.contains(&task)
        };
        let taken: Vec<&str> = self
            .members
            .iter()
            .filter(|(id, _)| has_it(id.as_str()))
            .map(|(_, member)| member.process.as_str())
            .collect();
        let chosen = self
            .members
            .iter()
            .filter(|(_, member)| !taken.contains(&member.process.as_str()))
            .min_by_key(|(id, member)| {
                let share = &self.result[id.as_str()];
                let had = &member.previous;
                let was_here = had.standby.contains(&task) || had.active.contains(&task);
                (share.standby.len(), !was_here, share.active.len(), id.as_str())
            })
            .map(|(id, _)| id.as_str());
        if let Some(share) = chosen.and_then(|id| self.result.get_mut(id)) {
            share.standby.insert(task);
        }
    }

    fn find(&self, test: impl Fn(&Candidate) -> bool) -> Option<&'a str> {
        self.members.iter().find(|(_, member)| test(member)).map(|(id, _)| id.as_str())
    }

    fn give(&mut self, id: &str, task: TaskId) {
        if let Some(share) = self.result.get_mut(id) {
            share.active.insert(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(n_subtopologies: u32, n_partitions: i32) -> BTreeMap<TaskId, bool> {
        (0..n_subtopologies)
            .flat_map(|subtopology| {
                (0..n_partitions).map(move |partition| (TaskId { subtopology, partition }, true))
            })
            .collect()
    }

    fn members(
        names: &[&str],
        previous: &BTreeMap<String, Assignment>,
    ) -> BTreeMap<String, Candidate> {
        let candidate = |name: &&str| {
            let previous = previous.get(*name).cloned().unwrap_or_default();
            ((*name).to_owned(), Candidate { process: (*name).to_owned(), previous })
        };
        names.iter().map(candidate).collect()
    }

    fn check(
        names: &[&str],
        previous: &BTreeMap<String, Assignment>,
        n_tasks: i32,
        n_moves: usize,
    ) {
        let all = tasks(2, n_tasks);
        let result = assign(&members(names, previous), &all, 1);
        let counts: Vec<usize> = result.values().map(|share| share.active.len()).collect();
        assert_eq!(counts.iter().sum::<usize>(), all.len());
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        let moved = result
            .iter()
            .flat_map(|(id, share)| share.active.iter().map(move |task| (id, task)))
            .filter(|(_, task)| previous.values().any(|had| had.active.contains(task)))
            .filter(|(id, task)| !previous.get(*id).is_some_and(|had| had.active.contains(task)))
            .count();
        assert_eq!(moved, n_moves, "{result:?}");
        for share in result.values() {
            assert!(share.active.is_disjoint(&share.standby));
        }
        if names.len() > 1 {
            let n_standbys: usize = result.values().map(|share| share.standby.len()).sum();
            assert_eq!(n_standbys, all.len());
        }
    }

    #[test]
    fn shares_are_balanced_and_move_no_more_than_needed() {
        let none = BTreeMap::new();
        check(&["a"], &none, 4, 0);
        check(&["a", "b", "c"], &none, 4, 0);
        let one = assign(&members(&["a"], &none), &tasks(2, 4), 1);
        check(&["a", "b"], &one, 4, 4);
        let two = assign(&members(&["a", "b"], &one), &tasks(2, 4), 1);
        check(&["a", "b"], &two, 4, 0);
        check(&["a"], &two, 4, 4);
        check(&["a", "b", "c"], &two, 4, 2);
    }

    #[test]
    fn a_task_goes_where_it_was_kept_warm() {
        let three = assign(&members(&["a", "b", "c"], &BTreeMap::new()), &tasks(1, 3), 1);
        let lost = *three["a"].active.first().unwrap();
        let left = members(&["b", "c"], &three);
        let two = assign(&left, &tasks(1, 3), 1);
        let heir = three.iter().find(|(_, share)| share.standby.contains(&lost)).unwrap().0;
        assert!(two[heir].active.contains(&lost));
    }
}
